//! A file that appears when it is complete.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

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
        Ok(Self {
            file: File::create(&part)?,
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

/// The name of something while it is incomplete: beside its own.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".rustle-part");
    path.with_file_name(name)
}
