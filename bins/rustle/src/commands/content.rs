//! Commands about files.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use rustle_admin::client::chunks;
use rustle_admin::views::{CatQuery, Profile};

use super::connect;
use crate::arguments::{Daemon, ProfileName};
use crate::failure::Failure;
use crate::json;
use crate::output::Output;

pub(super) async fn add(
    daemon: &Daemon,
    out: &mut Output,
    path: PathBuf,
    profile: ProfileName,
) -> Result<(), Failure> {
    let profile = match profile {
        ProfileName::V0 => Profile::V0,
        ProfileName::V1 => Profile::V1,
    };
    let added = if path.as_os_str() == "-" {
        connect(daemon)
            .await?
            .add(profile, chunks(tokio::io::stdin()))
            .await?
    } else {
        let failed = |cause| Failure::Failed(format!("cannot read {}: {cause}", path.display()));
        let file = tokio::fs::File::open(&path).await.map_err(failed)?;
        if file.metadata().await.map_err(failed)?.is_dir() {
            let message = format!("{} is a folder; add its files one by one", path.display());
            return Err(Failure::Failed(message));
        }
        connect(daemon).await?.add(profile, chunks(file)).await?
    };
    out.show(&json::AddedFile::from(&added), || added.cid.to_string())?;
    Ok(())
}

pub(super) async fn cat(
    daemon: &Daemon,
    out: &mut Output,
    query: CatQuery,
    output: Option<PathBuf>,
) -> Result<(), Failure> {
    let mut pieces = connect(daemon).await?.cat(query).await?;
    let Some(path) = output.filter(|path| path.as_os_str() != "-") else {
        while let Some(piece) = pieces.next().await {
            out.raw(&piece?)?;
            out.flush()?;
        }
        return Ok(());
    };
    let failed = |cause| Failure::Failed(format!("cannot write {}: {cause}", path.display()));
    let mut target = Target::create(&path).map_err(failed)?;
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        bytes += piece.len() as u64;
        target.file.write_all(&piece).map_err(failed)?;
    }
    target.keep(&path).map_err(failed)?;
    let saved = json::SavedFile {
        cid: query.cid.to_string(),
        bytes,
        file: path.display().to_string(),
    };
    out.show(&saved, String::new)?;
    Ok(())
}

/// A file that is being written. Under its own name it appears only when it is complete.
struct Target {
    file: File,
    /// Its name until then; `None` where bytes go straight to something that is no regular file, as `/dev/null`.
    part: Option<PathBuf>,
}

// === impl Target ===

impl Target {
    fn create(path: &Path) -> std::io::Result<Self> {
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self {
                file: File::options().write(true).open(path)?,
                part: None,
            });
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".rustle-part");
        let part = path.with_file_name(name);
        Ok(Self {
            file: File::create(&part)?,
            part: Some(part),
        })
    }

    fn keep(mut self, path: &Path) -> std::io::Result<()> {
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
