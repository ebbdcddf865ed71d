//! How does a batch reach the disk, and what is never acknowledged?
//!
//! The one rule that is easy to get wrong: after a failed write or sync nothing more is acknowledged. The kernel drops
//! dirty pages whose writeback failed, and a second sync of the same file then reports success over lost data.
//!
//! A bulk commit leaves the log out. Its blocks and their index entries wait in memory until a flush writes both in one
//! step (`set_atomic_flush`), so that a crash never leaves an index entry without its block. RocksDB numbers its operations
//! all the same, and so the log gets gaps in its numbers. Each synced batch, and the first one that is logged behind a
//! bulk commit, carries the sum of the gaps, so that [`crate::log`] can tell a gap from a loss.

use std::collections::HashSet;

use bytes::Bytes;
use rocksdb::{FlushOptions, ReadOptions, WriteBatch, WriteOptions};
use rustle_store::{Batch, Durability, Entry, Op, StoreError, Table, is_inline};

use crate::collect::Epochs;
use crate::unflushed::Unflushed;
use crate::usage::Purpose;
use crate::{RocksStore, failure, families};

/// First operation of each synced batch: whoever finds it in the log knows that all before it had reached the disk.
pub(crate) const SYNCED_KEY: &[u8] = b"store.synced";
/// First operation of the first logged batch behind a bulk commit, where it is not synced. As long as the other.
pub(crate) const LOGGED_KEY: &[u8] = b"store.logged";

/// What one commit has to know of those before it.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Why writing has ended, once it has.
    halted: Option<String>,
    /// Sequence numbers that are not in the log, which therefore counts from its own first record on without a gap.
    skipped: u64,
    /// Whether the log has not been told of the last of them.
    is_untold: bool,
    /// Blocks that are in memory only.
    unflushed: Unflushed,
    pub(crate) epochs: Epochs,
}

// === impl Line ===

impl Line {
    /// The line of a store that was just opened at the sequence number `last`, and whose log goes on at `next`.
    pub(crate) fn open(last: u64, next: Option<u64>, epochs: Epochs) -> Self {
        let skipped = next.map_or(0, |next| (last + 1).saturating_sub(next));
        Self {
            skipped,
            is_untold: skipped != 0,
            epochs,
            ..Self::default()
        }
    }

    /// Why writing has ended, if it has.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &self.halted {
            Some(reason) => Err(StoreError::Halted(reason.clone())),
            None => Ok(()),
        }
    }
}

// === impl RocksStore ===

impl RocksStore {
    /// A disk with too little room is [`StoreError::Full`], before anything is written, and the next batch is taken as soon
    /// as there is room. Where others fill the disk faster than that is seen, RocksDB meets it full, and
    /// [`StoreError::Halted`] is what later batches get: its way out of that state is not offered by the crate.
    pub(crate) fn write_batch(&self, batch: &Batch, durability: Durability) -> Result<(), StoreError> {
        let durability = match durability {
            Durability::Bulk if !batch.is_bulk() => Durability::Buffered,
            durability => durability,
        };
        let mut line = self.line.lock();
        line.check()?;
        let purpose = match durability {
            Durability::Bulk => Purpose::Content,
            _ if batch.is_removal() => Purpose::Room,
            _ => Purpose::Records,
        };
        let (writes, blocks) = self.prepare(batch, durability, &line);
        self.write_line(&mut line, writes, durability, purpose)?;
        if durability != Durability::Bulk {
            return Ok(());
        }
        for block in blocks {
            line.unflushed.add(&block);
        }
        let is_full = line.unflushed.is_full();
        drop(line);
        if is_full { self.flush_bulk() } else { Ok(()) }
    }

    /// A batch that begins as the log wants it. What is synced carries a mark, so that the log tells what was acknowledged.
    pub(crate) fn begin_batch(&self, line: &Line, durability: Durability) -> WriteBatch {
        let mut writes = WriteBatch::default();
        let skipped = line.skipped.to_be_bytes();
        match durability {
            Durability::Synced => writes.put_cf(self.table(Table::Meta), SYNCED_KEY, skipped),
            Durability::Buffered if line.is_untold => {
                writes.put_cf(self.table(Table::Meta), LOGGED_KEY, skipped);
            }
            Durability::Buffered | Durability::Bulk => {}
        }
        writes
    }

    /// Writes what [`RocksStore::begin_batch`] has begun.
    pub(crate) fn write_line(
        &self,
        line: &mut Line,
        writes: WriteBatch,
        durability: Durability,
        purpose: Purpose,
    ) -> Result<(), StoreError> {
        let before = self.db.latest_sequence_number();
        let is_empty = writes.is_empty();
        if !is_empty {
            self.make_room(line, writes.size_in_bytes(), purpose)?;
        }
        if let Err(reason) = self.write(writes, durability) {
            return Err(self.halt(line, reason));
        }
        match durability {
            _ if is_empty => {}
            Durability::Bulk => {
                line.skipped += self.db.latest_sequence_number() - before;
                line.is_untold = true;
            }
            Durability::Buffered | Durability::Synced => line.is_untold = false,
        }
        Ok(())
    }

    /// Drops bytes and entry of a block.
    pub(crate) fn remove_block(&self, writes: &mut WriteBatch, key: &[u8]) {
        writes.delete_cf(families::handle(&self.db, families::BLOCKS), key);
        writes.delete_cf(families::handle(&self.db, families::INDEX), key);
    }

    /// Writes what bulk commits have left in memory. Commits go on meanwhile.
    pub(crate) fn flush_bulk(&self) -> Result<(), StoreError> {
        let _one = self.flushing.lock();
        {
            let mut line = self.line.lock();
            line.check()?;
            if !line.unflushed.begin_flush() {
                return Ok(());
            }
        }
        self.flush_all()?;
        self.line.lock().unflushed.end_flush();
        Ok(())
    }

    /// Writes all buffers of all families, so that the log so far is not needed any more.
    ///
    /// What waits for a flush is not told of it: another one may be under way, whose blocks must not count as written
    /// before its own end.
    pub(crate) fn flush_all(&self) -> Result<(), StoreError> {
        let flushed = self.flush_buffers();
        flushed.map_err(|reason| self.halt(&mut self.line.lock(), reason))
    }

    fn flush_buffers(&self) -> Result<(), String> {
        let all: Vec<_> = families::names()
            .map(|name| families::handle(&self.db, name))
            .collect();
        let all: Vec<_> = all.iter().collect();
        let flushed = self.db.flush_cfs_opt(&all, &FlushOptions::default());
        flushed.map_err(String::from)
    }

    /// Refuses a write for which the disk has no room, once what waits in memory was written: until then its room has to
    /// be counted twice.
    fn make_room(&self, line: &mut Line, bytes: usize, purpose: Purpose) -> Result<(), StoreError> {
        let Err(full) = self.check_room(bytes, purpose) else {
            return Ok(());
        };
        if !self.is_flush_worthwhile() {
            return Err(full);
        }
        self.flush_buffers().map_err(|reason| self.halt(line, reason))?;
        self.check_room(bytes, purpose)
    }

    /// Takes no more writes.
    fn halt(&self, line: &mut Line, reason: String) -> StoreError {
        tracing::error!(%reason, path = %self.path.display(), "write failed, the store takes no more");
        let error = failure::on_write(&reason);
        line.halted = Some(reason);
        error
    }

    /// The batch in RocksDB's terms, and the multihashes of the blocks that it writes or drops.
    fn prepare(&self, batch: &Batch, durability: Durability, line: &Line) -> (WriteBatch, HashSet<Vec<u8>>) {
        let blocks = families::handle(&self.db, families::BLOCKS);
        let index = families::handle(&self.db, families::INDEX);
        let epoch = line.epochs.now;
        let mut writes = self.begin_batch(line, durability);
        // Blocks that the batch itself has changed: what the disk holds of them says nothing any more.
        let mut touched = HashSet::new();
        for op in batch.ops() {
            match op {
                Op::PutBlock(cid, _) | Op::DeleteBlock(cid) if is_inline(cid) => {}
                Op::PutBlock(cid, bytes) => {
                    let key = cid.hash().to_bytes();
                    let suffices = durability == Durability::Bulk || !line.unflushed.has(&key);
                    if suffices
                        && !touched.contains(&key)
                        && let Some(entry) = self.holds(&key, bytes)
                    {
                        if let Some(entry) = entry.touched(epoch) {
                            writes.put_cf(index, &key, entry.to_bytes());
                        }
                        continue;
                    }
                    writes.put_cf(blocks, &key, bytes);
                    writes.put_cf(index, &key, Entry::new(bytes.len() as u64, epoch).to_bytes());
                    touched.insert(key);
                }
                Op::DeleteBlock(cid) => {
                    let key = cid.hash().to_bytes();
                    self.remove_block(&mut writes, &key);
                    touched.insert(key);
                }
                Op::Put(table, key, value) => writes.put_cf(self.table(*table), key, value),
                Op::Delete(table, key) => writes.delete_cf(self.table(*table), key),
            }
        }
        (writes, touched)
    }

    /// The entry of the block where exactly these bytes are stored already.
    ///
    /// Adding the same file twice must not fill the disk twice: blobs are not rewritten, so a second copy would stay
    /// until garbage is collected. The index alone would do to see that, but then a damaged block could never be
    /// repaired by fetching it again. Comparing costs one read where writing costs two writes, to the log
    /// and to a blob. Where the read fails, the block is written.
    fn holds(&self, key: &[u8], bytes: &Bytes) -> Option<Entry> {
        // An entry that cannot be read is written anew.
        let entry = self.entry(key).ok().flatten()?;
        if entry.size != bytes.len() as u64 {
            return None;
        }
        let blocks = families::handle(&self.db, families::BLOCKS);
        let mut once = ReadOptions::default();
        once.fill_cache(false);
        once.set_verify_checksums(false);
        let stored = self.db.get_pinned_cf_opt(blocks, key, &once).ok().flatten()?;
        (*stored == **bytes).then_some(entry)
    }

    /// Writes and, where asked, syncs.
    fn write(&self, writes: WriteBatch, durability: Durability) -> Result<(), String> {
        #[cfg(test)]
        if let Some(failure) = self.next_failure.lock().take() {
            return Err(failure);
        }
        if writes.is_empty() {
            return Ok(());
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        options.disable_wal(durability == Durability::Bulk);
        self.db.write_opt(writes, &options).map_err(String::from)
    }
}

#[cfg(test)]
mod tests;
