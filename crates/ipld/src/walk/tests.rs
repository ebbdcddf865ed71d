//! Trees, graphs and bombs.

use std::collections::HashMap;

use rustle_types::content::{CODEC_DAG_CBOR, CODEC_DAG_PB, CODEC_RAW, HashFunction, identity};
use rustle_unixfs::{FolderBuilder, ImportProfile, Importer, Linked, Metadata};

use super::*;
use crate::Ipld;

type Store = HashMap<Cid, Bytes>;

fn put(store: &mut Store, links: &[Cid], salt: i128) -> Cid {
    let links = links.iter().map(|cid| Ipld::Link(*cid)).collect();
    let value = Ipld::List(vec![Ipld::Integer(salt), Ipld::List(links)]);
    let bytes = Bytes::from(serde_ipld_dagcbor::to_vec(&value).unwrap());
    let cid = Cid::new_v1(CODEC_DAG_CBOR, HashFunction::Sha2_256.digest(&bytes));
    store.insert(cid, bytes);
    cid
}

fn walk(mut walker: Walker, store: &Store) -> Result<Vec<Cid>, WalkError> {
    let mut visited = Vec::new();
    loop {
        for cid in walker.wants().into_iter().rev() {
            walker.supply(&cid, store[&cid].clone())?;
        }
        match walker.poll()? {
            Step::Block { cid, bytes } => {
                assert_eq!(bytes, store[&cid]);
                visited.push(cid);
            }
            Step::Need(cid) => assert!(store.contains_key(&cid)),
            Step::Done => return Ok(visited),
        }
    }
}

#[test]
fn visits_depth_first_in_the_order_of_links() {
    let mut store = Store::new();
    let [c, d] = [3, 4].map(|salt| put(&mut store, &[], salt));
    let b = put(&mut store, &[c, d], 2);
    let e = put(&mut store, &[d, c], 5);
    let a = put(&mut store, &[b, e, d], 1);

    assert_eq!(walk(Walker::new(&[a]), &store), Ok(vec![a, b, c, d, e]));
    assert_eq!(walk(Walker::new(&[e, a]), &store), Ok(vec![e, d, c, a, b]));
    assert_eq!(walk(Walker::new(&[]), &store), Ok(vec![]));
}

#[test]
fn a_bomb_of_repeated_links_is_as_many_blocks_as_it_has() {
    let mut store = Store::new();
    let mut root = put(&mut store, &[], 0);
    for level in 1..100 {
        root = put(&mut store, &vec![root; 1000], level);
    }
    let visited = walk(Walker::new(&[root]), &store).unwrap();
    assert_eq!(visited.len(), 100);

    // Two blocks a level, each linking to both below: 2^100 paths.
    let mut pair = [put(&mut store, &[], -1), put(&mut store, &[], -2)];
    for level in 1..100 {
        pair = [put(&mut store, &pair, level), put(&mut store, &pair, -level)];
    }
    assert_eq!(walk(Walker::new(&pair), &store).unwrap().len(), 200);
}

#[test]
fn wide_levels_leave_room_for_the_next_block() {
    let mut store = Store::new();
    let leaves: Vec<Cid> = (0..100).map(|salt| put(&mut store, &[], salt)).collect();
    let middles: Vec<Cid> = leaves
        .chunks(10)
        .map(|leaves| {
            let inner = put(&mut store, leaves, 1000);
            put(&mut store, &[inner], 2000)
        })
        .collect();
    let mut roots = middles.clone();
    roots.extend(leaves.iter().rev());
    let inline = serde_ipld_dagcbor::to_vec(&Ipld::Null).unwrap();
    roots.insert(0, Cid::new_v1(CODEC_DAG_CBOR, identity(&inline).unwrap()));
    let root = put(&mut store, &roots, -1);
    assert_eq!(walk(Walker::new(&[root]), &store).unwrap().len(), 121);
}

#[test]
fn bounds_and_strangers_end_the_walk() {
    let mut store = Store::new();
    let leaves: Vec<Cid> = (0..10).map(|salt| put(&mut store, &[], salt)).collect();
    let root = put(&mut store, &leaves, -1);
    assert_eq!(
        walk(Walker::with_blocks_max(&[root], 11), &store).unwrap().len(),
        11
    );
    assert_eq!(
        walk(Walker::with_blocks_max(&[root], 10), &store),
        Err(WalkError::TooMany)
    );
    assert_eq!(
        Walker::new(&[root]).supply(&leaves[0], Bytes::new()),
        Err(WalkError::NotAsked(leaves[0]))
    );

    let git = Cid::new_v1(0x78, HashFunction::Sha2_256.digest(b"git"));
    store.insert(git, Bytes::from_static(b"git"));
    let root = put(&mut store, &[git], 0);
    let error = walk(Walker::new(&[root]), &store);
    let Err(WalkError::Block(error)) = error else {
        panic!("an error of the block")
    };
    assert!(matches!(*error, IpldError::UnknownCodec { .. }));
}

#[test]
fn the_same_bytes_under_two_codecs_are_two_blocks() {
    let mut store = Store::new();
    let leaf = put(&mut store, &[], 1);
    let node = put(&mut store, &[leaf], 2);
    let raw = Cid::new_v1(CODEC_RAW, *node.hash());
    store.insert(raw, store[&node].clone());
    // Seen as raw first, it must not hide its links.
    assert_eq!(walk(Walker::new(&[raw, node]), &store), Ok(vec![raw, node, leaf]));
}

#[test]
fn a_large_folder_of_files_is_walked_whole() {
    let mut store = Store::new();
    let profile = ImportProfile::KUBO_2015
        .with_chunk_bytes(10)
        .unwrap()
        .with_links_max(3)
        .unwrap();
    let mut importer = Importer::new(profile);
    importer.push(&(0..200).collect::<Vec<u8>>());
    let file = importer.finish();
    while let Some(block) = importer.poll_block() {
        store.insert(block.cid, block.bytes);
    }
    let mut folder = FolderBuilder::new(profile, Metadata::NONE);
    for number in 0..6000 {
        folder
            .add(format!("{number:030}").as_bytes(), file.linked())
            .unwrap();
    }
    let mut blocks = folder.finish().unwrap();
    store.extend(blocks.by_ref().map(|block| (block.cid, block.bytes)));
    let Linked { cid, .. } = blocks.root().unwrap();

    let mut visited = walk(Walker::new(&[cid]), &store).unwrap();
    assert_eq!(visited[0], cid);
    assert_eq!(cid.codec(), CODEC_DAG_PB);
    visited.sort();
    visited.dedup();
    assert_eq!(visited.len(), store.len());
}
