//! What does the root block say of a file or folder?

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::CODEC_RAW;

use super::ListError;
use super::level::read_node;
use crate::unixfs::{Kind, Metadata};

/// What `ipfs files stat` shows, from the root block alone. Nothing below it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: StatKind,
    /// Bytes of the root block.
    pub block_bytes: u64,
    /// Bytes of all blocks, as the links say; a block that occurs twice counts twice.
    pub tsize: u64,
    /// Links of the root block: chunks, entries or shards.
    pub links: u64,
    /// Mode and time, where they were kept.
    pub metadata: Metadata,
}

/// What a root block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatKind {
    /// A file of so many bytes.
    File(u64),
    /// A folder in one block.
    Folder,
    /// A folder in shards, so that `links` does not tell its entries.
    ShardedFolder,
    /// A symbolic link to this target.
    Symlink(Bytes),
}

// === impl Stat ===

impl Stat {
    /// Reads the root block, whose bytes were checked against its CID.
    pub fn of(cid: Cid, bytes: Bytes) -> Result<Self, ListError> {
        let block_bytes = bytes.len() as u64;
        if cid.codec() == CODEC_RAW {
            return Ok(Self {
                kind: StatKind::File(block_bytes),
                block_bytes,
                tsize: block_bytes,
                links: 0,
                metadata: Metadata::NONE,
            });
        }
        let (node, data) = read_node(cid, bytes)?;
        let metadata = data.metadata();
        let own = data.data.unwrap_or_default();
        let kind = match data.kind {
            Kind::Raw | Kind::File => {
                let below = data
                    .blocksizes
                    .iter()
                    .fold(own.len() as u64, |sum, size| sum.saturating_add(*size));
                StatKind::File(data.filesize.unwrap_or(below))
            }
            Kind::Directory => StatKind::Folder,
            Kind::HamtShard => StatKind::ShardedFolder,
            Kind::Symlink => StatKind::Symlink(own),
            Kind::Metadata => {
                let what = "UnixFS metadata";
                return Err(ListError::NotAFolder { cid, what });
            }
        };
        let below = node.links.iter().map(|link| link.tsize);
        Ok(Self {
            kind,
            block_bytes,
            tsize: below.fold(block_bytes, u64::saturating_add),
            links: node.links.len() as u64,
            metadata,
        })
    }
}
