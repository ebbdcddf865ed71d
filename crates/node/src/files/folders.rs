//! The entries of a folder, with what they lead to fetched ahead.

use std::collections::VecDeque;

use bytes::Bytes;
use rustle_admin::Fault;
use rustle_admin::views::EntryKind;
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, CODEC_RAW};
use rustle_unixfs::{Entry, Lister, Stat, StatKind};

use super::pull::Pull;
use super::supply::Supply;
use crate::faults;

/// Entries whose root blocks are fetched ahead.
const AHEAD_MAX: usize = 64;

/// A folder that is read entry by entry.
pub(super) struct Folder {
    lister: Pull<Lister>,
    ready: VecDeque<Entry>,
    is_listed: bool,
    fetches: bool,
}

// === impl Folder ===

impl Folder {
    /// The folder `cid`, whose root block was read. With `fetches`, its entries' root blocks are asked for ahead.
    pub(super) fn new(cid: Cid, root: Bytes, fetches: bool) -> Result<Self, Fault> {
        Ok(Self {
            lister: Pull::with_root(Lister::new(cid), &cid, root)?,
            ready: VecDeque::new(),
            is_listed: false,
            fetches,
        })
    }

    /// The next entry.
    pub(super) async fn next(&mut self, supply: &mut Supply) -> Result<Option<Entry>, Fault> {
        if self.fetches && self.ready.len() <= AHEAD_MAX / 2 && !self.is_listed {
            let mut new = Vec::new();
            while !self.is_listed && self.ready.len() < AHEAD_MAX {
                match supply.next(&mut self.lister).await? {
                    Some(entry) => {
                        new.push(entry.cid);
                        self.ready.push_back(entry);
                    }
                    None => self.is_listed = true,
                }
            }
            supply.fetch(new).await?;
        }
        match self.ready.pop_front() {
            None if !self.is_listed => supply.next(&mut self.lister).await,
            entry => Ok(entry),
        }
    }
}

/// What a root block says, whatever it is of.
pub(super) fn stat(cid: Cid, bytes: Bytes) -> Result<Option<Stat>, Fault> {
    match cid.codec() {
        CODEC_DAG_PB | CODEC_RAW => Stat::of(cid, bytes).map(Some).map_err(faults::list),
        _ => Ok(None),
    }
}

/// The kind of an entry in words of the interface.
pub(super) fn kind(stat: Option<&Stat>) -> EntryKind {
    match stat.map(|stat| &stat.kind) {
        Some(StatKind::File(_)) => EntryKind::File,
        Some(StatKind::Folder | StatKind::ShardedFolder) => EntryKind::Folder,
        Some(StatKind::Symlink(_)) => EntryKind::Symlink,
        None => EntryKind::Other,
    }
}
