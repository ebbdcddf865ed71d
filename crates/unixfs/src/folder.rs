//! How does a list of entries become the blocks of a folder?
//!
//! A folder is one node with its links sorted by name, until its estimated size passes [`FOLDER_BYTES_MAX`]; then it
//! is a HAMT. Entries may come in any order. They are held, about 200 bytes each, because the order of a HAMT is
//! that of hashes; who has them sorted by [`crate::name_hash`] gives them to a [`ShardBuilder`] and holds none.

use bytes::Bytes;
use rustle_types::content::CODEC_DAG_PB;

use crate::dagpb::{Link, Node};
use crate::hamt::{ShardBuilder, name_hash};
use crate::profile::{FOLDER_BYTES_MAX, FolderSize, ImportProfile};
use crate::tree::{Block, Linked};
use crate::unixfs::{Data, Kind, Metadata};

mod tree;

pub use tree::{FOLDER_DEPTH_MAX, FinishedTree, FolderTree};

/// Longest name of an entry: a shard of 256 of them stays below 2 MiB. File systems take 255.
pub const NAME_BYTES_MAX: usize = 4096;
/// Longest target of a symbolic link (`PATH_MAX` of Linux).
pub const TARGET_BYTES_MAX: usize = 4096;
/// Most entries of a folder that is built in memory, about 800 MB of them.
pub const FOLDER_ENTRIES_MAX: usize = 4_000_000;

/// Why a folder cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FolderError {
    /// A name that could leave the folder, or is none.
    #[error("`{}` is no name of an entry: {why}", shown(name))]
    Name {
        /// The name.
        name: Bytes,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two entries of one name.
    #[error("`{}` is in the folder twice", shown(.0))]
    Twice(Bytes),
    /// Two names of one hash, which no HAMT can hold apart.
    #[error("`{}` and `{}` have the same hash, so one folder cannot hold both", shown(.0), shown(.1))]
    Collision(Bytes, Bytes),
    /// An entry came behind one with a higher hash.
    #[error("`{}` came out of order; sort the entries by the hash of their names", shown(.0))]
    Unsorted(Bytes),
    /// More than [`FOLDER_ENTRIES_MAX`].
    #[error("a folder of more than {FOLDER_ENTRIES_MAX} entries is not built here; make folders of parts")]
    TooManyEntries,
    /// A path without a name.
    #[error("a path in a folder has at least one name")]
    NoPath,
    /// Folders in folders beyond [`FOLDER_DEPTH_MAX`].
    #[error("folders are built {FOLDER_DEPTH_MAX} deep at most")]
    TooDeep,
    /// A target that no symbolic link can have.
    #[error("a symbolic link's target has 1 to {TARGET_BYTES_MAX} bytes, not {0}")]
    Target(usize),
}

/// Takes the entries of one folder.
#[derive(Debug)]
pub struct FolderBuilder {
    profile: ImportProfile,
    metadata: Metadata,
    links: Vec<Link>,
    estimate: u64,
}

/// The blocks of a folder, made one after the other as they are taken; the root comes last.
#[derive(Debug)]
pub struct FolderBlocks {
    root: Option<Linked>,
    state: Blocks,
}

#[derive(Debug)]
enum Blocks {
    Plain(Option<Block>),
    Sharded {
        builder: Box<ShardBuilder>,
        entries: std::vec::IntoIter<Link>,
    },
}

/// A name for an error: readable, and not of any length.
fn shown(name: &Bytes) -> String {
    const CHARS_MAX: usize = 64;
    String::from_utf8_lossy(name).chars().take(CHARS_MAX).collect()
}

/// Checks that a name stays inside its folder when it is written to a disk; else says what is wrong with it.
pub fn check_name(name: &[u8]) -> Result<(), &'static str> {
    match name {
        b"" => Err("it is empty"),
        b"." | b".." => Err("it names a folder above"),
        name if NAME_BYTES_MAX < name.len() => Err("it is too long"),
        name if name.contains(&b'/') => Err("it holds a slash"),
        name if name.contains(&0) => Err("it holds a zero byte"),
        _ => Ok(()),
    }
}

/// The name of an entry, checked.
fn checked(name: &[u8]) -> Result<Bytes, FolderError> {
    let name = Bytes::copy_from_slice(name);
    match check_name(&name) {
        Ok(()) => Ok(name),
        Err(why) => Err(FolderError::Name { name, why }),
    }
}

/// Makes the block of a symbolic link. Kubo keeps no mode of a link, so neither does this.
pub fn make_symlink(
    profile: &ImportProfile,
    target: &[u8],
    metadata: &Metadata,
) -> Result<(Linked, Block), FolderError> {
    if target.is_empty() || TARGET_BYTES_MAX < target.len() {
        return Err(FolderError::Target(target.len()));
    }
    let message = Data {
        data: Some(Bytes::copy_from_slice(target)),
        ..Data::new(Kind::Symlink).with_metadata(&Metadata {
            mode: None,
            ..*metadata
        })
    };
    Ok(single(profile, Vec::new(), &message))
}

/// Puts one entry into a folder of its own, as `ipfs add --wrap-with-directory` does.
pub fn wrap(profile: &ImportProfile, name: &[u8], linked: Linked) -> Result<(Linked, Block), FolderError> {
    let mut builder = FolderBuilder::new(*profile, Metadata::NONE);
    builder.add(name, linked)?;
    Ok(single(profile, builder.links, &Data::new(Kind::Directory)))
}

/// The only block of something, and how it is linked to.
fn single(profile: &ImportProfile, links: Vec<Link>, message: &Data) -> (Linked, Block) {
    let below = links
        .iter()
        .fold(0, |sum: u64, link| sum.saturating_add(link.tsize));
    let bytes = Node {
        links,
        data: Some(message.encode()),
    }
    .encode();
    let cid = profile.cid_of(CODEC_DAG_PB, &bytes);
    let tsize = below.saturating_add(bytes.len() as u64);
    (Linked { cid, tsize }, Block { cid, bytes })
}

// === impl FolderBuilder ===

impl FolderBuilder {
    /// An empty folder.
    pub fn new(profile: ImportProfile, metadata: Metadata) -> Self {
        let mut builder = Self {
            profile,
            metadata,
            links: Vec::new(),
            estimate: 0,
        };
        if profile.folder_size == FolderSize::Block {
            let data = Some(builder.message().encode());
            builder.estimate = Node { links: vec![], data }.encode().len() as u64;
        }
        builder
    }

    /// Adds an entry, in any order. That no name comes twice is seen at the end.
    pub fn add(&mut self, name: &[u8], linked: Linked) -> Result<(), FolderError> {
        let name = checked(name)?;
        if FOLDER_ENTRIES_MAX <= self.links.len() {
            return Err(FolderError::TooManyEntries);
        }
        let Linked { cid, tsize } = linked;
        let link = Link { cid, name, tsize };
        self.estimate += match self.profile.folder_size {
            FolderSize::Links => link.name.len() + cid.encoded_len(),
            FolderSize::Block => link.encoded_len(),
        } as u64;
        self.links.push(link);
        Ok(())
    }

    /// Entries so far.
    pub const fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there are no entries.
    pub const fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Ends the folder.
    pub fn finish(mut self) -> Result<FolderBlocks, FolderError> {
        let is_sharded = FOLDER_BYTES_MAX < self.estimate;
        self.links.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some([_, twice]) = self
            .links
            .array_windows()
            .find(|[one, other]| one.name == other.name)
        {
            return Err(FolderError::Twice(twice.name.clone()));
        }
        if is_sharded {
            return self.finish_sharded();
        }
        let message = self.message();
        let (root, block) = single(&self.profile, self.links, &message);
        Ok(FolderBlocks {
            root: Some(root),
            state: Blocks::Plain(Some(block)),
        })
    }

    fn finish_sharded(mut self) -> Result<FolderBlocks, FolderError> {
        self.links.sort_by_cached_key(|link| name_hash(&link.name));
        let same_hash = |pair: &&[Link; 2]| name_hash(&pair[0].name) == name_hash(&pair[1].name);
        if let Some([one, other]) = self.links.array_windows().find(same_hash) {
            return Err(FolderError::Collision(one.name.clone(), other.name.clone()));
        }
        Ok(FolderBlocks {
            root: None,
            state: Blocks::Sharded {
                builder: Box::new(ShardBuilder::new(self.profile, self.metadata)),
                entries: self.links.into_iter(),
            },
        })
    }

    fn message(&self) -> Data {
        Data::new(Kind::Directory).with_metadata(&self.metadata)
    }
}

// === impl FolderBlocks ===

impl FolderBlocks {
    /// The folder itself; known at the latest when all blocks were taken.
    pub const fn root(&self) -> Option<Linked> {
        self.root
    }
}

impl Iterator for FolderBlocks {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let (builder, entries) = match &mut self.state {
            Blocks::Plain(block) => return block.take(),
            Blocks::Sharded { builder, entries } => (builder, entries),
        };
        loop {
            if let Some(block) = builder.poll_block() {
                return Some(block);
            }
            if self.root.is_some() {
                return None;
            }
            match entries.next() {
                Some(Link { cid, name, tsize }) => builder
                    .push(name, Linked { cid, tsize })
                    .expect("entries were sorted by hash, and no two hashes are equal"),
                None => self.root = Some(builder.finish()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
