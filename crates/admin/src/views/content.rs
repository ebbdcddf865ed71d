//! Files, folders and blocks in words of the domain.

use std::time::Duration;

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::HashFunction;
use rustle_unixfs::{ContentPath, ImportProfile, Metadata, ProfileError};

use crate::fault::Fault;

/// How files become blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// As `ipfs add`.
    #[default]
    V0,
    /// As `ipfs add --cid-version=1`.
    V1,
    /// `unixfs-v1-2025`: raw leaves, chunks of 1 MiB, 1024 links.
    V1Of2025,
}

/// A profile with single choices of it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportChoices {
    /// The profile.
    pub profile: Profile,
    /// Another version of the CIDs, 0 or 1.
    pub cid_version: Option<u8>,
    /// Whether leaves are the bytes alone.
    pub raw_leaves: Option<bool>,
    /// Bytes of a chunk.
    pub chunk_bytes: Option<u64>,
    /// The hash function.
    pub hash: HashFunction,
    /// Blocks of at most so many bytes stand inside their CID.
    pub inline_bytes: u32,
}

/// What to do with what is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddOptions {
    /// How it becomes blocks.
    pub choices: ImportChoices,
    /// Whether all goes into one folder more.
    pub wrap: bool,
    /// Whether nothing is written.
    pub only_hash: bool,
    /// Whether the roots are pinned.
    pub pin: bool,
    /// Whether each entry is answered, not only the roots.
    pub each_entry: bool,
}

/// A part of what is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddPart {
    /// The next entry begins.
    Entry(AddEntry),
    /// The next bytes of the file that was begun last, or of one without a name.
    Chunk(Bytes),
}

/// A file, folder or symbolic link to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddEntry {
    /// Names joined by `/`, see [`crate::parse::entry_path`].
    pub path: Bytes,
    /// What it is.
    pub body: EntryBody,
    /// Mode and time to keep.
    pub metadata: Metadata,
}

/// What an entry to be added is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryBody {
    /// A file; its bytes follow.
    File,
    /// A folder; what is in it follows.
    Folder,
    /// A symbolic link to this target, of 1 to 4,096 bytes.
    Symlink(Bytes),
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// It was not looked at.
    Unknown,
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// No part of a file system.
    Other,
}

/// What an import tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddNews {
    /// An entry is complete.
    Entry(AddedEntry),
    /// Everything is kept; the last news.
    Roots(AddedRoots),
}

/// An imported entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedEntry {
    /// Its path; empty for a file without a name and for the folder around all.
    pub path: Bytes,
    /// Its CID.
    pub cid: Cid,
    /// Bytes of a file; of all blocks below for a folder.
    pub bytes: u64,
    /// What it is.
    pub kind: EntryKind,
}

/// What an import made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedRoots {
    /// The roots, in the order in which they were begun.
    pub roots: Vec<AddedEntry>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Blocks that they became; equal ones count each time.
    pub blocks: u64,
}

/// A single imported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// CID of the whole.
    pub cid: Cid,
    /// Bytes of the file.
    pub bytes: u64,
    /// Blocks that it became.
    pub blocks: u64,
}

/// Which bytes to read of a file that is named by its CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatQuery {
    /// Of this file.
    pub cid: Cid,
    /// From this byte.
    pub offset: u64,
    /// At most so many; `None` for all.
    pub length: Option<u64>,
    /// How long to wait for any missing block.
    pub timeout: Duration,
}

/// Which bytes to read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileQuery {
    /// The file.
    pub path: ContentPath,
    /// From this byte.
    pub offset: u64,
    /// At most so many; `None` for all.
    pub length: Option<u64>,
    /// How long to wait for any missing block.
    pub timeout: Duration,
}

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathQuery {
    /// Where it is.
    pub path: ContentPath,
    /// How long to wait for any missing block.
    pub timeout: Duration,
}

/// Which folder to list, and how closely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Where it is.
    pub path: ContentPath,
    /// How long to wait for any missing block.
    pub timeout: Duration,
    /// Whether nothing is fetched for kinds and sizes.
    pub names_only: bool,
}

/// A part of what is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GetPart {
    /// The next entry begins.
    Entry(GetEntry),
    /// The next bytes of the file that was begun last.
    Chunk(Bytes),
}

/// A file, folder or symbolic link that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetEntry {
    /// Its path below the root, names joined by `/`; empty for the root.
    pub path: Bytes,
    /// File, folder or symbolic link.
    pub kind: EntryKind,
    /// Bytes of the file, as its root block says.
    pub bytes: u64,
    /// Mode and time, where they were kept.
    pub metadata: Metadata,
    /// What a symbolic link points to; empty for all others.
    pub target: Bytes,
    /// Its CID.
    pub cid: Cid,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Its name; empty where what is listed is no folder.
    pub name: Bytes,
    /// Its CID.
    pub cid: Cid,
    /// Bytes of all its blocks, as the folder says.
    pub tsize: u64,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file, where known.
    pub bytes: Option<u64>,
}

/// What a root block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentStat {
    /// Its CID.
    pub cid: Cid,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of the file; 0 for all others.
    pub bytes: u64,
    /// Bytes of all blocks, as the links say.
    pub tsize: u64,
    /// Bytes of the root block.
    pub block_bytes: u64,
    /// Links of the root block.
    pub links: u64,
    /// Whether it is a folder in shards.
    pub is_sharded: bool,
    /// Mode and time, where they were kept.
    pub metadata: Metadata,
    /// What a symbolic link points to; empty for all others.
    pub target: Bytes,
    /// Codec of the root block.
    pub codec: String,
}

/// A part of a CAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CarPart {
    /// The next bytes.
    Chunk(Bytes),
    /// The CAR is complete.
    End {
        /// Its root.
        root: Cid,
        /// Blocks in it.
        blocks: u64,
        /// Bytes of the whole.
        bytes: u64,
    },
}

/// A CAR that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarImported {
    /// The roots of its header.
    pub roots: Vec<Cid>,
    /// Blocks in it.
    pub blocks: u64,
    /// Bytes of these blocks.
    pub bytes: u64,
    /// Whether the roots are pinned.
    pub is_pinned: bool,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DagForm {
    /// As text.
    #[default]
    Json,
    /// As bytes.
    Cbor,
}

/// Which value to show, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagQuery {
    /// Where it is.
    pub path: ContentPath,
    /// How long to wait for any missing block.
    pub timeout: Duration,
    /// How to write it.
    pub form: DagForm,
}

/// A value to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewValue {
    /// The value.
    pub value: Bytes,
    /// How it is written.
    pub form: DagForm,
    /// The hash function of its CID.
    pub hash: HashFunction,
    /// Whether to pin it with all that it links to.
    pub pin: bool,
}

/// What was counted below a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DagCount {
    /// The root.
    pub cid: Cid,
    /// Blocks, each once.
    pub blocks: u64,
    /// Bytes of these blocks.
    pub bytes: u64,
    /// Whether these are all.
    pub is_done: bool,
}

/// Which block to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockQuery {
    /// Its CID.
    pub cid: Cid,
    /// How long to wait for it.
    pub timeout: Duration,
}

/// A block to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlock {
    /// Its bytes.
    pub data: Bytes,
    /// Its codec.
    pub codec: u64,
    /// The hash function of its CID.
    pub hash: HashFunction,
    /// Whether its CID has version 0.
    pub is_v0: bool,
    /// Whether to pin it with all that it links to, which must be here.
    pub pin: bool,
}

/// A block on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its CID.
    pub cid: Cid,
    /// Its bytes.
    pub bytes: u64,
}

// === impl ImportChoices ===

impl ImportChoices {
    /// The profile with the choices applied, as Kubo applies its flags: a hash function that version 0 does not have
    /// makes version 1, and version 1 makes leaves raw where nothing else is said.
    pub fn import_profile(&self) -> Result<ImportProfile, Fault> {
        let bad = |error: ProfileError| Fault::bad_argument(error.to_string());
        let (base, is_v0) = match self.profile {
            Profile::V0 => (ImportProfile::KUBO_2015, true),
            Profile::V1 => (ImportProfile::KUBO_2015, false),
            Profile::V1Of2025 => (ImportProfile::V1_RAW_2025, false),
        };
        let needs_v1 = self.hash != HashFunction::Sha2_256;
        let version = self.cid_version.unwrap_or(if is_v0 && !needs_v1 { 0 } else { 1 });
        let raw_leaves = self.raw_leaves.unwrap_or(version == 1);
        let mut profile = base
            .with_cid_version(version)
            .and_then(|profile| profile.with_hash(self.hash))
            .map_err(bad)?
            .with_raw_leaves(raw_leaves);
        if let Some(bytes) = self.chunk_bytes {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            profile = profile.with_chunk_bytes(bytes).map_err(bad)?;
        }
        let inline = usize::try_from(self.inline_bytes).unwrap_or(usize::MAX);
        profile.with_inline_bytes_max(inline).map_err(bad)
    }
}

impl From<Profile> for ImportChoices {
    fn from(profile: Profile) -> Self {
        Self {
            profile,
            ..Self::default()
        }
    }
}

impl From<ImportChoices> for AddOptions {
    /// Keeps and pins, and answers with the roots.
    fn from(choices: ImportChoices) -> Self {
        Self {
            choices,
            wrap: false,
            only_hash: false,
            pin: true,
            each_entry: false,
        }
    }
}

impl From<CatQuery> for FileQuery {
    fn from(query: CatQuery) -> Self {
        let CatQuery {
            cid,
            offset,
            length,
            timeout,
        } = query;
        let path = ContentPath {
            root: cid,
            names: Vec::new(),
        };
        Self {
            path,
            offset,
            length,
            timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_follow_each_other_as_in_kubo() {
        let kubo = ImportProfile::KUBO_2015;
        let v1 = kubo.with_cid_version(1).unwrap();
        let chosen = |choices: ImportChoices| choices.import_profile().unwrap();
        assert_eq!(chosen(Profile::V0.into()), kubo);
        assert_eq!(chosen(Profile::V1.into()), v1.with_raw_leaves(true));
        assert_eq!(chosen(Profile::V1Of2025.into()), ImportProfile::V1_RAW_2025);
        let default = ImportChoices::default();
        let version_1 = ImportChoices {
            cid_version: Some(1),
            ..default
        };
        assert_eq!(chosen(version_1), v1.with_raw_leaves(true));
        let wrapped_leaves = ImportChoices {
            raw_leaves: Some(false),
            ..version_1
        };
        assert_eq!(chosen(wrapped_leaves), v1);
        let blake3 = ImportChoices {
            hash: HashFunction::Blake3,
            ..default
        };
        assert_eq!(
            chosen(blake3),
            v1.with_raw_leaves(true).with_hash(HashFunction::Blake3).unwrap()
        );

        for bad in [
            ImportChoices {
                cid_version: Some(0),
                ..blake3
            },
            ImportChoices {
                cid_version: Some(2),
                ..default
            },
            ImportChoices {
                chunk_bytes: Some(0),
                ..default
            },
            ImportChoices {
                inline_bytes: 65,
                ..default
            },
        ] {
            let fault = bad.import_profile().unwrap_err();
            assert!(fault.is_usage(), "{bad:?}");
        }
    }
}
