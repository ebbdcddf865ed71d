//! CARs out of one node and into another, whole and damaged.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustle_car::{Block, encode_header, encode_section};
use rustle_tests::{Daemon, Setup, content, rustle_at};
use rustle_types::Cid;
use rustle_types::content::{CODEC_RAW, HashFunction};
use serde_json::Value;

use super::{done, words};

fn raw(bytes: &[u8]) -> Block {
    Block {
        cid: Cid::new_v1(CODEC_RAW, HashFunction::Sha2_256.digest(bytes)),
        bytes: Bytes::copy_from_slice(bytes),
    }
}

/// A CAR of these blocks.
pub(super) fn car(folder: &Path, name: &str, roots: &[Cid], blocks: &[Block]) -> PathBuf {
    let mut file = encode_header(roots).unwrap().to_vec();
    for part in blocks.iter().flat_map(encode_section) {
        file.extend_from_slice(&part);
    }
    let path = folder.join(name);
    fs::write(&path, file).unwrap();
    path
}

#[tokio::test]
async fn a_car_carries_a_folder_to_a_node_without_peers() {
    let a = Daemon::start("A", Setup::default()).await.unwrap();
    let b = Daemon::start("B", Setup::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [original, first, second, copy] =
        ["original", "first.car", "second.car", "copy"].map(|name| folder.path().join(name));
    fs::create_dir(&original).unwrap();
    for number in 0..50u8 {
        fs::write(original.join(number.to_string()), vec![number; 1000]).unwrap();
    }
    fs::write(original.join("large"), content::pattern(5_000_000)).unwrap();
    fs::write(original.join("again"), content::pattern(5_000_000)).unwrap();
    let cid = done(rustle_at(a.data_dir(), words(&[&"add", &"-rQ", &original])).await).text();

    let line = words(&[&"car", &"export", &cid, &"-o", &first, &"--json"]);
    let exported: Value = serde_json::from_str(&done(rustle_at(a.data_dir(), line).await).text()).unwrap();
    let bytes = fs::read(&first).unwrap();
    assert_eq!(exported["bytes"], bytes.len());
    assert!(bytes.len() < 6_000_000, "equal blocks are written once");

    let line = words(&[&"car", &"import", &first, &"--json"]);
    let imported: Value = serde_json::from_str(&done(rustle_at(b.data_dir(), line).await).text()).unwrap();
    assert_eq!(imported["roots"], Value::from(vec![cid.clone()]));
    assert_eq!(
        (&imported["blocks"], &imported["pinned"]),
        (&exported["blocks"], &true.into())
    );
    done(rustle_at(b.data_dir(), words(&[&"get", &cid, &"-o", &copy])).await);
    assert!(fs::read(copy.join("large")).unwrap() == fs::read(original.join("large")).unwrap());

    let piped = done(rustle_at(b.data_dir(), ["car", "export", &cid]).await).stdout;
    assert!(piped == bytes, "the same root gives the same bytes");
    let counted = done(rustle_at(b.data_dir(), ["dag", "stat", &cid, "--json"]).await).text();
    let counted: Value = serde_json::from_str(&counted).unwrap();
    assert_eq!(counted["blocks"], exported["blocks"]);

    // Version 2: pragma, header, then the same bytes, then an index.
    let mut version_2 = b"\x0a\xa1\x67version\x02".to_vec();
    version_2.extend_from_slice(&[0; 16]);
    for word in [51, bytes.len() as u64, 0] {
        version_2.extend_from_slice(&word.to_le_bytes());
    }
    version_2.extend_from_slice(&bytes);
    version_2.extend_from_slice(b"an index");
    fs::write(&second, version_2).unwrap();
    let line = words(&[&"car", &"import", &second, &"--pin-roots=false", &"--json"]);
    let imported: Value = serde_json::from_str(&done(rustle_at(b.data_dir(), line).await).text()).unwrap();
    assert_eq!(
        (&imported["blocks"], &imported["pinned"]),
        (&exported["blocks"], &false.into())
    );
}

#[tokio::test]
async fn damaged_cars_are_told_with_their_place() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let blocks = [raw(b"one"), raw(&content::pattern(2_000_000)), raw(b"three")];
    let roots = [blocks[0].cid];
    let whole = fs::read(car(folder.path(), "whole", &roots, &blocks)).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut flipped = whole.clone();
    flipped[1_000_000] ^= 1;
    let wrong = Block {
        cid: blocks[1].cid,
        bytes: Bytes::from_static(b"evil"),
    };
    let oversize = raw(&vec![7; (2 << 20) + 1]);
    let unknown = Block {
        cid: Cid::new_v1(0x78, HashFunction::Sha2_256.digest(b"git")),
        bytes: Bytes::from_static(b"git"),
    };
    let mut long_cid = encode_header(&roots).unwrap().to_vec();
    // A section of 142 bytes, whose CID has an identity hash of 136.
    long_cid.extend_from_slice(&[0x8e, 1, 1, 0x55, 0, 0x88, 1]);
    long_cid.extend_from_slice(&[7; 137]);
    let second = encode_header(&roots).unwrap().len() + 1 + 36 + 3;

    for (path, hint) in [
        (write("cut", &whole[..whole.len() - 3]), "cut off".to_owned()),
        (write("cut-early", &whole[..10]), "cut off".to_owned()),
        (write("empty", b""), "cut off".to_owned()),
        (write("no-car", &[b'{'; 500]), "no CAR".to_owned()),
        (write("flipped", &flipped), format!("byte {second} is damaged")),
        (
            car(folder.path(), "wrong", &roots, &[wrong]),
            blocks[1].cid.to_string(),
        ),
        (
            car(folder.path(), "oversize", &roots, &[oversize]),
            "more than the".to_owned(),
        ),
        (
            car(folder.path(), "codec", &roots, &[unknown]),
            "known are raw, dag-pb, dag-cbor and dag-json".to_owned(),
        ),
        (
            write("long-cid", &long_cid),
            "does not begin with a CID".to_owned(),
        ),
        (folder.path().join("missing"), "missing".to_owned()),
    ] {
        let line = words(&[&"car", &"import", &path]);
        let refused = rustle_at(node.data_dir(), line).await.unwrap();
        let line = refused.refusal(1);
        assert!(line.contains(&hint), "{}: {line}", path.display());
    }
}
