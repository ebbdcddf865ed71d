//! A path in, its entries or facts out.

use bytes::Bytes;
use rustle_admin::views::{ContentStat, EntryKind, ListEntry, ListQuery, PathQuery};
use rustle_admin::{Fault, Flow};
use rustle_types::Cid;
use rustle_types::content::{CODEC_RAW, codec_name};
use rustle_unixfs::{Entry, Metadata, Stat, StatKind};

use super::flow::produce_checked;
use super::folders::{self, Folder};
use super::resolve::resolve_block;
use super::supply::Supply;
use crate::faults;
use crate::shared::Shared;

/// Lists a folder; see [`rustle_admin::ContentBackend::list`].
pub(crate) async fn list(shared: &Shared, query: ListQuery) -> Result<Flow<ListEntry>, Fault> {
    let mut supply = Supply::new(shared, query.timeout);
    produce_checked(shared, move |outlet| async move {
        let cid = resolve_block(&mut supply, &query.path).await?;
        let root = supply.block(cid).await?;
        let stat = folders::stat(cid, root.clone())?;
        if folders::kind(stat.as_ref()) != EntryKind::Folder {
            let name = Bytes::new();
            let tsize = stat.as_ref().map_or(root.len() as u64, |stat| stat.tsize);
            let entry = Entry { name, cid, tsize };
            return outlet.send(described(entry, stat.as_ref())).await;
        }
        let mut folder = Folder::new(cid, root, !query.names_only)?;
        while let Some(entry) = folder.next(&mut supply).await? {
            let entry = if entry.cid.codec() == CODEC_RAW {
                // It is its own size.
                ListEntry {
                    bytes: Some(entry.tsize),
                    kind: EntryKind::File,
                    ..unknown(entry)
                }
            } else if query.names_only {
                unknown(entry)
            } else {
                let bytes = supply.block(entry.cid).await?;
                // An entry that is no file system is listed as such, and does not spoil the others.
                let stat = folders::stat(entry.cid, bytes).unwrap_or_default();
                described(entry, stat.as_ref())
            };
            outlet.send(entry).await?;
        }
        Ok(())
    })
    .await
}

/// Says what a root block says; see [`rustle_admin::ContentBackend::stat`].
pub(crate) async fn stat(shared: &Shared, query: PathQuery) -> Result<ContentStat, Fault> {
    let mut supply = Supply::new(shared, query.timeout);
    let cid = resolve_block(&mut supply, &query.path).await?;
    let bytes = supply.block(cid).await?;
    match folders::stat(cid, bytes.clone()) {
        Ok(Some(stat)) => Ok(of_unixfs(cid, stat)),
        Ok(None) => of_any(cid, bytes),
        // A dag-pb node without UnixFS is a block all the same.
        Err(fault) => of_any(cid, bytes).map_err(|_| fault),
    }
}

fn unknown(entry: Entry) -> ListEntry {
    ListEntry {
        name: entry.name,
        cid: entry.cid,
        tsize: entry.tsize,
        kind: EntryKind::Unknown,
        bytes: None,
    }
}

fn described(entry: Entry, stat: Option<&Stat>) -> ListEntry {
    let bytes = match stat.map(|stat| &stat.kind) {
        Some(StatKind::File(bytes)) => Some(*bytes),
        _ => None,
    };
    ListEntry {
        bytes,
        kind: folders::kind(stat),
        ..unknown(entry)
    }
}

fn of_unixfs(cid: Cid, stat: Stat) -> ContentStat {
    let kind = folders::kind(Some(&stat));
    let is_sharded = stat.kind == StatKind::ShardedFolder;
    let (bytes, target) = match stat.kind {
        StatKind::File(bytes) => (bytes, Bytes::new()),
        StatKind::Symlink(target) => (0, target),
        StatKind::Folder | StatKind::ShardedFolder => (0, Bytes::new()),
    };
    ContentStat {
        cid,
        kind,
        bytes,
        tsize: stat.tsize,
        block_bytes: stat.block_bytes,
        links: stat.links,
        is_sharded,
        metadata: stat.metadata,
        target,
        codec: named(cid),
    }
}

fn of_any(cid: Cid, bytes: Bytes) -> Result<ContentStat, Fault> {
    let block_bytes = bytes.len() as u64;
    let links = rustle_ipld::links(&cid, bytes).map_err(faults::ipld)?;
    Ok(ContentStat {
        cid,
        kind: EntryKind::Other,
        bytes: 0,
        tsize: block_bytes,
        block_bytes,
        links: links.len() as u64,
        is_sharded: false,
        metadata: Metadata::NONE,
        target: Bytes::new(),
        codec: named(cid),
    })
}

fn named(cid: Cid) -> String {
    codec_name(cid.codec()).map_or_else(|| format!("0x{:x}", cid.codec()), str::to_owned)
}
