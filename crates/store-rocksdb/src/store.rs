//! How is a directory opened, read and closed as a store?

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rocksdb::{DB, DBIterator, ReadOptions, WriteOptions};
use rustle_store::{
    Batch, ContentStore, Direction, Durability, Record, Scan, Store, StoreError, Table, is_inline,
};
use rustle_types::Cid;
use rustle_types::content;

use crate::collect::Epochs;
use crate::commit::Line;
use crate::pinned::Checks;
use crate::{Config, failure, families, log, pinned};

/// The version of the layout on disk. A directory of another version is refused.
pub const FORMAT: u32 = 1;

/// Key of the format record (u32 BE) in [`Table::Meta`]. The dot keeps it apart from the settings of the node.
const FORMAT_KEY: &[u8] = b"store.format";
/// A store in a directory, held by this process alone.
///
/// The directory is released when the store and all [`Bytes`] of blocks that were read from it are dropped. What was not
/// synced is in the log then, and is lost only with the power; bulk commits are flushed.
#[derive(Debug)]
pub struct RocksStore {
    pub(crate) db: Arc<DB>,
    pub(crate) path: PathBuf,
    /// Commits stand in a line: what one finds stored stays so until it is written, and none slips through behind a
    /// failed one.
    pub(crate) line: Mutex<Line>,
    /// Held by the one flush that runs.
    pub(crate) flushing: Mutex<()>,
    /// The error that the next write is to meet.
    #[cfg(test)]
    pub(crate) next_failure: Mutex<Option<String>>,
    /// Bytes that the disk is taken to have free.
    #[cfg(test)]
    pub(crate) free: Mutex<Option<u64>>,
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
        let next = log::check(path)?;
        let options = families::database(config);
        // A new directory has no families to list; whatever else is wrong the open itself reports.
        let present = DB::list_cf(&options, path).unwrap_or_default();
        let db = DB::open_cf_descriptors(&options, path, families::all(config, &present))
            .map_err(|error| failure::on_open(path, &error))?;
        let last = db.latest_sequence_number();
        check_format(path, &db)?;
        let line = Line::open(last, next, epochs(path, &db)?);
        tracing::debug!(path = %path.display(), sequence = db.latest_sequence_number(), "store opened");
        Ok(Self {
            db: Arc::new(db),
            path: path.to_owned(),
            line: Mutex::new(line),
            flushing: Mutex::new(()),
            #[cfg(test)]
            next_failure: Mutex::new(None),
            #[cfg(test)]
            free: Mutex::new(None),
        })
    }

    /// Makes everything durable and releases the directory.
    ///
    /// Dropping the store releases it as well, without a word about errors. [`StoreError::Io`] where blocks that were
    /// read are still held: the directory is then released with the last of them.
    pub fn close(self) -> Result<(), StoreError> {
        self.commit(Batch::new(), Durability::Synced)?;
        self.flush()?;
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

    /// Ends compactions wherever they are, for a process that ends while somebody still holds the store.
    pub fn stop_background(&self) {
        self.db.cancel_all_background_work(true);
    }

    fn block(&self, cid: &Cid, checks: Checks) -> Result<Option<Bytes>, StoreError> {
        if is_inline(cid) {
            return Ok(Some(Bytes::copy_from_slice(cid.hash().digest())));
        }
        pinned::block(&self.db, &cid.hash().to_bytes(), checks)
            .map_err(|error| failure::on_block(cid, &error))
    }

    pub(crate) fn table(&self, table: Table) -> &rocksdb::ColumnFamily {
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
        if is_inline(cid) {
            return Ok(Some(cid.hash().digest().len() as u64));
        }
        Ok(self.entry(&cid.hash().to_bytes())?.map(|entry| entry.size))
    }

    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.block(cid, Checks::OfRocksDb)
    }

    /// The block's own hash is the check; RocksDB's checksum over the same bytes would cost as much again.
    fn get_verified(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        match self.block(cid, Checks::OfCaller)? {
            Some(bytes) if content::verify(cid, &bytes).is_ok() => Ok(Some(bytes)),
            Some(_) => Err(StoreError::Corrupt(*cid)),
            // Without checksums a key that was damaged is one that is not there.
            None if self.has(cid)? => Err(StoreError::Corrupt(*cid)),
            None => Ok(None),
        }
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

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        self.write_batch(&batch, durability)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.flush_bulk()
    }

    fn health(&self) -> Result<(), StoreError> {
        self.line.lock().check()?;
        self.check_content_room()
    }
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

fn epochs(path: &Path, db: &DB) -> Result<Epochs, StoreError> {
    let meta = families::handle(db, families::of_table(Table::Meta));
    let record = db.get_cf(meta, Epochs::KEY);
    let record = record.map_err(|error| failure::on_open(path, &error))?;
    Ok(Epochs::open(record.as_deref()))
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
