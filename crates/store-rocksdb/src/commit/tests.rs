//! What is left of bulk commits when the process is killed?

use std::fs;
use std::path::Path;

use bytes::Bytes;
use rustle_store::collect::Collect;
use rustle_store::{Batch, ContentStore, Durability, Store, StoreError, Table};
use rustle_types::{BlockId, Cid};
use tempfile::TempDir;

use crate::{Config, RocksStore, families};

/// Buffers so small that RocksDB flushes by itself in the middle of an import.
fn small_buffers() -> Config {
    Config {
        block_buffer_bytes: 256 << 10,
        record_buffer_bytes: 64 << 10,
        ..Config::default()
    }
}

fn open(path: &Path) -> Result<RocksStore, StoreError> {
    RocksStore::open(path, &Config::default())
}

fn block(number: u32, size: usize) -> (Cid, Bytes) {
    let bytes = Bytes::from(number.to_be_bytes().repeat(size / 4));
    (BlockId::of(&bytes).cid(), bytes)
}

fn put(store: &RocksStore, blocks: &[(Cid, Bytes)], durability: Durability) {
    let mut batch = Batch::new();
    for (cid, bytes) in blocks {
        batch.put_block(*cid, bytes.clone());
    }
    store.commit(batch, durability).unwrap();
}

fn record(store: &RocksStore, key: &[u8], durability: Durability) {
    let mut batch = Batch::new();
    batch.put(Table::Pins, key.to_vec(), b"value".to_vec());
    store.commit(batch, durability).unwrap();
}

/// The files as a kill at this moment would leave them. Retried while a flush or a compaction changes them.
fn image(store: &RocksStore) -> TempDir {
    let copy = || {
        let image = tempfile::tempdir()?;
        for entry in fs::read_dir(&store.path)? {
            let path = entry?.path();
            fs::copy(&path, image.path().join(path.file_name().unwrap()))?;
        }
        Ok::<_, std::io::Error>(image)
    };
    store.db.flush_wal(false).unwrap();
    (0..100)
        .find_map(|_| copy().ok())
        .expect("the files change at every try")
}

/// The blocks that have an entry in the index, each of which has to have its bytes.
fn kept(store: &RocksStore, blocks: &[(Cid, Bytes)]) -> usize {
    let mut count = 0;
    for (cid, bytes) in blocks {
        let stored = store.get_verified(cid).unwrap();
        assert_eq!(store.has(cid).unwrap(), stored.is_some(), "index and bytes agree");
        assert!(stored.is_none_or(|stored| stored == *bytes));
        count += usize::from(store.has(cid).unwrap());
    }
    count
}

#[test]
fn a_bulk_commit_is_lost_whole_before_the_flush_and_kept_whole_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let blocks: Vec<_> = (0..40)
        .map(|number| block(number, 100 << (number % 12)))
        .collect();
    put(&store, &blocks, Durability::Bulk);
    record(&store, b"synced behind it", Durability::Synced);
    let before = image(&store);
    store.flush().unwrap();
    let behind = image(&store);

    let killed = open(before.path()).unwrap();
    assert_eq!(kept(&killed, &blocks), 0);
    assert!(
        killed.record(Table::Pins, b"synced behind it").unwrap().is_some(),
        "what is logged is kept all the same"
    );
    assert_eq!(kept(&open(behind.path()).unwrap(), &blocks), blocks.len());
}

#[test]
fn what_is_put_again_with_the_log_is_written_to_it() {
    for durability in [Durability::Buffered, Durability::Synced] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).unwrap();
        let blocks: Vec<_> = (0..20).map(|number| block(number, 8000)).collect();
        put(&store, &blocks, Durability::Bulk);
        put(&store, &blocks[..5], durability);

        let killed = open(image(&store).path()).map(|store| kept(&store, &blocks));

        assert_eq!(killed, Ok(5), "{durability:?}");
        store.flush().unwrap();
        let before = store.disk_bytes().unwrap();
        put(&store, &blocks, durability);
        let grown = store.disk_bytes().unwrap() - before;
        assert!(grown < 100, "after the flush they are stored: {grown} bytes");
    }
}

#[test]
fn a_flush_that_rocksdb_begins_by_itself_leaves_index_and_blocks_in_step() {
    let directory = tempfile::tempdir().unwrap();
    let store = RocksStore::open(directory.path(), &small_buffers()).unwrap();
    // Small blocks fill the buffer of the index first, large ones that of the blocks.
    for size in [40, 30_000] {
        let blocks: Vec<_> = (0..3_000_000 / (size + 1500))
            .map(|number| block(number as u32, size))
            .collect();
        for part in blocks.chunks(50) {
            put(&store, part, Durability::Bulk);
        }
        let image = image(&store);

        let killed = open(image.path()).unwrap();

        let kept = kept(&killed, &blocks);
        assert!(kept < blocks.len(), "{kept} of {}", blocks.len());
    }
    drop(store);
    assert!(
        open(directory.path()).is_ok(),
        "a store that is dropped flushes what is left"
    );
}

#[test]
fn many_blocks_are_flushed_before_they_cannot_be_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let blocks: Vec<_> = (0..=crate::unflushed::UNFLUSHED_MAX as u32)
        .map(|number| block(number, 4))
        .collect();

    put(&store, &blocks, Durability::Bulk);

    assert_eq!(kept(&open(image(&store).path()).unwrap(), &blocks[..1000]), 1000);
}

#[test]
fn a_closed_store_has_kept_everything() {
    let directory = tempfile::tempdir().unwrap();
    let blocks: Vec<_> = (0..20).map(|number| block(number, 8000)).collect();
    let store = open(directory.path()).unwrap();
    put(&store, &blocks, Durability::Bulk);
    store.close().unwrap();

    assert_eq!(kept(&open(directory.path()).unwrap(), &blocks), blocks.len());
}

#[test]
fn an_index_entry_without_its_block_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let lost = block(1, 8000);
    put(&store, std::slice::from_ref(&lost), Durability::Synced);
    let blocks = families::handle(&store.db, families::BLOCKS);
    store.db.delete_cf(blocks, lost.0.hash().to_bytes()).unwrap();

    assert_eq!(store.get_verified(&lost.0), Err(StoreError::Corrupt(lost.0)));
}

/// A log in which bulk commits have left gaps of many numbers.
fn gaps() -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let mut number = 0;
    for round in 0..3_u8 {
        let store = open(directory.path()).unwrap();
        for step in 0..10_u8 {
            let blocks: Vec<_> = (number..number + 2000).map(|number| block(number, 8)).collect();
            number += 2000;
            put(&store, &blocks, Durability::Bulk);
            record(&store, &[round, step, 0], Durability::Buffered);
            record(&store, &[round, step, 1], Durability::Buffered);
            if step % 3 == 2 {
                record(&store, &[round, step, 2], Durability::Synced);
            }
            if step == 5 {
                store.flush().unwrap();
            }
        }
        record(&store, &[round, 99, 0], Durability::Synced);
        let image = image(&store);
        drop(store);
        if round == 2 {
            let log = fs::read_dir(image.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|end| end == "log"))
                .max()
                .unwrap();
            return (image, log);
        }
    }
    unreachable!("the last round returns")
}

#[test]
fn gaps_in_the_numbers_of_the_log_are_no_damage_and_hide_none() {
    let (image, log) = gaps();
    let sound = fs::read(&log).unwrap();
    let again = |bytes: &[u8]| {
        fs::write(&log, bytes).unwrap();
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(image.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        open(copy.path()).map(drop)
    };
    assert_eq!(again(&sound), Ok(()));

    // Any byte but those of the last record, which is the only one that may have been torn.
    for at in (0..sound.len() - 100).step_by(7) {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x55;
        let error = again(&damaged).expect_err("damage before what was synced");
        assert!(error.to_string().contains("damaged"), "byte {at}: {error}");
    }
    for cut in [1, 20, 60] {
        assert_eq!(again(&sound[..sound.len() - cut]), Ok(()), "a torn tail");
    }
}

#[test]
fn a_flush_of_all_buffers_says_nothing_about_a_flush_of_blocks_that_is_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let blocks: Vec<_> = (0..3).map(|number| block(number, 8000)).collect();
    put(&store, &blocks, Durability::Bulk);
    let key = blocks[0].0.hash().to_bytes();
    store.line.lock().unflushed.begin_flush();

    store.flush_all().unwrap();
    assert!(
        store.line.lock().unflushed.has(&key),
        "its own end is still to come"
    );
}

#[test]
fn each_purpose_leaves_its_part_of_a_disk_that_fills_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let blocks: Vec<_> = (0..4).map(|number| block(number, 8000)).collect();
    put(&store, &blocks, Durability::Bulk);
    let bulk = |number| {
        let (cid, bytes) = block(number, 8000);
        let mut batch = Batch::new();
        batch.put_block(cid, bytes);
        store.commit(batch, Durability::Bulk)
    };
    let named = |key: &[u8]| {
        let mut batch = Batch::new();
        batch.put(Table::Pins, key.to_vec(), b"value".to_vec());
        store.commit(batch, Durability::Synced)
    };
    let collects = || {
        let walk = store.begin_epoch(true)?;
        store.touch(&[blocks[0].0])?;
        store.mark(walk, &[blocks[1].0])?;
        store.sweep(walk, &[*blocks[3].0.hash()])
    };
    named(b"pin").unwrap();
    let set = |mebibytes: u64| *store.free.lock() = Some(mebibytes << 20);
    let is_full = |result| matches!(result, Err(StoreError::Full(_)));

    set(100);
    assert_eq!((store.health(), bulk(10)), (Ok(()), Ok(())));
    set(35);
    assert!(is_full(store.health()) && is_full(bulk(11)));
    assert_eq!(named(b"other"), Ok(()), "pins and chains go on");
    set(13);
    assert!(is_full(named(b"third")));
    assert_eq!(
        collects().map(|swept| swept.blocks),
        Ok(1),
        "garbage is collected"
    );
    let mut batch = Batch::new();
    batch.delete(Table::Pins, b"pin".to_vec());
    assert_eq!(
        store.commit(batch, Durability::Synced),
        Ok(()),
        "and a pin removed"
    );
    set(5);
    assert!(is_full(collects().map(drop)));
    set(100);
    assert_eq!((store.health(), bulk(11)), (Ok(()), Ok(())));
}

#[test]
fn what_waits_in_memory_is_written_before_a_write_is_refused_for_its_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let blocks: Vec<_> = (0..300).map(|number| block(number, 100_000)).collect();
    for part in blocks.chunks(30) {
        put(&store, part, Durability::Bulk);
    }
    assert!(25 << 20 < store.pending_bytes());
    *store.free.lock() = Some(36 << 20);

    let walk = store.begin_epoch(true).unwrap();
    assert!(store.mark(walk, &[blocks[0].0]).is_ok());
    record(&store, b"pin", Durability::Synced);
    assert!(store.pending_bytes() < 8 << 20, "{}", store.pending_bytes());
    assert_eq!(kept(&open(image(&store).path()).unwrap(), &blocks), 300);
}

#[test]
fn a_failed_write_of_a_collection_shows_in_the_health() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let blocks = [block(1, 8000)];
    put(&store, &blocks, Durability::Synced);
    *store.next_failure.lock() = Some("input/output error".to_owned());

    store.begin_epoch(true).unwrap_err();

    assert!(matches!(store.health(), Err(StoreError::Halted(_))));
}
