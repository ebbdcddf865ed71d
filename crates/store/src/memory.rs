//! A store in memory, for tests, simulation and light clients.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::HASH_IDENTITY;

use crate::{Batch, ContentStore, Direction, Durability, Op, Record, Scan, Store, StoreError, Table};

/// Keeps everything in memory and loses it with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    blocks: BTreeMap<Vec<u8>, Bytes>,
    records: BTreeMap<(Table, Vec<u8>), Bytes>,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ContentStore for MemoryStore {
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.size(cid)?.is_some())
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        Ok(self.get(cid)?.map(|bytes| bytes.len() as u64))
    }

    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if cid.hash().code() == HASH_IDENTITY {
            return Ok(Some(Bytes::copy_from_slice(cid.hash().digest())));
        }
        Ok(self.read().blocks.get(&cid.hash().to_bytes()).cloned())
    }
}

impl Store for MemoryStore {
    fn record(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.read().records.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<Record>, StoreError> {
        let inner = self.read();
        let range = inner
            .records
            .range((table, scan.start.clone())..)
            .take_while(|((of, key), _)| *of == table && scan.end.as_ref().is_none_or(|end| key < end))
            .map(|((_, key), value)| (Bytes::copy_from_slice(key), value.clone()));
        let records = match scan.direction {
            Direction::Forward => range.take(scan.limit).collect(),
            Direction::Backward => {
                let mut all: Vec<Record> = range.collect();
                all.reverse();
                all.truncate(scan.limit);
                all
            }
        };
        Ok(records)
    }

    fn commit(&self, batch: Batch, _durability: Durability) -> Result<(), StoreError> {
        let mut inner = self.write();
        for op in batch.into_ops() {
            match op {
                Op::PutBlock(cid, _) if cid.hash().code() == HASH_IDENTITY => {}
                Op::PutBlock(cid, bytes) => {
                    inner.blocks.insert(cid.hash().to_bytes(), bytes);
                }
                Op::DeleteBlock(cid) => {
                    inner.blocks.remove(&cid.hash().to_bytes());
                }
                Op::Put(table, key, value) => {
                    inner.records.insert((table, key), Bytes::from(value));
                }
                Op::Delete(table, key) => {
                    inner.records.remove(&(table, key));
                }
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    fn open() -> Box<MemoryStore> {
        Box::default()
    }

    #[test]
    fn keeps_the_contract_of_content() {
        contract::content(&*open());
        contract::corruption(&*open(), |store, cid, damaged| {
            store
                .inner
                .write()
                .unwrap()
                .blocks
                .insert(cid.hash().to_bytes(), damaged);
        });
    }

    #[test]
    fn keeps_the_contract_of_batches() {
        contract::batches(&*open());
    }

    #[test]
    fn keeps_the_contract_of_bulk_writes() {
        contract::bulk(&*open());
    }

    #[test]
    fn keeps_the_contract_of_scans() {
        contract::scans(&*open());
        contract::scans_match_the_model(open, 256);
    }

    #[test]
    fn keeps_the_whole_contract_as_others_run_it() {
        contract::all(
            open,
            16,
            Some(|store: &MemoryStore, cid: &Cid, damaged: Bytes| {
                store
                    .inner
                    .write()
                    .unwrap()
                    .blocks
                    .insert(cid.hash().to_bytes(), damaged);
            }),
        );
    }
}
