//! Which choices make the CID of a file? (IPIP-499, "CID profiles")

use rustle_types::limits::CONTENT_BLOCK_BYTES_MAX;

/// Largest chunk: a block less the frame around a dag-pb leaf (Kubo's bound).
const CHUNK_BYTES_MAX: usize = CONTENT_BLOCK_BYTES_MAX - 256;
/// Most links of a node: with 60 bytes each a block still holds them.
const LINKS_MAX: usize = 16_384;

/// How a file is cut into blocks. The same bytes with the same profile always have the same CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProfile {
    pub(crate) cid_version: u8,
    pub(crate) raw_leaves: bool,
    pub(crate) chunk_bytes: usize,
    pub(crate) links_max: usize,
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
}

// === impl ImportProfile ===

impl ImportProfile {
    /// What `ipfs add` does by default (`unixfs-v0-2015`): CIDv0, dag-pb leaves, chunks of 256 KiB, 174 links.
    pub const KUBO_2015: Self = Self {
        cid_version: 0,
        raw_leaves: false,
        chunk_bytes: 256 * 1024,
        links_max: 174,
    };

    /// The profile of 2025 (`unixfs-v1-2025`): CIDv1, raw leaves, chunks of 1 MiB, 1024 links.
    pub const V1_RAW_2025: Self = Self {
        cid_version: 1,
        raw_leaves: true,
        chunk_bytes: 1024 * 1024,
        links_max: 1024,
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

    /// Bytes of each chunk but the last.
    pub const fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
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
    }
}
