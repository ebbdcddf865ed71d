//! Which block, which chain, which author?
//!
//! A block is always CIDv1, DAG-CBOR, sha2-256, so 32 bytes of digest name it. Comparing digests compares CIDs.

use std::fmt;
use std::str::FromStr;

use cid::Cid;
use libp2p_identity::{PeerId, PublicKey, ed25519};
use multihash_codetable::{Code, MultihashDigest};

use crate::content::{CODEC_DAG_CBOR, HASH_SHA2_256};

/// The CID of a chain's block: CIDv1, codec DAG-CBOR, sha2-256. Ordered as its digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId([u8; 32]);

/// The id of a chain: the id of its genesis block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(BlockId);

/// Who signed a block: an Ed25519 public key, 32 bytes. The node's identity key, so it is also a peer id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Author([u8; 32]);

/// Why a text or CID is not the id that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is no CID at all.
    #[error("`{0}` is not a CID; copy the whole id, it begins with `bafyrei`")]
    NotACid(String),
    /// A CID, but of something else than a Rustle block.
    #[error("{0} is a CID, but not of a block (CIDv1, dag-cbor, sha2-256)")]
    NotABlock(Cid),
}

// === impl BlockId ===

impl BlockId {
    /// The id of a block with these canonical bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(Code::Sha2_256.digest(bytes).digest());
        Self(digest)
    }

    /// The id with this sha2-256 digest.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The sha2-256 digest, 32 bytes.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id as a CID that any IPFS tool understands.
    pub fn cid(&self) -> Cid {
        let hash = multihash_codetable::Multihash::wrap(HASH_SHA2_256, &self.0)
            .expect("32 bytes always fit a multihash of 64");
        Cid::new_v1(CODEC_DAG_CBOR, hash)
    }
}

impl TryFrom<&Cid> for BlockId {
    type Error = IdError;

    fn try_from(cid: &Cid) -> Result<Self, IdError> {
        let right = cid.version() == cid::Version::V1
            && cid.codec() == CODEC_DAG_CBOR
            && cid.hash().code() == HASH_SHA2_256;
        match <[u8; 32]>::try_from(cid.hash().digest()) {
            Ok(digest) if right => Ok(Self(digest)),
            _ => Err(IdError::NotABlock(*cid)),
        }
    }
}

impl FromStr for BlockId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let cid = Cid::try_from(text).map_err(|_| IdError::NotACid(text.chars().take(80).collect()))?;
        Self::try_from(&cid)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cid().fmt(f)
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockId({self})")
    }
}

// === impl ChainId ===

impl ChainId {
    /// The chain that begins with this genesis block.
    pub const fn of_genesis(genesis: BlockId) -> Self {
        Self(genesis)
    }

    /// The genesis block.
    pub const fn genesis(&self) -> BlockId {
        self.0
    }

    /// The sha2-256 digest of the genesis block, 32 bytes.
    pub const fn digest(&self) -> &[u8; 32] {
        self.0.digest()
    }

    /// The id as a CID.
    pub fn cid(&self) -> Cid {
        self.0.cid()
    }
}

impl FromStr for ChainId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainId({})", self.0)
    }
}

// === impl Author ===

impl Author {
    /// The author with this Ed25519 public key. Whether it is a point of the curve is checked with the signature.
    pub const fn from_bytes(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The Ed25519 public key, 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The peer that holds this key, where the bytes are a valid public key.
    pub fn peer_id(&self) -> Option<PeerId> {
        let key = ed25519::PublicKey::try_from_bytes(&self.0).ok()?;
        Some(PublicKey::from(key).to_peer_id())
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer_id() {
            Some(peer) => peer.fmt(f),
            None => f.write_str("invalid-key"),
        }
    }
}

impl fmt::Debug for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Author({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_id_survives_text_and_cid() {
        let id = BlockId::of(b"leaf");
        assert_eq!(id.to_string().parse::<BlockId>().unwrap(), id);
        assert_eq!(BlockId::try_from(&id.cid()).unwrap(), id);
    }

    #[test]
    fn a_file_cid_is_refused_with_the_reason() {
        let error = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
            .parse::<BlockId>()
            .unwrap_err();
        assert!(matches!(error, IdError::NotABlock(_)), "{error}");
        assert!(matches!("bafyrei".parse::<ChainId>(), Err(IdError::NotACid(_))));
    }

    #[test]
    fn ids_order_as_their_digests() {
        let (low, high) = (BlockId::from_digest([1; 32]), BlockId::from_digest([2; 32]));
        assert!(low < high && low.cid().to_bytes() < high.cid().to_bytes());
    }
}
