//! How do paths, as a walk over a disk or a stream of files gives them, become folders in folders?

use std::collections::VecDeque;

use bytes::Bytes;

use super::{FolderBuilder, FolderError};
use crate::profile::ImportProfile;
use crate::tree::{Block, Linked};
use crate::unixfs::Metadata;

/// Deepest folder in folders that is built.
pub const FOLDER_DEPTH_MAX: usize = 256;

/// Makes a tree of folders of entries that come depth first: all of a folder's before the next one's.
///
/// Holds the entries of the open folders, the way from the root to the last path. A folder that is named again after
/// others came is found twice in its parent, and refused.
#[derive(Debug)]
pub struct FolderTree {
    profile: ImportProfile,
    root: FolderBuilder,
    /// The open folders below the root with their names.
    open: Vec<(Vec<u8>, FolderBuilder)>,
    blocks: VecDeque<Block>,
    /// Folders that were closed, where they are to be told.
    closed: Option<VecDeque<(Bytes, Linked)>>,
}

/// A tree whose folders are all closed.
#[derive(Debug)]
pub struct FinishedTree {
    /// The root.
    pub root: Linked,
    /// The last blocks; the root's comes last.
    pub blocks: VecDeque<Block>,
    /// The last folders, where they are told; see [`FolderTree::poll_folder`].
    pub folders: VecDeque<(Bytes, Linked)>,
}

// === impl FolderTree ===

impl FolderTree {
    /// A tree whose root has this metadata.
    pub fn new(profile: ImportProfile, metadata: Metadata) -> Self {
        Self {
            profile,
            root: FolderBuilder::new(profile, metadata),
            open: Vec::new(),
            blocks: VecDeque::new(),
            closed: None,
        }
    }

    /// The same tree, which tells each folder below the root when it is closed.
    #[must_use]
    pub fn telling_folders(self) -> Self {
        Self {
            closed: Some(VecDeque::new()),
            ..self
        }
    }

    /// Adds a file, link or finished folder at `path`, whose folders are made where they are new.
    pub fn add(&mut self, path: &[&[u8]], linked: Linked) -> Result<(), FolderError> {
        let (name, folders) = path.split_last().ok_or(FolderError::NoPath)?;
        self.enter(folders, &Metadata::NONE)?;
        self.innermost().add(name, linked)
    }

    /// Adds a folder, which may stay empty, with its metadata. It comes before what is in it.
    pub fn add_folder(&mut self, path: &[&[u8]], metadata: &Metadata) -> Result<(), FolderError> {
        let open = self.open.iter().map(|(name, _)| &name[..]);
        if !path.is_empty() && open.take(path.len()).eq(path.iter().copied()) {
            let name = path.last().copied().unwrap_or_default();
            return Err(FolderError::Twice(Bytes::copy_from_slice(name)));
        }
        self.enter(path, metadata)
    }

    /// Closes all folders.
    pub fn finish(mut self) -> Result<FinishedTree, FolderError> {
        self.close_to(0)?;
        let root = close(self.root, &mut self.blocks)?;
        Ok(FinishedTree {
            root,
            blocks: self.blocks,
            folders: self.closed.unwrap_or_default(),
        })
    }

    /// The next folder that was closed, with its path, where [`FolderTree::telling_folders`] asked for it. Children come
    /// before the folders that they are in.
    pub fn poll_folder(&mut self) -> Option<(Bytes, Linked)> {
        self.closed.as_mut()?.pop_front()
    }

    /// The next finished block; children come before the folders that link to them.
    pub fn poll_block(&mut self) -> Option<Block> {
        self.blocks.pop_front()
    }

    /// Closes folders that are not on the way to `path`, and opens those that are new.
    fn enter(&mut self, path: &[&[u8]], metadata: &Metadata) -> Result<(), FolderError> {
        if FOLDER_DEPTH_MAX < path.len() {
            return Err(FolderError::TooDeep);
        }
        let shared = self.open.iter().zip(path);
        let shared = shared.take_while(|((open, _), name)| open == *name).count();
        self.close_to(shared)?;
        for (depth, name) in path.iter().enumerate().skip(shared) {
            super::checked(name)?;
            let own = if depth + 1 == path.len() {
                *metadata
            } else {
                Metadata::NONE
            };
            let builder = FolderBuilder::new(self.profile, own);
            self.open.push((name.to_vec(), builder));
        }
        Ok(())
    }

    fn close_to(&mut self, depth: usize) -> Result<(), FolderError> {
        while depth < self.open.len() {
            let Some((name, builder)) = self.open.pop() else {
                return Ok(());
            };
            let linked = close(builder, &mut self.blocks)?;
            self.innermost().add(&name, linked)?;
            if let Some(closed) = &mut self.closed {
                let names = self.open.iter().map(|(name, _)| &name[..]);
                let path: Vec<&[u8]> = names.chain([&name[..]]).collect();
                closed.push_back((path.join(&b'/').into(), linked));
            }
        }
        Ok(())
    }

    fn innermost(&mut self) -> &mut FolderBuilder {
        match self.open.last_mut() {
            Some((_, builder)) => builder,
            None => &mut self.root,
        }
    }
}

fn close(builder: FolderBuilder, blocks: &mut VecDeque<Block>) -> Result<Linked, FolderError> {
    let mut made = builder.finish()?;
    blocks.extend(made.by_ref());
    Ok(made.root().expect("all blocks were taken"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::cid_of;

    fn split(path: &str) -> Vec<&[u8]> {
        path.split('/').map(str::as_bytes).collect()
    }

    fn file(content: &str) -> Linked {
        let mut importer = crate::Importer::new(ImportProfile::KUBO_2015);
        importer.push(content.as_bytes());
        importer.finish().linked()
    }

    #[test]
    fn paths_become_the_folders_of_kubo() {
        // The recipe `nested` of tests/fixtures/unixfs-folder-vectors.txt.
        let mut tree = FolderTree::new(ImportProfile::KUBO_2015, Metadata::NONE);
        tree.add(&split("a/b/c/file"), file("deep")).unwrap();
        tree.add(&split("a/file"), file("shallow")).unwrap();
        tree.add_folder(&split("empty"), &Metadata::NONE).unwrap();
        tree.add(&split("z"), file("")).unwrap();
        let tree = tree.finish().unwrap();

        assert_eq!(
            tree.root.cid.to_string(),
            "QmPeCWusnUbwNRiUQsH41pH2LBRYoKCpjLYqpRqQU4Y4yH"
        );
        assert_eq!(tree.blocks.len(), 5, "one a folder");
    }

    #[test]
    fn a_folder_keeps_its_own_metadata() {
        let metadata = Metadata {
            mode: Some(0o700),
            mtime: None,
        };
        let mut tree = FolderTree::new(ImportProfile::KUBO_2015, Metadata::NONE);
        tree.add_folder(&split("a/b"), &metadata).unwrap();
        tree.add(&split("a/b/c"), file("x")).unwrap();
        tree.add(&split("d"), file("y")).unwrap();

        let stat = |block: Block| crate::Stat::of(block.cid, block.bytes).unwrap();
        let modes: Vec<_> = std::iter::from_fn(|| tree.poll_block())
            .map(|block| stat(block).metadata.mode)
            .collect();
        assert_eq!(modes, [Some(0o700), None], "b, then a");
    }

    #[test]
    fn paths_out_of_order_or_out_of_the_folder_are_refused() {
        let leaf = Linked {
            cid: cid_of(1, 0x55, b""),
            tsize: 0,
        };
        let new = || FolderTree::new(ImportProfile::KUBO_2015, Metadata::NONE);

        let mut tree = new();
        tree.add_folder(&split("a/b"), &Metadata::NONE).unwrap();
        let again = tree.add_folder(&split("a/b"), &Metadata::NONE);
        assert_eq!(again, Err(FolderError::Twice("b".into())));
        let above = tree.add_folder(&split("a"), &Metadata::NONE);
        assert_eq!(above, Err(FolderError::Twice("a".into())));

        let mut tree = new();
        tree.add(&split("a/1"), leaf).unwrap();
        tree.add(&split("b/1"), leaf).unwrap();
        tree.add(&split("a/2"), leaf).unwrap();
        assert_eq!(tree.finish().unwrap_err(), FolderError::Twice("a".into()));

        assert_eq!(new().add(&[], leaf), Err(FolderError::NoPath));
        for path in ["../a", "a/../b", "a//b", "/etc", ".", "a/."] {
            let refused = new().add(&split(path), leaf);
            assert!(matches!(refused, Err(FolderError::Name { .. })), "{path}");
        }
        let deep = vec![&b"d"[..]; FOLDER_DEPTH_MAX + 2];
        assert_eq!(new().add(&deep, leaf), Err(FolderError::TooDeep));
        assert_eq!(new().add(&deep[1..], leaf), Ok(()));
    }
}
