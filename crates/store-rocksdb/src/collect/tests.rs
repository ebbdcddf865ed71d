//! Does a collection give the disk back, and does a check find what a disk can do?

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustle_store::collect::{Collect, Collector, Fault, Root, RootKind};
use rustle_store::{Batch, ContentStore, Durability, Store};
use rustle_types::Cid;
use rustle_types::content::{CODEC_RAW, HashFunction};

use crate::{Config, RocksStore, families};

fn open(path: &Path) -> RocksStore {
    RocksStore::open(path, &Config::default()).unwrap()
}

fn block(number: u32, size: usize) -> (Cid, Bytes) {
    let bytes = Bytes::from(number.to_be_bytes().repeat(size / 4));
    (Cid::new_v1(CODEC_RAW, HashFunction::Blake3.digest(&bytes)), bytes)
}

fn put(store: &RocksStore, blocks: &[(Cid, Bytes)]) {
    for part in blocks.chunks(64) {
        let mut batch = Batch::new();
        for (cid, bytes) in part {
            batch.put_block(*cid, bytes.clone());
        }
        store.commit(batch, Durability::Bulk).unwrap();
    }
    store.flush().unwrap();
}

fn collect<'a>(store: &RocksStore, kept: impl Iterator<Item = &'a (Cid, Bytes)>) -> u64 {
    let mut collector = Collector::begin(store, || None).unwrap();
    for (cid, _) in kept {
        collector.keep(Root {
            cid: *cid,
            kind: RootKind::Whole,
        });
        while collector.mark_step(&|_, _| Some(Vec::new())).unwrap() {}
    }
    while collector.sweep_step().unwrap() {}
    collector.progress().swept.blocks
}

#[test]
fn the_disk_gets_back_what_was_swept_though_no_file_was_garbage_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let blocks: Vec<_> = (0..640).map(|number| block(number, 50_000)).collect();
    // Many files of blobs, in each of which every fourth block is kept.
    blocks.chunks(64).for_each(|part| put(&store, part));
    let full = store.disk_bytes().unwrap();
    assert!(full > 32_000_000);

    let kept = || blocks.iter().step_by(4);
    assert_eq!(collect(&store, kept()), 480);
    store.reclaim().unwrap();

    let left = store.disk_bytes().unwrap();
    assert!(left < full / 3, "{left} of {full} bytes are left");
    for (number, (cid, bytes)) in blocks.iter().enumerate() {
        let stored = store.get_verified(cid).unwrap();
        assert_eq!(stored.as_ref(), (number % 4 == 0).then_some(bytes));
    }
    drop(store);
    let store = open(directory.path());
    assert!(kept().all(|(cid, bytes)| store.get_verified(cid).unwrap().as_ref() == Some(bytes)));
}

#[test]
fn epochs_go_on_over_a_restart_and_a_half_collection_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let blocks: Vec<_> = (0..10).map(|number| block(number, 100)).collect();
    let store = open(directory.path());
    put(&store, &blocks);
    let guard = store.begin_epoch(false).unwrap();
    let mut half = Collector::begin(&store, || None).unwrap();
    half.keep(Root {
        cid: blocks[0].0,
        kind: RootKind::Whole,
    });
    half.mark_step(&|_, _| Some(Vec::new())).unwrap();
    drop(half);
    drop(store);

    let store = open(directory.path());
    assert!(guard + 1 < store.begin_epoch(false).unwrap());
    assert_eq!(collect(&store, blocks[1..3].iter()), 8);
    assert_eq!(store.has(&blocks[0].0), Ok(false));
}

#[test]
fn a_check_finds_what_the_disk_has_changed_and_what_is_not_whole() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut blocks: Vec<_> = (0..60).map(|number| block(number, 9000)).collect();
    blocks.sort_by_key(|(cid, _)| cid.hash().to_bytes());
    put(&store, &blocks);
    let key = |of: usize| blocks[of].0.hash().to_bytes();
    let family = |name| families::handle(&store.db, name);
    store.db.delete_cf(family(families::BLOCKS), key(10)).unwrap();
    store.db.delete_cf(family(families::INDEX), key(59)).unwrap();
    store.db.delete_cf(family(families::INDEX), key(20)).unwrap();
    store.close().unwrap();
    let blob = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "blob"))
        .unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    let inside = |of: usize| {
        let content = &blocks[of].1;
        bytes
            .windows(content.len())
            .position(|window| window == content)
            .unwrap()
    };
    let (thirty, forty) = (inside(30), inside(40));
    bytes[thirty + 5000] ^= 1;
    bytes[forty] ^= 0x80;
    fs::write(&blob, bytes).unwrap();

    let store = Arc::new(open(directory.path()));
    let checked = store.check(b"", u64::MAX).unwrap();
    let expected = [
        (10, Fault::NoBytes),
        (20, Fault::NoEntry),
        (30, Fault::Damaged),
        (40, Fault::Damaged),
        (59, Fault::NoEntry),
    ];
    assert_eq!(checked.faults, expected.map(|(of, fault)| (blocks[of].0, fault)));
    assert_eq!(checked.blocks, 60);

    assert!(checked.faults.iter().all(|(cid, _)| store.mend(cid).unwrap()));
    assert_eq!(store.check(b"", u64::MAX).unwrap().faults, []);
    for (of, (cid, _)) in blocks.iter().enumerate() {
        assert_eq!(store.has(cid), Ok(![10, 30, 40].contains(&of)), "{of}");
    }
    put(&store, &blocks);
    assert!(
        blocks
            .iter()
            .all(|(cid, bytes)| store.get_verified(cid).unwrap().as_ref() == Some(bytes))
    );
}

#[test]
fn bytes_that_cannot_be_read_at_all_are_found_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let blocks: Vec<_> = (0..30).map(|number| block(number, 9000)).collect();
    put(&store, &blocks);
    store.close().unwrap();
    let store = open(directory.path());
    let blob = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "blob"))
        .unwrap();
    let half = fs::metadata(&blob).unwrap().len() / 2;
    fs::File::options()
        .write(true)
        .open(&blob)
        .unwrap()
        .set_len(half)
        .unwrap();

    let checked = store.check(b"", u64::MAX).unwrap();

    assert_eq!(checked.blocks, 30);
    assert_eq!(
        checked.faults.len(),
        30,
        "a blob file without its end is not opened"
    );
    assert!(checked.faults.iter().all(|(cid, _)| store.mend(cid).unwrap()));
    assert_eq!(store.check(b"", u64::MAX).unwrap().faults, []);
}

#[test]
fn a_disk_that_does_not_answer_is_no_reason_to_drop_a_block() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let blocks: Vec<_> = (0..30).map(|number| block(number, 9000)).collect();
    put(&store, &blocks);
    store.close().unwrap();
    let store = open(directory.path());
    let blob = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "blob"))
        .unwrap();
    // A folder opens as a file does, and gives an error when it is read.
    let aside = directory.path().join("aside");
    fs::rename(&blob, &aside).unwrap();
    fs::create_dir(&blob).unwrap();
    let fails = |error| matches!(error, rustle_store::StoreError::Io(_));
    assert!(fails(store.check(b"", u64::MAX).unwrap_err()));
    assert!(fails(store.mend(&blocks[0].0).unwrap_err()));

    fs::remove_dir(&blob).unwrap();
    fs::rename(&aside, &blob).unwrap();
    assert_eq!(store.check(b"", u64::MAX).unwrap().faults, []);
    assert!(
        blocks
            .iter()
            .all(|(cid, bytes)| store.get_verified(cid).unwrap().as_ref() == Some(bytes))
    );
}
