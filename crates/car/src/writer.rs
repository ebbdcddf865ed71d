//! Which bytes make a CAR?

use bytes::Bytes;
use rustle_types::Cid;
use unsigned_varint::encode;

use crate::CarError;
use crate::header::{self, ROOTS_MAX};

/// A block and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its name.
    pub cid: Cid,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The beginning of a CAR of version 1.
pub fn encode_header(roots: &[Cid]) -> Result<Bytes, CarError> {
    if ROOTS_MAX < roots.len() {
        return Err(CarError::TooManyRoots(roots.len()));
    }
    let header = header::encode(roots);
    let mut out = encode::usize(header.len(), &mut encode::usize_buffer()).to_vec();
    out.extend_from_slice(&header);
    Ok(out.into())
}

/// A section: its length and CID, then the block itself, not copied.
pub fn encode_section(block: &Block) -> [Bytes; 2] {
    let length = block.cid.encoded_len() + block.bytes.len();
    let mut head = encode::usize(length, &mut encode::usize_buffer()).to_vec();
    block
        .cid
        .write_bytes(&mut head)
        .expect("writing into memory never fails");
    [head.into(), block.bytes.clone()]
}
