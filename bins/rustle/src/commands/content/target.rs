//! A file that appears when it is complete.

use std::fs::File;
use std::io::{Error, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// A file that is being written. Under its own name it appears only when it is complete.
pub(super) struct Target {
    pub(super) file: File,
    /// Its name until then; `None` where bytes go straight to something that is no regular file, as `/dev/null`.
    part: Option<PathBuf>,
}

// === impl Target ===

impl Target {
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self {
                file: File::options().write(true).open(path)?,
                part: None,
            });
        }
        let part = part_of(path);
        // New, so that it is no link to something else.
        let made = File::options().write(true).create_new(true).open(&part);
        let file = made.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "{} is there already, from another call or one that was killed; remove it",
                    part.display()
                ),
            ),
            _ => error,
        })?;
        Ok(Self {
            file,
            part: Some(part),
        })
    }

    pub(super) fn keep(mut self, path: &Path) -> std::io::Result<()> {
        self.file.flush()?;
        match self.part.take() {
            Some(part) => std::fs::rename(part, path),
            None => Ok(()),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // It is incomplete; when it cannot be removed, its name says what it is.
            let _ = std::fs::remove_file(part);
        }
    }
}

/// Does something that writes a target, unless the user or the system breaks it off: then what was written goes with it.
pub(super) async fn whole_or_nothing<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::from)?;
    let mut ended = signal(SignalKind::terminate()).map_err(Failure::from)?;
    tokio::select! {
        done = work => done,
        _ = interrupted.recv() => Err(Failure::Failed("interrupted; nothing was written".to_owned())),
        _ = ended.recv() => Err(Failure::Failed("ended; nothing was written".to_owned())),
    }
}

/// The name of something while it is incomplete: beside its own.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".rustle-part");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_through_a_link_that_lies_in_wait() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("out"));
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, part_of(&path)).unwrap();

        let refused = Target::create(&path).map(drop).unwrap_err();

        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert!(refused.to_string().ends_with("remove it"), "{refused}");
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn what_is_dropped_leaves_nothing_and_what_is_kept_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "old").unwrap();
        drop(Target::create(&path).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        let mut target = Target::create(&path).unwrap();
        target.file.write_all(b"new").unwrap();
        target.keep(&path).unwrap();

        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
