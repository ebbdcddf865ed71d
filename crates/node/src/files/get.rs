//! A path in, the file or the folder with all that is in it out, depth first.

use bytes::Bytes;
use rustle_admin::views::{EntryKind, GetEntry, GetPart, PathQuery};
use rustle_admin::{Fault, Flow};
use rustle_types::Cid;
use rustle_unixfs::{FOLDER_DEPTH_MAX, Reader, Stat, StatKind, TARGET_BYTES_MAX};

use super::flow::{Outlet, produce_checked};
use super::folders::{Folder, kind, stat};
use super::pull::Pull;
use super::resolve::resolve_block;
use super::supply::Supply;
use crate::shared::Shared;

/// Most entries of one tree: few blocks can make a tree without end, by leading to each other in many ways.
const ENTRIES_MAX: u64 = 10_000_000;

/// Reads a tree; see [`rustle_admin::ContentBackend::get`].
pub(crate) async fn get(shared: &Shared, query: PathQuery) -> Result<Flow<GetPart>, Fault> {
    let mut supply = Supply::new(shared, query.timeout);
    produce_checked(shared, move |outlet| async move {
        let root = resolve_block(&mut supply, &query.path).await?;
        let mut walk = Walk {
            supply,
            outlet,
            open: Vec::new(),
            entries: 0,
        };
        walk.visit(Vec::new(), root).await?;
        while let Some((path, folder)) = walk.open.last_mut() {
            match folder.next(&mut walk.supply).await? {
                Some(entry) => {
                    let mut path = path.clone();
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(&entry.name);
                    walk.visit(path, entry.cid).await?;
                }
                None => {
                    walk.open.pop();
                }
            }
        }
        Ok(())
    })
    .await
}

/// A tree that is being read.
struct Walk {
    supply: Supply,
    outlet: Outlet<GetPart>,
    /// The open folders with their paths, the innermost last.
    open: Vec<(Vec<u8>, Folder)>,
    entries: u64,
}

// === impl Walk ===

impl Walk {
    async fn visit(&mut self, path: Vec<u8>, cid: Cid) -> Result<(), Fault> {
        self.entries += 1;
        if ENTRIES_MAX < self.entries {
            return Err(Fault::bad_content(format!(
                "the tree has more than {ENTRIES_MAX} entries; get its folders one by one"
            )));
        }
        let shown = String::from_utf8_lossy(&path).into_owned();
        let bytes = self.supply.block(cid).await?;
        let Some(stat) = stat(cid, bytes.clone())? else {
            return Err(Fault::bad_content(format!(
                "`{shown}` ({cid}) is neither file nor folder; read it with `rustle dag get`"
            )));
        };
        self.tell(&path, cid, &stat).await?;
        match stat.kind {
            StatKind::File(_) => {
                let mut reader = Pull::with_root(Reader::new(cid), &cid, bytes)?;
                while let Some(bytes) = self.supply.next(&mut reader).await? {
                    self.outlet.send(GetPart::Chunk(bytes)).await?;
                }
            }
            StatKind::Folder | StatKind::ShardedFolder => {
                if FOLDER_DEPTH_MAX <= self.open.len() {
                    return Err(Fault::bad_content(format!(
                        "folders lie deeper than {FOLDER_DEPTH_MAX} at `{shown}`"
                    )));
                }
                self.open.push((path, Folder::new(cid, bytes, true)?));
            }
            StatKind::Symlink(_) => {}
        }
        Ok(())
    }

    async fn tell(&self, path: &[u8], cid: Cid, stat: &Stat) -> Result<(), Fault> {
        let (bytes, target) = match &stat.kind {
            StatKind::File(bytes) => (*bytes, Bytes::new()),
            StatKind::Symlink(target) => (0, target.clone()),
            StatKind::Folder | StatKind::ShardedFolder => (0, Bytes::new()),
        };
        let kind = kind(Some(stat));
        let target_fits = (1..=TARGET_BYTES_MAX).contains(&target.len()) && !target.contains(&0);
        if kind == EntryKind::Symlink && !target_fits {
            return Err(Fault::bad_content(format!(
                "`{}` is a symbolic link to nothing that a file system can hold",
                String::from_utf8_lossy(path)
            )));
        }
        let entry = GetEntry {
            path: Bytes::copy_from_slice(path),
            kind,
            bytes,
            metadata: stat.metadata,
            target,
            cid,
        };
        self.outlet.send(GetPart::Entry(entry)).await
    }
}
