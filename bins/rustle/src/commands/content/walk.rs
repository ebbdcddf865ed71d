//! How does a folder on disk become a stream of entries?
//!
//! Depth first, the names of each folder sorted, so that the daemon holds the open folders alone. What cannot be read
//! ends the stream with an error that names it.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rustle_admin::CHUNK_BYTES_MAX;
use rustle_admin::views::{AddEntry, AddPart, EntryBody};
use rustle_unixfs::{FOLDER_DEPTH_MAX, ModifiedAt};
use tokio::sync::mpsc;

/// What is added of what is found.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) recursive: bool,
    pub(super) hidden: bool,
    pub(super) follow: bool,
    pub(super) mode: bool,
    pub(super) mtime: bool,
    pub(super) stdin_name: Option<String>,
}

/// Where the parts go.
pub(super) struct Walk {
    pub(super) plan: Plan,
    pub(super) parts: mpsc::Sender<io::Result<AddPart>>,
    /// Bytes of files sent so far.
    pub(super) sent: Arc<AtomicU64>,
}

/// Nobody takes parts any more, or something cannot be read.
type Stopped = Option<io::Error>;

fn named(path: &Path, cause: &dyn std::fmt::Display) -> Stopped {
    Some(io::Error::other(format!(
        "cannot read {}: {cause}",
        path.display()
    )))
}

// === impl Walk ===

impl Walk {
    /// Sends all of these paths; an error comes last. Blocks while the daemon is slow.
    pub(super) fn run(self, paths: &[PathBuf]) {
        let result = paths.iter().try_for_each(|path| self.add_argument(path));
        if let Err(Some(error)) = result {
            // Nobody who takes it needs to know.
            let _ = self.parts.blocking_send(Err(error));
        }
    }

    fn add_argument(&self, path: &Path) -> Result<(), Stopped> {
        if path.as_os_str() == "-" {
            if let Some(name) = &self.plan.stdin_name {
                self.begin(name.as_bytes(), EntryBody::File, None)?;
            }
            return self.send_bytes(path, io::stdin().lock());
        }
        self.add(path, &name_of(path)?, &mut Vec::new())
    }

    fn add(&self, path: &Path, name: &[u8], above: &mut Vec<(u64, u64)>) -> Result<(), Stopped> {
        let read = match self.plan.follow {
            true => fs::metadata(path),
            false => fs::symlink_metadata(path),
        };
        let metadata = read.map_err(|cause| named(path, &cause))?;
        let kind = metadata.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|cause| named(path, &cause))?;
            let body = EntryBody::Symlink(target.into_os_string().into_vec().into());
            self.begin(name, body, Some(&metadata))
        } else if kind.is_dir() {
            self.add_folder(path, name, &metadata, above)
        } else if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
            Err(named(
                path,
                &"it is neither a file nor a folder nor a symbolic link",
            ))
        } else {
            let file = File::open(path).map_err(|cause| named(path, &cause))?;
            self.begin(name, EntryBody::File, Some(&metadata))?;
            self.send_bytes(path, file)
        }
    }

    fn add_folder(
        &self,
        path: &Path,
        name: &[u8],
        metadata: &Metadata,
        above: &mut Vec<(u64, u64)>,
    ) -> Result<(), Stopped> {
        if !self.plan.recursive {
            let message = format!("{} is a folder; add it with --recursive", path.display());
            return Err(Some(io::Error::other(message)));
        }
        let place = (metadata.dev(), metadata.ino());
        if above.contains(&place) {
            return Err(named(path, &"its symbolic links lead in a circle"));
        }
        if FOLDER_DEPTH_MAX <= above.len() {
            return Err(named(path, &"it lies too deep"));
        }
        self.begin(name, EntryBody::Folder, Some(metadata))?;
        let failed = |cause| named(path, &cause);
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if self.plan.hidden || !name.as_bytes().starts_with(b".") {
                names.push(name);
            }
        }
        names.sort();
        above.push(place);
        for child in names {
            let below = [name, child.as_bytes()].join(&b'/');
            self.add(&path.join(&child), &below, above)?;
        }
        above.pop();
        Ok(())
    }

    fn begin(&self, name: &[u8], body: EntryBody, metadata: Option<&Metadata>) -> Result<(), Stopped> {
        let mode = metadata.filter(|_| self.plan.mode);
        let mtime = metadata.filter(|_| self.plan.mtime);
        self.send(AddPart::Entry(AddEntry {
            path: Bytes::copy_from_slice(name),
            body,
            metadata: rustle_unixfs::Metadata {
                mode: mode.map(|metadata| metadata.mode() & 0o7777),
                mtime: mtime.map(|metadata| ModifiedAt {
                    seconds: metadata.mtime(),
                    nanos: u32::try_from(metadata.mtime_nsec())
                        .ok()
                        .filter(|nanos| *nanos != 0),
                }),
            },
        }))
    }

    fn send_bytes(&self, path: &Path, mut input: impl Read) -> Result<(), Stopped> {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES_MAX);
            let read = (&mut input).take(CHUNK_BYTES_MAX as u64).read_to_end(&mut chunk);
            let read = read.map_err(|cause| named(path, &cause))?;
            if read == 0 {
                return Ok(());
            }
            self.send(AddPart::Chunk(chunk.into()))?;
            self.sent.fetch_add(read as u64, Ordering::Relaxed);
            if read < CHUNK_BYTES_MAX {
                return Ok(());
            }
        }
    }

    fn send(&self, part: AddPart) -> Result<(), Stopped> {
        self.parts.blocking_send(Ok(part)).map_err(|_| None)
    }
}

/// The name under which a path is added: its last one, also where it ends with `.` or `..`.
fn name_of(path: &Path) -> Result<Vec<u8>, Stopped> {
    if let Some(name) = path.file_name() {
        return Ok(name.as_bytes().to_vec());
    }
    let whole = fs::canonicalize(path).map_err(|cause| named(path, &cause))?;
    match whole.file_name() {
        Some(name) => Ok(name.as_bytes().to_vec()),
        None => Err(named(path, &"it has no name; add what is in it")),
    }
}

/// Bytes of all files among these paths, where none of them is a folder or a stream.
pub(super) fn total(paths: &[PathBuf]) -> Option<u64> {
    let mut seen = HashSet::new();
    paths
        .iter()
        .map(|path| {
            let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
            Some(if seen.insert(path) { metadata.len() } else { 0 })
        })
        .sum()
}
