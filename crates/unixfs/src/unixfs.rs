//! What does the data field of a file's or folder's node say? (specs.ipfs.tech/unixfs, message `Data`)

use bytes::Bytes;

use crate::protobuf::{
    DecodeError, Value, put_bytes_header, put_varint, put_varint_field, set_once, take_field, take_varint,
    varint_len,
};

/// Widest HAMT shard that is read (boxo's bound after CVE-2023-23625).
pub const FANOUT_MAX: u64 = 1024;

/// Most nanoseconds of a second.
const NANOS_MAX: u32 = 999_999_999;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of a file; written by old versions for leaves.
    Raw,
    /// A folder.
    Directory,
    /// A file, or a part of one.
    File,
    /// Nobody writes it.
    Metadata,
    /// A symbolic link; `data` is its target.
    Symlink,
    /// A part of a large folder.
    HamtShard,
}

/// The message in a node's data field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// What the node is.
    pub kind: Kind,
    /// Bytes of a file, target of a link, bitmap of a shard.
    pub data: Option<Bytes>,
    /// Bytes of the file below this node.
    pub filesize: Option<u64>,
    /// Bytes of the file below each link.
    pub blocksizes: Vec<u64>,
    /// Hash function of a shard (0x22: murmur3-x64-64).
    pub hash_type: Option<u64>,
    /// Width of a shard, at most [`FANOUT_MAX`].
    pub fanout: Option<u64>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// When it was last changed.
    pub mtime: Option<ModifiedAt>,
}

/// What UnixFS 1.5 keeps of a file or folder besides its bytes. A mode of 0 is none, as Kubo has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits, the lower 12.
    pub mode: Option<u32>,
    /// When it was last changed.
    pub mtime: Option<ModifiedAt>,
}

/// A time of modification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModifiedAt {
    /// Seconds since the Unix epoch.
    pub seconds: i64,
    /// Nanoseconds on top, 1 to 999,999,999.
    pub nanos: Option<u32>,
}

// === impl Kind ===

impl Kind {
    const ALL: [Self; 6] = [
        Self::Raw,
        Self::Directory,
        Self::File,
        Self::Metadata,
        Self::Symlink,
        Self::HamtShard,
    ];

    fn code(self) -> u64 {
        self as u64
    }
}

impl TryFrom<u64> for Kind {
    type Error = DecodeError;

    fn try_from(code: u64) -> Result<Self, DecodeError> {
        let kind = usize::try_from(code).ok().and_then(|index| Self::ALL.get(index));
        kind.copied().ok_or(DecodeError::Type(code))
    }
}

// === impl Metadata ===

impl Metadata {
    /// Neither a mode nor a time.
    pub const NONE: Self = Self {
        mode: None,
        mtime: None,
    };

    const MODE_BITS: u32 = 0o7777;

    /// Whether nothing would be written.
    pub const fn is_empty(&self) -> bool {
        self.mode().is_none() && self.mtime.is_none()
    }

    const fn mode(&self) -> Option<u32> {
        match self.mode {
            Some(mode) if mode & Self::MODE_BITS != 0 => Some(mode & Self::MODE_BITS),
            _ => None,
        }
    }
}

// === impl Data ===

impl Data {
    /// An empty message of this kind.
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            data: None,
            filesize: None,
            blocksizes: Vec::new(),
            hash_type: None,
            fanout: None,
            mode: None,
            mtime: None,
        }
    }

    /// The same message with a mode and a time.
    #[must_use]
    pub fn with_metadata(self, metadata: &Metadata) -> Self {
        let mtime = metadata.mtime.map(|time| ModifiedAt {
            nanos: time.nanos.filter(|nanos| (1..=NANOS_MAX).contains(nanos)),
            ..time
        });
        Self {
            mode: metadata.mode(),
            mtime,
            ..self
        }
    }

    /// What the message says besides the bytes.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            mode: self.mode,
            mtime: self.mtime,
        }
    }

    /// The bytes as Kubo writes them: fields by number, block sizes unpacked.
    pub fn encode(&self) -> Bytes {
        let data_len = self.data.as_ref().map_or(0, Bytes::len);
        let mut out = Vec::with_capacity(data_len + 64 + self.blocksizes.len() * 6);
        self.encode_into(&mut out, self.data.as_deref());
        Bytes::from(out)
    }

    /// The data field of a node that holds this message with `data`, which is copied once.
    pub(crate) fn encode_around(&self, data: &[u8]) -> Bytes {
        let mut bare = Vec::with_capacity(64);
        self.encode_into(&mut bare, None);
        let len = bare.len() + 1 + varint_len(data.len() as u64) + data.len();
        let mut out = Vec::with_capacity(1 + varint_len(len as u64) + len);
        put_bytes_header(&mut out, 1, len);
        self.encode_into(&mut out, Some(data));
        Bytes::from(out)
    }

    fn encode_into(&self, out: &mut Vec<u8>, data: Option<&[u8]>) {
        put_varint_field(out, 1, self.kind.code());
        if let Some(data) = data {
            put_bytes_header(out, 2, data.len());
            out.extend_from_slice(data);
        }
        if let Some(filesize) = self.filesize {
            put_varint_field(out, 3, filesize);
        }
        for size in &self.blocksizes {
            put_varint_field(out, 4, *size);
        }
        if let Some(hash_type) = self.hash_type {
            put_varint_field(out, 5, hash_type);
        }
        if let Some(fanout) = self.fanout {
            put_varint_field(out, 6, fanout);
        }
        if let Some(mode) = self.mode {
            put_varint_field(out, 7, mode.into());
        }
        if let Some(mtime) = self.mtime {
            mtime.encode(out);
        }
    }

    /// Reads a message. Its data shares memory with `bytes`. Unknown fields are errors.
    pub fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let mut kind = None;
        let mut read = Self::new(Kind::Raw);
        while !bytes.is_empty() {
            match take_field(&mut bytes, "a UnixFS message")? {
                (1, Value::Varint(code)) => set_once(&mut kind, Kind::try_from(code)?, "Type")?,
                (2, Value::Bytes(data)) => set_once(&mut read.data, data, "Data")?,
                (3, Value::Varint(size)) => set_once(&mut read.filesize, size, "filesize")?,
                (4, Value::Varint(size)) => read.blocksizes.push(size),
                (4, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        read.blocksizes.push(take_varint(&mut packed)?);
                    }
                }
                (5, Value::Varint(code)) => set_once(&mut read.hash_type, code, "hashType")?,
                (6, Value::Varint(fanout)) => {
                    let fanout = at_most("fanout", fanout, FANOUT_MAX)?;
                    set_once(&mut read.fanout, fanout, "fanout")?;
                }
                (7, Value::Varint(mode)) => {
                    let mode = at_most("mode", mode, u32::MAX.into())? as u32;
                    set_once(&mut read.mode, mode, "mode")?;
                }
                (8, Value::Bytes(time)) => set_once(&mut read.mtime, ModifiedAt::decode(time)?, "mtime")?,
                (field, value) => return Err(value.stray(field, "a UnixFS message")),
            }
        }
        read.kind = kind.ok_or(DecodeError::Missing("Type"))?;
        Ok(read)
    }
}

fn at_most(field: &'static str, value: u64, max: u64) -> Result<u64, DecodeError> {
    if value <= max {
        Ok(value)
    } else {
        Err(DecodeError::Beyond { field, value, max })
    }
}

// === impl ModifiedAt ===

impl ModifiedAt {
    fn encode(self, out: &mut Vec<u8>) {
        let seconds = self.seconds.cast_unsigned();
        put_bytes_header(out, 8, 1 + varint_len(seconds) + self.nanos.map_or(0, |_| 5));
        out.push(1 << 3);
        put_varint(out, seconds);
        if let Some(nanos) = self.nanos {
            out.push(2 << 3 | 5);
            out.extend_from_slice(&nanos.to_le_bytes());
        }
    }

    fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let (mut seconds, mut nanos) = (None, None);
        while !bytes.is_empty() {
            match take_field(&mut bytes, "a UnixFS time")? {
                (1, Value::Varint(value)) => set_once(&mut seconds, value.cast_signed(), "Seconds")?,
                (2, Value::Fixed32(value)) => {
                    let value = at_most("FractionalNanoseconds", value.into(), NANOS_MAX.into())? as u32;
                    set_once(&mut nanos, value, "FractionalNanoseconds")?;
                }
                (field, value) => return Err(value.stray(field, "a UnixFS time")),
            }
        }
        Ok(Self {
            seconds: seconds.ok_or(DecodeError::Missing("Seconds"))?,
            nanos,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_file_is_four_bytes() {
        let data = Data {
            filesize: Some(0),
            ..Data::new(Kind::File)
        };
        assert_eq!(data.encode().as_ref(), [8, 2, 0x18, 0]);
    }

    #[test]
    fn packed_sizes_are_read_and_hostile_numbers_refused() {
        let packed = Data::decode(Bytes::from_static(&[8, 2, 0x22, 2, 5, 6])).unwrap();
        assert_eq!(packed.blocksizes, [5, 6]);
        assert_eq!(
            Data::decode(Bytes::from_static(&[8, 6])),
            Err(DecodeError::Type(6))
        );
        assert_eq!(Data::decode(Bytes::new()), Err(DecodeError::Missing("Type")));
        let wide = Data {
            fanout: Some(FANOUT_MAX + 1),
            ..Data::new(Kind::HamtShard)
        };
        assert!(matches!(
            Data::decode(wide.encode()),
            Err(DecodeError::Beyond { field: "fanout", .. })
        ));
    }

    proptest! {
        #[test]
        fn a_message_survives_bytes(
            code in 0u64..6,
            data in prop::option::of(prop::collection::vec(any::<u8>(), 0..100)),
            filesize in any::<Option<u64>>(),
            blocksizes in prop::collection::vec(any::<u64>(), 0..20),
            fanout in prop::option::of(0..=FANOUT_MAX),
            mode in any::<Option<u32>>(),
            mtime in any::<Option<(i64, Option<bool>)>>(),
        ) {
            let mtime = mtime.map(|(seconds, nanos)| ModifiedAt { seconds, nanos: nanos.map(|_| 7) });
            let kind = Kind::try_from(code).unwrap();
            let hash_type = fanout.map(|_| 0x22);
            let data = data.map(Bytes::from);
            let message = Data { kind, data, filesize, blocksizes, hash_type, fanout, mode, mtime };
            prop_assert_eq!(Data::decode(message.encode()), Ok(message));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Data::decode(bytes.into());
        }
    }
}
