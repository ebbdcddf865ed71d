//! Every hash function, and what garbage collection and checks of all blocks ask of a store.

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::{
    CODEC_DAG_PB, CODEC_RAW, HashFunction, IDENTITY_DIGEST_BYTES_MAX, Multihash, identity,
};

use crate::collect::{Fault, Swept};
use crate::{Batch, Collect, Durability, Entry, Marked, Store, StoreError};

fn block(content: &str) -> (Cid, Bytes) {
    let cid = Cid::new_v1(CODEC_RAW, HashFunction::Blake3.digest(content.as_bytes()));
    (cid, Bytes::from(content.to_owned()))
}

fn put(store: &impl Store, blocks: &[(Cid, Bytes)]) {
    let mut batch = Batch::new();
    for (cid, bytes) in blocks {
        batch.put_block(*cid, bytes.clone());
    }
    store.commit(batch, Durability::Synced).unwrap();
}

/// Blocks named by each hash function are kept, found by every CID of that hash, and verified by it.
pub fn hashes(store: &impl Store) {
    let bytes = Bytes::from_static(b"one content, many names");
    for function in [
        HashFunction::Sha2_256,
        HashFunction::Sha2_512,
        HashFunction::Blake3,
    ] {
        let hash = function.digest(&bytes);
        let cid = Cid::new_v1(CODEC_RAW, hash);
        assert_eq!(store.has(&cid), Ok(false), "{function} is a name of its own");
        put(store, &[(cid, bytes.clone())]);
        let mut names = vec![cid, Cid::new_v1(CODEC_DAG_PB, hash)];
        names.extend(Cid::new_v0(hash));
        assert_eq!(names.len() == 3, function == HashFunction::Sha2_256);
        for name in names {
            assert_eq!(store.size(&name), Ok(Some(bytes.len() as u64)));
            assert_eq!(store.get_verified(&name), Ok(Some(bytes.clone())));
        }
    }

    let longest = [7; IDENTITY_DIGEST_BYTES_MAX];
    let inline = Cid::new_v1(CODEC_RAW, identity(&longest).unwrap());
    assert_eq!(
        store.get_verified(&inline),
        Ok(Some(Bytes::copy_from_slice(&longest)))
    );

    // Whoever gave it out under a hash that is not known here could not tell it from damage.
    let unknown = Cid::new_v1(CODEC_RAW, Multihash::wrap(0xd5, &[3; 16]).unwrap());
    put(store, &[(unknown, bytes.clone())]);
    assert_eq!(store.get(&unknown), Ok(Some(bytes)));
    assert_eq!(store.get_verified(&unknown), Err(StoreError::Corrupt(unknown)));
}

/// Epochs grow, and what is put, touched and marked carries them; a sweep removes what is older and nothing else.
pub fn collection(store: &impl Collect) {
    let blocks: Vec<_> = ["a", "b", "c", "d", "e"].map(block).into();
    let names: Vec<_> = blocks.iter().map(|(cid, _)| *cid).collect();
    let hashes: Vec<_> = names.iter().map(|cid| *cid.hash()).collect();
    let absent = block("never put").0;
    let inline = Cid::new_v1(CODEC_RAW, identity(b"inline").unwrap());
    let entry = |of: usize| {
        let entries = store.entries(b"", usize::MAX).unwrap();
        entries
            .into_iter()
            .find(|(hash, _)| *hash == hashes[of])
            .unwrap()
            .1
    };

    let first = store.begin_epoch(false).unwrap();
    put(store, &blocks[..3]);
    assert_eq!(entry(0), Entry::new(1, first));
    let second = store.begin_epoch(true).unwrap();
    assert!(first < second);

    put(store, &blocks[..1]);
    assert_eq!(entry(0).epoch, second, "put again is put now");
    assert_eq!(
        store.touch(&[names[1], absent, inline]),
        Ok(vec![true, false, true])
    );
    assert_eq!(entry(1).epoch, second);
    assert_eq!(entry(2).epoch, first);

    let as_node = Cid::new_v1(CODEC_DAG_PB, hashes[0]);
    let marks = [as_node, as_node, names[0], absent, inline];
    assert_eq!(
        store.mark(second, &marks),
        Ok(vec![
            Marked::First,
            Marked::Again,
            Marked::Again,
            Marked::Missing,
            Marked::Again
        ])
    );
    assert_eq!(store.mark(second, &[as_node]), Ok(vec![Marked::Again]));
    put(store, &blocks[..1]);
    put(store, &blocks[3..]);
    let mut listed = store.entries(b"", 2).unwrap();
    let mut from = listed[1].0.to_bytes();
    from.push(0);
    listed.extend(store.entries(&from, 9).unwrap());
    let mut sorted = hashes.clone();
    sorted.sort_by_key(|hash| hash.to_bytes());
    assert!(
        listed.iter().map(|(hash, _)| hash).eq(&sorted),
        "in order, page by page"
    );

    let swept = store.sweep(second, &[&hashes[..], &[*absent.hash()]].concat());
    assert_eq!(swept, Ok(Swept { blocks: 1, bytes: 1 }));
    for (of, name) in names.iter().enumerate() {
        assert_eq!(store.has(name), Ok(of != 2));
        assert_eq!(store.get_verified(name).unwrap().is_some(), of != 2);
    }
    store.reclaim().unwrap();
    assert_eq!(
        store.sweep(second + 1, &hashes),
        Ok(Swept { blocks: 4, bytes: 4 })
    );
    assert_eq!(store.entries(b"", 9), Ok(Vec::new()));
}

/// A check of all blocks finds those that are damaged, in parts of any size, and mending drops them.
pub fn faults<S: Collect>(store: &S, damage: impl Fn(&S, &Cid, Bytes)) {
    let blocks: Vec<_> = (0..40)
        .map(|id| block(&format!("{id:05}").repeat(1000)))
        .collect();
    put(store, &blocks);
    for of in [3, 17] {
        let mut bytes = blocks[of].1.to_vec();
        bytes[99] ^= 4;
        damage(store, &blocks[of].0, bytes.into());
    }
    let mut damaged = vec![blocks[3].0, blocks[17].0];
    damaged.sort_by_key(|cid| cid.hash().to_bytes());
    let check = |bytes_max| {
        let (mut found, mut seen, mut from) = (Vec::new(), 0, Vec::new());
        loop {
            let checked = store.check(&from, bytes_max).unwrap();
            seen += checked.blocks;
            found.extend(checked.faults);
            match checked.next {
                Some(next) => from = next,
                None => return (found, seen),
            }
        }
    };
    let expected: Vec<_> = damaged.iter().map(|cid| (*cid, Fault::Damaged)).collect();

    for bytes_max in [1, 20_000, u64::MAX] {
        assert_eq!(check(bytes_max), (expected.clone(), 40));
    }
    assert_eq!(store.mend(&blocks[0].0), Ok(false), "nothing is wrong with it");
    for cid in &damaged {
        assert_eq!(store.mend(cid), Ok(true));
        assert_eq!(store.has(cid), Ok(false), "what is damaged counts as missing");
    }
    assert_eq!(check(u64::MAX), (Vec::new(), 38));
    put(store, &blocks);
    assert_eq!(check(u64::MAX), (Vec::new(), 40));
}
