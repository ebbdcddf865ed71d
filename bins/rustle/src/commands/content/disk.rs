//! How is a tree written to disk so that it is there whole or not at all, and nowhere else?
//!
//! It grows beside its target and is renamed at the end. Names are checked again; each file and folder is made new, and
//! symbolic links come last, so that nothing is ever written through one.

use std::fs::{self, DirBuilder, File, FileTimes, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustle_admin::parse;
use rustle_admin::views::{EntryKind, GetEntry};
use rustle_unixfs::{Metadata, ModifiedAt};

use super::target::part_of;
use crate::failure::Failure;
use crate::json;

/// Bits of a mode that are given to a file: never those by which a program runs as another user.
const MODE_BITS: u32 = 0o777;

/// A tree that is being written.
pub(super) struct Tree {
    target: PathBuf,
    part: PathBuf,
    file: Option<(PathBuf, File, Metadata)>,
    /// Links with their targets, made at the end.
    links: Vec<(PathBuf, Bytes)>,
    /// Folders whose mode or time is set at the end: a folder may forbid to write in it.
    folders: Vec<(PathBuf, Metadata)>,
    is_kept: bool,
}

/// Refuses a target that is there.
pub(super) fn refuse_existing(target: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(target) {
        Ok(_) => Err(Failure::Failed(format!(
            "{} is there already; replace it with --force, or write elsewhere with --output",
            target.display()
        ))),
        Err(_) => Ok(()),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |cause| Failure::Failed(format!("cannot write {}: {cause}", path.display()))
}

// === impl Tree ===

impl Tree {
    /// A tree that grows beside `target`.
    pub(super) fn beside(target: &Path) -> Result<Self, Failure> {
        if target.file_name().is_none() {
            let message = format!("{} is no name for a file or folder", target.display());
            return Err(Failure::Failed(message));
        }
        let part = part_of(target);
        if fs::symlink_metadata(&part).is_ok() {
            let message = format!(
                "{} is there already, from another call or one that was killed; remove it",
                part.display()
            );
            return Err(Failure::Failed(message));
        }
        Ok(Self {
            target: target.to_owned(),
            part,
            file: None,
            links: Vec::new(),
            folders: Vec::new(),
            is_kept: false,
        })
    }

    /// Begins the next entry; the one before is complete.
    pub(super) fn begin(&mut self, entry: &GetEntry) -> Result<(), Failure> {
        self.end_file()?;
        let path = self.place(&entry.path)?;
        match entry.kind {
            EntryKind::File => {
                let made = File::options().write(true).create_new(true).open(&path);
                let file = made.map_err(failed(&path))?;
                self.file = Some((path, file, entry.metadata));
            }
            EntryKind::Folder => {
                let made = DirBuilder::new().mode(0o777).create(&path);
                made.map_err(failed(&path))?;
                if !entry.metadata.is_empty() {
                    self.folders.push((path, entry.metadata));
                }
            }
            EntryKind::Symlink => {
                // Made at the end, when links lie there already: what it lies in must be a folder that was made here.
                let is_below = !entry.path.is_empty();
                let parent = path.parent().map(fs::symlink_metadata);
                if is_below && !parent.is_some_and(|parent| parent.is_ok_and(|parent| parent.is_dir())) {
                    let message = format!("{} lies in no folder of the tree", json::text(&entry.path));
                    return Err(Failure::Failed(message));
                }
                self.links.push((path, entry.target.clone()));
            }
            EntryKind::Other | EntryKind::Unknown => {
                let message = format!("{} cannot be written to a disk", entry.cid);
                return Err(Failure::Failed(message));
            }
        }
        Ok(())
    }

    /// The next bytes of the file that was begun last.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.file {
            Some((path, file, _)) => file.write_all(bytes).map_err(failed(path)),
            None => Err(Failure::Failed("the daemon sent bytes of no file".to_owned())),
        }
    }

    /// Ends the tree and gives it its name.
    pub(super) fn keep(mut self, force: bool) -> Result<(), Failure> {
        self.end_file()?;
        for (path, target) in std::mem::take(&mut self.links) {
            let target = std::ffi::OsStr::from_bytes(&target);
            symlink(target, &path).map_err(failed(&path))?;
        }
        for (path, metadata) in std::mem::take(&mut self.folders).into_iter().rev() {
            let folder = File::open(&path).map_err(failed(&path))?;
            restore(&folder, &metadata).map_err(failed(&path))?;
        }
        if fs::symlink_metadata(&self.part).is_err() {
            let message = "the daemon sent nothing".to_owned();
            return Err(Failure::Failed(message));
        }
        if !force {
            refuse_existing(&self.target)?;
        }
        self.rename().map_err(failed(&self.target))?;
        self.is_kept = true;
        Ok(())
    }

    /// Puts the tree in the place of what is there.
    fn rename(&self) -> io::Result<()> {
        let Ok(old) = fs::symlink_metadata(&self.target) else {
            return fs::rename(&self.part, &self.target);
        };
        let mut name = self.part.file_name().unwrap_or_default().to_owned();
        name.push("-old");
        let aside = self.part.with_file_name(name);
        fs::rename(&self.target, &aside)?;
        if let Err(error) = fs::rename(&self.part, &self.target) {
            fs::rename(&aside, &self.target)?;
            return Err(error);
        }
        if old.is_dir() {
            fs::remove_dir_all(&aside)
        } else {
            fs::remove_file(&aside)
        }
    }

    /// Where an entry lies, which is below the target and nowhere else.
    fn place(&self, path: &[u8]) -> Result<PathBuf, Failure> {
        if path.is_empty() {
            return Ok(self.part.clone());
        }
        parse::entry_path(path).map_err(|fault| Failure::Failed(fault.message))?;
        Ok(self.part.join(std::ffi::OsStr::from_bytes(path)))
    }

    fn end_file(&mut self) -> Result<(), Failure> {
        match self.file.take() {
            Some((path, file, metadata)) => restore(&file, &metadata).map_err(failed(&path)),
            None => Ok(()),
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        self.file = None;
        // It is incomplete; when it cannot be removed, its name says what it is.
        let _ = match fs::symlink_metadata(&self.part) {
            Ok(metadata) if metadata.is_dir() => remove_folder(&self.part),
            Ok(_) => fs::remove_file(&self.part),
            Err(_) => Ok(()),
        };
    }
}

/// Removes a folder, also where folders in it forbid to write in them.
fn remove_folder(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path).or_else(|_| {
        let mut open = vec![path.to_owned()];
        while let Some(folder) = open.pop() {
            fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                }
            }
        }
        fs::remove_dir_all(path)
    })
}

/// Sets mode and time where they were kept.
fn restore(file: &File, metadata: &Metadata) -> io::Result<()> {
    if let Some(mode) = metadata.mode {
        file.set_permissions(Permissions::from_mode(mode & MODE_BITS))?;
    }
    match metadata.mtime.and_then(time) {
        Some(time) => file.set_times(FileTimes::new().set_modified(time)),
        None => Ok(()),
    }
}

/// A time that the system can hold; others are left out.
fn time(at: ModifiedAt) -> Option<SystemTime> {
    let seconds = Duration::from_secs(at.seconds.unsigned_abs());
    let whole = if at.seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    whole?.checked_add(Duration::from_nanos(at.nanos.unwrap_or(0).into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &[u8], kind: EntryKind, target: &str) -> GetEntry {
        GetEntry {
            path: Bytes::copy_from_slice(path),
            kind,
            bytes: 0,
            metadata: Metadata::NONE,
            target: Bytes::copy_from_slice(target.as_bytes()),
            cid: "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG".parse().unwrap(),
        }
    }

    #[test]
    fn nothing_is_written_through_a_link_or_outside() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let target = folder.path().join("out");
        let mut tree = Tree::beside(&target).unwrap();
        tree.begin(&entry(b"", EntryKind::Folder, "")).unwrap();
        tree.begin(&entry(b"a", EntryKind::Symlink, "../outside"))
            .unwrap();
        assert!(
            tree.begin(&entry(b"a/b", EntryKind::File, "")).is_err(),
            "its folder was never made"
        );
        assert!(
            tree.begin(&entry(b"a/c", EntryKind::Symlink, "x")).is_err(),
            "nor is one link made through another"
        );
        drop(tree);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left");
    }

    #[test]
    fn what_is_there_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old"), "old").unwrap();
        let new = || {
            let mut tree = Tree::beside(&target).unwrap();
            tree.begin(&entry(b"", EntryKind::File, "")).unwrap();
            tree.write(b"new").unwrap();
            tree
        };
        assert!(new().keep(false).is_err());
        assert_eq!(fs::read(target.join("old")).unwrap(), b"old");
        new().keep(true).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_tree_with_folders_that_forbid_writing_is_written_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        let locked = |path: &[u8]| GetEntry {
            metadata: Metadata {
                mode: Some(0o500),
                mtime: Some(ModifiedAt {
                    seconds: 1_000_000_000,
                    nanos: None,
                }),
            },
            ..entry(path, EntryKind::Folder, "")
        };
        let mut tree = Tree::beside(&target).unwrap();
        tree.begin(&locked(b"")).unwrap();
        tree.begin(&locked(b"in")).unwrap();
        tree.begin(&entry(b"in/file", EntryKind::File, "")).unwrap();
        tree.keep(false).unwrap();
        let metadata = fs::metadata(target.join("in")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o500);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(metadata.modified().unwrap(), time);
        remove_folder(&target).unwrap();
        assert!(!target.exists());
    }

    proptest! {
        /// Whatever a path says, it lies below the target or is refused.
        #[test]
        fn any_path_stays_below_the_target(path in prop::collection::vec(prop::sample::select(b"ab./\0".to_vec()), 0..12)) {
            let tree = Tree::beside(Path::new("/nowhere/target")).unwrap();
            if let Ok(place) = tree.place(&path) {
                prop_assert!(place.starts_with("/nowhere/target.rustle-part"));
                let plain = |part: std::path::Component<'_>| !matches!(part, std::path::Component::ParentDir | std::path::Component::CurDir);
                prop_assert!(place.components().all(plain), "{:?}", place);
            }
        }
    }
}
