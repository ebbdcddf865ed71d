//! Are our CIDs those of Kubo? The vectors were made by Kubo; the file says by which.

use rustle_unixfs::{ImportProfile, Importer};

mod chacha;

const VECTORS: &str = include_str!("../../../tests/fixtures/unixfs-kubo-vectors.txt");
/// Vectors above this size are checked in a test of their own, beside the others.
const QUICK_BYTES_MAX: u64 = 64 << 20;

struct Vector {
    bytes: u64,
    profile: ImportProfile,
    content: &'static str,
    cid: &'static str,
}

fn vectors() -> impl Iterator<Item = Vector> {
    VECTORS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [bytes, profile, content, cid] = fields[..] else {
            panic!("four fields: {line}")
        };
        let profile = match profile {
            "unixfs-v0-2015" => ImportProfile::KUBO_2015,
            "unixfs-v1-2025" => ImportProfile::V1_RAW_2025,
            "unixfs-v1-kubo" => {
                let v1 = ImportProfile::KUBO_2015.with_cid_version(1);
                v1.expect("a version").with_raw_leaves(true)
            }
            other => panic!("unknown profile {other}"),
        };
        Vector {
            bytes: bytes.parse().expect("a number of bytes"),
            profile,
            content,
            cid,
        }
    })
}

fn import(vector: &Vector) -> String {
    let mut importer = Importer::new(vector.profile);
    let mut left = vector.bytes;
    let mut source = Source::named(vector.content);
    let mut portion = vec![0; 1_000_003];
    while left > 0 {
        let length = portion.len().min(usize::try_from(left).expect("64 bits"));
        source.fill(&mut portion[..length]);
        importer.push(&portion[..length]);
        while importer.poll_block().is_some() {}
        left -= length as u64;
    }
    let imported = importer.finish();
    assert_eq!(imported.bytes, vector.bytes);
    imported.root.to_string()
}

#[test]
fn small_files_have_the_cid_of_kubo() {
    let small: Vec<_> = vectors()
        .filter(|vector| vector.bytes <= QUICK_BYTES_MAX)
        .collect();
    assert!(small.len() > 20, "the file holds vectors");
    for vector in small {
        assert_eq!(
            import(&vector),
            vector.cid,
            "{} bytes of {}",
            vector.bytes,
            vector.content
        );
    }
}

#[test]
fn large_files_have_the_cid_of_kubo() {
    for vector in vectors().filter(|vector| vector.bytes > QUICK_BYTES_MAX) {
        assert_eq!(
            import(&vector),
            vector.cid,
            "{} bytes of {}",
            vector.bytes,
            vector.content
        );
    }
}

/// Where the bytes of a vector come from.
enum Source {
    /// Byte i is (i * 31 + (i >> 8) * 7) mod 251.
    Pattern(u64),
    Text(&'static [u8]),
    /// The key stream of ChaCha20 (RFC 8439) with sha2-256 of a seed as its key, as Kubo's own tests use it.
    ChaCha {
        key: [u32; 8],
        counter: u32,
        rest: Vec<u8>,
    },
}

impl Source {
    fn named(name: &'static str) -> Self {
        if name == "pattern" {
            return Self::Pattern(0);
        }
        if let Some(text) = name.strip_prefix("text:") {
            return Self::Text(match text {
                "hello-world-newline" => b"hello world\n",
                "hello-world" => b"hello world",
                other => panic!("unknown text {other}"),
            });
        }
        let seed = name.strip_prefix("chacha20:").expect("a known content");
        Self::ChaCha {
            key: chacha::key(seed),
            counter: 0,
            rest: Vec::new(),
        }
    }

    fn fill(&mut self, out: &mut [u8]) {
        match self {
            Self::Pattern(next) => {
                for byte in out {
                    *byte = ((*next * 31 + (*next >> 8) * 7) % 251) as u8;
                    *next += 1;
                }
            }
            Self::Text(text) => out.copy_from_slice(text),
            Self::ChaCha { key, counter, rest } => {
                while rest.len() < out.len() {
                    rest.extend_from_slice(&chacha::block(key, *counter));
                    *counter += 1;
                }
                let kept = rest.split_off(out.len());
                out.copy_from_slice(rest);
                *rest = kept;
            }
        }
    }
}
