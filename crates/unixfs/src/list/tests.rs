//! Honest folders, and hostile ones.

use std::collections::HashMap;

use rustle_types::content::{CODEC_DAG_CBOR, CODEC_RAW};

use super::*;
use crate::dagpb::{Link, Node};
use crate::folder::FolderError;
use crate::hamt::forge::names_with_hash;
use crate::tree::cid_of;
use crate::unixfs::{Data, Kind};
use crate::{FolderBuilder, ImportProfile, Linked, Metadata};

type Store = HashMap<Cid, Bytes>;

const CODEC_DAG_PB: u64 = rustle_types::content::CODEC_DAG_PB;
/// Far more steps than any of these folders is worth.
const STEPS_MAX: usize = 10_000;

fn put(store: &mut Store, bytes: Bytes) -> Cid {
    let cid = cid_of(1, CODEC_DAG_PB, &bytes);
    store.insert(cid, bytes);
    cid
}

fn link(name: impl Into<Bytes>, cid: Cid) -> Link {
    let (name, tsize) = (name.into(), 0);
    Link { cid, name, tsize }
}

fn node(store: &mut Store, data: Data, links: Vec<Link>) -> Cid {
    let data = Some(data.encode());
    put(store, Node { links, data }.encode())
}

fn leaf() -> Cid {
    cid_of(1, CODEC_RAW, b"leaf")
}

/// A shard with these links and a bitmap that fits `indexes`.
fn shard(store: &mut Store, fanout: u64, indexes: &[usize], links: Vec<Link>) -> Cid {
    let mut bitmap = vec![0u8; fanout as usize / 8];
    for index in indexes {
        let byte = bitmap.len() - 1 - index / 8;
        bitmap[byte] |= 1 << (index % 8);
    }
    let data = Data {
        data: Some(bitmap.into()),
        hash_type: Some(0x22),
        fanout: Some(fanout),
        ..Data::new(Kind::HamtShard)
    };
    node(store, data, links)
}

/// Lists to the end and counts the blocks that it took.
fn list(root: Cid, store: &Store) -> (Result<Vec<Entry>, ListError>, usize) {
    let (mut lister, mut entries, mut blocks) = (Lister::new(root), Vec::new(), 0);
    for _ in 0..STEPS_MAX {
        for cid in lister.wants() {
            blocks += 1;
            if let Err(error) = lister.supply(&cid, store[&cid].clone()) {
                return (Err(error), blocks);
            }
        }
        match lister.poll() {
            Ok(Listed::Entry(entry)) => entries.push(entry),
            Ok(Listed::Need(_)) => {}
            Ok(Listed::Done) => return (Ok(entries), blocks),
            Err(error) => {
                assert_eq!(lister.poll(), Err(error.clone()), "an error stays");
                return (Err(error), blocks);
            }
        }
    }
    panic!("the listing does not end");
}

fn why(result: Result<Vec<Entry>, ListError>) -> &'static str {
    match result {
        Err(ListError::BadShard { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

fn resolve(path: &str, store: &Store) -> Result<Cid, ListError> {
    let mut resolver = Resolver::new(path.parse().unwrap());
    loop {
        match resolver.poll()? {
            Resolved::Found { cid, .. } => return Ok(cid),
            Resolved::Need(cid) => resolver.supply(&cid, store[&cid].clone())?,
        }
    }
}

#[test]
fn a_path_leads_through_folders() {
    let mut store = Store::new();
    let inner = node(&mut store, Data::new(Kind::Directory), vec![link("file", leaf())]);
    let outer = node(&mut store, Data::new(Kind::Directory), vec![link("a", inner)]);

    assert_eq!(resolve(&format!("/ipfs/{outer}/a//file/"), &store), Ok(leaf()));
    assert_eq!(resolve(&format!("ipfs://{outer}/a"), &store), Ok(inner));
    assert_eq!(
        resolve(&outer.to_string(), &Store::new()),
        Ok(outer),
        "asks for nothing"
    );
    let absent = resolve(&format!("{outer}/a/b"), &store);
    assert_eq!(
        absent,
        Err(ListError::NoEntry {
            cid: inner,
            name: "b".to_owned()
        })
    );
    store.insert(leaf(), Bytes::from_static(b"leaf"));
    let through = resolve(&format!("{outer}/a/file/x"), &store);
    assert!(matches!(
        through,
        Err(ListError::NotAFolder { what: "a file", .. })
    ));
}

#[test]
fn paths_that_lead_upwards_or_nowhere_are_refused() {
    let upward = format!("{}/a/../b", leaf());
    assert_eq!(
        upward.parse::<ContentPath>(),
        Err(PathError::Upward("..".to_owned()))
    );
    assert!(matches!("a/b".parse::<ContentPath>(), Err(PathError::Cid(_))));
    assert!(matches!("".parse::<ContentPath>(), Err(PathError::Cid(_))));
    let long = format!("{}/{}", leaf(), "n".repeat(5000));
    assert_eq!(long.parse::<ContentPath>(), Err(PathError::TooLong));
    let path: ContentPath = format!("/ipfs/{}/a/b", leaf()).parse().unwrap();
    assert_eq!(path.to_string(), format!("{}/a/b", leaf()));
}

#[test]
fn names_that_leave_the_folder_end_the_listing() {
    for name in ["", "..", ".", "a/b", "/etc/passwd", "z\0"] {
        let mut store = Store::new();
        let root = node(&mut store, Data::new(Kind::Directory), vec![link(name, leaf())]);
        assert!(matches!(list(root, &store).0, Err(ListError::BadEntry { .. })));
    }
    let mut store = Store::new();
    let twice = vec![link("a", leaf()), link("b", leaf()), link("a", leaf())];
    let root = node(&mut store, Data::new(Kind::Directory), twice);
    let error = Box::new(FolderError::Twice("a".into()));
    assert_eq!(
        list(root, &store).0,
        Err(ListError::BadEntry { cid: root, error })
    );
}

#[test]
fn what_is_no_folder_is_named() {
    let mut store = Store::new();
    let file = node(&mut store, Data::new(Kind::File), vec![]);
    let link = node(&mut store, Data::new(Kind::Symlink), vec![]);
    let cbor = cid_of(1, CODEC_DAG_CBOR, b"");
    store.insert(cbor, Bytes::new());
    for (root, what) in [
        (file, "a file"),
        (link, "a symbolic link"),
        (cbor, "a block whose codec is neither raw nor dag-pb"),
    ] {
        assert_eq!(
            list(root, &store).0,
            Err(ListError::NotAFolder { cid: root, what })
        );
    }
    let broken = put(&mut store, Bytes::from_static(b"\x0a\x05x"));
    assert!(matches!(list(broken, &store).0, Err(ListError::Malformed { .. })));
    let mut lister = Lister::new(file);
    assert_eq!(lister.supply(&file, Bytes::new()), Err(ListError::NotAsked(file)));
}

#[test]
fn a_bitmap_that_contradicts_the_links_is_refused() {
    let mut store = Store::new();
    let name = "a";
    let index = (crate::name_hash(name.as_bytes()) >> 56) as usize;
    let prefixed = format!("{index:02X}{name}");
    let good = shard(&mut store, 256, &[index], vec![link(prefixed.clone(), leaf())]);
    assert_eq!(list(good, &store).0.unwrap().len(), 1);

    let more = shard(
        &mut store,
        256,
        &[index, 1, 2],
        vec![link(prefixed.clone(), leaf())],
    );
    assert_eq!(
        why(list(more, &store).0),
        "its bitmap has another number of bits than it has links"
    );
    let other = shard(
        &mut store,
        256,
        &[index ^ 1],
        vec![link(prefixed.clone(), leaf())],
    );
    assert_eq!(why(list(other, &store).0), "a link is not named by its index");
    let short = shard(&mut store, 256, &[index], vec![link("A", leaf())]);
    assert_eq!(why(list(short, &store).0), "a link is not named by its index");
    let moved = shard(
        &mut store,
        256,
        &[index ^ 1],
        vec![link(format!("{:02X}{name}", index ^ 1), leaf())],
    );
    assert_eq!(
        why(list(moved, &store).0),
        "an entry lies where its hash does not lead"
    );
    let wide = Data {
        data: Some(vec![1; 33].into()),
        hash_type: Some(0x22),
        fanout: Some(256),
        ..Data::new(Kind::HamtShard)
    };
    let wide = node(&mut store, wide, vec![link(prefixed, leaf())]);
    assert_eq!(why(list(wide, &store).0), "its bitmap is longer than its width");
}

#[test]
fn a_shard_of_odd_width_or_hash_is_refused() {
    let mut store = Store::new();
    for (hash_type, fanout) in [
        (Some(0x22), None),
        (Some(0x22), Some(0)),
        (Some(0x22), Some(4)),
        (Some(0x22), Some(255)),
        (Some(0x12), Some(256)),
        (None, Some(256)),
    ] {
        let data = Data {
            hash_type,
            fanout,
            ..Data::new(Kind::HamtShard)
        };
        let root = node(&mut store, data, vec![]);
        assert!(matches!(list(root, &store).0, Err(ListError::BadShard { .. })));
    }
    let inner = shard(&mut store, 16, &[1], vec![link("1", leaf())]);
    let outer = shard(&mut store, 256, &[0], vec![link("00", inner)]);
    assert_eq!(
        why(list(outer, &store).0),
        "its width differs from that of the root"
    );
    let file = node(&mut store, Data::new(Kind::File), vec![]);
    let outer = shard(&mut store, 256, &[0], vec![link("00", file)]);
    assert_eq!(
        why(list(outer, &store).0),
        "a shard leads to something else than a shard"
    );
}

#[test]
fn an_empty_folder_in_shards_is_one_empty_root() {
    let mut store = Store::new();
    let empty = shard(&mut store, 256, &[], vec![]);
    assert_eq!(list(empty, &store).0, Ok(vec![]));
    let outer = shard(&mut store, 256, &[9], vec![link("09", empty)]);
    assert_eq!(why(list(outer, &store).0), "a shard below another is empty");
}

#[test]
fn a_tree_deeper_than_a_hash_ends() {
    let mut store = Store::new();
    let name = names_with_hash(0).next().unwrap();
    for (fanout, prefix, levels) in [(256, "00", 8), (8, "0", 21), (1024, "000", 6)] {
        // At the last level of the hash an entry may still lie.
        let prefixed = [prefix.as_bytes(), &name].concat();
        let mut root = shard(&mut store, fanout, &[0], vec![link(prefixed, leaf())]);
        for _ in 1..levels {
            root = shard(&mut store, fanout, &[0], vec![link(prefix, root)]);
        }
        assert_eq!(list(root, &store).0.unwrap().len(), 1);
        root = shard(&mut store, fanout, &[0], vec![link(prefix, root)]);
        let (result, blocks) = list(root, &store);
        assert_eq!(why(result), "it lies deeper than the bits of a hash lead");
        assert!(blocks <= levels + 1);
    }
}

#[test]
fn a_bomb_of_shards_ends_at_its_second_visit() {
    // Seven levels, each leading 256 times to the next: 256^7 entries on paper.
    let mut store = Store::new();
    let name = names_with_hash(0).next().unwrap();
    let mut root = shard(
        &mut store,
        256,
        &[0],
        vec![link([b"00", &name[..]].concat(), leaf())],
    );
    for _ in 0..7 {
        let links = (0..256).map(|index| link(format!("{index:02X}"), root)).collect();
        let all: Vec<usize> = (0..256).collect();
        root = shard(&mut store, 256, &all, links);
    }
    let (result, blocks) = list(root, &store);
    assert_eq!(why(result), "an entry lies where its hash does not lead");
    assert!(
        blocks <= 2 * 8,
        "{blocks} blocks: each level once, and again on the way to the second visit"
    );
}

#[test]
fn a_folder_inside_its_cid_is_read_without_a_block() {
    let profile = ImportProfile::V1_RAW_2025.with_inline_bytes_max(64).unwrap();
    let small = rustle_types::content::identity(b"hi").unwrap();
    let mut builder = FolderBuilder::new(profile, Metadata::NONE);
    let linked = Linked {
        cid: Cid::new_v1(CODEC_RAW, small),
        tsize: 2,
    };
    builder.add(b"a", linked).unwrap();
    let mut blocks = builder.finish().unwrap();
    blocks.by_ref().for_each(drop);
    let root = blocks.root().unwrap().cid;

    let mut lister = Lister::new(root);
    assert!(lister.wants().is_empty());
    assert!(matches!(lister.poll(), Ok(Listed::Entry(_))));
    assert_eq!(resolve(&format!("{root}/a"), &Store::new()), Ok(linked.cid));
}

#[test]
fn a_cid_with_a_huge_inside_is_no_cid() {
    let mut hash = vec![1, 0x55, 0, 65];
    hash.extend_from_slice(&[7; 65]);
    let mut bytes = vec![0x12, hash.len() as u8 + 2, 0x0a, hash.len() as u8];
    bytes.extend_from_slice(&hash);
    assert!(matches!(
        Node::decode(bytes.into()),
        Err(crate::DecodeError::Cid(69))
    ));
}
