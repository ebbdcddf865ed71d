//! Which blocks does a stream of bytes hold, and are they what they claim?
//!
//! The reader keeps bytes until a section is whole, so it holds at most one section and what was pushed last. A length
//! is judged before anything is waited for. After an error it gives nothing more.

use bytes::{Buf, Bytes, BytesMut};
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_CBOR, CODEC_DAG_JSON, CODEC_DAG_PB, CODEC_RAW, verify};
use rustle_types::limits::{CID_BYTES_MAX, CONTENT_BLOCK_BYTES_MAX};
use unsigned_varint::decode;

use crate::header::{self, HEADER_BYTES_MAX, Header, V2_HEADER_BYTES};
use crate::{Block, CarError};

/// Longest section: a CID and a block, both at their bounds.
pub const SECTION_BYTES_MAX: usize = CID_BYTES_MAX + CONTENT_BLOCK_BYTES_MAX;
/// Longest length of a section or a header that is still below a bound.
const LENGTH_BYTES_MAX: usize = 10;

/// What a CAR holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The roots, always first.
    Roots(Vec<Cid>),
    /// A block that was checked against its CID.
    Block(Block),
}

/// Reads a CAR of version 1 or 2. Feed it, and drain `poll` after each portion.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    /// Where in the file the buffer begins.
    at: u64,
    part: Part,
    /// Bytes of the data that are still to come in version 2.
    left: Option<u64>,
    failed: Option<CarError>,
}

/// What comes next in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    HeaderOfV2,
    Skip(u64),
    Sections,
    /// The index of version 2, which nobody needs here.
    Index,
}

// === impl Reader ===

impl Reader {
    /// At the beginning of a file.
    pub fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            at: 0,
            part: Part::Header,
            left: None,
            failed: None,
        }
    }

    /// Takes the next bytes of the file, of any length.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() && self.part != Part::Index {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next item, or `None` where more bytes must come first.
    pub fn poll(&mut self) -> Result<Option<Item>, CarError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let polled = self.advance();
        if let Err(error) = &polled {
            self.buffer.clear();
            self.failed = Some(error.clone());
        }
        polled
    }

    /// Says whether the file may end here.
    pub fn finish(&self) -> Result<(), CarError> {
        match (&self.failed, self.part) {
            (Some(error), _) => Err(error.clone()),
            (None, Part::Index) => Ok(()),
            (None, Part::Sections) if self.buffer.is_empty() && self.left.is_none() => Ok(()),
            (None, _) => Err(CarError::Truncated { at: self.at }),
        }
    }

    fn advance(&mut self) -> Result<Option<Item>, CarError> {
        loop {
            let went_on = match self.part {
                Part::Header => match self.take_header()? {
                    Some(Header::V1(roots)) => {
                        self.part = Part::Sections;
                        return Ok(Some(Item::Roots(roots)));
                    }
                    Some(Header::V2) if self.left.is_some() => return Err(CarError::Version(2)),
                    Some(Header::V2) => {
                        self.part = Part::HeaderOfV2;
                        true
                    }
                    None => false,
                },
                Part::HeaderOfV2 => self.take_header_of_v2()?,
                Part::Skip(left) => self.skip(left),
                Part::Sections if self.left == Some(0) => {
                    self.part = Part::Index;
                    self.buffer.clear();
                    false
                }
                Part::Sections => return Ok(self.take_block()?.map(Item::Block)),
                Part::Index => false,
            };
            if !went_on {
                return Ok(None);
            }
        }
    }

    fn take_header(&mut self) -> Result<Option<Header>, CarError> {
        let Some((length, prefix)) = self.length()? else {
            return Ok(None);
        };
        if length > HEADER_BYTES_MAX as u64 {
            return Err(CarError::HeaderTooLong(length));
        }
        let Some(bytes) = self.take(prefix, length)? else {
            return Ok(None);
        };
        header::decode(&bytes).map(Some)
    }

    fn take_header_of_v2(&mut self) -> Result<bool, CarError> {
        let Some(bytes) = self.buffer.first_chunk::<V2_HEADER_BYTES>() else {
            return Ok(false);
        };
        let inner = header::decode_v2(bytes, self.at)?;
        self.buffer.advance(V2_HEADER_BYTES);
        self.at += V2_HEADER_BYTES as u64;
        self.left = Some(inner.bytes);
        self.part = Part::Skip(inner.skip);
        Ok(true)
    }

    fn skip(&mut self, left: u64) -> bool {
        // At most as much as is in memory.
        let now = left.min(self.buffer.len() as u64);
        self.buffer.advance(now as usize);
        self.at += now;
        let left = left - now;
        self.part = if left == 0 { Part::Header } else { Part::Skip(left) };
        left == 0
    }

    fn take_block(&mut self) -> Result<Option<Block>, CarError> {
        let at = self.at;
        let Some((length, prefix)) = self.length()? else {
            return Ok(None);
        };
        match length {
            0 => return Err(CarError::Empty { at }),
            bytes if bytes > SECTION_BYTES_MAX as u64 => return Err(CarError::TooLong { at, bytes }),
            _ => {}
        }
        let Some(mut section) = self.take(prefix, length)? else {
            return Ok(None);
        };
        let mut rest = &section[..];
        let cid = Cid::read_bytes(&mut rest).map_err(|_| CarError::Cid { at })?;
        section.advance(section.len() - rest.len());
        if CONTENT_BLOCK_BYTES_MAX < section.len() {
            let bytes = length;
            return Err(CarError::TooLong { at, bytes });
        }
        let codec = cid.codec();
        if ![CODEC_RAW, CODEC_DAG_PB, CODEC_DAG_CBOR, CODEC_DAG_JSON].contains(&codec) {
            return Err(CarError::UnknownCodec { cid, codec });
        }
        verify(&cid, &section).map_err(|error| CarError::Verify {
            at,
            error: Box::new(error),
        })?;
        Ok(Some(Block { cid, bytes: section }))
    }

    /// The length at the front of the buffer and the bytes that it takes; `None` where it is not whole.
    fn length(&self) -> Result<Option<(u64, usize)>, CarError> {
        match decode::u64(&self.buffer) {
            Ok((length, rest)) => Ok(Some((length, self.buffer.len() - rest.len()))),
            Err(decode::Error::Insufficient) if self.buffer.len() < LENGTH_BYTES_MAX => Ok(None),
            Err(_) => Err(CarError::Length { at: self.at }),
        }
    }

    /// Takes `length` bytes behind `prefix` ones, where all are there. In version 2 they must lie in its data.
    fn take(&mut self, prefix: usize, length: u64) -> Result<Option<Bytes>, CarError> {
        let whole = prefix as u64 + length;
        if self.left.is_some_and(|left| left < whole) {
            return Err(CarError::Truncated { at: self.at });
        }
        if (self.buffer.len() as u64) < whole {
            return Ok(None);
        }
        self.buffer.advance(prefix);
        // It is no longer than what is in memory.
        let bytes = self.buffer.split_to(length as usize).freeze();
        self.at += whole;
        self.left = self.left.map(|left| left - whole);
        Ok(Some(bytes))
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}
