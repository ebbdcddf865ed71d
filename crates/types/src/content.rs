//! Codes of the multicodec table that Rustle knows, and the check of bytes against their CID.
//!
//! The codes are those of the multiformats table (`multiformats/multicodec`, table.csv).

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};

/// Codec `raw`: bytes without structure.
pub const CODEC_RAW: u64 = 0x55;
/// Codec `dag-pb`: the nodes of UnixFS.
pub const CODEC_DAG_PB: u64 = 0x70;
/// Codec `dag-cbor`: the blocks of chains.
pub const CODEC_DAG_CBOR: u64 = 0x71;
/// Codec `dag-json`.
pub const CODEC_DAG_JSON: u64 = 0x0129;

/// Hash `identity`: the digest is the content itself.
pub const HASH_IDENTITY: u64 = 0x00;
/// Hash `sha2-256`.
pub const HASH_SHA2_256: u64 = 0x12;
/// Hash `sha2-512`.
pub const HASH_SHA2_512: u64 = 0x13;
/// Hash `blake3`.
pub const HASH_BLAKE3: u64 = 0x1e;

/// Why bytes are not what a CID promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The hash function is none of sha2-256, sha2-512, blake3 and identity.
    #[error("hash function 0x{0:x} is not known here (known: sha2-256, sha2-512, blake3, identity)")]
    UnknownHash(u64),
    /// The bytes have another hash.
    #[error("the bytes do not hash to {0}")]
    Mismatch(Cid),
}

/// Checks `bytes` against `cid`.
pub fn verify(cid: &Cid, bytes: &[u8]) -> Result<(), VerifyError> {
    let hash = cid.hash();
    let same = match hash.code() {
        HASH_SHA2_256 => Code::Sha2_256.digest(bytes).digest() == hash.digest(),
        HASH_SHA2_512 => Code::Sha2_512.digest(bytes).digest() == hash.digest(),
        HASH_BLAKE3 => Code::Blake3_256.digest(bytes).digest() == hash.digest(),
        HASH_IDENTITY => bytes == hash.digest(),
        other => return Err(VerifyError::UnknownHash(other)),
    };
    if same {
        Ok(())
    } else {
        Err(VerifyError::Mismatch(*cid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_each_known_hash_and_names_the_unknown_one() {
        for code in [Code::Sha2_256, Code::Sha2_512, Code::Blake3_256] {
            let cid = Cid::new_v1(CODEC_RAW, code.digest(b"rustle"));
            assert_eq!(verify(&cid, b"rustle"), Ok(()));
            assert_eq!(verify(&cid, b"bustle"), Err(VerifyError::Mismatch(cid)));
        }
        let md5 = Cid::new_v1(
            CODEC_RAW,
            multihash_codetable::Multihash::wrap(0xd5, &[0; 16]).unwrap(),
        );
        assert_eq!(verify(&md5, b""), Err(VerifyError::UnknownHash(0xd5)));
    }
}
