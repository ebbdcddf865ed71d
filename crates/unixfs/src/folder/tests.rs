//! Folders, plain and sharded.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rustle_types::Cid;

use super::*;
use crate::tree::cid_of;
use crate::{Importer, Listed, Lister, Resolved, Resolver};

type Store = BTreeMap<Cid, Bytes>;

fn leaf(name: &[u8]) -> Linked {
    Linked {
        cid: cid_of(1, 0x55, name),
        tsize: name.len() as u64,
    }
}

fn build(builder: FolderBuilder) -> (Linked, Store) {
    let mut blocks = builder.finish().unwrap();
    let store = blocks.by_ref().map(|block| (block.cid, block.bytes)).collect();
    (blocks.root().unwrap(), store)
}

fn folder(profile: ImportProfile, names: &[String]) -> (Linked, Store) {
    let mut builder = FolderBuilder::new(profile, Metadata::NONE);
    for name in names {
        builder.add(name.as_bytes(), leaf(name.as_bytes())).unwrap();
    }
    build(builder)
}

/// All names and links of a folder, in the order of the listing.
fn list(root: Cid, store: &Store) -> Vec<(Bytes, Cid)> {
    let (mut lister, mut entries) = (Lister::new(root), Vec::new());
    loop {
        for cid in lister.wants().into_iter().rev() {
            lister.supply(&cid, store[&cid].clone()).unwrap();
        }
        match lister.poll().unwrap() {
            Listed::Entry(entry) => entries.push((entry.name, entry.cid)),
            Listed::Need(cid) => assert!(store.contains_key(&cid)),
            Listed::Done => return entries,
        }
    }
}

/// Looks a name up, and says how many blocks it took.
fn find(root: Cid, name: &str, store: &Store) -> (Result<Cid, crate::ListError>, usize) {
    let path = crate::ContentPath {
        root,
        names: vec![name.to_owned()],
    };
    let (mut resolver, mut blocks) = (Resolver::new(path), 0);
    loop {
        match resolver.poll() {
            Ok(Resolved::Found { cid, .. }) => return (Ok(cid), blocks),
            Ok(Resolved::Need(cid)) => {
                blocks += 1;
                if let Err(error) = resolver.supply(&cid, store[&cid].clone()) {
                    return (Err(error), blocks);
                }
            }
            Err(error) => return (Err(error), blocks),
        }
    }
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{i:030}")).collect()
}

#[test]
fn a_folder_of_exactly_the_bound_stays_whole() {
    // Kubo of today: names of 30 bytes and CIDs of 34 (of one byte more with version 1).
    let mut builder = FolderBuilder::new(ImportProfile::KUBO_2015, Metadata::NONE);
    let linked = Linked {
        cid: cid_of(0, CODEC_DAG_PB, b""),
        tsize: 0,
    };
    for name in numbered(4096) {
        builder.add(name.as_bytes(), linked).unwrap();
    }
    assert_eq!(builder.estimate, FOLDER_BYTES_MAX);
    let (_, store) = build(builder);
    assert_eq!(store.len(), 1);
}

#[test]
fn the_estimate_of_2025_is_the_size_of_the_block() {
    let metadata = Metadata {
        mode: Some(0o755),
        mtime: Some(crate::ModifiedAt {
            seconds: -1,
            nanos: Some(5),
        }),
    };
    for metadata in [Metadata::NONE, metadata] {
        let mut builder = FolderBuilder::new(ImportProfile::V1_RAW_2025, metadata);
        for name in numbered(1000) {
            builder.add(name.as_bytes(), leaf(name.as_bytes())).unwrap();
        }
        let estimate = builder.estimate;
        let (root, store) = build(builder);
        assert_eq!(store[&root.cid].len() as u64, estimate);
    }
}

#[test]
fn a_large_folder_is_found_in_by_few_shards() {
    let names = numbered(10_000);
    let (root, store) = folder(ImportProfile::V1_RAW_2025, &names);

    assert!(store.len() > 200, "it is sharded");
    assert!(store.values().all(|block| block.len() < 64 * 1024));
    for name in names.iter().step_by(997) {
        let (found, blocks) = find(root.cid, name, &store);
        assert_eq!(found, Ok(leaf(name.as_bytes()).cid));
        assert!(blocks <= 3, "{blocks} blocks");
    }
    assert!(matches!(
        find(root.cid, "absent", &store).0,
        Err(crate::ListError::NoEntry { .. })
    ));
}

#[test]
fn hashes_order_a_listing_that_is_never_held() {
    let mut names = numbered(5000);
    let (expected, _) = folder(ImportProfile::KUBO_2015, &names);

    names.sort_by_key(|name| name_hash(name.as_bytes()));
    let mut builder = ShardBuilder::new(ImportProfile::KUBO_2015, Metadata::NONE);
    for name in &names {
        builder.push(name.clone().into(), leaf(name.as_bytes())).unwrap();
        while builder.poll_block().is_some() {}
    }
    assert_eq!(builder.finish(), expected);

    let mut builder = ShardBuilder::new(ImportProfile::KUBO_2015, Metadata::NONE);
    builder.push(names[1].clone().into(), leaf(b"")).unwrap();
    let behind = builder.push(names[0].clone().into(), leaf(b""));
    assert!(matches!(behind, Err(FolderError::Unsorted(_))));
}

#[test]
fn names_that_leave_or_repeat_are_refused() {
    let mut builder = FolderBuilder::new(ImportProfile::default(), Metadata::NONE);
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    for name in ["", ".", "..", "a/b", "/", "zero\0", &long] {
        let refused = builder.add(name.as_bytes(), leaf(b""));
        assert!(matches!(refused, Err(FolderError::Name { .. })), "{name}");
    }
    builder.add(b"a", leaf(b"1")).unwrap();
    builder.add(b"a", leaf(b"2")).unwrap();
    assert_eq!(builder.finish().unwrap_err(), FolderError::Twice("a".into()));
    assert_eq!(
        make_symlink(&ImportProfile::default(), b"", &Metadata::NONE),
        Err(FolderError::Target(0))
    );
}

#[test]
fn names_of_one_hash_are_told_apart_or_refused() {
    let mut forged = crate::hamt::forge::names_with_hash(7);
    let (one, other) = (forged.next().unwrap(), forged.next().unwrap());
    assert_eq!(name_hash(&one), name_hash(&other));
    let mut builder = FolderBuilder::new(ImportProfile::default(), Metadata::NONE);
    builder.add(&one, leaf(b"")).unwrap();
    builder.add(&other, leaf(b"")).unwrap();
    let (root, store) = build(builder);
    assert_eq!(list(root.cid, &store).len(), 2, "a plain folder holds both");

    let mut builder = FolderBuilder::new(ImportProfile::default(), Metadata::NONE);
    builder.add(&one, leaf(b"")).unwrap();
    builder.add(&other, leaf(b"")).unwrap();
    for name in numbered(5000) {
        builder.add(name.as_bytes(), leaf(b"")).unwrap();
    }
    assert!(matches!(builder.finish(), Err(FolderError::Collision(..))));
}

#[test]
fn metadata_of_a_file_stands_in_its_root_alone() {
    let metadata = Metadata {
        mode: Some(0o100_644),
        mtime: Some(crate::ModifiedAt {
            seconds: 1_700_000_000,
            nanos: Some(0),
        }),
    };
    for bytes in [0, 1, 30] {
        let profile = ImportProfile::V1_RAW_2025.with_chunk_bytes(10).unwrap();
        let mut importer = Importer::with_metadata(profile, metadata);
        importer.push(&[7; 30][..bytes]);
        let imported = importer.finish();
        let mut store = Store::new();
        while let Some(block) = importer.poll_block() {
            store.insert(block.cid, block.bytes);
        }

        let stat = crate::Stat::of(imported.root, store[&imported.root].clone()).unwrap();
        assert_eq!(stat.kind, crate::StatKind::File(bytes as u64));
        assert_eq!(stat.tsize, imported.tsize);
        assert_eq!(stat.metadata.mode, Some(0o644), "the lower 12 bits are kept");
        assert_eq!(
            stat.metadata.mtime.unwrap().nanos,
            None,
            "no nanoseconds are none"
        );
        let with_metadata = store
            .values()
            .filter(|block| block.windows(3).any(|w| w == [7 << 3, 0xa4, 3]));
        assert_eq!(with_metadata.count(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_names_are_listed_and_found(
        names in prop::collection::btree_set("[a-zäö🦀]{1,12}", 0..300),
        padding in prop::sample::select(vec![0usize, 1200]),
        version in 0u8..2,
    ) {
        // Long names make the folder a sharded one.
        let names: Vec<String> = names.into_iter().map(|name| name + &"p".repeat(padding)).collect();
        let profile = ImportProfile::V1_RAW_2025.with_cid_version(version).unwrap();
        let (root, store) = folder(profile, &names);
        let mut listed = list(root.cid, &store);
        listed.sort();
        let mut expected: Vec<_> = names
            .iter()
            .map(|name| (Bytes::from(name.clone()), leaf(name.as_bytes()).cid))
            .collect();
        expected.sort();
        prop_assert_eq!(listed, expected);
        for name in &names {
            prop_assert_eq!(find(root.cid, name, &store).0, Ok(leaf(name.as_bytes()).cid));
        }

        let mut backwards = names;
        backwards.reverse();
        prop_assert_eq!(folder(profile, &backwards).0, root, "the order of adding does not matter");
    }

    #[test]
    fn metadata_returns(mode in 1u32..0o10000, seconds in any::<i64>(), nanos in prop::option::of(1u32..1_000_000_000)) {
        let mtime = Some(crate::ModifiedAt { seconds, nanos });
        let metadata = Metadata { mode: Some(mode), mtime };
        let (root, store) = build(FolderBuilder::new(ImportProfile::default(), metadata));
        prop_assert_eq!(crate::Stat::of(root.cid, store[&root.cid].clone()).unwrap().metadata, metadata);
        let (link, block) = make_symlink(&ImportProfile::default(), b"to", &metadata).unwrap();
        let stat = crate::Stat::of(link.cid, block.bytes).unwrap();
        prop_assert_eq!(stat.kind, crate::StatKind::Symlink("to".into()));
        prop_assert_eq!(stat.metadata, Metadata { mode: None, mtime });
    }
}
