//! What does the first section say?

use rustle_types::Cid;
use serde::{Deserialize, Serialize};

use crate::CarError;

/// Longest header that is read.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Most roots that are written: each takes up to 76 bytes of a header.
pub const ROOTS_MAX: usize = 800;
/// Bytes behind the pragma of version 2: 16 of flags, then offset and size of the data and offset of the index.
pub(crate) const V2_HEADER_BYTES: usize = 40;

/// A header as DAG-CBOR has it.
#[derive(Serialize, Deserialize)]
struct Encoded {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roots: Option<Vec<Cid>>,
    version: u64,
}

/// A header that was read.
pub(crate) enum Header {
    /// Version 1: the roots.
    V1(Vec<Cid>),
    /// Version 2: a CAR of version 1 lies further on.
    V2,
}

/// Where version 2 has its data: bytes to skip behind its header, and bytes of the data.
pub(crate) struct Inner {
    pub(crate) skip: u64,
    pub(crate) bytes: u64,
}

/// Reads the header without its length.
pub(crate) fn decode(bytes: &[u8]) -> Result<Header, CarError> {
    let read: Encoded =
        serde_ipld_dagcbor::from_slice(bytes).map_err(|error| CarError::Header(error.to_string()))?;
    match (read.version, read.roots) {
        (1, Some(roots)) => Ok(Header::V1(roots)),
        (1, None) => Err(CarError::Header("its header has no roots".to_owned())),
        (2, _) => Ok(Header::V2),
        (version, _) => Err(CarError::Version(version)),
    }
}

/// Reads what follows the pragma of version 2, which is `before` bytes long.
pub(crate) fn decode_v2(bytes: &[u8; V2_HEADER_BYTES], before: u64) -> Result<Inner, CarError> {
    let (words, _) = bytes.as_chunks::<8>();
    let [offset, size] = [words[2], words[3]].map(u64::from_le_bytes);
    let skip = offset.checked_sub(before + V2_HEADER_BYTES as u64);
    let skip = skip.ok_or_else(|| CarError::Header("its data lies inside its header".to_owned()))?;
    Ok(Inner { skip, bytes: size })
}

/// The bytes of a header of version 1 without its length.
pub(crate) fn encode(roots: &[Cid]) -> Vec<u8> {
    let header = Encoded {
        roots: Some(roots.to_vec()),
        version: 1,
    };
    serde_ipld_dagcbor::to_vec(&header).expect("writing links and a number into memory cannot fail")
}
