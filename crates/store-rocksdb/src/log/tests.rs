//! Is a torn tail cut, and every other damage of the log refused?

use std::fs;
use std::path::{Path, PathBuf};

use rustle_store::{Batch, Durability, Scan, Store, StoreError, Table};
use tempfile::TempDir;

use super::{BLOCK_BYTES, HEADER_BYTES, Replay, crc32c, fragment};
use crate::{Config, RocksStore, families};

const RECORDS: u32 = 600;

fn open(path: &Path) -> Result<RocksStore, StoreError> {
    RocksStore::open(path, &Config::default())
}

fn append(store: &RocksStore, number: u32) {
    let mut batch = Batch::new();
    // The sizes put records over the ends of blocks and a block's padding at their ends.
    batch.put(
        Table::ChainOrder,
        number.to_be_bytes().to_vec(),
        vec![7; 100 + number as usize % 97],
    );
    store.commit(batch, Durability::Buffered).unwrap();
}

/// A store with acknowledged records whose process was killed, and its log.
fn killed() -> (TempDir, PathBuf) {
    killed_after(|store| store.commit(Batch::new(), Durability::Synced).unwrap())
}

fn killed_after(last: impl FnOnce(&RocksStore)) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    (0..RECORDS).for_each(|number| append(&store, number));
    last(&store);
    // Nothing is flushed where a store is dropped: what is left is what a kill leaves.
    drop(store);
    let log = log_of(directory.path());
    (directory, log)
}

fn log_of(directory: &Path) -> PathBuf {
    let mut logs: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    assert_eq!(logs.len(), 1);
    logs.remove(0)
}

/// How many records an open finds. They are the first ones that were acknowledged.
fn kept(directory: &Path) -> Result<usize, StoreError> {
    let store = open(directory)?;
    let records = store.scan(Table::ChainOrder, &Scan::prefix(b"", 10_000))?;
    for (record, number) in records.iter().zip(0_u32..) {
        assert_eq!(record.0, &number.to_be_bytes()[..]);
    }
    Ok(records.len())
}

fn change(log: &Path, by: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(log).unwrap();
    by(&mut bytes);
    fs::write(log, bytes).unwrap();
}

/// Where each fragment of the log begins.
fn fragments(log: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    for (base, block) in (0..).step_by(BLOCK_BYTES).zip(log.chunks(BLOCK_BYTES)) {
        let mut at = 0;
        while let Some((_, payload)) = fragment(&block[at..]) {
            starts.push(base + at);
            at += HEADER_BYTES + payload.len();
        }
    }
    starts
}

#[track_caller]
fn assert_refused(directory: &Path, what: &str) {
    let error = open(directory).map(drop).expect_err(what).to_string();
    let named = directory.display().to_string();
    for part in [&named, "damaged", "restore", "backup", "join the chains again"] {
        assert!(error.contains(part), "{what}: {error}");
    }
    assert!(!error.contains('\n'), "{what}: {error}");
}

#[test]
fn the_checksum_is_that_of_the_rfc() {
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn a_log_that_was_not_damaged_is_whole() {
    let (directory, log) = killed();
    let mut replay = Replay::default();

    assert!(replay.file(&log).is_ok());

    assert!(replay.torn.is_none());
    assert!(replay.next > Some(u64::from(RECORDS)));
    assert_eq!(kept(directory.path()), Ok(RECORDS as usize));
}

#[test]
fn flipped_bytes_before_the_last_record_are_refused_and_the_log_is_left_as_it_is() {
    let (directory, log) = killed();
    let sound = fs::read(&log).unwrap();
    let starts = fragments(&sound);
    assert!(sound.len() > 3 * BLOCK_BYTES);
    // A fragment in the first block, some over the ends of blocks, and those in the last block, which RocksDB takes as
    // a torn tail when it is their length that is damaged.
    let last = starts.len() - 1;
    for of in (0..last).filter(|of| of % 41 == 0 || last - of < 4) {
        let start = starts[of];
        // Checksum, both bytes of the length, type (to that of a recycled log, and to none), sequence, value.
        for (offset, bits) in [
            (0, 1),
            (4, 0x80),
            (5, 0xff),
            (6, 4),
            (6, 0x40),
            (8, 1),
            (30, 0xff),
        ] {
            change(&log, |bytes| bytes[start + offset] ^= bits);
            assert_refused(directory.path(), &format!("fragment {of}, byte {offset}"));
            fs::write(&log, &sound).unwrap();
        }
    }
    assert_eq!(kept(directory.path()), Ok(RECORDS as usize));
}

#[test]
fn zeros_in_the_middle_of_the_log_are_refused() {
    let (directory, log) = killed();
    let sound = fs::read(&log).unwrap();
    for (from, count) in [(0, 512), (BLOCK_BYTES, BLOCK_BYTES), (BLOCK_BYTES + 4096, 4096)] {
        change(&log, |bytes| bytes[from..from + count].fill(0));
        assert_refused(directory.path(), &format!("{count} zeros at {from}"));
        fs::write(&log, &sound).unwrap();
    }
    let starts = fragments(&sound);
    // The first of these lies in the block in which the log ends.
    for start in starts[..starts.len() - 1]
        .iter()
        .rev()
        .copied()
        .skip(3)
        .step_by(50)
    {
        change(&log, |bytes| bytes[start..start + 40].fill(0));
        assert_refused(directory.path(), &format!("zeros over the record at {start}"));
        fs::write(&log, &sound).unwrap();
    }
}

#[test]
fn a_log_that_was_cut_opens_with_the_records_before_the_cut() {
    let (_directory, log) = killed_after(|_| ());
    let sound = fs::read(&log).unwrap();
    for cut in [
        1,
        6,
        7,
        50,
        107,
        150,
        1000,
        BLOCK_BYTES,
        sound.len() - BLOCK_BYTES,
        sound.len() / 2,
    ] {
        let (directory, log) = killed_after(|_| ());
        change(&log, |bytes| bytes.truncate(sound.len() - cut));

        let found = kept(directory.path()).unwrap();

        assert!(found < RECORDS as usize, "{cut}");
        assert!(
            (RECORDS as usize - found - 1) * 100 <= cut,
            "{cut} bytes lost {found}"
        );
        // The store goes on from there, and the next opens find a whole log again.
        let store = open(directory.path()).unwrap();
        append(&store, u32::try_from(found).unwrap());
        drop(store);
        assert_eq!(kept(directory.path()), Ok(found + 1));
    }
}

#[test]
fn a_last_record_that_a_kill_or_a_loss_of_power_tore_is_cut() {
    let whole = RECORDS as usize;
    let (_directory, log) = killed();
    let sound = fs::read(&log).unwrap();
    let last = sound[*fragments(&sound).last().unwrap()..].to_vec();
    let mut wrong = last.clone();
    wrong[20..].fill(0xff);
    for (what, tail) in [
        ("a header that was cut", &last[..5]),
        ("a header alone", &last[..7]),
        ("half a record", &last[..last.len() / 2]),
        ("a record of which a page was not written", &wrong),
        ("zeros", &[0; 70_000]),
        ("half a record and zeros", &[&last[..20], &[0; 5000]].concat()),
    ] {
        let (directory, log) = killed();
        change(&log, |bytes| bytes.extend_from_slice(tail));

        assert_eq!(kept(directory.path()), Ok(whole), "{what}");
        assert_eq!(kept(directory.path()), Ok(whole), "{what}, again");
    }
}

#[test]
fn a_large_record_that_was_torn_is_cut_even_if_it_holds_a_log() {
    let (directory, log) = killed();
    let copy = fs::read(&log).unwrap();
    let store = open(directory.path()).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Pins, b"log".to_vec(), copy);
    store.commit(batch, Durability::Synced).unwrap();
    drop(store);
    let log = log_of(directory.path());
    change(&log, |bytes| bytes.truncate(bytes.len() - 30_000));

    assert_eq!(kept(directory.path()), Ok(RECORDS as usize));
    assert_eq!(
        open(directory.path()).unwrap().record(Table::Pins, b"log"),
        Ok(None)
    );
}

#[test]
fn a_log_that_is_cut_while_a_later_one_goes_on_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let image = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    (0..5).for_each(|number| append(&store, number));
    // One family is flushed, which begins a new log; the old one is still needed for the others.
    let mut batch = Batch::new();
    batch.put(Table::Pins, b"a".to_vec(), b"pin".to_vec());
    store.commit(batch, Durability::Synced).unwrap();
    let pins = families::handle(store.db(), families::of_table(Table::Pins));
    store.db().flush_cf(pins).unwrap();
    (5..10).for_each(|number| append(&store, number));
    for entry in fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, image.path().join(path.file_name().unwrap())).unwrap();
    }
    drop(store);
    assert_eq!(kept(directory.path()), Ok(10), "both logs are read");

    let first = fs::read_dir(image.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .min()
        .unwrap();
    let sound = fs::read(&first).unwrap();
    let last = *fragments(&sound).last().unwrap();
    change(&first, |bytes| bytes[last + 4] = 0xff);
    assert_refused(image.path(), "a length in the last record of the first log");
    change(&first, |bytes| bytes.truncate(last));
    assert_refused(image.path(), "the first log without its last record");
}

#[test]
fn many_opens_flushes_and_kills_never_look_like_damage() {
    let directory = tempfile::tempdir().unwrap();
    let mut number = 0;
    for round in 0..12 {
        let store = open(directory.path()).unwrap();
        for _ in 0..round * 20 {
            append(&store, number);
            number += 1;
        }
        for table in Table::ALL.into_iter().take(round) {
            let family = families::handle(store.db(), families::of_table(table));
            store.db().flush_cf(family).unwrap();
            append(&store, number);
            number += 1;
        }
    }
    assert_eq!(kept(directory.path()), Ok(number as usize));
}

#[test]
fn a_log_that_was_removed_is_refused() {
    let (directory, _) = killed();
    // The records are moved to a table at an open.
    append(&open(directory.path()).unwrap(), RECORDS);
    fs::remove_file(log_of(directory.path())).unwrap();

    let error = open(directory.path()).map(drop).unwrap_err().to_string();

    assert!(error.contains("its log (the file *.log) is missing"), "{error}");
}

#[test]
fn a_gap_in_what_was_not_synced_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    (0..RECORDS / 2).for_each(|number| append(&store, number));
    store.commit(Batch::new(), Durability::Synced).unwrap();
    let synced = fs::metadata(log_of(directory.path())).unwrap().len() as usize;
    (RECORDS / 2..RECORDS).for_each(|number| append(&store, number));
    drop(store);
    let log = log_of(directory.path());

    // The system writes its pages in any order: one was not written when the power went, those behind it were.
    change(&log, |bytes| bytes[synced + 5_000..synced + 9_096].fill(0));

    let kept = kept(directory.path()).unwrap();
    assert!((RECORDS as usize / 2..RECORDS as usize).contains(&kept), "{kept}");
}

#[test]
fn a_gap_before_what_was_synced_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    (0..RECORDS / 2).for_each(|number| append(&store, number));
    let middle = fs::metadata(log_of(directory.path())).unwrap().len() as usize;
    (RECORDS / 2..RECORDS).for_each(|number| append(&store, number));
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"acknowledged".to_vec(), vec![]);
    store.commit(batch, Durability::Synced).unwrap();
    (RECORDS..RECORDS + 50).for_each(|number| append(&store, number));
    drop(store);

    change(&log_of(directory.path()), |bytes| {
        bytes[middle..middle + 4_096].fill(0)
    });

    assert_refused(directory.path(), "a page of what was synced");
}
