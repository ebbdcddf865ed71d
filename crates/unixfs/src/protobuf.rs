//! How are the two protobuf messages of UnixFS read without trusting a single length?
//!
//! prost cannot serve here: dag-pb writes field 2 before field 1, and its reader must refuse what prost skips.

use bytes::{Buf, Bytes};
use unsigned_varint::{decode, encode};

/// Why bytes are not a dag-pb node or a UnixFS message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A number is cut off, longer than 64 bits or not in its shortest form.
    #[error("a varint is cut off, too long or not in its shortest form")]
    Varint,
    /// A length points behind the end.
    #[error("a field of {length} bytes begins {left} bytes before the end")]
    Length {
        /// Bytes that the field claims.
        length: u64,
        /// Bytes that are there.
        left: usize,
    },
    /// A field that the format does not have, or has with another wire type.
    #[error("field {field} with wire type {wire} does not belong into {message}")]
    Field {
        /// The field's number.
        field: u64,
        /// The wire type found.
        wire: u8,
        /// The message that is read.
        message: &'static str,
    },
    /// A field that may come once came twice.
    #[error("field {0} comes twice")]
    Twice(&'static str),
    /// A field that must be there is not.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// The links of a node lie on both sides of its data.
    #[error("links lie before and behind the data")]
    Scattered,
    /// A link's hash is no CID.
    #[error("a link holds {0} bytes that are no CID")]
    Cid(usize),
    /// The type of a UnixFS message is none of raw, directory, file, metadata, symlink and HAMT shard.
    #[error("UnixFS type {0} does not exist")]
    Type(u64),
    /// A number is beyond its bound.
    #[error("{field} is {value}, more than {max}")]
    Beyond {
        /// Name of the field.
        field: &'static str,
        /// The value found.
        value: u64,
        /// The highest value allowed.
        max: u64,
    },
}

/// The value of one field.
pub(crate) enum Value {
    Varint(u64),
    Bytes(Bytes),
    Fixed32(u32),
}

/// Takes a varint from the front.
pub(crate) fn take_varint(from: &mut Bytes) -> Result<u64, DecodeError> {
    let (value, rest) = decode::u64(from).map_err(|_| DecodeError::Varint)?;
    let used = from.len() - rest.len();
    from.advance(used);
    Ok(value)
}

/// Takes the next field: its number and value. The value of a bytes field shares memory with `from`.
pub(crate) fn take_field(from: &mut Bytes, message: &'static str) -> Result<(u64, Value), DecodeError> {
    let key = take_varint(from)?;
    let (field, wire) = (key >> 3, (key & 7) as u8);
    let value = match wire {
        0 => Value::Varint(take_varint(from)?),
        2 => {
            let length = take_varint(from)?;
            let fits = usize::try_from(length)
                .ok()
                .filter(|&length| length <= from.len());
            let Some(length) = fits else {
                return Err(DecodeError::Length {
                    length,
                    left: from.len(),
                });
            };
            Value::Bytes(from.split_to(length))
        }
        5 if from.len() < 4 => {
            return Err(DecodeError::Length {
                length: 4,
                left: from.len(),
            });
        }
        5 => Value::Fixed32(from.get_u32_le()),
        _ => return Err(DecodeError::Field { field, wire, message }),
    };
    Ok((field, value))
}

impl Value {
    /// The error for a field that does not belong.
    pub(crate) fn stray(&self, field: u64, message: &'static str) -> DecodeError {
        let wire = match self {
            Self::Varint(_) => 0,
            Self::Bytes(_) => 2,
            Self::Fixed32(_) => 5,
        };
        DecodeError::Field { field, wire, message }
    }
}

/// Sets a field that may come once.
pub(crate) fn set_once<T>(slot: &mut Option<T>, value: T, field: &'static str) -> Result<(), DecodeError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(DecodeError::Twice(field)),
    }
}

/// Bytes that a varint takes.
pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Writes a varint.
pub(crate) fn put_varint(to: &mut Vec<u8>, value: u64) {
    to.extend_from_slice(encode::u64(value, &mut encode::u64_buffer()));
}

/// Writes a varint field whose key is one byte.
pub(crate) fn put_varint_field(to: &mut Vec<u8>, field: u8, value: u64) {
    to.push(field << 3);
    put_varint(to, value);
}

/// Writes the key and length of a bytes field whose key is one byte.
pub(crate) fn put_bytes_header(to: &mut Vec<u8>, field: u8, length: usize) {
    to.push(field << 3 | 2);
    put_varint(to, length as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_varint_is_foretold() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(varint_len(value), bytes.len(), "{value}");
        }
    }

    #[test]
    fn a_length_behind_the_end_is_refused_before_anything_is_reserved() {
        let mut bytes = Bytes::from_static(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]);
        assert!(matches!(
            take_field(&mut bytes, "test"),
            Err(DecodeError::Length { left: 1, .. })
        ));
    }
}
