//! Is every block what its name says, and does the index know just these?

use rocksdb::{DBRawIterator, ReadOptions, WriteBatch};
use rustle_store::collect::{Checked, Fault};
use rustle_store::{ContentStore as _, Durability, Entry, StoreError, is_inline};
use rustle_types::Cid;
use rustle_types::content::{self, CODEC_RAW, Multihash};

use crate::pinned::{self, Checks};
use crate::usage::Purpose;
use crate::{RocksStore, failure, families};

/// Goes through bytes and entries side by side, as they were at one moment.
pub(crate) fn check(store: &RocksStore, from: &[u8], bytes_max: u64) -> Result<Checked, StoreError> {
    let snapshot = store.db.snapshot();
    let iterator = |family| {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_verify_checksums(family != families::BLOCKS);
        snapshot.raw_iterator_cf_opt(families::handle(&store.db, family), options)
    };
    let (mut blocks, mut entries) = (iterator(families::BLOCKS), iterator(families::INDEX));
    blocks.seek(from);
    entries.seek(from);
    let mut checked = Checked::default();
    loop {
        let entry = key(&entries)?;
        // The iterator over bytes does not tell the name of what it could not read. The index does.
        let block = match (blocks.status(), &entry) {
            (Ok(()), _) => blocks.key().map(<[u8]>::to_vec),
            (Err(_), Some(entry)) => {
                let entry = entry.clone();
                unreadable(store, &entry, &mut checked)?;
                entries.next();
                blocks.seek(after(&entry));
                continue;
            }
            (Err(error), None) => return Err(failure::on_read(&error)),
        };
        let least = match (&block, &entry) {
            (None, None) => return Ok(checked),
            (Some(block), Some(entry)) => block.min(entry).clone(),
            (Some(one), None) | (None, Some(one)) => one.clone(),
        };
        if bytes_max <= checked.bytes {
            checked.next = Some(least);
            return Ok(checked);
        }
        let (has_bytes, has_entry) = (block.as_ref() == Some(&least), entry.as_ref() == Some(&least));
        let size = entries
            .value()
            .and_then(Entry::from_bytes)
            .map(|entry| entry.size);
        look(
            &least,
            has_bytes.then(|| blocks.value().unwrap_or_default()),
            has_entry.then_some(size),
            &mut checked,
        )?;
        if has_bytes {
            blocks.next();
        }
        if has_entry {
            entries.next();
        }
    }
}

/// Judges one block by its bytes, if there are some, and the size in its entry, if there is one.
fn look(
    key: &[u8],
    bytes: Option<&[u8]>,
    entry: Option<Option<u64>>,
    checked: &mut Checked,
) -> Result<(), StoreError> {
    let cid = name(key)?;
    checked.blocks += 1;
    checked.bytes += bytes.map_or(0, |bytes| bytes.len() as u64);
    let fault = match (bytes, entry) {
        (None, _) => Some(Fault::NoBytes),
        (Some(bytes), _) if content::verify(&cid, bytes).is_err() => Some(Fault::Damaged),
        (Some(bytes), Some(size)) if size == Some(bytes.len() as u64) => None,
        (Some(_), _) => Some(Fault::NoEntry),
    };
    checked.faults.extend(fault.map(|fault| (cid, fault)));
    Ok(())
}

/// Judges the block of an entry before which the bytes of some block could not be read.
fn unreadable(store: &RocksStore, key: &[u8], checked: &mut Checked) -> Result<(), StoreError> {
    let cid = name(key)?;
    checked.blocks += 1;
    match store.get_verified(&cid) {
        Ok(bytes) => checked.bytes += bytes.map_or(0, |bytes| bytes.len() as u64),
        Err(StoreError::Corrupt(_)) => checked.faults.push((cid, Fault::Damaged)),
        // A disk that does not answer says nothing about the block.
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Brings bytes and entry in step, while no commit comes between.
pub(crate) fn mend(store: &RocksStore, cid: &Cid) -> Result<bool, StoreError> {
    if is_inline(cid) {
        return Ok(false);
    }
    let key = cid.hash().to_bytes();
    let mut line = store.line.lock();
    line.check()?;
    let index = families::handle(&store.db, families::INDEX);
    // Only what is known to be damaged is dropped: a disk that does not answer now may do so later.
    let (bytes, is_damaged) = match pinned::block(&store.db, &key, Checks::OfCaller) {
        Ok(bytes) => (bytes, false),
        Err(error) if failure::is_damage(&error) => (None, true),
        Err(error) => return Err(failure::on_read(&error)),
    };
    let entry = store.db.get_cf(index, &key);
    let entry = entry.map_err(|error| failure::on_read(&error))?;
    let is_there = is_damaged || bytes.is_some() || entry.is_some();
    let entry = entry.and_then(|entry| Entry::from_bytes(&entry));
    let whole = bytes.filter(|bytes| content::verify(cid, bytes).is_ok());
    let mut writes: WriteBatch = store.begin_batch(&line, Durability::Buffered);
    match (whole, entry) {
        (Some(bytes), Some(entry)) if entry.size == bytes.len() as u64 => return Ok(false),
        (Some(bytes), _) => {
            let entry = Entry::new(bytes.len() as u64, line.epochs.now);
            writes.put_cf(index, &key, entry.to_bytes());
        }
        (None, _) => store.remove_block(&mut writes, &key),
    }
    store.write_line(&mut line, writes, Durability::Buffered, Purpose::Room)?;
    Ok(is_there)
}

fn key(iterator: &DBRawIterator<'_>) -> Result<Option<Vec<u8>>, StoreError> {
    iterator.status().map_err(|error| failure::on_read(&error))?;
    Ok(iterator.key().map(<[u8]>::to_vec))
}

fn name(key: &[u8]) -> Result<Cid, StoreError> {
    let hash = Multihash::from_bytes(key);
    let hash = hash.map_err(|_| StoreError::Io("a block's key is no multihash".to_owned()))?;
    Ok(Cid::new_v1(CODEC_RAW, hash))
}

/// The least key behind this one.
fn after(key: &[u8]) -> Vec<u8> {
    let mut after = key.to_vec();
    after.push(0);
    after
}
