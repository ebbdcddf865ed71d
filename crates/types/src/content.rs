//! Codes of the multicodec table that Rustle knows, and the check of bytes against their CID.
//!
//! The codes are those of the multiformats table (`multiformats/multicodec`, table.csv).

use std::fmt;
use std::str::FromStr;

use cid::Cid;
pub use multihash_codetable::Multihash;
use multihash_codetable::{Code, MultihashDigest};

/// Codec `raw`: bytes without structure.
pub const CODEC_RAW: u64 = 0x55;
/// Codec `dag-pb`: the nodes of UnixFS.
pub const CODEC_DAG_PB: u64 = 0x70;
/// Codec `dag-cbor`: the blocks of chains.
pub const CODEC_DAG_CBOR: u64 = 0x71;
/// Codec `dag-json`.
pub const CODEC_DAG_JSON: u64 = 0x0129;

/// The codecs that are read here, each with its name in the multicodec table.
const CODECS: [(u64, &str); 4] = [
    (CODEC_RAW, "raw"),
    (CODEC_DAG_PB, "dag-pb"),
    (CODEC_DAG_CBOR, "dag-cbor"),
    (CODEC_DAG_JSON, "dag-json"),
];

/// Hash `identity`: the digest is the content itself.
pub const HASH_IDENTITY: u64 = 0x00;
/// Hash `sha2-256`.
pub const HASH_SHA2_256: u64 = 0x12;
/// Hash `sha2-512`.
pub const HASH_SHA2_512: u64 = 0x13;
/// Hash `blake3`.
pub const HASH_BLAKE3: u64 = 0x1e;

/// Longest digest of an identity hash: `Cid` has no room for more. Kubo takes up to 128 and writes up to 32.
pub const IDENTITY_DIGEST_BYTES_MAX: usize = 64;

/// A hash function that names content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashFunction {
    /// `sha2-256`, the only one of version 0.
    #[default]
    Sha2_256,
    /// `sha2-512`.
    Sha2_512,
    /// `blake3` with a digest of 256 bits.
    Blake3,
}

/// A name that is none of a [`HashFunction`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("hash function `{0}` is not known here; choose sha2-256, sha2-512 or blake3")]
pub struct UnknownHashFunction(String);

/// A name that is none of a codec that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("codec `{0}` is not known here; choose raw, dag-pb, dag-cbor or dag-json")]
pub struct UnknownCodec(String);

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

// === impl HashFunction ===

impl HashFunction {
    const ALL: [(Self, &str); 3] = [
        (Self::Sha2_256, "sha2-256"),
        (Self::Sha2_512, "sha2-512"),
        (Self::Blake3, "blake3"),
    ];

    /// The hash of bytes, with the function's code.
    pub fn digest(self, bytes: &[u8]) -> Multihash {
        match self {
            Self::Sha2_256 => Code::Sha2_256.digest(bytes),
            Self::Sha2_512 => Code::Sha2_512.digest(bytes),
            Self::Blake3 => Code::Blake3_256.digest(bytes),
        }
    }
}

impl fmt::Display for HashFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.iter().find(|(function, _)| function == self);
        f.write_str(known.map_or("", |(_, name)| name))
    }
}

impl FromStr for HashFunction {
    type Err = UnknownHashFunction;

    fn from_str(text: &str) -> Result<Self, UnknownHashFunction> {
        let known = Self::ALL.iter().find(|(_, name)| *name == text);
        let known = known.map(|(function, _)| *function);
        known.ok_or_else(|| UnknownHashFunction(text.chars().take(32).collect()))
    }
}

/// The name of a codec, where it is one of those that are read here.
pub fn codec_name(codec: u64) -> Option<&'static str> {
    let known = CODECS.iter().find(|(code, _)| *code == codec);
    known.map(|(_, name)| *name)
}

/// The codec of this name.
pub fn codec_named(name: &str) -> Result<u64, UnknownCodec> {
    let known = CODECS.iter().find(|(_, other)| *other == name);
    let known = known.map(|(code, _)| *code);
    known.ok_or_else(|| UnknownCodec(name.chars().take(32).collect()))
}

/// The multihash of bytes that are their own digest; `None` above [`IDENTITY_DIGEST_BYTES_MAX`].
pub fn identity(bytes: &[u8]) -> Option<Multihash> {
    Multihash::wrap(HASH_IDENTITY, bytes).ok()
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

    #[test]
    fn codecs_have_names() {
        for (codec, name) in CODECS {
            assert_eq!(codec_named(name), Ok(codec));
            assert_eq!(codec_name(codec), Some(name));
        }
        assert_eq!(codec_name(0x78), None);
        let unknown = codec_named("git-raw").unwrap_err().to_string();
        assert!(unknown.contains("git-raw") && unknown.contains("dag-cbor"));
    }

    #[test]
    fn hash_functions_have_names_and_identity_a_bound() {
        for (function, name) in HashFunction::ALL {
            assert_eq!(name.parse(), Ok(function));
            assert_eq!(function.to_string(), name);
            let cid = Cid::new_v1(CODEC_RAW, function.digest(b"rustle"));
            assert_eq!(verify(&cid, b"rustle"), Ok(()));
        }
        assert!("md5".parse::<HashFunction>().is_err());

        let longest = [7; IDENTITY_DIGEST_BYTES_MAX];
        let cid = Cid::new_v1(CODEC_RAW, identity(&longest).unwrap());
        assert_eq!(verify(&cid, &longest), Ok(()));
        assert_eq!(identity(&[7; IDENTITY_DIGEST_BYTES_MAX + 1]), None);
    }
}
