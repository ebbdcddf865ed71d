//! How do content, records and durable batches map onto RocksDB?
//!
//! The one rule that is easy to get wrong: after a failed write or sync nothing more is acknowledged. The kernel drops
//! dirty pages whose writeback failed, and a second sync of the same file then reports success over lost data.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rocksdb::{DB, DBIterator, ReadOptions, WriteBatch, WriteOptions};
use rustle_store::{Batch, ContentStore, Direction, Durability, Op, Record, Scan, Store, StoreError, Table};
use rustle_types::Cid;
use rustle_types::content::HASH_IDENTITY;

use crate::{Config, failure, families, log, pinned};

/// The version of the layout on disk. A directory of another version is refused.
pub const FORMAT: u32 = 1;

/// Key of the format record (u32 BE) in [`Table::Meta`]. The dot keeps it apart from the settings of the node.
const FORMAT_KEY: &[u8] = b"store.format";
/// First operation of each synced batch: whoever finds it in the log knows that all before it had reached the disk.
pub(crate) const SYNCED_KEY: &[u8] = b"store.synced";

/// A store in a directory, held by this process alone.
///
/// The directory is released when the store and all [`Bytes`] of blocks that were read from it are dropped. There is
/// nothing to flush then: what was not synced is in the log, and is lost only with the power.
#[derive(Debug)]
pub struct RocksStore {
    db: Arc<DB>,
    path: PathBuf,
    /// Why writing has ended, once it has. The lock also puts commits in a line: what one finds stored stays so until
    /// it is written, and none slips through behind a failed one.
    halted: Mutex<Option<String>>,
    /// The error that the next write is to meet.
    #[cfg(test)]
    pub(crate) next_failure: Mutex<Option<String>>,
}

// === impl RocksStore ===

impl RocksStore {
    /// Opens the store in the directory `path`, and creates it where there is none.
    ///
    /// Errors: [`StoreError::Busy`] while another process has it, [`StoreError::Format`] where another version wrote it,
    /// [`StoreError::Full`] without room for what an open writes, [`StoreError::Io`] with RocksDB's own words for the rest.
    /// That includes a log with damage that sound records follow. A torn tail, as a crash leaves it, is cut with a
    /// warning instead; it is not told from damage to the very last record.
    pub fn open(path: impl AsRef<Path>, config: &Config) -> Result<Self, StoreError> {
        let path = path.as_ref();
        create_directory(path)?;
        log::check(path)?;
        let options = families::database(config);
        // A new directory has no families to list; whatever else is wrong the open itself reports.
        let present = DB::list_cf(&options, path).unwrap_or_default();
        let db = DB::open_cf_descriptors(&options, path, families::all(config, &present))
            .map_err(|error| failure::on_open(path, &error))?;
        check_format(path, &db)?;
        tracing::debug!(path = %path.display(), sequence = db.latest_sequence_number(), "store opened");
        Ok(Self {
            db: Arc::new(db),
            path: path.to_owned(),
            halted: Mutex::new(None),
            #[cfg(test)]
            next_failure: Mutex::new(None),
        })
    }

    /// Makes everything durable and releases the directory.
    ///
    /// Dropping the store releases it as well, without a word about errors. [`StoreError::Io`] where blocks that were
    /// read are still held: the directory is then released with the last of them.
    pub fn close(self) -> Result<(), StoreError> {
        self.commit(Batch::new(), Durability::Synced)?;
        self.db.cancel_all_background_work(true);
        match Arc::try_unwrap(self.db) {
            Ok(_) => Ok(()),
            Err(db) => Err(StoreError::Io(format!(
                "{} blocks that were read are still held; drop them to release {}",
                Arc::strong_count(&db) - 1,
                self.path.display()
            ))),
        }
    }

    /// Bytes of all files of the store, with its log and what garbage collection has not yet taken.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        let io = |error: std::io::Error| StoreError::Io(format!("{}: {error}", self.path.display()));
        let mut sum = 0;
        for entry in std::fs::read_dir(&self.path).map_err(io)? {
            match entry.and_then(|entry| entry.metadata()) {
                Ok(metadata) if metadata.is_file() => sum += metadata.len(),
                Ok(_) => {}
                // A compaction removes files meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(io(error)),
            }
        }
        Ok(sum)
    }

    /// The batch in RocksDB's terms. What is synced carries a mark, so that the log tells what was acknowledged.
    fn prepare(&self, batch: &Batch, durability: Durability) -> WriteBatch {
        let blocks = families::handle(&self.db, families::BLOCKS);
        let index = families::handle(&self.db, families::INDEX);
        let mut writes = WriteBatch::default();
        if durability == Durability::Synced {
            writes.put_cf(self.table(Table::Meta), SYNCED_KEY, b"");
        }
        // Blocks that the batch itself has changed: what the disk holds of them says nothing any more.
        let mut touched = HashSet::new();
        for op in batch.ops() {
            match op {
                Op::PutBlock(cid, _) | Op::DeleteBlock(cid) if cid.hash().code() == HASH_IDENTITY => {}
                Op::PutBlock(cid, bytes) => {
                    let key = cid.hash().to_bytes();
                    if !touched.contains(&key) && self.holds(&key, bytes) {
                        continue;
                    }
                    writes.put_cf(blocks, &key, bytes);
                    writes.put_cf(index, &key, index_entry(bytes.len()));
                    touched.insert(key);
                }
                Op::DeleteBlock(cid) => {
                    let key = cid.hash().to_bytes();
                    writes.delete_cf(blocks, &key);
                    writes.delete_cf(index, &key);
                    touched.insert(key);
                }
                Op::Put(table, key, value) => writes.put_cf(self.table(*table), key, value),
                Op::Delete(table, key) => writes.delete_cf(self.table(*table), key),
            }
        }
        writes
    }

    /// Whether exactly these bytes are stored already.
    ///
    /// Adding the same file twice must not fill the disk twice: blobs are not rewritten, so a second copy would stay
    /// until garbage is collected. The index alone would do to see that, but then a damaged block could never be
    /// repaired by fetching it again. Comparing costs one read where writing costs two writes, to the log
    /// and to a blob. Where the read fails, the block is written.
    fn holds(&self, key: &[u8], bytes: &Bytes) -> bool {
        let index = families::handle(&self.db, families::INDEX);
        let indexed = matches!(self.db.get_pinned_cf(index, key), Ok(Some(entry)) if *entry == index_entry(bytes.len()));
        if !indexed {
            return false;
        }
        let blocks = families::handle(&self.db, families::BLOCKS);
        let mut once = ReadOptions::default();
        once.fill_cache(false);
        matches!(self.db.get_pinned_cf_opt(blocks, key, &once), Ok(Some(stored)) if *stored == **bytes)
    }

    /// Writes and, where asked, syncs.
    fn write(&self, writes: WriteBatch, durability: Durability) -> Result<(), String> {
        #[cfg(test)]
        if let Some(failure) = self
            .next_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            return Err(failure);
        }
        if writes.is_empty() {
            return Ok(());
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        self.db.write_opt(writes, &options).map_err(String::from)
    }

    fn table(&self, table: Table) -> &rocksdb::ColumnFamily {
        families::handle(&self.db, families::of_table(table))
    }

    #[cfg(test)]
    pub(crate) fn db(&self) -> &DB {
        &self.db
    }
}

impl ContentStore for RocksStore {
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.size(cid)?.is_some())
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        if cid.hash().code() == HASH_IDENTITY {
            return Ok(Some(cid.hash().digest().len() as u64));
        }
        let index = families::handle(&self.db, families::INDEX);
        let Some(entry) = self
            .db
            .get_pinned_cf(index, cid.hash().to_bytes())
            .map_err(|error| failure::on_read(&error))?
        else {
            return Ok(None);
        };
        let size = entry.first_chunk().ok_or(StoreError::Corrupt(*cid))?;
        Ok(Some(u64::from_be_bytes(*size)))
    }

    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if cid.hash().code() == HASH_IDENTITY {
            return Ok(Some(Bytes::copy_from_slice(cid.hash().digest())));
        }
        pinned::block(&self.db, &cid.hash().to_bytes()).map_err(|error| failure::on_block(cid, &error))
    }
}

impl Store for RocksStore {
    fn record(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self
            .db
            .get_cf(self.table(table), key)
            .map_err(|error| failure::on_read(&error))?;
        Ok(value.map(Bytes::from))
    }

    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Record>, StoreError> {
        // RocksDB leaves open what bounds in the wrong order mean.
        if scan.end.as_ref().is_some_and(|end| *end <= scan.start) {
            return Ok(Vec::new());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(scan.start.clone());
        if let Some(end) = &scan.end {
            options.set_iterate_upper_bound(end.clone());
        }
        let mode = match scan.direction {
            Direction::Forward => rocksdb::IteratorMode::Start,
            Direction::Backward => rocksdb::IteratorMode::End,
        };
        let records: DBIterator<'_> = self.db.iterator_cf_opt(self.table(table), options, mode);
        records
            .take(scan.limit)
            .map(|record| match record {
                Ok((key, value)) => Ok((Bytes::from(key), Bytes::from(value))),
                Err(error) => Err(failure::on_read(&error)),
            })
            .collect()
    }

    /// A full disk is [`StoreError::Full`] for the batch that met it and [`StoreError::Halted`] for the later ones:
    /// RocksDB's way out of its own error state is not offered by the crate, so that room on the disk is seen at the
    /// next open.
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let mut halted = self.halted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &*halted {
            return Err(StoreError::Halted(reason.clone()));
        }
        let writes = self.prepare(&batch, durability);
        self.write(writes, durability).map_err(|reason| {
            tracing::error!(%reason, path = %self.path.display(), "write failed, the store takes no more");
            let error = failure::on_write(&reason);
            *halted = Some(reason);
            error
        })
    }
}

fn index_entry(size: usize) -> [u8; 9] {
    let mut entry = [0; 9];
    entry[..8].copy_from_slice(&(size as u64).to_be_bytes());
    entry
}

fn create_directory(path: &Path) -> Result<(), StoreError> {
    let io = |error: std::io::Error| failure::on_create(path, &error);
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(path).map_err(io)?;
    // RocksDB syncs what is in its directory; that the directory is in its parent, nobody has synced.
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => std::fs::File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(io),
        _ => Ok(()),
    }
}

/// Refuses the layout of another version, and marks a new store with this one.
fn check_format(path: &Path, db: &DB) -> Result<(), StoreError> {
    let meta = families::handle(db, families::of_table(Table::Meta));
    let Some(found) = db
        .get_cf(meta, FORMAT_KEY)
        .map_err(|error| failure::on_open(path, &error))?
    else {
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        return db
            .put_cf_opt(meta, FORMAT_KEY, FORMAT.to_be_bytes(), &synced)
            .map_err(|error| failure::on_open(path, &error));
    };
    let found = found
        .try_into()
        .map(u32::from_be_bytes)
        .map_err(|_| failure::damaged(path, "its format record is not a number"))?;
    if found == FORMAT {
        Ok(())
    } else {
        Err(StoreError::Format { found, known: FORMAT })
    }
}
