//! Files that are honest, and trees that are not.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;
use rustle_types::Cid;
use rustle_types::content::CODEC_DAG_PB;

use super::*;
use crate::dagpb::{Link, Node};
use crate::tree::cid_of;
use crate::unixfs::{Data, Kind};
use crate::{ImportProfile, Importer};

type Blocks = HashMap<Cid, Bytes>;

fn import(profile: ImportProfile, bytes: &[u8]) -> (Cid, Blocks) {
    let mut importer = Importer::new(profile);
    let mut blocks = Blocks::new();
    for portion in bytes.chunks(1000) {
        importer.push(portion);
    }
    let root = importer.finish().root;
    while let Some(block) = importer.poll_block() {
        blocks.insert(block.cid, block.bytes);
    }
    (root, blocks)
}

/// Reads with `window` bytes of look-ahead; the newest want is answered first, to disturb the order.
fn read(mut reader: Reader, blocks: &Blocks, window: u64) -> Result<Vec<u8>, ReadError> {
    let (mut file, mut open) = (Vec::new(), VecDeque::new());
    loop {
        open.extend(reader.wants(window));
        match reader.poll()? {
            Progress::Bytes(bytes) => file.extend_from_slice(&bytes),
            Progress::Done => return Ok(file),
            Progress::Need(cid) => {
                assert!(open.contains(&cid), "what is needed was asked for");
                let newest: Cid = open.pop_back().unwrap();
                reader.supply(&newest, blocks[&newest].clone())?;
            }
        }
    }
}

fn put(blocks: &mut Blocks, bytes: Bytes) -> Cid {
    let cid = cid_of(1, CODEC_DAG_PB, &bytes);
    blocks.insert(cid, bytes);
    cid
}

/// A file node with these children and sizes.
fn node(blocks: &mut Blocks, children: &[(Cid, u64)], filesize: Option<u64>) -> Cid {
    let blocksizes = children.iter().map(|(_, size)| *size).collect();
    let data = Data {
        filesize,
        blocksizes,
        ..Data::new(Kind::File)
    };
    let links = children
        .iter()
        .map(|(cid, _)| Link {
            cid: *cid,
            name: Bytes::new(),
            tsize: 0,
        })
        .collect::<Vec<_>>();
    put(
        blocks,
        Node {
            links,
            data: Some(data.encode()),
        }
        .encode(),
    )
}

fn small(profile: ImportProfile) -> ImportProfile {
    profile.with_chunk_bytes(10).unwrap().with_links_max(3).unwrap()
}

#[test]
fn looks_ahead_as_far_as_the_window_and_names_each_block_once() {
    let bytes: Vec<u8> = (0..60).collect();
    let profile = ImportProfile::V1_RAW_2025.with_chunk_bytes(10).unwrap();
    let (root, blocks) = import(profile, &bytes);
    let mut reader = Reader::new(root);

    assert_eq!(reader.wants(1_000), [root]);
    assert!(reader.wants(1_000).is_empty(), "named already");
    assert_eq!(reader.size(), None);
    reader.supply(&root, blocks[&root].clone()).unwrap();

    let first = reader.wants(25);
    assert_eq!(first.len(), 2, "a third leaf would not fit");
    assert_eq!(reader.size(), Some(60));
    assert!(reader.wants(25).is_empty());
    reader.supply(&first[1], blocks[&first[1]].clone()).unwrap();
    assert_eq!(reader.poll(), Ok(Progress::Need(first[0])), "bytes come in order");
    reader.supply(&first[0], blocks[&first[0]].clone()).unwrap();
    assert!(matches!(reader.poll(), Ok(Progress::Bytes(_))));
    assert_eq!(reader.wants(25).len(), 1, "the window moves on by one leaf");
    assert_eq!(reader.wants(0), [], "the next leaf was named before");
}

#[test]
fn equal_chunks_are_fetched_once_within_the_window() {
    let (root, blocks) = import(small(ImportProfile::V1_RAW_2025), &[7; 30]);
    let mut reader = Reader::new(root);
    assert_eq!(reader.wants(100), [root]);
    reader.supply(&root, blocks[&root].clone()).unwrap();

    let wants = reader.wants(100);
    assert_eq!(wants.len(), 1);
    reader.supply(&wants[0], blocks[&wants[0]].clone()).unwrap();

    for _ in 0..3 {
        assert_eq!(reader.poll(), Ok(Progress::Bytes(Bytes::from_static(&[7; 10]))));
    }
    assert_eq!(reader.poll(), Ok(Progress::Done));
    assert!(reader.slots.is_empty());
}

#[test]
fn folders_links_and_strangers_are_named() {
    let mut blocks = Blocks::new();
    let folder = Node {
        links: vec![],
        data: Some(Data::new(Kind::Directory).encode()),
    }
    .encode();
    let folder = put(&mut blocks, folder);
    let link = Data {
        data: Some(Bytes::from_static(b"../a")),
        ..Data::new(Kind::Symlink)
    };
    let link = put(
        &mut blocks,
        Node {
            links: vec![],
            data: Some(link.encode()),
        }
        .encode(),
    );
    let bare = put(&mut blocks, Bytes::new());
    let chain = Cid::new_v1(rustle_types::content::CODEC_DAG_CBOR, *folder.hash());
    blocks.insert(chain, Bytes::new());

    let fails = |root| read(Reader::new(root), &blocks, 0).unwrap_err();
    assert_eq!(
        fails(folder).to_string(),
        format!("{folder} is a directory; name a file in it")
    );
    assert_eq!(
        fails(link),
        ReadError::IsSymlink {
            cid: link,
            target: "../a".into()
        }
    );
    assert!(matches!(fails(bare), ReadError::NotAFile { .. }));
    assert!(matches!(fails(chain), ReadError::NotAFile { .. }));
}

#[test]
fn contradicting_sizes_are_refused() {
    let (leaf, mut blocks) = import(ImportProfile::V1_RAW_2025, &[1; 10]);
    let parent = node(&mut blocks, &[(leaf, 11)], Some(11));
    let header = node(&mut blocks, &[(leaf, 10)], Some(9));
    let overflow = node(&mut blocks, &[(leaf, u64::MAX), (leaf, u64::MAX)], None);
    let data = Data {
        filesize: Some(10),
        ..Data::new(Kind::File)
    };
    let links = vec![Link {
        cid: leaf,
        name: Bytes::new(),
        tsize: 0,
    }];
    let unpaired = put(
        &mut blocks,
        Node {
            links,
            data: Some(data.encode()),
        }
        .encode(),
    );

    let fails = |root| read(Reader::new(root), &blocks, 100).unwrap_err();
    assert_eq!(
        fails(parent),
        ReadError::WrongSize {
            cid: leaf,
            declared: 11,
            found: 10
        }
    );
    assert_eq!(
        fails(header),
        ReadError::WrongSize {
            cid: header,
            declared: 9,
            found: 10
        }
    );
    assert!(matches!(fails(overflow), ReadError::WrongSize { .. }));
    assert_eq!(
        fails(unpaired),
        ReadError::Unpaired {
            cid: unpaired,
            links: 1,
            sizes: 0
        }
    );
}

#[test]
fn a_doubling_tree_of_nothing_costs_nothing() {
    let mut blocks = Blocks::new();
    let mut root = node(&mut blocks, &[], Some(0));
    for _ in 0..60 {
        root = node(&mut blocks, &[(root, 0), (root, 0)], Some(0));
    }
    assert_eq!(read(Reader::new(root), &blocks, 100), Ok(vec![]));
}

#[test]
fn a_range_of_a_doubling_tree_costs_one_way_down() {
    // 2^50 bytes in 51 blocks: honest sizes, and the same child twice on each level.
    let mut blocks = Blocks::new();
    let mut child = put(&mut blocks, file_block(b"x"));
    for level in 0..50 {
        child = node(&mut blocks, &[(child, 1 << level); 2], Some(2 << level));
    }
    let mut reader = Reader::with_range(child, (1 << 49) - 2, Some(4));
    let (mut bytes, mut fetched) = (Vec::new(), 0);
    loop {
        for cid in reader.wants(0) {
            fetched += 1;
            reader.supply(&cid, blocks[&cid].clone()).unwrap();
        }
        match reader.poll().unwrap() {
            Progress::Bytes(part) => bytes.extend_from_slice(&part),
            Progress::Need(_) => {}
            Progress::Done => break,
        }
    }
    assert_eq!(bytes, b"xxxx");
    assert_eq!(reader.size(), Some(1 << 50), "who reads it whole is told first");
    assert!(fetched < 4 * 50, "{fetched} blocks");
}

fn file_block(bytes: &'static [u8]) -> Bytes {
    let data = Data {
        data: Some(Bytes::from_static(bytes)),
        filesize: Some(bytes.len() as u64),
        ..Data::new(Kind::File)
    };
    let (links, data) = (vec![], Some(data.encode()));
    Node { links, data }.encode()
}

#[test]
fn a_tree_beyond_the_depth_is_refused() {
    let (leaf, mut blocks) = import(ImportProfile::V1_RAW_2025, b"x");
    let mut root = leaf;
    for _ in 0..DEPTH_MAX {
        root = node(&mut blocks, &[(root, 1)], Some(1));
    }
    assert_eq!(read(Reader::new(root), &blocks, 0), Ok(b"x".to_vec()));
    let deeper = node(&mut blocks, &[(root, 1)], Some(1));
    assert!(matches!(
        read(Reader::new(deeper), &blocks, 0),
        Err(ReadError::TooDeep(_))
    ));
}

#[test]
fn a_tree_of_wide_nodes_is_refused() {
    let (leaf, mut blocks) = import(ImportProfile::V1_RAW_2025, b"x");
    let (mut root, mut size) = (leaf, 1);
    // Each level that is opened leaves 30,000 links behind the one that is followed.
    for _ in 0..10 {
        let links: Vec<_> = std::iter::once((root, size))
            .chain((0..30_000).map(|_| (leaf, 1)))
            .collect();
        size += 30_000;
        root = node(&mut blocks, &links, None);
    }
    assert!(matches!(
        read(Reader::new(root), &blocks, 0),
        Err(ReadError::TooWide(_))
    ));
}

#[test]
fn unasked_blocks_and_identity_blocks() {
    let (leaf, mut blocks) = import(ImportProfile::V1_RAW_2025, b"x");
    let mut reader = Reader::new(leaf);
    assert_eq!(
        reader.supply(&leaf, Bytes::from_static(b"x")),
        Err(ReadError::NotAsked(leaf))
    );

    let hash = multihash_codetable::Multihash::wrap(HASH_IDENTITY, b"inline").unwrap();
    let inline = Cid::new_v1(rustle_types::content::CODEC_RAW, hash);
    let root = node(&mut blocks, &[(leaf, 1), (inline, 6)], Some(7));
    assert_eq!(read(Reader::new(root), &blocks, 10).unwrap(), b"xinline");
}

#[test]
fn data_beside_links_comes_first() {
    let (leaf, mut blocks) = import(ImportProfile::V1_RAW_2025, b"tail");
    let data = Data {
        data: Some(Bytes::from_static(b"head ")),
        filesize: Some(9),
        blocksizes: vec![4],
        ..Data::new(Kind::File)
    };
    let links = vec![Link {
        cid: leaf,
        name: Bytes::new(),
        tsize: 4,
    }];
    let root = put(
        &mut blocks,
        Node {
            links,
            data: Some(data.encode()),
        }
        .encode(),
    );
    assert_eq!(read(Reader::new(root), &blocks, 0).unwrap(), b"head tail");
    assert_eq!(
        read(Reader::with_range(root, 4, Some(2)), &blocks, 0).unwrap(),
        b" t"
    );
}

proptest! {
    #[test]
    fn every_file_and_range_comes_back(
        length in 0usize..1500,
        raw in any::<bool>(),
        repeat in 1usize..300,
        window in 0u64..200,
        offset in 0u64..1600,
        count in prop::option::of(0u64..1600),
    ) {
        let bytes: Vec<u8> = (0..length).map(|index| (index % repeat) as u8).collect();
        let profile = if raw { ImportProfile::V1_RAW_2025 } else { ImportProfile::KUBO_2015 };
        let (root, blocks) = import(small(profile), &bytes);

        prop_assert_eq!(&read(Reader::new(root), &blocks, window).unwrap(), &bytes);

        let from = length.min(offset as usize);
        let to = count.map_or(length, |count| length.min((offset + count) as usize));
        let part = read(Reader::with_range(root, offset, count), &blocks, window).unwrap();
        prop_assert_eq!(&part, &bytes[from..to.max(from)]);
    }

    #[test]
    fn every_profile_comes_back(
        length in 0usize..600,
        version in 0u8..2,
        raw in any::<bool>(),
        hash in prop::sample::select(vec!["sha2-256", "sha2-512", "blake3"]),
        inline in 0usize..64,
        mode in prop::option::of(0u32..0o10000),
    ) {
        let profile = small(ImportProfile::V1_RAW_2025).with_raw_leaves(raw).with_inline_bytes_max(inline).unwrap();
        let profile = profile.with_hash(hash.parse().unwrap()).unwrap();
        let profile = profile.with_cid_version(version).unwrap_or(profile);
        let metadata = crate::Metadata { mode, mtime: None };
        let bytes: Vec<u8> = (0..length).map(|index| index as u8).collect();
        let mut importer = Importer::with_metadata(profile, metadata);
        importer.push(&bytes);
        let (imported, mut blocks) = (importer.finish(), Blocks::new());
        let (mut count, mut sum) = (0, 0);
        while let Some(block) = importer.poll_block() {
            prop_assert_eq!(rustle_types::content::verify(&block.cid, &block.bytes), Ok(()));
            count += 1;
            sum += block.bytes.len() as u64;
            blocks.insert(block.cid, block.bytes);
        }
        prop_assert_eq!(read(Reader::new(imported.root), &blocks, 1000).unwrap(), bytes);
        prop_assert_eq!(imported.blocks, count);
        prop_assert_eq!(imported.tsize, sum);
    }

    #[test]
    fn any_block_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut blocks = Blocks::new();
        let root = put(&mut blocks, bytes.into());
        let mut reader = Reader::new(root);
        reader.wants(1);
        let _ = reader.supply(&root, blocks[&root].clone()).and_then(|()| reader.poll().map(drop));
    }
}

#[test]
fn no_more_is_held_than_the_bound_whatever_sizes_are_declared() {
    let chunk = 1 << 20;
    let mut blocks = Blocks::new();
    let leaves: Vec<Cid> = (0..64u8)
        .map(|number| {
            let bytes = Bytes::from(vec![number; chunk]);
            let cid = cid_of(1, rustle_types::content::CODEC_RAW, &bytes);
            blocks.insert(cid, bytes);
            cid
        })
        .collect();
    let honest: Vec<_> = leaves.iter().map(|cid| (*cid, chunk as u64)).collect();
    let lying: Vec<_> = leaves.iter().map(|cid| (*cid, 1)).collect();
    for (children, is_honest) in [(honest, true), (lying, false)] {
        let root = node(&mut blocks, &children, None);
        let mut reader = Reader::new(root);
        let mut read = 0;
        let end = loop {
            let mut wants = reader.wants(u64::MAX);
            while !wants.is_empty() {
                for cid in wants {
                    reader.supply(&cid, blocks[&cid].clone()).unwrap();
                    assert!(reader.held <= HELD_BYTES_MAX + chunk, "{} bytes", reader.held);
                }
                wants = reader.wants(u64::MAX);
            }
            match reader.poll() {
                Ok(Progress::Bytes(bytes)) => read += bytes.len(),
                Ok(Progress::Need(cid)) => reader.supply(&cid, blocks[&cid].clone()).unwrap(),
                end => break end,
            }
        };
        if is_honest {
            assert_eq!((end, read, reader.held), (Ok(Progress::Done), 64 * chunk, 0));
        } else {
            assert!(
                matches!(end, Err(ReadError::WrongSize { declared: 1, .. })),
                "{end:?}"
            );
        }
    }
}
