//! `rustle add`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use rustle_admin::ClientError;
use rustle_admin::views::{AddNews, AddedEntry, AddedRoots, EntryKind};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::walk::{Plan, Walk, total};
use crate::arguments::{AddArguments, Daemon};
use crate::commands::connect;
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::progress::Progress;

/// Parts that are read ahead of the daemon: chunks of a megabyte, or entries.
const PARTS_MAX: usize = 4;
/// How often progress is looked at.
const PACE: Duration = Duration::from_millis(200);

pub(in crate::commands) async fn add(
    daemon: &Daemon,
    out: &mut Output,
    arguments: &AddArguments,
) -> Result<(), Failure> {
    let lists = !arguments.quieter && !out.is_json();
    let options = arguments.options(lists)?;
    let streams = arguments
        .paths
        .iter()
        .filter(|path| path.as_os_str() == "-")
        .count();
    if streams > 0 && arguments.stdin_name.is_none() && (arguments.paths.len() > 1 || arguments.wrap) {
        return Err(Failure::Usage(
            "name standard input with --stdin-name, as it is not added alone".to_owned(),
        ));
    }
    let client = connect(daemon).await?;
    let sent = Arc::new(AtomicU64::new(0));
    let (parts, stream) = mpsc::channel(PARTS_MAX);
    let walk = Walk {
        plan: Plan {
            recursive: arguments.recursive,
            hidden: arguments.hidden,
            follow: arguments.follow,
            mode: arguments.preserve_mode,
            mtime: arguments.preserve_mtime,
            stdin_name: arguments.stdin_name.clone(),
        },
        parts,
        sent: Arc::clone(&sent),
    };
    let paths = arguments.paths.clone();
    let is_quiet = arguments.quiet || arguments.quieter;
    let mut progress = Progress::new(is_quiet, total(&paths));
    // It ends by itself when nobody takes its parts any more.
    let _walking = tokio::task::spawn_blocking(move || walk.run(&paths));

    let mut news = client.add_parts(options, ReceiverStream::new(stream)).await?;
    let mut held = Held::default();
    loop {
        let next = tokio::time::timeout(PACE, news.next()).await;
        progress.update(sent.load(Ordering::Relaxed));
        match next {
            Err(_) => {}
            Ok(Some(Ok(AddNews::Entry(entry)))) => held.show(out, entry, arguments.quiet)?,
            Ok(Some(Ok(AddNews::Roots(roots)))) => {
                drop(progress);
                return finish(out, arguments, held, &roots, options.pin);
            }
            // What cannot be read is named in the cause.
            Ok(Some(Err(ClientError::Input(cause)))) => return Err(Failure::Failed(cause.to_string())),
            Ok(Some(Err(error))) => return Err(error.into()),
            Ok(None) => {
                let message = "the daemon ended the import without an answer".to_owned();
                return Err(Failure::Failed(message));
            }
        }
    }
}

/// The first entry waits until it is known whether it is the only one.
#[derive(Default)]
struct Held {
    first: Option<AddedEntry>,
    has_more: bool,
}

// === impl Held ===

impl Held {
    fn show(&mut self, out: &mut Output, entry: AddedEntry, quiet: bool) -> Result<(), Failure> {
        if !self.has_more && self.first.is_none() {
            self.first = Some(entry);
            return Ok(());
        }
        self.has_more = true;
        for entry in self.first.take().into_iter().chain([entry]) {
            out.line(&text(&entry, quiet))?;
        }
        Ok(())
    }
}

fn text(entry: &AddedEntry, quiet: bool) -> String {
    let mark = if entry.kind == EntryKind::Folder { "/" } else { "" };
    match quiet {
        true => entry.cid.to_string(),
        false => format!("{} {}{mark}", entry.cid, json::text(&entry.path)),
    }
}

fn finish(
    out: &mut Output,
    arguments: &AddArguments,
    held: Held,
    roots: &AddedRoots,
    pinned: bool,
) -> Result<(), Failure> {
    out.show(&json::AddedTree::new(roots, pinned), || match held.first {
        _ if arguments.quieter => {
            let cids: Vec<String> = roots.roots.iter().map(|root| root.cid.to_string()).collect();
            cids.join("\n")
        }
        // A file alone: its CID says all.
        Some(only) => only.cid.to_string(),
        None => String::new(),
    })?;
    Ok(())
}
