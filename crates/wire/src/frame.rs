//! Where does one message end and the next begin?
//!
//! A frame is an unsigned varint (at most 10 bytes, minimal) with the length, then so many bytes. The length is checked
//! against the bound before a byte of the body is kept, so a peer cannot make us allocate what it merely announces.

use bytes::{Buf, Bytes, BytesMut};

/// Why a stream of bytes cannot be cut into frames. The stream is of no use afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame announces more bytes than allowed.
    #[error("a frame of {length} bytes, {max} are allowed")]
    Oversize {
        /// The announced length.
        length: u64,
        /// The bound.
        max: usize,
    },
    /// The length is no minimal unsigned varint of 64 bits.
    #[error("the length of a frame is no varint")]
    BadLength,
}

/// Cuts bytes into frames. Keeps at most one frame and what was pushed behind it.
#[derive(Debug)]
pub struct Decoder {
    max: usize,
    buffer: BytesMut,
}

/// Appends the frame around `message` to `out`.
pub fn encode(message: &[u8], out: &mut BytesMut) {
    let mut length = unsigned_varint::encode::u64_buffer();
    out.extend_from_slice(unsigned_varint::encode::u64(message.len() as u64, &mut length));
    out.extend_from_slice(message);
}

// === impl Decoder ===

impl Decoder {
    /// Takes frames of at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            buffer: BytesMut::new(),
        }
    }

    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Gives the next whole message; `None` where more bytes are needed.
    #[expect(
        clippy::should_implement_trait,
        reason = "a fallible step of a decoder, not an iterator"
    )]
    pub fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let (length, rest) = match unsigned_varint::decode::u64(&self.buffer) {
            Ok((length, rest)) => (length, rest.len()),
            Err(unsigned_varint::decode::Error::Insufficient) => return Ok(None),
            Err(_) => return Err(FrameError::BadLength),
        };
        let max = self.max;
        let size = usize::try_from(length).ok().filter(|size| *size <= max);
        let Some(size) = size else {
            return Err(FrameError::Oversize { length, max });
        };
        if rest < size {
            self.buffer.reserve(size - rest);
            return Ok(None);
        }
        self.buffer.advance(self.buffer.len() - rest);
        Ok(Some(self.buffer.split_to(size).freeze()))
    }

    /// Whether bytes of an unfinished frame are waiting.
    pub fn is_mid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_survive_any_cutting(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8), cut in 1usize..64) {
            let mut bytes = BytesMut::new();
            for message in &messages {
                encode(message, &mut bytes);
            }
            let mut decoder = Decoder::new(300);
            let mut got = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                while let Some(message) = decoder.next().unwrap() {
                    got.push(message.to_vec());
                }
            }
            prop_assert_eq!(got, messages);
            prop_assert!(!decoder.is_mid_frame());
        }

        #[test]
        fn a_truncated_frame_never_comes_out(message in prop::collection::vec(any::<u8>(), 1..300)) {
            let mut bytes = BytesMut::new();
            encode(&message, &mut bytes);
            let mut decoder = Decoder::new(300);
            decoder.push(&bytes[..bytes.len() - 1]);
            prop_assert_eq!(decoder.next(), Ok(None));
            prop_assert!(decoder.is_mid_frame());
        }

        #[test]
        fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut decoder = Decoder::new(32);
            decoder.push(&garbage);
            while let Ok(Some(message)) = decoder.next() {
                prop_assert!(message.len() <= 32);
            }
        }
    }

    #[test]
    fn an_oversize_length_is_refused_before_its_body() {
        let mut decoder = Decoder::new(1024);
        decoder.push(&[0x81, 0x08]);
        assert_eq!(
            decoder.next(),
            Err(FrameError::Oversize {
                length: 1025,
                max: 1024
            })
        );
    }

    #[test]
    fn an_endless_length_is_refused() {
        let mut decoder = Decoder::new(1024);
        decoder.push(&[0xff; 11]);
        assert_eq!(decoder.next(), Err(FrameError::BadLength));
    }
}
