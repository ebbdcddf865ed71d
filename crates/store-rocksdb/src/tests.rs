//! Does the store on a real disk keep the contract, its lock, its format and its refusal to lie?

use std::ops::Deref;
use std::path::Path;

use bytes::Bytes;
use rustle_store::{Batch, ContentStore, Durability, Scan, Store, StoreError, Table, contract};
use rustle_types::{BlockId, Cid};
use tempfile::TempDir;

use crate::{Config, FORMAT, RocksStore, failure, families};

struct TempStore {
    store: RocksStore,
    _directory: TempDir,
}

impl Deref for TempStore {
    type Target = RocksStore;

    fn deref(&self) -> &RocksStore {
        &self.store
    }
}

fn temporary() -> TempStore {
    let directory = tempfile::tempdir().unwrap();
    TempStore {
        store: open(directory.path()).unwrap(),
        _directory: directory,
    }
}

fn open(path: &Path) -> Result<RocksStore, StoreError> {
    RocksStore::open(path, &Config::default())
}

fn block(fill: u8, size: usize) -> (Cid, Bytes) {
    let bytes = Bytes::from(vec![fill; size]);
    (BlockId::of(&bytes).cid(), bytes)
}

fn put(store: &RocksStore, (cid, bytes): &(Cid, Bytes)) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put_block(*cid, bytes.clone());
    store.commit(batch, Durability::Synced)
}

fn damage(store: &RocksStore, cid: &Cid, damaged: Bytes) {
    let blocks = families::handle(store.db(), families::BLOCKS);
    store.db().put_cf(blocks, cid.hash().to_bytes(), damaged).unwrap();
}

#[test]
fn keeps_the_contract_of_every_store() {
    contract::all(temporary, 24, Some(damage));
}

#[test]
fn keeps_everything_over_a_reopen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("not/yet/there");
    let (small, large) = (block(1, 100), block(2, 300_000));

    let store = open(&path).unwrap();
    put(&store, &small).unwrap();
    put(&store, &large).unwrap();
    let mut batch = Batch::new();
    for table in Table::ALL {
        batch.put(table, b"key".to_vec(), format!("{table:?}").into_bytes());
    }
    store.commit(batch, Durability::Buffered).unwrap();
    drop(store);

    let store = open(&path).unwrap();
    for (cid, bytes) in [small, large] {
        assert_eq!(store.size(&cid), Ok(Some(bytes.len() as u64)));
        assert_eq!(store.get_verified(&cid), Ok(Some(bytes)));
    }
    for table in Table::ALL {
        let value = store.record(table, b"key").unwrap().unwrap();
        assert_eq!(value, format!("{table:?}").as_bytes());
    }
    assert_eq!(store.close(), Ok(()));
}

#[test]
fn a_held_directory_is_busy_until_it_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();

    let busy = StoreError::Busy(directory.path().display().to_string());
    assert_eq!(open(directory.path()).map(drop), Err(busy));

    store.close().unwrap();
    drop(open(directory.path()).unwrap());
    open(directory.path()).unwrap().close().unwrap();
}

#[test]
fn a_block_that_was_read_outlives_the_store_and_holds_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let (small, large) = (block(3, 100), block(4, 100_000));
    put(&store, &small).unwrap();
    put(&store, &large).unwrap();

    let held = (
        store.get(&small.0).unwrap().unwrap(),
        store.get(&large.0).unwrap().unwrap(),
    );
    let error = store.close().unwrap_err();

    assert!(
        error
            .to_string()
            .contains("1 blocks that were read are still held"),
        "{error}"
    );
    assert!(held.0 == small.1 && held.1 == large.1);
    assert!(matches!(open(directory.path()), Err(StoreError::Busy(_))));
    drop(held.1);
    assert!(
        open(directory.path()).is_ok(),
        "the small one is a copy and holds nothing"
    );
}

#[test]
fn refuses_the_format_of_another_version_and_leaves_it_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let meta = families::handle(store.db(), families::of_table(Table::Meta));
    store
        .db()
        .put_cf(meta, b"store.format", (FORMAT + 1).to_be_bytes())
        .unwrap();
    drop(store);
    // A newer version may also have tables of its own.
    let options = rocksdb::Options::default();
    let present = rocksdb::DB::list_cf(&options, directory.path()).unwrap();
    let mut newer = rocksdb::DB::open_cf(&options, directory.path(), &present).unwrap();
    newer.create_cf("of_tomorrow", &options).unwrap();
    drop(newer);

    for _ in 0..2 {
        let error = open(directory.path()).map(drop).unwrap_err();
        assert_eq!(
            error,
            StoreError::Format {
                found: FORMAT + 1,
                known: FORMAT
            }
        );
    }
}

#[test]
fn a_format_record_that_is_no_number_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let meta = families::handle(store.db(), families::of_table(Table::Meta));
    store.db().put_cf(meta, b"store.format", b"one").unwrap();
    drop(store);

    assert!(matches!(open(directory.path()), Err(StoreError::Io(_))));
}

#[test]
fn damage_to_what_rocksdb_opens_first_names_the_directory_and_the_way_out() {
    for (file, content) in [
        ("CURRENT", Some("nonsense")),
        ("CURRENT", Some("MANIFEST-000999\n")),
        ("CURRENT", None),
        ("MANIFEST-", None),
        ("MANIFEST-", Some("\0\0\0")),
    ] {
        let directory = tempfile::tempdir().unwrap();
        put(&open(directory.path()).unwrap(), &block(1, 10)).unwrap();
        let mut files = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let path = files
            .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(file))
            .unwrap();
        match content {
            Some(content) => std::fs::write(path, content).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }

        let error = open(directory.path()).map(drop).unwrap_err().to_string();

        let named = format!("store: {} is damaged: ", directory.path().display());
        assert!(error.starts_with(&named), "{file}: {error}");
        assert!(
            error.ends_with(
                "restore it from a backup, or move it away, start again and join the chains again"
            ),
            "{file}: {error}"
        );
        assert!(!error.contains('\n'), "{file}: {error}");
    }
}

#[test]
fn a_place_that_cannot_be_a_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "").unwrap();

    let error = open(&path).map(drop).unwrap_err().to_string();

    assert!(
        error.starts_with(&format!("store: cannot open {}: ", path.display())),
        "{error}"
    );
    assert!(error.ends_with("then start again"), "{error}");
}

#[test]
fn a_full_disk_promises_no_reads_where_there_may_be_none() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);

    let error = failure::on_create(Path::new("/data/store"), &full);

    assert!(matches!(error, StoreError::Full(_)));
    let text = error.to_string();
    assert!(text.contains("/data/store") && !text.contains("reads"), "{text}");
    assert!(
        text.ends_with("make room on the disk of the data directory"),
        "{text}"
    );
}

#[test]
fn a_failed_write_halts_all_later_ones_but_no_read() {
    let full = "IO error: No space left on device: While appending to file: /data/000004.log";
    let failed = "IO error: Input/output error: While fdatasync: /data/000004.log";
    for (text, first) in [
        (full, StoreError::Full(full.to_owned())),
        (failed, StoreError::Halted(failed.to_owned())),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).unwrap();
        let (kept, lost) = (block(5, 5000), block(6, 5000));
        put(&store, &kept).unwrap();

        *store.next_failure.lock() = Some(text.to_owned());
        assert_eq!(put(&store, &lost), Err(first));

        let halted = Err(StoreError::Halted(text.to_owned()));
        assert_eq!(
            put(&store, &lost),
            halted,
            "a second try is refused even if the disk would take it"
        );
        assert_eq!(store.commit(Batch::new(), Durability::Buffered), halted);
        assert_eq!(store.get_verified(&kept.0), Ok(Some(kept.1)));
        assert_eq!(store.has(&lost.0), Ok(false));
        assert_eq!(
            store.close(),
            halted,
            "closing does not claim that all is durable"
        );

        put(&open(directory.path()).unwrap(), &lost).unwrap();
    }
}

#[test]
fn damage_in_a_blob_file_is_found_and_repaired_by_putting_the_block_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let kept = block(7, 8192);
    put(&store, &kept).unwrap();
    store
        .db()
        .flush_cf(families::handle(store.db(), families::BLOCKS))
        .unwrap();
    store.close().unwrap();
    let files = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let blob = files
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "blob"))
        .unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&blob, bytes).unwrap();

    let store = open(directory.path()).unwrap();
    assert_eq!(store.has(&kept.0), Ok(true), "the index does not touch the bytes");
    assert_eq!(store.get(&kept.0), Err(StoreError::Corrupt(kept.0)));
    put(&store, &kept).unwrap();

    assert_eq!(store.get_verified(&kept.0), Ok(Some(kept.1)));
}

#[test]
fn a_block_that_is_there_is_not_written_again() {
    let store = temporary();
    let kept = block(8, 100_000);
    put(&store, &kept).unwrap();
    let before = store.disk_bytes().unwrap();

    put(&store, &kept).unwrap();

    let grown = store.disk_bytes().unwrap() - before;
    assert!(
        grown < 100,
        "only the mark of a synced batch is written: {grown} bytes"
    );
}

#[test]
fn counts_the_bytes_on_disk() {
    let store = temporary();
    let empty = store.disk_bytes().unwrap();

    put(&store, &block(9, 1 << 20)).unwrap();

    let grown = store.disk_bytes().unwrap() - empty;
    assert!(
        (1 << 20..2 << 20).contains(&grown),
        "one block of a mebibyte took {grown} bytes"
    );
}

#[test]
fn a_new_store_has_nothing_but_its_format() {
    let store = temporary();

    for table in Table::ALL {
        let records = store.scan(table, &Scan::prefix(b"", 9)).unwrap();
        assert_eq!(records.len(), usize::from(table == Table::Meta), "{table:?}");
    }
}
