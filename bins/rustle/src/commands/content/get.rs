//! `rustle get`.

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use rustle_admin::parse;
use rustle_admin::views::{GetPart, PathQuery};

use super::disk::{Tree, refuse_existing};
use super::target::whole_or_nothing;
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
    let work = fetch(daemon, &query, &target, arguments.force);
    let done = whole_or_nothing(work).await?;
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
