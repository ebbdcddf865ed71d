//! Trees that no honest program makes cost a moment and give a clear error.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rustle_car::Block;
use rustle_tests::{Daemon, Setup, rustle_at, waiting};
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, CODEC_RAW, HashFunction, identity};
use rustle_unixfs::dagpb::{Link, Node};
use rustle_unixfs::unixfs::{Data, Kind};

use super::cars::car;
use super::{done, words};

/// Longest time that any command about a hostile tree may take. They take a hundredth.
const PATIENCE: Duration = Duration::from_secs(15);
/// Most memory of the node, which also imports the trees.
const MEMORY_BYTES_MAX: u64 = 250 << 20;

/// Blocks, the root last.
#[derive(Default)]
struct Forge(Vec<Block>);

impl Forge {
    fn raw(&mut self, bytes: &[u8]) -> Cid {
        self.put(CODEC_RAW, Bytes::copy_from_slice(bytes))
    }

    fn node(&mut self, links: &[(&str, Cid)], data: Data) -> Cid {
        let link = |(name, cid): &(&str, Cid)| Link {
            cid: *cid,
            name: Bytes::copy_from_slice(name.as_bytes()),
            tsize: 1,
        };
        let node = Node {
            links: links.iter().map(link).collect(),
            data: Some(data.encode()),
        };
        self.put(CODEC_DAG_PB, node.encode())
    }

    fn file(&mut self, children: &[(Cid, u64)]) -> Cid {
        let links: Vec<_> = children.iter().map(|(cid, _)| ("", *cid)).collect();
        let sizes: Vec<u64> = children.iter().map(|(_, size)| *size).collect();
        let data = Data {
            filesize: Some(sizes.iter().sum()),
            blocksizes: sizes,
            ..Data::new(Kind::File)
        };
        self.node(&links, data)
    }

    fn folder(&mut self, links: &[(&str, Cid)]) -> Cid {
        self.node(links, Data::new(Kind::Directory))
    }

    fn put(&mut self, codec: u64, bytes: Bytes) -> Cid {
        let cid = Cid::new_v1(codec, HashFunction::Sha2_256.digest(&bytes));
        self.0.push(Block { cid, bytes });
        cid
    }
}

/// A tree, and for some commands what they say of it; the others have to succeed.
struct Trap {
    name: &'static str,
    blocks: Forge,
    says: &'static [(&'static str, &'static str)],
}

fn trap(
    name: &'static str,
    says: &'static [(&'static str, &'static str)],
    make: impl FnOnce(&mut Forge),
) -> Trap {
    let mut blocks = Forge::default();
    make(&mut blocks);
    Trap { name, blocks, says }
}

fn deep_file(forge: &mut Forge) {
    let mut child = forge.raw(b"x");
    for _ in 0..1000 {
        child = forge.file(&[(child, 1)]);
    }
}

/// Each node has the next one a hundred times: a hundred to the twentieth bytes, says the root, that fit no number.
fn exponential_file(forge: &mut Forge) {
    let (mut child, mut size) = (forge.raw(b"x"), 1_u64);
    for _ in 0..20 {
        child = forge.file(&vec![(child, size); 4]);
        size = size.wrapping_mul(4);
    }
    forge.file(&[(child, 7)]);
}

fn deep_folder(forge: &mut Forge) {
    let mut child = forge.folder(&[]);
    for _ in 0..400 {
        child = forge.folder(&[("d", child)]);
    }
}

fn wrong_size(forge: &mut Forge) {
    let child = forge.raw(b"three");
    forge.file(&[(child, 5), (child, 4)]);
}

fn overflowing_sizes(forge: &mut Forge) {
    let child = forge.raw(b"x");
    let data = Data {
        filesize: Some(1),
        blocksizes: vec![u64::MAX, 2],
        ..Data::new(Kind::File)
    };
    forge.node(&[("", child), ("", child)], data);
}

fn shard_of_lies(forge: &mut Forge) {
    let child = forge.raw(b"x");
    let data = Data {
        data: Some(Bytes::from_static(&[1])),
        hash_type: Some(0x22),
        fanout: Some(256),
        ..Data::new(Kind::HamtShard)
    };
    // Its hash puts the name elsewhere.
    forge.node(&[("00name", child)], data);
}

fn wide_shard(forge: &mut Forge) {
    let data = Data {
        data: Some(Bytes::from_static(&[1])),
        hash_type: Some(0x22),
        fanout: Some(1 << 20),
        ..Data::new(Kind::HamtShard)
    };
    forge.node(&[], data);
}

fn upward_name(forge: &mut Forge) {
    let child = forge.raw(b"escaped");
    forge.folder(&[("..", child)]);
}

fn name_with_slash(forge: &mut Forge) {
    let child = forge.raw(b"escaped");
    forge.folder(&[("../escaped", child)]);
}

fn same_name_twice(forge: &mut Forge) {
    let (link, file) = (
        forge.node(
            &[],
            Data {
                data: Some(Bytes::from_static(b"..")),
                ..Data::new(Kind::Symlink)
            },
        ),
        forge.raw(b"escaped"),
    );
    let inner = forge.folder(&[("escaped", file)]);
    forge.folder(&[("a", link), ("a", inner)]);
}

fn identity_upon_identity(forge: &mut Forge) {
    let mut child = Cid::new_v1(CODEC_RAW, identity(b"x").unwrap());
    let mut name = "0".to_owned();
    for _ in 0..3 {
        let node = Node {
            links: vec![Link {
                cid: child,
                name: Bytes::copy_from_slice(name.as_bytes()),
                tsize: 0,
            }],
            data: Some(Data::new(Kind::Directory).encode()),
        };
        let Some(hash) = identity(&node.encode()) else {
            break;
        };
        child = Cid::new_v1(CODEC_DAG_PB, hash);
        name.push('0');
    }
    forge.folder(&[("inline", child)]);
}

fn garbage(forge: &mut Forge) {
    forge.put(CODEC_DAG_PB, Bytes::from_static(&[0xff; 100]));
}

fn traps() -> Vec<Trap> {
    vec![
        trap(
            "deep-file",
            &[("cat", "deeper than 64"), ("get", "deeper than 64")],
            deep_file,
        ),
        trap(
            "exponential-file",
            &[("cat", "says it holds"), ("get", "says it holds")],
            exponential_file,
        ),
        trap(
            "deep-folder",
            &[("cat", "directory"), ("get", "deeper than 256")],
            deep_folder,
        ),
        trap(
            "wrong-size",
            &[("cat", "says it holds"), ("get", "says it holds")],
            wrong_size,
        ),
        trap(
            "overflow",
            &[("cat", "says it holds"), ("get", "says it holds")],
            overflowing_sizes,
        ),
        trap(
            "lying-shard",
            &[("cat", "directory"), ("get", "sound part"), ("ls", "sound part")],
            shard_of_lies,
        ),
        trap(
            "wide-shard",
            &[("cat", "fanout"), ("get", "fanout"), ("ls", "fanout")],
            wide_shard,
        ),
        trap(
            "upward",
            &[
                ("cat", "directory"),
                ("get", "folder above"),
                ("ls", "folder above"),
            ],
            upward_name,
        ),
        trap(
            "slash",
            &[("cat", "directory"), ("get", "slash"), ("ls", "slash")],
            name_with_slash,
        ),
        trap(
            "twice",
            &[("cat", "directory"), ("get", "twice"), ("ls", "twice")],
            same_name_twice,
        ),
        trap("identity", &[("cat", "directory")], identity_upon_identity),
        trap(
            "garbage",
            &[
                ("cat", "damaged"),
                ("get", "damaged"),
                ("ls", "damaged"),
                ("stat", "damaged"),
                ("car", "damaged"),
                ("dag", "damaged"),
            ],
            garbage,
        ),
    ]
}

async fn spring(node: &Daemon, folder: &Path, trap: Trap) {
    let Trap { name, blocks, says } = trap;
    let root = blocks.0.last().unwrap().cid;
    let file = car(folder, name, &[root], &blocks.0);
    let line = words(&[&"car", &"import", &file, &"--pin-roots=false"]);
    done(rustle_at(node.data_dir(), line).await);
    fs::remove_file(file).unwrap();
    let cid = root.to_string();
    let [copy, out] = ["copy", "out"].map(|name| folder.join(name));
    for (command, line) in [
        ("cat", words(&[&"cat", &cid, &"-o", &out])),
        ("get", words(&[&"get", &cid, &"-o", &copy])),
        ("ls", words(&[&"ls", &cid])),
        ("stat", words(&[&"stat", &cid])),
        ("car", words(&[&"car", &"export", &cid, &"-o", &out])),
        ("dag", words(&[&"dag", &"stat", &cid])),
    ] {
        let ended = rustle_at(node.data_dir(), line);
        let ended = waiting::within(name, PATIENCE, ended).await.unwrap().unwrap();
        match says.iter().find(|(about, _)| *about == command) {
            Some((_, hint)) => {
                assert_eq!(ended.code, Some(1), "{name} {command}: {ended:?}");
                assert!(ended.stderr.contains(hint), "{name} {command}: {ended:?}");
            }
            None => assert_eq!(ended.code, Some(0), "{name} {command}: {ended:?}"),
        }
        for path in [&copy, &out] {
            if ended.code == Some(0) && path.exists() {
                let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
            }
        }
        let left: Vec<_> = fs::read_dir(folder).unwrap().collect();
        assert!(left.is_empty(), "{name} {command} left {left:?}");
    }
}

#[tokio::test]
async fn hostile_trees_cost_a_moment_and_give_a_clear_error() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    for trap in traps() {
        spring(&node, &below, trap).await;
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing was written outside"
    );
    let memory = node.memory("VmHWM").unwrap();
    assert!(memory < MEMORY_BYTES_MAX, "{} MiB", memory >> 20);
    assert!(node.client().await.unwrap().status().await.unwrap().ready);
}
