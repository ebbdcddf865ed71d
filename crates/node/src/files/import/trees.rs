//! Which roots do entries make, that come depth first?
//!
//! The first name of a path is what was added: each has a root of its own, or all lie in one folder more.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use rustle_admin::Fault;
use rustle_admin::views::{AddedEntry, EntryKind};
use rustle_unixfs::{Block, FolderError, FolderTree, ImportProfile, Linked, Metadata};

use crate::faults;

/// Roots of one import. More go into one folder.
const ROOTS_MAX: usize = 10_000;

/// The folders that are being made.
pub(super) struct Trees {
    profile: ImportProfile,
    wraps: bool,
    tells: bool,
    /// The folder that is open, with its name; where all is wrapped, the one around all, without.
    open: Option<(Bytes, FolderTree)>,
    roots: Vec<AddedEntry>,
    names: HashSet<Bytes>,
    blocks: VecDeque<Block>,
    news: VecDeque<AddedEntry>,
}

fn names_of(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').collect()
}

fn twice(path: &[u8]) -> Fault {
    faults::folder(FolderError::Twice(Bytes::copy_from_slice(path)))
}

// === impl Trees ===

impl Trees {
    pub(super) fn new(profile: ImportProfile, wraps: bool, tells: bool) -> Self {
        let mut trees = Self {
            profile,
            wraps,
            tells,
            open: None,
            roots: Vec::new(),
            names: HashSet::new(),
            blocks: VecDeque::new(),
            news: VecDeque::new(),
        };
        if wraps {
            trees.open = Some((Bytes::new(), trees.folder(Metadata::NONE)));
        }
        trees
    }

    pub(super) fn wraps(&self) -> bool {
        self.wraps
    }

    /// Whether nothing was added yet.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.roots.is_empty()
    }

    /// Whether an entry may come here, before its bytes are taken.
    pub(super) fn check_new(&self, path: &Bytes) -> Result<(), Fault> {
        let names = names_of(path);
        let first = names.first().copied().unwrap_or_default();
        let is_open = matches!(&self.open, Some((name, _)) if name == first);
        if !self.wraps && self.names.contains(first) && (names.len() == 1 || !is_open) {
            return Err(twice(path));
        }
        Ok(())
    }

    /// Adds a file or link that is complete.
    pub(super) fn add(&mut self, entry: AddedEntry, linked: Linked) -> Result<(), Fault> {
        let path = entry.path.clone();
        let names = names_of(&path);
        self.enter(&path, &names)?;
        match &mut self.open {
            Some((_, tree)) => {
                let below = if self.wraps { &names[..] } else { &names[1..] };
                tree.add(below, linked).map_err(faults::folder)?;
                self.tell(entry);
                self.settle();
            }
            None => {
                self.tell(entry.clone());
                self.roots.push(entry);
            }
        }
        Ok(())
    }

    /// Begins a folder, which may stay empty.
    pub(super) fn add_folder(&mut self, path: &Bytes, metadata: Metadata) -> Result<(), Fault> {
        let names = names_of(path);
        if !self.wraps && names.len() == 1 {
            self.enter(path, &names)?;
            self.open = Some((path.clone(), self.folder(metadata)));
            return Ok(());
        }
        self.enter(path, &names)?;
        if let Some((_, tree)) = &mut self.open {
            let below = if self.wraps { &names[..] } else { &names[1..] };
            tree.add_folder(below, &metadata).map_err(faults::folder)?;
        }
        self.settle();
        Ok(())
    }

    /// Closes what is open, and gives the roots. The last blocks then wait in `poll_block`.
    pub(super) fn finish(&mut self) -> Result<Vec<AddedEntry>, Fault> {
        self.close()?;
        Ok(std::mem::take(&mut self.roots))
    }

    /// The next finished block of a folder.
    pub(super) fn poll_block(&mut self) -> Option<Block> {
        self.blocks.pop_front()
    }

    /// The next finished entry, where they are asked for.
    pub(super) fn poll_news(&mut self) -> Option<AddedEntry> {
        self.news.pop_front()
    }

    /// Makes the folder of `path` the open one.
    fn enter(&mut self, path: &[u8], names: &[&[u8]]) -> Result<(), Fault> {
        let first = Bytes::copy_from_slice(names.first().copied().unwrap_or_default());
        if self.wraps {
            self.names.insert(first);
            return Ok(());
        }
        let is_open = matches!(&self.open, Some((name, _)) if *name == first);
        if is_open && names.len() > 1 {
            return Ok(());
        }
        self.close()?;
        if ROOTS_MAX <= self.names.len() {
            return Err(Fault::bad_path(format!(
                "more than {ROOTS_MAX} roots are not made at once; put them into one folder with --wrap"
            )));
        }
        if !self.names.insert(first.clone()) {
            return Err(twice(path));
        }
        if names.len() > 1 {
            self.open = Some((first, self.folder(Metadata::NONE)));
        }
        Ok(())
    }

    fn folder(&self, metadata: Metadata) -> FolderTree {
        let tree = FolderTree::new(self.profile, metadata);
        if self.tells { tree.telling_folders() } else { tree }
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some((name, tree)) = self.open.take() else {
            return Ok(());
        };
        let finished = tree.finish().map_err(faults::folder)?;
        self.blocks.extend(finished.blocks);
        for (path, linked) in finished.folders {
            self.tell_folder(&name, &path, linked);
        }
        let root = AddedEntry {
            path: name,
            cid: finished.root.cid,
            bytes: finished.root.tsize,
            kind: EntryKind::Folder,
        };
        self.tell(root.clone());
        self.roots.push(root);
        Ok(())
    }

    /// Takes the folders that are complete.
    fn settle(&mut self) {
        let Some((name, tree)) = &mut self.open else {
            return;
        };
        let name = name.clone();
        self.blocks.extend(std::iter::from_fn(|| tree.poll_block()));
        let folders: Vec<_> = std::iter::from_fn(|| tree.poll_folder()).collect();
        for (path, linked) in folders {
            self.tell_folder(&name, &path, linked);
        }
    }

    fn tell_folder(&mut self, root: &[u8], path: &[u8], linked: Linked) {
        let parts = [root, path];
        let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        self.tell(AddedEntry {
            path: parts.join(&b'/').into(),
            cid: linked.cid,
            bytes: linked.tsize,
            kind: EntryKind::Folder,
        });
    }

    fn tell(&mut self, entry: AddedEntry) {
        if self.tells {
            self.news.push_back(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustle_unixfs::Importer;

    use super::*;

    fn added(trees: &mut Trees, path: &str) -> Result<(), Fault> {
        let linked = Importer::new(ImportProfile::KUBO_2015).finish().linked();
        let path = Bytes::copy_from_slice(path.as_bytes());
        trees.check_new(&path)?;
        let entry = AddedEntry {
            path,
            cid: linked.cid,
            bytes: 0,
            kind: EntryKind::File,
        };
        trees.add(entry, linked)
    }

    fn folder(trees: &mut Trees, path: &str) -> Result<(), Fault> {
        trees.add_folder(&Bytes::copy_from_slice(path.as_bytes()), Metadata::NONE)
    }

    #[test]
    fn each_first_name_is_a_root_or_all_lie_in_one() {
        for (wraps, expected) in [(false, vec!["a", "b", "c"]), (true, vec![""])] {
            let mut trees = Trees::new(ImportProfile::KUBO_2015, wraps, true);
            added(&mut trees, "a").unwrap();
            folder(&mut trees, "b").unwrap();
            added(&mut trees, "b/1").unwrap();
            added(&mut trees, "b/d/2").unwrap();
            added(&mut trees, "c/3").unwrap();
            let roots = trees.finish().unwrap();
            let paths: Vec<_> = roots
                .iter()
                .map(|root| String::from_utf8_lossy(&root.path).into_owned())
                .collect();
            assert_eq!(paths, expected);
            let news: Vec<_> = std::iter::from_fn(|| trees.poll_news())
                .map(|entry| String::from_utf8(entry.path.into()).unwrap())
                .collect();
            let mut all = vec!["a", "b/1", "b/d/2", "b/d", "b", "c/3", "c"];
            if wraps {
                all.push("");
            }
            let sorted = |mut list: Vec<String>| {
                list.sort();
                list
            };
            let all = all.into_iter().map(str::to_owned).collect();
            assert_eq!(sorted(news), sorted(all));
        }
    }

    #[test]
    fn what_comes_twice_is_refused() {
        for wraps in [false, true] {
            for paths in [
                &["a", "a"][..],
                &["a", "a/1"],
                &["a/1", "a"],
                &["a/1", "b/1", "a/2"],
                &["a/1", "a/1"],
                &["a/d/1", "a/e/1", "a/d/2"],
            ] {
                let mut trees = Trees::new(ImportProfile::KUBO_2015, wraps, false);
                let all = paths.iter().try_for_each(|path| added(&mut trees, path));
                let end = all.and_then(|()| trees.finish().map(|_| ()));
                let fault = end.unwrap_err();
                assert_eq!(fault.reason, rustle_admin::fault::reason::BAD_PATH, "{paths:?}");
            }
            let mut trees = Trees::new(ImportProfile::KUBO_2015, wraps, false);
            folder(&mut trees, "a/b").unwrap();
            assert!(folder(&mut trees, "a/b").is_err());
        }
    }

    proptest! {
        /// Any set of files in sorted order makes the same root as the folders built by hand; order is all that matters.
        #[test]
        fn sorted_paths_make_one_tree(
            paths in prop::collection::btree_set("[ab]{1,2}(/[cd]{1,2}){0,3}", 1..20),
        ) {
            let is_below = |path: &String, other: &String| other.starts_with(&format!("{path}/"));
            let files: Vec<&String> = paths
                .iter()
                .filter(|path| !paths.iter().any(|other| is_below(path, other)))
                .collect();
            let mut names: Vec<Vec<&str>> = files.iter().map(|path| path.split('/').collect()).collect();
            names.sort();
            let mut trees = Trees::new(ImportProfile::KUBO_2015, true, false);
            for name in &names {
                added(&mut trees, &name.join("/")).unwrap();
            }
            let root = trees.finish().unwrap();
            prop_assert_eq!(root.len(), 1);

            let mut backwards = Trees::new(ImportProfile::KUBO_2015, true, false);
            for name in names.iter().rev() {
                added(&mut backwards, &name.join("/")).unwrap();
            }
            prop_assert_eq!(root[0].cid, backwards.finish().unwrap()[0].cid);
        }
    }
}
