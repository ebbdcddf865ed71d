//! Commands about files, folders and blocks.

mod add;
mod blocks;
mod disk;
mod get;
mod target;
mod walk;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use rustle_admin::views::{EntryKind, FileQuery, ListEntry, ListQuery, PathQuery};
use rustle_admin::{Client, parse};

pub(super) use self::add::add;
pub(super) use self::blocks::{block, car, dag};
pub(super) use self::get::get;
use self::target::{Target, whole_or_nothing};
use super::connect;
use crate::arguments::{CatArguments, Daemon, ListArguments, PathArguments};
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::table;

pub(super) async fn cat(daemon: &Daemon, out: &mut Output, arguments: CatArguments) -> Result<(), Failure> {
    let mut queries = Vec::new();
    for path in &arguments.paths {
        queries.push(FileQuery {
            path: parse::path(path)?,
            offset: arguments.offset,
            length: arguments.length,
            timeout: arguments.wait.timeout,
        });
    }
    let client = connect(daemon).await?;
    let Some(path) = arguments.output.filter(|path| path.as_os_str() != "-") else {
        for query in queries {
            let mut pieces = client.cat(query).await?;
            while let Some(piece) = pieces.next().await {
                out.raw(&piece?)?;
                out.flush()?;
            }
        }
        return Ok(());
    };
    let bytes = whole_or_nothing(save(&client, queries, &path)).await?;
    let saved = json::SavedFile {
        cid: arguments.paths.join(" "),
        bytes,
        file: path.display().to_string(),
    };
    out.show(&saved, String::new)?;
    Ok(())
}

/// Writes files one after the other into one, and gives its bytes.
async fn save(client: &Client, queries: Vec<FileQuery>, path: &Path) -> Result<u64, Failure> {
    let failed = cannot_write(path);
    let mut target = Target::create(path).map_err(&failed)?;
    let mut bytes = 0;
    for query in queries {
        let mut pieces = client.cat(query).await?;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            bytes += piece.len() as u64;
            target.file.write_all(&piece).map_err(&failed)?;
        }
    }
    target.keep(path).map_err(&failed)?;
    Ok(bytes)
}

pub(super) async fn list(daemon: &Daemon, out: &mut Output, arguments: ListArguments) -> Result<(), Failure> {
    let query = ListQuery {
        path: parse::path(&arguments.path)?,
        timeout: arguments.wait.timeout,
        names_only: !arguments.size,
    };
    let mut entries = connect(daemon).await?.list(&query).await?;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        out.show(&json::Listed::from(&entry), || line(&entry))?;
    }
    Ok(())
}

fn line(entry: &ListEntry) -> String {
    let bytes = entry
        .bytes
        .map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
    let mark = match entry.kind {
        EntryKind::Folder => "/",
        EntryKind::Symlink => "@",
        EntryKind::File | EntryKind::Other | EntryKind::Unknown => "",
    };
    format!("{} {bytes:>12} {}{mark}", entry.cid, json::text(&entry.name))
}

pub(super) async fn stat(daemon: &Daemon, out: &mut Output, arguments: PathArguments) -> Result<(), Failure> {
    let query = path_query(&arguments)?;
    let stat = connect(daemon).await?.stat(&query).await?;
    out.show(&json::Stat::from(&stat), || {
        let mode = stat.metadata.mode.map(|mode| format!("{mode:04o}"));
        let mtime = stat.metadata.mtime.map(|time| format!("{} s", time.seconds));
        let target = (stat.kind == EntryKind::Symlink).then(|| json::text(&stat.target));
        let sharded = if stat.is_sharded { " (in shards)" } else { "" };
        let facts = [
            ("cid", Some(stat.cid.to_string())),
            ("kind", Some(format!("{}{sharded}", json::kind(stat.kind)))),
            ("codec", Some(stat.codec.clone())),
            ("bytes", Some(stat.bytes.to_string())),
            ("cumulative", Some(stat.tsize.to_string())),
            ("root block", Some(stat.block_bytes.to_string())),
            ("links", Some(stat.links.to_string())),
            ("mode", mode),
            ("changed", mtime),
            ("target", target),
        ];
        table::facts(facts.into_iter().filter_map(|(name, fact)| Some((name, fact?))))
    })?;
    Ok(())
}

fn path_query(arguments: &PathArguments) -> Result<PathQuery, Failure> {
    Ok(PathQuery {
        path: parse::path(&arguments.path)?,
        timeout: arguments.wait.timeout,
    })
}

/// What to say of a file that cannot be written.
fn cannot_write(path: &std::path::Path) -> impl Fn(std::io::Error) -> Failure + use<> {
    let path = path.display().to_string();
    move |cause| Failure::Failed(format!("cannot write {path}: {cause}"))
}

/// What to say of a file that cannot be read.
fn cannot_read(path: &std::path::Path) -> impl Fn(std::io::Error) -> Failure + use<> {
    let path = path.display().to_string();
    move |cause| Failure::Failed(format!("cannot read {path}: {cause}"))
}

/// The whole of a small file; - for standard input.
async fn read_small(path: PathBuf, bytes_max: usize) -> Result<bytes::Bytes, Failure> {
    use tokio::io::AsyncReadExt as _;

    let failed = cannot_read(&path);
    let mut bytes = Vec::new();
    // One byte more shows that it is longer; the daemon says what is possible.
    let bound = bytes_max as u64 + 1;
    if path.as_os_str() == "-" {
        let read = tokio::io::stdin().take(bound).read_to_end(&mut bytes).await;
        read.map_err(failed)?;
    } else {
        let file = tokio::fs::File::open(&path).await.map_err(&failed)?;
        file.take(bound).read_to_end(&mut bytes).await.map_err(failed)?;
    }
    Ok(bytes.into())
}
