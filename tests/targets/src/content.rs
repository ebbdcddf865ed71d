//! What content is made of: folders in shards, CAR files, dag-cbor and dag-json.

use std::collections::HashSet;

use bytes::Bytes;
use rustle_car::{Block, Item, encode_header, encode_section};
use rustle_ipld::{IpldError, links, to_dag_cbor, to_dag_json};
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_CBOR, CODEC_DAG_PB, CODEC_RAW, HashFunction, verify};
use rustle_unixfs::{
    ContentPath, FolderBuilder, ImportProfile, Importer, Linked, Listed, Lister, Metadata, Reader, Resolver,
    Stat,
};

use crate::Target;
use crate::input::Input;

/// The first byte says what the rest is.
pub(crate) const TARGET: Target = Target {
    name: "content",
    run,
    seeds,
    bytes_max: 16 * 1024,
};

/// More steps than one block is good for.
const STEPS_MAX: usize = 64 * 1024;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(5) {
        0 => node(Bytes::copy_from_slice(input.rest())),
        1 => car(usize::from(input.byte()) + 1, input.rest()),
        2 => cbor(Bytes::copy_from_slice(input.rest())),
        3 => json(&String::from_utf8_lossy(input.rest())),
        _ => path(&String::from_utf8_lossy(input.rest())),
    }
}

fn named(codec: u64, bytes: &[u8]) -> Cid {
    Cid::new_v1(codec, HashFunction::Sha2_256.digest(bytes))
}

/// One block, read as everything that a block of dag-pb can be.
fn node(bytes: Bytes) {
    let cid = named(CODEC_DAG_PB, &bytes);
    let _ = Stat::of(cid, bytes.clone());
    let _ = links(&cid, bytes.clone());
    let _ = to_dag_json(&cid, bytes.clone());

    let mut reader = Reader::new(cid);
    assert_eq!(reader.wants(0), [cid]);
    let _ = reader.supply(&cid, bytes.clone());
    for _ in 0..STEPS_MAX {
        match reader.poll() {
            Ok(rustle_unixfs::Progress::Bytes(some)) => assert!(!some.is_empty()),
            Ok(rustle_unixfs::Progress::Need(_) | rustle_unixfs::Progress::Done) | Err(_) => break,
        }
    }

    let names = vec!["a".to_owned()];
    let mut resolver = Resolver::new(ContentPath { root: cid, names });
    let _ = resolver.supply(&cid, bytes.clone());
    let _ = resolver.poll();
    list(cid, bytes);
}

fn list(cid: Cid, bytes: Bytes) {
    let mut lister = Lister::new(cid);
    assert_eq!(lister.wants(), [cid]);
    let _ = lister.supply(&cid, bytes);
    let mut seen = HashSet::new();
    for step in 0.. {
        assert!(step < STEPS_MAX, "a listing ends");
        match lister.poll() {
            Ok(Listed::Entry(entry)) => {
                let strange =
                    [&b""[..], b".", b".."].contains(&&entry.name[..]) || entry.name.contains(&b'/');
                assert!(!strange, "{:?} leaves the folder", entry.name);
                assert!(seen.insert(entry.name), "a name comes once");
            }
            Ok(Listed::Need(_) | Listed::Done) | Err(_) => break,
        }
    }
}

fn car(portion: usize, bytes: &[u8]) {
    let mut reader = rustle_car::Reader::new();
    let mut held = 0;
    for part in bytes.chunks(portion) {
        reader.push(part);
        loop {
            match reader.poll() {
                Ok(Some(Item::Block(Block { cid, bytes }))) => {
                    assert_eq!(verify(&cid, &bytes), Ok(()), "no block is unchecked");
                    held += bytes.len();
                }
                Ok(Some(Item::Roots(_))) => {}
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.finish(), Err(error), "an error stays");
                    return;
                }
            }
        }
    }
    assert!(held <= bytes.len());
    let _ = reader.finish();
}

fn cbor(bytes: Bytes) {
    let cid = named(CODEC_DAG_CBOR, &bytes);
    let found = links(&cid, bytes.clone());
    let Ok(text) = to_dag_json(&cid, bytes.clone()) else {
        return;
    };
    assert!(found.is_ok(), "what is shown has links");
    match to_dag_cbor(&text) {
        Ok(again) => assert_eq!(again, bytes, "equal values are equal blocks"),
        // Negative integers of 65 bits can be shown, but no text gives them.
        Err(error) => assert!(bytes.contains(&0x3b), "{error}: {text}"),
    }
}

fn json(text: &str) {
    let Ok(block) = to_dag_cbor(text) else { return };
    match to_dag_json(&named(CODEC_DAG_CBOR, &block), block.clone()) {
        Ok(text) => assert_eq!(to_dag_cbor(&text), Ok(block)),
        Err(IpldError::Unshowable { .. }) => {}
        Err(error) => panic!("what we write, we read: {error}"),
    }
}

fn path(text: &str) {
    if let Ok(path) = text.parse::<ContentPath>() {
        assert!(
            path.names
                .iter()
                .all(|name| ![".", "..", ""].contains(&&name[..]))
        );
        assert_eq!(path.to_string().parse(), Ok(path));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        [&[2][..], b"\xa2\x61b\x01\x62aa\x84\xf6\xf5\x20\x43abc"].concat(),
        [
            &[3][..],
            br#"{"a":[1,-2,1.5,null,true,"x",{"/":{"bytes":"aGk"}}]}"#,
        ]
        .concat(),
        b"\x04bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku/a/b".to_vec(),
    ];
    let mut importer = Importer::new(
        ImportProfile::KUBO_2015
            .with_chunk_bytes(4)
            .expect("a size above 0"),
    );
    importer.push(b"some bytes of a file");
    let file = importer.finish();
    let mut car = encode_header(&[file.root])
        .expect("one root is not too many")
        .to_vec();
    while let Some(block) = importer.poll_block() {
        let Block { cid, bytes } = Block {
            cid: block.cid,
            bytes: block.bytes,
        };
        seeds.push([&[0][..], &bytes].concat());
        car.extend_from_slice(&encode_section(&Block { cid, bytes }).concat());
    }
    seeds.push([&[1, 30][..], &car].concat());
    seeds.extend(folders().map(|block| [&[0][..], &block].concat()));
    seeds
}

/// A plain folder, and a shard with many entries and one with few.
fn folders() -> impl Iterator<Item = Bytes> {
    let cid = named(CODEC_RAW, b"");
    let blocks = [3usize, 4000].map(|count| {
        let mut folder = FolderBuilder::new(ImportProfile::V1_RAW_2025, Metadata::NONE);
        for number in 0..count {
            let name = format!("{number:040}");
            folder
                .add(name.as_bytes(), Linked { cid, tsize: 0 })
                .expect("a name");
        }
        let blocks = folder.finish().expect("distinct names");
        blocks.filter(|block| block.bytes.len() < 8 * 1024).take(2)
    });
    blocks.into_iter().flatten().map(|block| block.bytes)
}
