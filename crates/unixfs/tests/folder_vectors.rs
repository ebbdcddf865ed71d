//! Are our folders those of Kubo? The vectors were made by Kubo; the file and the script beside it say how.

use rustle_types::Cid;
use rustle_unixfs::{
    FolderBuilder, ImportProfile, Importer, Linked, Metadata, ModifiedAt, make_symlink, wrap,
};

mod chacha;

const VECTORS: &str = include_str!("../../../tests/fixtures/unixfs-folder-vectors.txt");

const UNICODE: [&str; 13] = [
    "ä",
    "a\u{308}",
    "日本語",
    "emoji-🦀",
    "Ω",
    "z",
    "A",
    "with space",
    "per%cent",
    "quote'\"",
    "new\nline",
    "-",
    "~",
];

struct Maker {
    profile: ImportProfile,
    metadata: Metadata,
}

// === impl Maker ===

impl Maker {
    fn named(name: &str) -> Self {
        let metadata = Metadata {
            mode: Some(0o640),
            mtime: Some(ModifiedAt {
                seconds: 1_600_000_000,
                nanos: Some(123_456_789),
            }),
        };
        let kubo = ImportProfile::KUBO_2015;
        let v1 = kubo.with_cid_version(1).expect("a version");
        let (profile, metadata) = match name {
            "unixfs-v0-2015" => (kubo, Metadata::NONE),
            "unixfs-v1-2025" => (ImportProfile::V1_RAW_2025, Metadata::NONE),
            "v0-raw-leaves" => (kubo.with_raw_leaves(true), Metadata::NONE),
            "v1-raw-leaves" => (v1.with_raw_leaves(true), Metadata::NONE),
            "v1-wrapped-leaves" => (v1, Metadata::NONE),
            "v1-metadata" => (v1.with_raw_leaves(true), metadata),
            other => panic!("unknown profile {other}"),
        };
        Self { profile, metadata }
    }

    fn file(&self, bytes: &[u8]) -> Linked {
        let mut importer = Importer::with_metadata(self.profile, self.metadata);
        importer.push(bytes);
        importer.finish().linked()
    }

    fn symlink(&self, target: &str) -> Linked {
        make_symlink(&self.profile, target.as_bytes(), &self.metadata)
            .expect("a target")
            .0
    }

    fn folder(&self, entries: impl IntoIterator<Item = (String, Linked)>) -> Linked {
        let mut builder = FolderBuilder::new(self.profile, self.metadata);
        for (name, linked) in entries {
            builder.add(name.as_bytes(), linked).expect("a name");
        }
        let mut blocks = builder.finish().expect("distinct names");
        blocks.by_ref().for_each(drop);
        blocks.root().expect("all blocks were taken")
    }

    fn recipe(&self, recipe: &str) -> Linked {
        let mut parts = recipe.split(':');
        let kind = parts.next().expect("a part");
        let numbers: Vec<usize> = parts.clone().filter_map(|part| part.parse().ok()).collect();
        match kind {
            "numbered" => {
                let (count, width) = (numbers[0], numbers[1]);
                self.folder((0..count).map(|i| (format!("{i:0width$}"), self.file(i.to_string().as_bytes()))))
            }
            "unicode" => self.folder(UNICODE.map(|name| (name.to_owned(), self.file(name.as_bytes())))),
            "nested" => self.nested(),
            "symlinks" => self.folder([
                ("link".to_owned(), self.symlink("a/relative/target")),
                ("other".to_owned(), self.symlink("/absolute")),
            ]),
            "long-names" => {
                let empty = self.file(b"");
                self.folder((1..256).map(|length| ("n".repeat(length), empty)))
            }
            "wrapped" => {
                let file = self.file(&pattern(numbers[0]));
                wrap(&self.profile, b"file", file).expect("a name").0
            }
            "chunked" => {
                let sizes = [262_143, 262_144, 262_145, 1_048_576, 1_048_577];
                self.folder(sizes.map(|size| (size.to_string(), self.file(&pattern(size)))))
            }
            "kubo" => {
                let seed = parts.next().expect("a part");
                let file = self.file(b"x");
                let names = kubo_names(seed, numbers[0], numbers[1], numbers[2]);
                self.folder(names.into_iter().map(|name| (name, file)))
            }
            other => panic!("unknown recipe {other}"),
        }
    }

    fn nested(&self) -> Linked {
        let named = |name: &str, linked| (name.to_owned(), linked);
        let c = self.folder([named("file", self.file(b"deep"))]);
        let b = self.folder([named("c", c)]);
        let a = self.folder([named("b", b), named("file", self.file(b"shallow"))]);
        let empty = self.folder([]);
        self.folder([named("a", a), named("empty", empty), named("z", self.file(b""))])
    }
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|i| ((i * 31 + (i >> 8) * 7) % 251) as u8)
        .collect()
}

/// The names that Kubo's test/cli/add_test.go draws from its key stream.
fn kubo_names(seed: &str, count: usize, length: usize, last: usize) -> Vec<String> {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz01234567890-_";
    let mut bytes = chacha::key_stream(seed);
    (1..=count)
        .map(|nth| {
            let length = if nth == count { last } else { length };
            let drawn = bytes.by_ref().take(length);
            drawn
                .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
                .collect()
        })
        .collect()
}

#[test]
fn folders_have_the_cid_of_kubo() {
    let mut checked = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [profile, recipe, cid] = fields[..] else {
            panic!("three fields: {line}")
        };
        let cid: Cid = cid.parse().expect("a CID");
        assert_eq!(
            Maker::named(profile).recipe(recipe).cid,
            cid,
            "{profile} {recipe}"
        );
        checked += 1;
    }
    assert!(checked > 20, "the file holds vectors");
}
