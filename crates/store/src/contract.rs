//! What must every store do, whatever keeps its bytes?
//!
//! Each function takes an empty store, or a closure that opens one, and panics where the contract of [`Store`] is
//! broken. An implementation calls [`all`] from its own tests.

#![allow(
    clippy::unwrap_used,
    reason = "an error of the store ends the test that runs the contract"
)]

mod upkeep;

use std::collections::BTreeMap;
use std::ops::Deref;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use rustle_types::content::{CODEC_DAG_PB, CODEC_RAW, HASH_IDENTITY};
use rustle_types::{BlockId, Cid};

pub use upkeep::{collection, faults, hashes};

use crate::{Batch, Collect, Direction, Durability, Scan, Store, StoreError, Table};

/// Puts damaged bytes under the multihash of a block behind the back of the store.
pub type Damage<S> = fn(&S, &Cid, Bytes);

/// A key, and its value or the deletion of it.
type Write = (Vec<u8>, Option<Vec<u8>>);

/// The whole contract. `open` gives a new, empty store at each call; `cases` is the number of random scan tests;
/// `damage` is given where the tests can reach below the store, else the check of corruption is left out.
pub fn all<H>(open: impl Fn() -> H, cases: u32, damage: Option<Damage<H::Target>>)
where
    H: Deref<Target: Collect + Sized>,
{
    content(&*open());
    hashes(&*open());
    collection(&*open());
    batches(&*open());
    bulk(&*open());
    scans(&*open());
    scans_match_the_model(&open, cases);
    if let Some(damage) = damage {
        corruption(&*open(), damage);
        faults(&*open(), damage);
    }
}

/// Lookups by multihash, identity CIDs, deletion, and blocks from empty to larger than any inlining bound.
pub fn content(store: &impl Store) {
    let bytes = Bytes::from_static(b"content is found by its hash");
    let cid = BlockId::of(&bytes).cid();
    let aliases = [
        cid,
        Cid::new_v1(CODEC_RAW, *cid.hash()),
        Cid::new_v1(CODEC_DAG_PB, *cid.hash()),
        version_0(&cid),
    ];

    for alias in &aliases {
        assert_eq!(store.has(alias), Ok(false), "an empty store has nothing");
        assert_eq!(store.size(alias), Ok(None));
        assert_eq!(store.get(alias), Ok(None));
        assert_eq!(store.get_verified(alias), Ok(None));
    }

    let mut batch = Batch::new();
    batch.put_block(aliases[1], bytes.clone());
    store.commit(batch, Durability::Buffered).unwrap();
    for alias in &aliases {
        assert_eq!(store.has(alias), Ok(true), "version and codec do not matter");
        assert_eq!(store.size(alias), Ok(Some(bytes.len() as u64)));
        assert_eq!(store.get(alias), Ok(Some(bytes.clone())));
        assert_eq!(store.get_verified(alias), Ok(Some(bytes.clone())));
    }

    let mut batch = Batch::new();
    batch.delete_block(aliases[3]);
    store.commit(batch, Durability::Synced).unwrap();
    for alias in &aliases {
        assert_eq!(store.has(alias), Ok(false), "deleted under every name");
        assert_eq!(store.size(alias), Ok(None));
        assert_eq!(store.get(alias), Ok(None));
    }

    sizes(store);
    identity(store);
}

fn sizes(store: &impl Store) {
    for size in [0, 1, 4095, 4096, 4097, 256 << 10, (1 << 20) + 1] {
        let bytes = Bytes::from(vec![0xa5; size]);
        let cid = BlockId::of(&bytes).cid();
        let mut batch = Batch::new();
        batch.put_block(cid, bytes.clone());
        store.commit(batch, Durability::Synced).unwrap();

        assert_eq!(store.has(&cid), Ok(true));
        assert_eq!(store.size(&cid), Ok(Some(size as u64)));
        assert!(
            store.get_verified(&cid).unwrap() == Some(bytes),
            "a block of {size} bytes comes back"
        );
    }
}

fn identity(store: &impl Store) {
    let cid = identity_cid(b"tiny");

    let is_there = || {
        assert_eq!(store.has(&cid), Ok(true), "an identity CID is its own content");
        assert_eq!(store.size(&cid), Ok(Some(4)));
        assert_eq!(store.get_verified(&cid), Ok(Some(Bytes::from_static(b"tiny"))));
    };
    is_there();
    let mut batch = Batch::new();
    batch.put_block(cid, Bytes::from_static(b"tiny"));
    store.commit(batch, Durability::Synced).unwrap();
    is_there();
    let mut batch = Batch::new();
    batch.delete_block(cid);
    store.commit(batch, Durability::Synced).unwrap();
    is_there();
}

/// Later operations of a batch win, tables do not mix, the empty batch does nothing.
pub fn batches(store: &impl Store) {
    let bytes = Bytes::from_static(b"now here, now gone");
    let cid = BlockId::of(&bytes).cid();
    let record = |table, key: &[u8]| store.record(table, key).unwrap();

    store.commit(Batch::new(), Durability::Synced).unwrap();
    store.commit(Batch::new(), Durability::Buffered).unwrap();

    let mut batch = Batch::new();
    batch.put_block(cid, bytes.clone());
    batch.delete_block(cid);
    batch.put(Table::Pins, b"k".to_vec(), b"first".to_vec());
    batch.put(Table::Pins, b"k".to_vec(), b"second".to_vec());
    batch.put(Table::Pins, b"gone".to_vec(), b"x".to_vec());
    batch.delete(Table::Pins, b"gone".to_vec());
    batch.delete(Table::Peers, b"k".to_vec());
    batch.put(Table::Peers, b"k".to_vec(), b"other table".to_vec());
    batch.put(Table::Chains, b"no value".to_vec(), Vec::new());
    store.commit(batch, Durability::Synced).unwrap();

    assert_eq!(store.has(&cid), Ok(false), "the deletion came later");
    assert_eq!(store.get(&cid), Ok(None));
    assert_eq!(record(Table::Pins, b"k").as_deref(), Some(&b"second"[..]));
    assert_eq!(record(Table::Pins, b"gone"), None);
    assert_eq!(record(Table::Peers, b"k").as_deref(), Some(&b"other table"[..]));
    assert_eq!(
        record(Table::Chains, b"no value").as_deref(),
        Some(&b""[..]),
        "empty is not absent"
    );
    assert_eq!(record(Table::ChainLeaves, b"no value"), None);

    let mut batch = Batch::new();
    batch.put_block(cid, bytes.clone());
    store.commit(batch, Durability::Synced).unwrap();
    let mut first = Batch::new();
    first.delete_block(cid);
    let mut second = Batch::new();
    second.put_block(cid, bytes.clone());
    first.append(second);
    store.commit(first, Durability::Synced).unwrap();
    assert_eq!(
        store.get(&cid),
        Ok(Some(bytes)),
        "the second putting came later than the deletion"
    );

    let mut batch = Batch::new();
    batch.delete(Table::Pins, b"k".to_vec());
    batch.delete(Table::Pins, b"never there".to_vec());
    store.commit(batch, Durability::Synced).unwrap();
    assert_eq!(record(Table::Pins, b"k"), None);
}

/// Bulk writes are seen at once, mix with all others in their order, and take nothing but blocks to put out of the log.
pub fn bulk(store: &impl Store) {
    let block = |number: u32| {
        let bytes = Bytes::from(number.to_be_bytes().repeat(2000));
        (BlockId::of(&bytes).cid(), bytes)
    };
    let commit = |batch: Batch, durability| store.commit(batch, durability).unwrap();
    let put = |numbers: std::ops::Range<u32>, durability| {
        let mut batch = Batch::new();
        for (cid, bytes) in numbers.map(block) {
            batch.put_block(cid, bytes);
        }
        commit(batch, durability);
    };
    let has = |numbers: std::ops::Range<u32>| {
        for (cid, bytes) in numbers.map(block) {
            assert_eq!(store.size(&cid), Ok(Some(bytes.len() as u64)));
            assert_eq!(store.get_verified(&cid), Ok(Some(bytes)));
        }
    };

    store.flush().unwrap();
    commit(Batch::new(), Durability::Bulk);
    put(0..50, Durability::Bulk);
    has(0..50);
    put(10..20, Durability::Bulk);
    put(20..30, Durability::Synced);
    store.flush().unwrap();
    put(40..60, Durability::Bulk);
    store.flush().unwrap();
    store.flush().unwrap();
    has(0..60);

    put(60..61, Durability::Bulk);
    let mut batch = Batch::new();
    batch.delete_block(block(60).0);
    commit(batch, Durability::Buffered);
    assert_eq!(store.has(&block(60).0), Ok(false), "the deletion came later");
    put(60..61, Durability::Bulk);
    has(60..61);

    let mut batch = Batch::new();
    batch.delete_block(block(60).0);
    batch.put_block(block(61).0, block(61).1);
    batch.put(Table::Pins, b"bulk".to_vec(), b"pin".to_vec());
    commit(batch, Durability::Bulk);
    assert_eq!(store.has(&block(60).0), Ok(false));
    has(61..62);
    assert_eq!(
        store.record(Table::Pins, b"bulk").unwrap().as_deref(),
        Some(&b"pin"[..])
    );
}

/// Ranges, prefixes, both directions, limits, and neighbours in other tables.
pub fn scans(store: &impl Store) {
    let keys: [&[u8]; 6] = [b"a", b"a\0", b"ab", b"b", b"b\xff", b"\xff\xff"];
    let mut batch = Batch::new();
    for key in keys {
        batch.put(Table::Peers, key.to_vec(), key.to_vec());
        batch.put(Table::Pins, key.to_vec(), b"of the neighbour".to_vec());
    }
    store.commit(batch, Durability::Synced).unwrap();
    let found = |scan: Scan| -> Vec<Vec<u8>> {
        let records = store.scan(Table::Peers, &scan).unwrap();
        records
            .iter()
            .for_each(|(key, value)| assert_eq!(key, value, "the value of its own table"));
        records.into_iter().map(|(key, _)| key.to_vec()).collect()
    };
    let all = || Scan::prefix(b"", usize::MAX);

    assert_eq!(found(all()), keys);
    let mut reversed = keys;
    reversed.reverse();
    assert_eq!(found(all().backward()), reversed);
    let limited = |scan, limit| found(Scan { limit, ..scan });
    assert_eq!(limited(all(), 2), keys[..2]);
    assert_eq!(
        limited(all().backward(), 2),
        reversed[..2],
        "a limit counts from its own end"
    );
    for scan in [all(), all().backward()] {
        assert!(limited(scan, 0).is_empty());
    }

    assert_eq!(found(Scan::prefix(b"a", 9)), keys[..3]);
    assert_eq!(
        found(Scan::prefix(b"a", 9).backward()),
        [keys[2], keys[1], keys[0]]
    );
    assert_eq!(
        found(Scan::prefix(b"\xff", 9)),
        keys[5..],
        "no successor, so to the end"
    );
    assert!(found(Scan::prefix(b"c", 9)).is_empty());
    assert_eq!(
        store.scan(Table::Invitations, &all()),
        Ok(Vec::new()),
        "an empty table"
    );
    ranges(&keys, found);
}

fn ranges(keys: &[&[u8]; 6], found: impl Fn(Scan) -> Vec<Vec<u8>>) {
    let between = |start: &[u8], end: &[u8]| {
        let all = Scan::prefix(b"", usize::MAX);
        all.from_key(start.to_vec()).until_key(end.to_vec())
    };

    let middle = between(b"ab", b"b\xff");
    assert_eq!(
        found(middle.clone()),
        keys[2..4],
        "the start is in, the end is out"
    );
    assert_eq!(found(middle.backward()), [keys[3], keys[2]]);
    let empty: [(&[u8], &[u8]); 4] = [
        (b"b", b"b"),
        (b"b", b"a"),
        (b"", b""),
        (b"\xff\xff\xff", b"\xff\xff"),
    ];
    for (start, end) in empty {
        assert!(
            found(between(start, end)).is_empty(),
            "nothing in {start:?}..{end:?}"
        );
        assert!(found(between(start, end).backward()).is_empty());
    }
}

/// Damaged bytes are never given out as verified, and putting the block again repairs it.
pub fn corruption<S: Store>(store: &S, damage: impl Fn(&S, &Cid, Bytes)) {
    for size in [100, 100_000] {
        let bytes = Bytes::from(vec![0x5a; size]);
        let cid = BlockId::of(&bytes).cid();
        let put = || {
            let mut batch = Batch::new();
            batch.put_block(cid, bytes.clone());
            store.commit(batch, Durability::Synced)
        };
        put().unwrap();

        let mut flipped = bytes.to_vec();
        flipped[size / 2] ^= 1;
        for damaged in [flipped, bytes[..size - 1].to_vec()] {
            damage(store, &cid, damaged.into());
            assert_eq!(
                store.get_verified(&cid),
                Err(StoreError::Corrupt(cid)),
                "damage is found"
            );

            put().unwrap();
            assert_eq!(
                store.get_verified(&cid),
                Ok(Some(bytes.clone())),
                "putting it again repairs it"
            );
            assert_eq!(store.size(&cid), Ok(Some(size as u64)));
        }
    }
}

/// After random batches, random scans and lookups give what a `BTreeMap` gives, over `cases` random histories.
pub fn scans_match_the_model<H>(open: impl Fn() -> H, cases: u32)
where
    H: Deref<Target: Store + Sized>,
{
    // Failing seeds belong to the implementation under test, not to this file.
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let histories = prop::collection::vec(prop::collection::vec(write(), 0..12), 0..6);
    let scans = prop::collection::vec(scan(), 1..24);

    TestRunner::new(config)
        .run(&(histories, scans), |(history, scans)| {
            matches_the_model(&*open(), history, &scans)
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

fn matches_the_model(
    store: &impl Store,
    history: Vec<Vec<Write>>,
    scans: &[Scan],
) -> Result<(), TestCaseError> {
    let mut model = BTreeMap::new();
    for writes in history {
        let mut batch = Batch::new();
        for (key, value) in writes {
            match value {
                Some(value) => {
                    batch.put(Table::ChainOrder, key.clone(), value.clone());
                    model.insert(key, value);
                }
                None => {
                    batch.delete(Table::ChainOrder, key.clone());
                    model.remove(&key);
                }
            }
        }
        store.commit(batch, Durability::Buffered).unwrap();
    }

    for scan in scans {
        let found: Vec<_> = store.scan(Table::ChainOrder, scan).unwrap();
        let found: Vec<_> = found
            .into_iter()
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect();
        prop_assert_eq!(found, expected(&model, scan), "{:?}", scan);
        let record = store.record(Table::ChainOrder, &scan.start).unwrap();
        prop_assert_eq!(record.as_deref(), model.get(&scan.start).map(Vec::as_slice));
    }
    Ok(())
}

fn expected(model: &BTreeMap<Vec<u8>, Vec<u8>>, scan: &Scan) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all: Vec<_> = model
        .iter()
        .filter(|(key, _)| **key >= scan.start && scan.end.as_ref().is_none_or(|end| *key < end))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if scan.direction == Direction::Backward {
        all.reverse();
    }
    all.truncate(scan.limit);
    all
}

/// Short keys over few letters, so that prefixes, successors and overwritten keys are common.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xfe, 0xff]), 1..4)
}

fn write() -> impl Strategy<Value = Write> {
    (
        key(),
        prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..8)),
    )
}

fn scan() -> impl Strategy<Value = Scan> {
    let range = (prop::option::of(key()), prop::option::of(key()))
        .prop_map(|(start, end)| (start.unwrap_or_default(), end));
    let limit = prop_oneof![0_usize..6, Just(usize::MAX)];
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    prop_oneof![
        3 => (range, limit.clone(), direction.clone())
            .prop_map(|((start, end), limit, direction)| Scan { start, end, direction, limit }),
        1 => (key(), limit, direction).prop_map(|(prefix, limit, direction)| {
            Scan { direction, ..Scan::prefix(&prefix, limit) }
        }),
    ]
}

/// A CIDv1 whose digest is `content` itself, of less than 128 bytes.
fn identity_cid(content: &[u8]) -> Cid {
    let mut bytes = vec![1, CODEC_RAW as u8, HASH_IDENTITY as u8, content.len() as u8];
    bytes.extend_from_slice(content);
    Cid::try_from(bytes).expect("a version, a codec, a hash code, a length and so many bytes are a CID")
}

fn version_0(cid: &Cid) -> Cid {
    Cid::new_v0(*cid.hash()).expect("sha2-256 has a CIDv0")
}
