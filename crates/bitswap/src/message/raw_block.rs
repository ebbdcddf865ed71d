//! Which block is it that a peer sent?
//!
//! A peer sends the prefix of the CID and the bytes; the digest is computed here, so a block can never have a wrong
//! name. It can only be a block that nobody asked for.

use bytes::Bytes;
use multihash_codetable::{Code, MultihashDigest};
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, HASH_BLAKE3, HASH_IDENTITY, HASH_SHA2_256, HASH_SHA2_512};
use unsigned_varint::{decode, encode};

/// A block as it is on the wire: the bytes, and of the CID all but the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawBlock {
    /// Version, codec, hash and digest length as varints; `None` in 1.0.0, which means CIDv0.
    pub prefix: Option<Bytes>,
    /// The block.
    pub data: Bytes,
}

/// Why a block has no name here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The prefix is not four varints.
    #[error("the prefix of a block is not the four numbers of a CID")]
    Prefix,
    /// The CID version is neither 0 nor 1, or 0 with another codec or hash than it has.
    #[error("a block with CID version {0}, codec 0x{1:x} and hash 0x{2:x} cannot be")]
    Version(u64, u64, u64),
    /// A block named by itself needs no exchange.
    #[error("a block with an identity CID was sent; its CID is its content")]
    Identity,
    /// The hash function is not known.
    #[error("hash function 0x{0:x} is not known here (known: sha2-256, sha2-512, blake3)")]
    UnknownHash(u64),
    /// The digest has not the length of the hash function.
    #[error("a digest of {found} bytes, where the hash gives {right}")]
    DigestLength {
        /// The length in the prefix.
        found: u64,
        /// The length that the function gives.
        right: usize,
    },
}

// === impl RawBlock ===

impl RawBlock {
    /// The block `data` with the name `cid`.
    pub fn new(cid: &Cid, data: Bytes) -> Self {
        let mut prefix = Vec::with_capacity(8);
        let hash = cid.hash();
        for number in [
            u64::from(cid.version()),
            cid.codec(),
            hash.code(),
            u64::from(hash.size()),
        ] {
            prefix.extend_from_slice(encode::u64(number, &mut encode::u64_buffer()));
        }
        Self {
            prefix: Some(prefix.into()),
            data,
        }
    }

    /// Computes the block's CID: this is where a block costs time.
    pub fn hash(&self) -> Result<Cid, HashError> {
        let [version, codec, hash, length] = match &self.prefix {
            None => [0, CODEC_DAG_PB, HASH_SHA2_256, 32],
            Some(prefix) => numbers(prefix)?,
        };
        let function = match hash {
            HASH_SHA2_256 => Code::Sha2_256,
            HASH_SHA2_512 => Code::Sha2_512,
            HASH_BLAKE3 => Code::Blake3_256,
            HASH_IDENTITY => return Err(HashError::Identity),
            other => return Err(HashError::UnknownHash(other)),
        };
        let right = if hash == HASH_SHA2_512 { 64 } else { 32 };
        if length != right as u64 {
            return Err(HashError::DigestLength { found: length, right });
        }
        match version {
            0 if codec == CODEC_DAG_PB && hash == HASH_SHA2_256 => {
                Ok(Cid::new_v0(function.digest(&self.data)).expect("sha2-256 is the hash of CIDv0"))
            }
            1 => Ok(Cid::new_v1(codec, function.digest(&self.data))),
            _ => Err(HashError::Version(version, codec, hash)),
        }
    }
}

fn numbers(mut prefix: &[u8]) -> Result<[u64; 4], HashError> {
    let mut numbers = [0; 4];
    for number in &mut numbers {
        (*number, prefix) = decode::u64(prefix).map_err(|_| HashError::Prefix)?;
    }
    if prefix.is_empty() {
        Ok(numbers)
    } else {
        Err(HashError::Prefix)
    }
}
