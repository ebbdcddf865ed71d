//! Which choices make the CID of a file or a folder? (IPIP-499, "CID profiles")

use multihash_codetable::Multihash;
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, HashFunction, IDENTITY_DIGEST_BYTES_MAX, identity};
use rustle_types::limits::CONTENT_BLOCK_BYTES_MAX;

use crate::unixfs::Metadata;

/// Largest chunk: a block less the frame around a dag-pb leaf (Kubo's bound).
const CHUNK_BYTES_MAX: usize = CONTENT_BLOCK_BYTES_MAX - 256;
/// Most links of a node: with 60 bytes each a block still holds them.
const LINKS_MAX: usize = 16_384;
/// A folder above this estimate becomes a HAMT; one of exactly this size does not (boxo 0.36; older ones sharded it).
pub const FOLDER_BYTES_MAX: u64 = 256 * 1024;

/// How files and folders become blocks. The same content with the same profile always has the same CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProfile {
    pub(crate) cid_version: u8,
    pub(crate) hash: HashFunction,
    pub(crate) inline_bytes_max: usize,
    pub(crate) raw_leaves: bool,
    pub(crate) chunk_bytes: usize,
    pub(crate) links_max: usize,
    pub(crate) folder_size: FolderSize,
}

/// How the size of a folder is estimated, to be held against [`FOLDER_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderSize {
    /// Bytes of the names and CIDs alone.
    Links,
    /// Bytes of the block that would hold it whole.
    Block,
}

/// Why a profile cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The chunk size is out of bounds.
    #[error("chunks of {0} bytes are not possible; choose 1 to {CHUNK_BYTES_MAX}")]
    ChunkBytes(usize),
    /// The number of links is out of bounds.
    #[error("{0} links in a node are not possible; choose 2 to {LINKS_MAX}")]
    Links(usize),
    /// The version is neither 0 nor 1.
    #[error("there is no CID version {0}; choose 0 or 1")]
    Version(u8),
    /// Version 0 has one hash function.
    #[error("CID version 0 knows sha2-256 only; choose version 1 for {0}")]
    HashOfVersion0(HashFunction),
    /// Blocks of this size cannot stand inside their CID.
    #[error("a CID cannot hold {0} bytes of content; choose at most {IDENTITY_DIGEST_BYTES_MAX}")]
    Inline(usize),
}

// === impl ImportProfile ===

impl ImportProfile {
    /// What `ipfs add` does by default (`unixfs-v0-2015`): CIDv0, dag-pb leaves, chunks of 256 KiB, 174 links.
    pub const KUBO_2015: Self = Self {
        cid_version: 0,
        hash: HashFunction::Sha2_256,
        inline_bytes_max: 0,
        raw_leaves: false,
        chunk_bytes: 256 * 1024,
        links_max: 174,
        folder_size: FolderSize::Links,
    };

    /// The profile of 2025 (`unixfs-v1-2025`): CIDv1, raw leaves, chunks of 1 MiB, 1024 links.
    pub const V1_RAW_2025: Self = Self {
        cid_version: 1,
        hash: HashFunction::Sha2_256,
        inline_bytes_max: 0,
        raw_leaves: true,
        chunk_bytes: 1024 * 1024,
        links_max: 1024,
        folder_size: FolderSize::Block,
    };

    /// The same profile with chunks of another size in bytes.
    pub const fn with_chunk_bytes(self, chunk_bytes: usize) -> Result<Self, ProfileError> {
        if chunk_bytes == 0 || CHUNK_BYTES_MAX < chunk_bytes {
            return Err(ProfileError::ChunkBytes(chunk_bytes));
        }
        Ok(Self { chunk_bytes, ..self })
    }

    /// The same profile with another number of links in a node.
    pub const fn with_links_max(self, links_max: usize) -> Result<Self, ProfileError> {
        if links_max < 2 || LINKS_MAX < links_max {
            return Err(ProfileError::Links(links_max));
        }
        Ok(Self { links_max, ..self })
    }

    /// The same profile with CIDs of version 0 or 1. Leaves stay as they are; `ipfs add --cid-version=1` also makes
    /// them raw.
    pub const fn with_cid_version(self, cid_version: u8) -> Result<Self, ProfileError> {
        match cid_version {
            0 if !matches!(self.hash, HashFunction::Sha2_256) => Err(ProfileError::HashOfVersion0(self.hash)),
            0 | 1 => Ok(Self { cid_version, ..self }),
            other => Err(ProfileError::Version(other)),
        }
    }

    /// The same profile with leaves of bytes alone, or of dag-pb. Raw leaves have CIDs of version 1 in any profile.
    #[must_use]
    pub const fn with_raw_leaves(self, raw_leaves: bool) -> Self {
        Self { raw_leaves, ..self }
    }

    /// The same profile with another hash function. Version 0 has sha2-256 only: choose the version first.
    pub const fn with_hash(self, hash: HashFunction) -> Result<Self, ProfileError> {
        if self.cid_version == 0 && !matches!(hash, HashFunction::Sha2_256) {
            return Err(ProfileError::HashOfVersion0(hash));
        }
        Ok(Self { hash, ..self })
    }

    /// The same profile with another estimate of folders.
    #[must_use]
    pub const fn with_folder_size(self, folder_size: FolderSize) -> Self {
        Self { folder_size, ..self }
    }

    /// The same profile with blocks of up to so many bytes inside their CID (`ipfs add --inline`, which takes 32); 0 for
    /// none.
    pub const fn with_inline_bytes_max(self, inline_bytes_max: usize) -> Result<Self, ProfileError> {
        if IDENTITY_DIGEST_BYTES_MAX < inline_bytes_max {
            return Err(ProfileError::Inline(inline_bytes_max));
        }
        Ok(Self {
            inline_bytes_max,
            ..self
        })
    }

    /// The profile for a file with this metadata. A raw leaf has no place for any, so Kubo then makes leaves of dag-pb.
    #[must_use]
    pub const fn for_metadata(self, metadata: &Metadata) -> Self {
        let raw_leaves = self.raw_leaves && metadata.is_empty();
        Self { raw_leaves, ..self }
    }

    /// Bytes of each chunk but the last.
    pub const fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// The CID that this profile gives a block.
    pub(crate) fn cid_of(&self, codec: u64, bytes: &[u8]) -> Cid {
        let is_inline = 0 < self.inline_bytes_max && bytes.len() <= self.inline_bytes_max;
        if let Some(hash) = identity(bytes).filter(|_| is_inline) {
            return Cid::new_v1(codec, hash);
        }
        let hash: Multihash = self.hash.digest(bytes);
        if self.cid_version == 0 && codec == CODEC_DAG_PB {
            Cid::new_v0(hash).expect("sha2-256 is the only hash of a profile with version 0")
        } else {
            Cid::new_v1(codec, hash)
        }
    }
}

impl Default for ImportProfile {
    /// [`ImportProfile::KUBO_2015`].
    fn default() -> Self {
        Self::KUBO_2015
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_profiles_are_refused() {
        let profile = ImportProfile::default();
        assert_eq!(profile.with_chunk_bytes(0), Err(ProfileError::ChunkBytes(0)));
        assert!(profile.with_chunk_bytes(CONTENT_BLOCK_BYTES_MAX).is_err());
        assert_eq!(profile.with_links_max(1), Err(ProfileError::Links(1)));
        assert!(profile.with_chunk_bytes(CHUNK_BYTES_MAX).is_ok());
        assert_eq!(profile.with_cid_version(2), Err(ProfileError::Version(2)));
        let blake3 = HashFunction::Blake3;
        assert_eq!(
            profile.with_hash(blake3),
            Err(ProfileError::HashOfVersion0(blake3))
        );
        let blake3 = ImportProfile::V1_RAW_2025.with_hash(blake3).unwrap();
        assert!(blake3.with_cid_version(0).is_err());
        assert_eq!(profile.with_inline_bytes_max(65), Err(ProfileError::Inline(65)));
    }

    #[test]
    fn each_choice_shows_in_the_cid() {
        use rustle_types::content::{CODEC_RAW, HASH_BLAKE3, HASH_IDENTITY, HASH_SHA2_512, verify};

        let profile = ImportProfile::V1_RAW_2025;
        let hashed = |hash| profile.with_hash(hash).unwrap().cid_of(CODEC_RAW, b"bytes");
        assert_eq!(hashed(HashFunction::Sha2_512).hash().code(), HASH_SHA2_512);
        assert_eq!(hashed(HashFunction::Blake3).hash().code(), HASH_BLAKE3);

        let inline = profile.with_inline_bytes_max(5).unwrap();
        assert_eq!(inline.cid_of(CODEC_RAW, b"bytes").hash().code(), HASH_IDENTITY);
        assert_eq!(verify(&inline.cid_of(CODEC_RAW, b"bytes"), b"bytes"), Ok(()));
        assert_ne!(inline.cid_of(CODEC_RAW, b"bytes!").hash().code(), HASH_IDENTITY);
    }
}
