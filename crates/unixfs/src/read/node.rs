//! What does one block say of the file it is a part of?

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, CODEC_RAW};

use super::ReadError;
use crate::dagpb::Node;
use crate::unixfs::{Data, Kind};

/// Characters of a link's target that an error repeats.
const TARGET_CHARS_MAX: usize = 256;

/// A block of a file: bytes of its own, then those of its children.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) data: Bytes,
    /// Each child with the bytes of the file below it. Their sum with the data's length fits 64 bits.
    pub(super) children: Vec<(Cid, u64)>,
}

// === impl Content ===

impl Content {
    /// Bytes of the file in and below the block.
    pub(super) fn size(&self) -> u64 {
        self.data.len() as u64 + self.children.iter().map(|(_, size)| size).sum::<u64>()
    }
}

/// Reads a block of a file by its codec.
pub(super) fn read_block(cid: &Cid, bytes: Bytes) -> Result<Content, ReadError> {
    match cid.codec() {
        CODEC_RAW => Ok(Content {
            data: bytes,
            children: Vec::new(),
        }),
        CODEC_DAG_PB => read_node(*cid, bytes),
        _ => Err(ReadError::NotAFile {
            cid: *cid,
            what: "its codec is neither raw nor dag-pb",
        }),
    }
}

fn read_node(cid: Cid, bytes: Bytes) -> Result<Content, ReadError> {
    let malformed = |error| ReadError::Malformed {
        cid,
        error: Box::new(error),
    };
    let node = Node::decode(bytes).map_err(malformed)?;
    let Some(data) = node.data else {
        return Err(ReadError::NotAFile {
            cid,
            what: "a dag-pb node without UnixFS data",
        });
    };
    let data = Data::decode(data).map_err(malformed)?;
    match data.kind {
        Kind::Raw | Kind::File => {}
        Kind::Directory | Kind::HamtShard => return Err(ReadError::IsDirectory(cid)),
        Kind::Symlink => {
            let target = data.data.unwrap_or_default();
            let target = String::from_utf8_lossy(&target)
                .chars()
                .take(TARGET_CHARS_MAX)
                .collect();
            return Err(ReadError::IsSymlink { cid, target });
        }
        Kind::Metadata => {
            return Err(ReadError::NotAFile {
                cid,
                what: "UnixFS metadata",
            });
        }
    }
    let (links, sizes) = (node.links.len(), data.blocksizes.len());
    if links != sizes {
        return Err(ReadError::Unpaired { cid, links, sizes });
    }
    let own = data.data.unwrap_or_default();
    let found = data
        .blocksizes
        .iter()
        .try_fold(own.len() as u64, |sum, size| sum.checked_add(*size));
    let declared = data.filesize.or(found).unwrap_or(u64::MAX);
    if found != Some(declared) {
        return Err(ReadError::WrongSize {
            cid,
            declared,
            found: found.unwrap_or(u64::MAX),
        });
    }
    let children = node
        .links
        .into_iter()
        .map(|link| link.cid)
        .zip(data.blocksizes)
        .collect();
    Ok(Content { data: own, children })
}
