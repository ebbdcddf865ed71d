//! How does a block look as DAG-CBOR?
//!
//! One map with short keys; parents and chain are IPLD links, so that any IPFS tool can walk from a leaf to the genesis.
//! DAG-CBOR orders keys by length and then by bytes, and knows one encoding of each value, so equal blocks are equal bytes.

use ipld_core::cid::Cid;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A block as it is encoded, borrowed from its bytes or from a draft.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Encoded<'a> {
    /// Version of the format.
    pub(crate) v: u64,
    /// Time, milliseconds since the Unix epoch.
    pub(crate) at: u64,
    /// Author, 32 bytes.
    #[serde(borrow)]
    pub(crate) by: Raw<'a>,
    /// Content outside the block; excludes `body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cid: Option<Cid>,
    /// Signature, 64 bytes; absent only while it is computed.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) sig: Option<Raw<'a>>,
    /// Content inside the block; excludes `cid` and `size`.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Raw<'a>>,
    /// Bytes of the content outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// The genesis; absent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chain: Option<Cid>,
    /// 0, or one more than the highest parent.
    pub(crate) height: u64,
    /// Topics in the author's order.
    #[serde(borrow)]
    pub(crate) topics: Vec<&'a str>,
    /// Parents, strictly ascending.
    pub(crate) parents: Vec<Cid>,
}

/// Bytes that become a CBOR byte string, where serde would make a list of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

/// Only the version, to tell a newer format from rubbish.
#[derive(Debug, Deserialize)]
pub(crate) struct VersionOnly {
    pub(crate) v: u64,
}

/// Appends `value` as DAG-CBOR to `out`.
pub(crate) fn write<T: Serialize>(value: &T, mut out: Vec<u8>) -> Vec<u8> {
    serde_ipld_dagcbor::to_writer(&mut out, value)
        .expect("writing to memory cannot fail, and no floats are written");
    out
}

/// Reads `T` from canonical DAG-CBOR that it fills to the last byte.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    serde_ipld_dagcbor::from_slice(bytes).map_err(|error| error.to_string())
}

// === impl Raw ===

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Raw)
    }
}
