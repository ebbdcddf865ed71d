//! A store in memory, for tests, simulation and light clients.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::{CODEC_RAW, Multihash, verify};

use crate::collect::{Checked, Fault, Swept};
use crate::entry::is_inline;
use crate::{
    Batch, Collect, ContentStore, Direction, Durability, Entry, Epoch, Marked, Op, Record, Scan, Store,
    StoreError, Table,
};

/// Keeps everything in memory and loses it with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    blocks: BTreeMap<Vec<u8>, (Bytes, Entry)>,
    epoch: Epoch,
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
        if is_inline(cid) {
            return Ok(Some(Bytes::copy_from_slice(cid.hash().digest())));
        }
        let inner = self.read();
        Ok(inner
            .blocks
            .get(&cid.hash().to_bytes())
            .map(|(bytes, _)| bytes.clone()))
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
                Op::PutBlock(cid, _) if is_inline(&cid) => {}
                Op::PutBlock(cid, bytes) => {
                    let entry = Entry::new(bytes.len() as u64, inner.epoch);
                    inner.blocks.insert(cid.hash().to_bytes(), (bytes, entry));
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

impl Collect for MemoryStore {
    fn begin_epoch(&self, _is_collection: bool) -> Result<Epoch, StoreError> {
        let mut inner = self.write();
        inner.epoch += 1;
        Ok(inner.epoch)
    }

    fn touch(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        let mut inner = self.write();
        let epoch = inner.epoch;
        let touched = cids.iter().map(|cid| {
            let Some((_, entry)) = inner.blocks.get_mut(&cid.hash().to_bytes()) else {
                return is_inline(cid);
            };
            *entry = entry.touched(epoch).unwrap_or(*entry);
            true
        });
        Ok(touched.collect())
    }

    fn mark(&self, walk: Epoch, cids: &[Cid]) -> Result<Vec<Marked>, StoreError> {
        let mut inner = self.write();
        let marked = cids.iter().map(|cid| {
            let Some((_, entry)) = inner.blocks.get_mut(&cid.hash().to_bytes()) else {
                return Marked::of_absent(cid);
            };
            let (now, marked) = entry.marked(walk, cid.codec());
            *entry = now;
            marked
        });
        Ok(marked.collect())
    }

    fn entries(&self, from: &[u8], limit: usize) -> Result<Vec<(Multihash, Entry)>, StoreError> {
        let inner = self.read();
        let entries = inner.blocks.range(from.to_vec()..).take(limit);
        let named = entries.filter_map(|(key, (_, entry))| Some((Multihash::from_bytes(key).ok()?, *entry)));
        Ok(named.collect())
    }

    fn sweep(&self, before: Epoch, hashes: &[Multihash]) -> Result<Swept, StoreError> {
        let mut inner = self.write();
        let mut swept = Swept::default();
        for hash in hashes {
            let key = hash.to_bytes();
            if let Some((_, entry)) = inner.blocks.get(&key)
                && entry.epoch < before
            {
                swept.blocks += 1;
                swept.bytes += entry.size;
                inner.blocks.remove(&key);
            }
        }
        Ok(swept)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn check(&self, from: &[u8], bytes_max: u64) -> Result<Checked, StoreError> {
        let inner = self.read();
        let mut checked = Checked::default();
        for (key, (bytes, _)) in inner.blocks.range(from.to_vec()..) {
            if bytes_max <= checked.bytes {
                checked.next = Some(key.clone());
                break;
            }
            checked.blocks += 1;
            checked.bytes += bytes.len() as u64;
            if let Ok(hash) = Multihash::from_bytes(key) {
                let cid = Cid::new_v1(CODEC_RAW, hash);
                if verify(&cid, bytes).is_err() {
                    checked.faults.push((cid, Fault::Damaged));
                }
            }
        }
        Ok(checked)
    }

    fn mend(&self, cid: &Cid) -> Result<bool, StoreError> {
        if !matches!(self.get_verified(cid), Err(StoreError::Corrupt(_))) {
            return Ok(false);
        }
        self.write().blocks.remove(&cid.hash().to_bytes());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    fn damage(store: &MemoryStore, cid: &Cid, damaged: Bytes) {
        let mut inner = store.inner.write().unwrap();
        inner.blocks.get_mut(&cid.hash().to_bytes()).unwrap().0 = damaged;
    }

    fn open() -> Box<MemoryStore> {
        Box::default()
    }

    #[test]
    fn keeps_the_contract_of_content() {
        contract::content(&*open());
        contract::hashes(&*open());
        contract::corruption(&*open(), damage);
    }

    #[test]
    fn keeps_the_contract_of_batches() {
        contract::batches(&*open());
    }

    #[test]
    fn keeps_the_contract_of_collections() {
        contract::collection(&*open());
        contract::faults(&*open(), damage);
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
        contract::all(open, 16, Some(damage));
    }
}
