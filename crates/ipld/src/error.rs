//! What can be wrong with a block's values?

use rustle_types::Cid;

use crate::bounds::{DEPTH_MAX, VALUES_MAX};
use crate::text::TEXT_BYTES_MAX;

/// Why a block or a text has no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpldError {
    /// A codec that nothing here decodes.
    #[error("{cid} has the codec 0x{codec:x}; known are raw, dag-pb, dag-cbor and dag-json")]
    UnknownCodec {
        /// The block.
        cid: Cid,
        /// Its codec.
        codec: u64,
    },
    /// A block that its codec cannot read.
    #[error("{cid} is damaged: {error}")]
    Malformed {
        /// The block.
        cid: Cid,
        /// Where decoding ended.
        error: String,
    },
    /// dag-cbor that says something in another way than the one it has.
    #[error("the block is no dag-cbor: each value has one form there, and it has another")]
    NotCanonical,
    /// More values than [`VALUES_MAX`].
    #[error("more than {VALUES_MAX} values in one block are not decoded")]
    TooManyValues,
    /// Values inside values inside values.
    #[error("values nested deeper than {DEPTH_MAX} are not decoded")]
    TooDeep,
    /// A text that is no dag-json.
    #[error("this is no dag-json: {0}")]
    Text(String),
    /// A text longer than [`TEXT_BYTES_MAX`].
    #[error("a text of {0} bytes is too long; at most {TEXT_BYTES_MAX} become a block")]
    TextTooLong(usize),
    /// A value that has no dag-json, such as a map whose only key is `/`.
    #[error("{cid} has a value that dag-json cannot show: {why}")]
    Unshowable {
        /// The block.
        cid: Cid,
        /// Which value.
        why: String,
    },
    /// More bytes than a block holds.
    #[error("the text becomes {0} bytes, more than a block holds")]
    BlockTooLong(usize),
    /// A path into values that ends before it does.
    #[error("there is no `{0}` in the value")]
    NoValue(String),
}
