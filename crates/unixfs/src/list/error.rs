//! What can be wrong with a folder or a path through folders?

use rustle_types::Cid;

use crate::folder::FolderError;
use crate::protobuf::DecodeError;

/// Why a folder cannot be listed, or a path not be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// A block that is no folder.
    #[error("{cid} is no folder but {what}")]
    NotAFolder {
        /// The block.
        cid: Cid,
        /// What it is.
        what: &'static str,
    },
    /// A block that cannot be decoded.
    #[error("{cid} is damaged: {error}")]
    Malformed {
        /// The block.
        cid: Cid,
        /// Where decoding ended.
        error: Box<DecodeError>,
    },
    /// A shard of a large folder that contradicts its place or itself.
    #[error("{cid} is no sound part of a folder: {why}")]
    BadShard {
        /// The shard.
        cid: Cid,
        /// What is wrong.
        why: &'static str,
    },
    /// An entry that no folder may have: its name could leave the folder, or comes twice.
    #[error("{cid} is not followed: {error}")]
    BadEntry {
        /// The folder.
        cid: Cid,
        /// What is wrong with the name.
        error: Box<FolderError>,
    },
    /// A folder without this entry.
    #[error("{cid} has no entry `{name}`")]
    NoEntry {
        /// The folder.
        cid: Cid,
        /// The name asked for.
        name: String,
    },
    /// A block was supplied that was not asked for.
    #[error("{0} was not asked for")]
    NotAsked(Cid),
}
