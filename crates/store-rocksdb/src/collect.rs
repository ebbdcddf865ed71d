//! How are blocks marked, swept and their space given back on RocksDB?
//!
//! Marks are written past the log, as bulk commits are: an entry that is lost with the process is the one that stood there
//! before. Removals are logged, block and entry in one batch.

use std::collections::HashMap;

use rocksdb::{BottommostLevelCompaction, CompactOptions, IteratorMode, ReadOptions, WriteBatch};
use rustle_store::collect::{Checked, Collect, Swept};
use rustle_store::{Durability, Entry, Epoch, Marked, StoreError, Table, is_inline};
use rustle_types::Cid;
use rustle_types::content::Multihash;

use crate::commit::Line;
use crate::usage::Purpose;
use crate::{RocksStore, check, failure, families};

/// Epochs that may begin before the record is written again; so many are left out after a restart.
const EPOCHS_STEP: Epoch = 1024;

/// The part of the oldest blob files that one step of [`Collect::reclaim`] rewrites: it needs as much room.
const RECLAIM_PART: f64 = 0.25;
/// More steps than each file needs to be rewritten once.
const RECLAIM_STEPS_MAX: u32 = 24;
/// Blobs are rewritten where at least one byte in so many is garbage.
const RECLAIM_GARBAGE: u64 = 10;

/// The epochs of an open store.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Epochs {
    /// That of what is put now.
    pub(crate) now: Epoch,
    /// The record on disk.
    end: Epoch,
}

// === impl Epochs ===

impl Epochs {
    /// Key of the record in [`Table::Meta`] above which no epoch has begun (u32 BE).
    pub(crate) const KEY: &[u8] = b"store.epochs";

    /// Those of a store whose record was read.
    pub(crate) fn open(record: Option<&[u8]>) -> Self {
        let end = record
            .and_then(|record| record.first_chunk())
            .map_or(0, |end| u32::from_be_bytes(*end));
        Self { now: end, end }
    }
}

// === impl RocksStore ===

impl RocksStore {
    pub(crate) fn entry(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        let index = families::handle(&self.db, families::INDEX);
        let found = self.db.get_pinned_cf(index, key);
        let Some(bytes) = found.map_err(|error| failure::on_read(&error))? else {
            return Ok(None);
        };
        let entry = Entry::from_bytes(&bytes);
        entry
            .map(Some)
            .ok_or_else(|| StoreError::Io("an entry of the index cannot be read".to_owned()))
    }

    /// Changes entries, each by what it was and the number of its CID. What `change` gives is written.
    fn change_entries<T>(
        &self,
        cids: &[Cid],
        mut change: impl FnMut(&Line, &Cid, Option<Entry>) -> (T, Option<Entry>),
    ) -> Result<Vec<T>, StoreError> {
        let index = families::handle(&self.db, families::INDEX);
        let mut line = self.line.lock();
        line.check()?;
        let mut writes = WriteBatch::default();
        let mut changed: HashMap<Vec<u8>, Entry> = HashMap::new();
        let mut results = Vec::with_capacity(cids.len());
        for cid in cids {
            let key = cid.hash().to_bytes();
            let entry = match changed.get(&key) {
                _ if is_inline(cid) => None,
                Some(entry) => Some(*entry),
                None => self.entry(&key)?,
            };
            let (result, now) = change(&line, cid, entry);
            if let Some(now) = now.filter(|now| entry.is_some_and(|entry| entry != *now)) {
                writes.put_cf(index, &key, now.to_bytes());
                changed.insert(key, now);
            }
            results.push(result);
        }
        self.write_line(&mut line, writes, Durability::Bulk, Purpose::Room)?;
        Ok(results)
    }

    /// Compacts the blocks, and moves the blobs of the oldest files that are still needed to new ones.
    fn compact_blocks(&self, part: Option<f64>) -> Result<(), StoreError> {
        let blocks = families::handle(&self.db, families::BLOCKS);
        let part = part.map(|part| part.to_string());
        let options = [
            (
                "enable_blob_garbage_collection",
                part.as_ref().map_or("false", |_| "true"),
            ),
            (
                "blob_garbage_collection_age_cutoff",
                part.as_deref().unwrap_or("0.25"),
            ),
        ];
        let failed = |error: rocksdb::Error| failure::on_read(&error);
        self.db.set_options_cf(blocks, &options).map_err(failed)?;
        let mut whole = CompactOptions::default();
        whole.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        whole.set_exclusive_manual_compaction(false);
        self.db
            .compact_range_cf_opt(blocks, None::<&[u8]>, None::<&[u8]>, &whole);
        Ok(())
    }

    fn blob_bytes(&self, name: &str) -> u64 {
        let blocks = families::handle(&self.db, families::BLOCKS);
        let value = self.db.property_int_value_cf(blocks, name);
        value.ok().flatten().unwrap_or(0)
    }
}

impl Collect for RocksStore {
    fn begin_epoch(&self, is_collection: bool) -> Result<Epoch, StoreError> {
        let mut line = self.line.lock();
        line.check()?;
        let full = || StoreError::Io("the store has had all epochs that there are".to_owned());
        let next = line.epochs.now.checked_add(1).ok_or_else(full)?;
        if is_collection || line.epochs.end < next {
            let end = next.saturating_add(EPOCHS_STEP);
            let durability = if is_collection {
                Durability::Synced
            } else {
                Durability::Buffered
            };
            let mut writes = self.begin_batch(&line, durability);
            writes.put_cf(self.table(Table::Meta), Epochs::KEY, end.to_be_bytes());
            self.write_line(&mut line, writes, durability, Purpose::Room)?;
            line.epochs.end = end;
        }
        line.epochs.now = next;
        Ok(next)
    }

    fn touch(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.change_entries(cids, |line, cid, entry| {
            let touched = entry.and_then(|entry| entry.touched(line.epochs.now));
            (entry.is_some() || is_inline(cid), touched)
        })
    }

    fn mark(&self, walk: Epoch, cids: &[Cid]) -> Result<Vec<Marked>, StoreError> {
        self.change_entries(cids, |_, cid, entry| match entry {
            Some(entry) => {
                let (entry, marked) = entry.marked(walk, cid.codec());
                (marked, Some(entry))
            }
            None => (Marked::of_absent(cid), None),
        })
    }

    fn entries(&self, from: &[u8], limit: usize) -> Result<Vec<(Multihash, Entry)>, StoreError> {
        let index = families::handle(&self.db, families::INDEX);
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        options.fill_cache(false);
        let entries = self.db.iterator_cf_opt(index, options, IteratorMode::Start);
        let named = entries.take(limit).map(|entry| {
            let (key, value) = entry.map_err(|error| failure::on_read(&error))?;
            let hash = Multihash::from_bytes(&key).ok();
            hash.zip(Entry::from_bytes(&value))
                .ok_or_else(|| StoreError::Io("an entry of the index cannot be read".to_owned()))
        });
        named.collect()
    }

    fn sweep(&self, before: Epoch, hashes: &[Multihash]) -> Result<Swept, StoreError> {
        let mut line = self.line.lock();
        line.check()?;
        let mut writes = self.begin_batch(&line, Durability::Buffered);
        let mut swept = Swept::default();
        for hash in hashes {
            let key = hash.to_bytes();
            if let Some(entry) = self.entry(&key)?.filter(|entry| entry.epoch < before) {
                self.remove_block(&mut writes, &key);
                swept.blocks += 1;
                swept.bytes += entry.size;
            }
        }
        if swept.blocks != 0 {
            self.write_line(&mut line, writes, Durability::Buffered, Purpose::Room)?;
        }
        Ok(swept)
    }

    /// Compaction drops what was removed from the tree, and with it blob files of which nothing is left; then the oldest
    /// quarter of the others is rewritten, again and again until little garbage is left.
    fn reclaim(&self) -> Result<(), StoreError> {
        self.flush_bulk()?;
        self.flush_all()?;
        self.compact_blocks(None)?;
        let mut last = u64::MAX;
        for _ in 0..RECLAIM_STEPS_MAX {
            let garbage = self.blob_bytes("rocksdb.live-blob-file-garbage-size");
            let all = self.blob_bytes("rocksdb.live-blob-file-size");
            tracing::debug!(garbage, all, "giving space back");
            if garbage <= all / RECLAIM_GARBAGE || last <= garbage {
                break;
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a rough figure"
            )]
            let rewritten = (all as f64 * RECLAIM_PART) as u64;
            if !self.has_room_for(rewritten) {
                tracing::warn!(
                    rewritten,
                    "the disk has no room to move what is kept out of half empty files"
                );
                break;
            }
            last = garbage;
            // At least the oldest file, of however few.
            let files = self.blob_bytes("rocksdb.num-blob-files").max(1);
            #[expect(clippy::cast_precision_loss, reason = "there are not so many files")]
            let one = 1.0 / files as f64;
            self.compact_blocks(Some(RECLAIM_PART.max(one)))?;
        }
        let blocks = families::handle(&self.db, families::BLOCKS);
        self.db
            .set_options_cf(blocks, &[("enable_blob_garbage_collection", "false")])
            .map_err(|error| failure::on_read(&error))?;
        let index = families::handle(&self.db, families::INDEX);
        self.db.compact_range_cf(index, None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    fn check(&self, from: &[u8], bytes_max: u64) -> Result<Checked, StoreError> {
        check::check(self, from, bytes_max)
    }

    fn mend(&self, cid: &Cid) -> Result<bool, StoreError> {
        check::mend(self, cid)
    }
}

#[cfg(test)]
mod tests;
