//! `rustle get`.

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use rustle_admin::parse;
use rustle_admin::views::{GetPart, PathQuery};
use tokio::signal::unix::{SignalKind, signal};

use super::disk::{Tree, refuse_existing};
use crate::arguments::{Daemon, GetArguments};
use crate::commands::connect;
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::progress::Progress;

pub(in crate::commands) async fn get(
    daemon: &Daemon,
    out: &mut Output,
    arguments: GetArguments,
) -> Result<(), Failure> {
    let query = PathQuery {
        path: parse::path(&arguments.path)?,
        timeout: arguments.wait.timeout,
    };
    let target = match &arguments.output {
        Some(path) => path.clone(),
        None => PathBuf::from(match query.path.names.last() {
            Some(name) => name.clone(),
            None => query.path.root.to_string(),
        }),
    };
    if !arguments.force {
        refuse_existing(&target)?;
    }
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::from)?;
    let mut ended = signal(SignalKind::terminate()).map_err(Failure::from)?;
    let done = tokio::select! {
        done = fetch(daemon, &query, &target, arguments.force) => done?,
        // Dropping the tree removes what was written.
        _ = interrupted.recv() => return Err(Failure::Failed("interrupted; nothing was written".to_owned())),
        _ = ended.recv() => return Err(Failure::Failed("ended; nothing was written".to_owned())),
    };
    let saved = json::SavedTree {
        cid: query.path.to_string(),
        file: target.display().to_string(),
        entries: done.entries,
        bytes: done.bytes,
    };
    out.show(&saved, || {
        format!(
            "{} entries, {} bytes in {}",
            saved.entries, saved.bytes, saved.file
        )
    })?;
    Ok(())
}

/// What was written.
struct Done {
    entries: u64,
    bytes: u64,
}

async fn fetch(daemon: &Daemon, query: &PathQuery, target: &Path, force: bool) -> Result<Done, Failure> {
    let mut parts = connect(daemon).await?.get(query).await?;
    let mut tree = Tree::beside(target)?;
    let mut progress = Progress::new(false, None);
    let (mut entries, mut bytes) = (0, 0);
    while let Some(part) = parts.next().await {
        match part? {
            GetPart::Entry(entry) => {
                entries += 1;
                tree.begin(&entry)?;
            }
            GetPart::Chunk(chunk) => {
                bytes += chunk.len() as u64;
                tree.write(&chunk)?;
                progress.update(bytes);
            }
        }
    }
    tree.keep(force)?;
    Ok(Done { entries, bytes })
}
