//! Folders in, folders out.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustle_tests::{Cluster, Daemon, Setup, content, rustle_at};
use serde_json::Value;

use super::{done, words};

const FOLDERS: &str = include_str!("../../fixtures/unixfs-folder-vectors.txt");

/// The CID of a folder that Kubo made.
fn vector(profile: &str, recipe: &str) -> &'static str {
    let wanted = format!("{profile} {recipe} ");
    FOLDERS
        .lines()
        .find_map(|line| line.strip_prefix(&wanted))
        .expect("a vector of this recipe")
}

/// What is at a path below a folder.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    File(Vec<u8>, u32),
    Folder(u32),
    Link(PathBuf),
}

fn tree(root: &Path) -> BTreeMap<PathBuf, Found> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        let what = if metadata.is_symlink() {
            Found::Link(fs::read_link(&path).unwrap())
        } else if metadata.is_dir() {
            let below = fs::read_dir(&path).unwrap();
            open.extend(below.map(|entry| entry.unwrap().path()));
            Found::Folder(mode)
        } else {
            Found::File(fs::read(&path).unwrap(), mode)
        };
        found.insert(path.strip_prefix(root).unwrap().to_owned(), what);
    }
    found
}

/// 10,000 files with numbers for names and content, as the recipe `numbered:10000:5`.
fn numbered(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for number in 0..10_000 {
        fs::write(folder.join(format!("{number:05}")), number.to_string()).unwrap();
    }
}

fn nested(folder: &Path) {
    fs::create_dir_all(folder.join("a/b/c")).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::write(folder.join("a/b/c/file"), "deep").unwrap();
    fs::write(folder.join("a/file"), "shallow").unwrap();
    fs::write(folder.join("z"), "").unwrap();
}

#[tokio::test]
async fn a_folder_of_ten_thousand_files_goes_to_another_node() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let [a, b] = [cluster.node(0).data_dir(), cluster.node(1).data_dir()];
    let folder = tempfile::tempdir().unwrap();
    let (original, copy) = (folder.path().join("original"), folder.path().join("copy"));
    numbered(&original);

    let added = done(rustle_at(a, words(&[&"add", &"-rQ", &original])).await).text();
    assert_eq!(added, vector("unixfs-v0-2015", "numbered:10000:5"));

    done(rustle_at(b, words(&[&"get", &added, &"--output", &copy])).await);
    assert!(tree(&original) == tree(&copy), "the copy differs");
    let listed = done(rustle_at(b, ["ls", &added]).await).text();
    assert_eq!(listed.lines().count(), 10_000);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing else is left"
    );
}

#[tokio::test]
async fn folders_have_the_cids_of_kubo() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [tree, links, file] = ["nested", "symlinks", "file"].map(|name| folder.path().join(name));
    nested(&tree);
    fs::create_dir(&links).unwrap();
    symlink("a/relative/target", links.join("link")).unwrap();
    symlink("/absolute", links.join("other")).unwrap();
    fs::write(&file, content::pattern(300_000)).unwrap();

    for (arguments, profile, recipe) in [
        (vec!["-r"], "unixfs-v0-2015", "nested"),
        (vec!["-r"], "unixfs-v0-2015", "symlinks"),
        (vec!["--wrap"], "unixfs-v0-2015", "wrapped:300000"),
        (vec!["-r", "--profile=2025"], "unixfs-v1-2025", "nested"),
        (vec!["-r", "--profile=v1"], "v1-raw-leaves", "nested"),
        (vec!["-r", "--cid-version=1"], "v1-raw-leaves", "nested"),
        (vec!["--wrap", "--raw-leaves"], "v0-raw-leaves", "wrapped:300000"),
        (
            vec!["-r", "--cid-version=1", "--raw-leaves=false"],
            "v1-wrapped-leaves",
            "nested",
        ),
    ] {
        let path = match recipe {
            "nested" => &tree,
            "symlinks" => &links,
            _ => &file,
        };
        for only_hash in [true, false] {
            let mut line = vec!["add", "-Q"];
            line.extend(&arguments);
            if only_hash {
                line.push("-n");
            }
            line.push(path.to_str().unwrap());
            let added = done(rustle_at(node.data_dir(), &line).await).text();
            assert_eq!(added, vector(profile, recipe), "{line:?}");
            if only_hash {
                let absent = rustle_at(node.data_dir(), ["block", "get", &added, "--timeout", "1s"]);
                let refused = absent.await.unwrap();
                // What an earlier line has added is here already.
                assert!(
                    refused.code == Some(1) || profile.starts_with("v1-raw"),
                    "{refused:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn links_modes_times_and_hidden_files_come_back() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    nested(&original);
    fs::write(original.join(".hidden"), "hidden").unwrap();
    symlink("a/file", original.join("link")).unwrap();
    symlink("../../nowhere", original.join("a/dangling")).unwrap();
    let mode = |path: &str, mode| fs::set_permissions(original.join(path), PermissionsExt::from_mode(mode));
    mode("a/file", 0o640).unwrap();
    mode("z", 0o755).unwrap();
    mode("a/b", 0o550).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_600_000_000_123_456_789);
    let file = fs::File::options().write(true).open(original.join("z")).unwrap();
    file.set_modified(time).unwrap();

    let get = |cid: String, name: &str| {
        let (copy, data_dir) = (folder.path().join(name), node.data_dir().to_owned());
        async move {
            done(rustle_at(&data_dir, words(&[&"get", &cid, &"-o", &copy])).await);
            copy
        }
    };
    let line = words(&[
        &"add",
        &"-rHQ",
        &"--preserve-mode",
        &"--preserve-mtime",
        &original,
    ]);
    let whole = done(rustle_at(node.data_dir(), line).await).text();
    let copy = get(whole, "whole").await;
    assert!(tree(&original) == tree(&copy), "{:?}", tree(&copy));
    let copied = fs::metadata(copy.join("z")).unwrap();
    assert_eq!(copied.modified().unwrap(), time);
    assert_eq!(copied.mtime_nsec(), 123_456_789);

    let plain = done(rustle_at(node.data_dir(), words(&[&"add", &"-rQ", &original])).await).text();
    let copy = get(plain, "plain").await;
    assert!(!copy.join(".hidden").exists(), "hidden files are left out");
    assert!(fs::symlink_metadata(copy.join("link")).unwrap().is_symlink());

    fs::remove_file(original.join("a/dangling")).unwrap();
    let followed = done(rustle_at(node.data_dir(), words(&[&"add", &"-rLQ", &original])).await).text();
    let copy = get(followed, "followed").await;
    assert_eq!(fs::read(copy.join("link")).unwrap(), b"shallow");
    assert!(!fs::symlink_metadata(copy.join("link")).unwrap().is_symlink());
    mode("a/b", 0o755).unwrap();
}

#[tokio::test]
async fn several_paths_are_listed_read_and_described() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let at = |line: &[&str]| {
        let line: Vec<String> = line.iter().map(ToString::to_string).collect();
        let data_dir = node.data_dir().to_owned();
        async move { done(rustle_at(&data_dir, line).await) }
    };
    let folder = tempfile::tempdir().unwrap();
    let (tree, file) = (folder.path().join("tree"), folder.path().join("file"));
    nested(&tree);
    symlink("a/file", tree.join("link")).unwrap();
    fs::write(&file, "a file").unwrap();
    let paths = [tree.to_str().unwrap(), file.to_str().unwrap()];

    let added = at(&["add", "-r", paths[0], paths[1]]).await.text();
    let (cids, names): (Vec<_>, Vec<_>) = added.lines().filter_map(|line| line.split_once(' ')).unzip();
    let expected = [
        "tree/a/b/c/file",
        "tree/a/b/c/",
        "tree/a/b/",
        "tree/a/file",
        "tree/a/",
        "tree/empty/",
        "tree/link",
        "tree/z",
        "tree/",
        "file",
    ];
    for name in expected {
        assert!(names.contains(&name), "{name} is missing in {added}");
    }
    assert_eq!(names.len(), expected.len());
    let root = cids[names.iter().position(|name| *name == "tree/").unwrap()];
    assert_eq!(
        at(&["add", "-rq", paths[0]]).await.text().lines().last(),
        Some(root)
    );

    let shallow = format!("/ipfs/{root}/a/file");
    let deep = format!("{root}/a/b/c/file");
    assert_eq!(at(&["cat", &shallow, &deep]).await.stdout, b"shallowdeep");
    assert_eq!(
        at(&["cat", &deep, "--offset", "1", "--length", "2"]).await.stdout,
        b"ee"
    );

    let listed = at(&["ls", root]).await.text();
    for (line, end) in listed.lines().zip(["a/", "empty/", "link@", "z"]) {
        assert!(line.ends_with(end), "{listed}");
    }
    let listed = at(&["ls", root, "--json"]).await.text();
    let kinds: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone())
        .collect();
    assert_eq!(kinds, ["folder", "folder", "symlink", "file"]);
    let unseen = at(&["ls", root, "--size=false", "--json"]).await.text();
    assert!(unseen.contains("unknown"), "{unseen}");
    assert!(at(&["ls", &deep]).await.text().ends_with(" 4"));

    let stat = |path: String| {
        let text = at(&["stat", &path, "--json"]);
        async move { serde_json::from_str::<Value>(&text.await.text()).unwrap() }
    };
    let file = stat(deep).await;
    assert_eq!((&file["kind"], &file["bytes"]), (&"file".into(), &4.into()));
    let link = stat(format!("{root}/link")).await;
    assert_eq!(
        (&link["kind"], &link["target"]),
        (&"symlink".into(), &"a/file".into())
    );
    let whole = stat(root.to_owned()).await;
    assert_eq!((&whole["blocks"], &whole["codec"]), (&4.into(), &"dag-pb".into()));
    assert!(whole["mode"].is_null());
}

#[tokio::test]
async fn what_is_there_is_replaced_only_by_force() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (original, copy) = (folder.path().join("original"), folder.path().join("copy"));
    nested(&original);
    let cid = done(rustle_at(node.data_dir(), words(&[&"add", &"-rQ", &original])).await).text();
    fs::write(&copy, "mine").unwrap();

    let refused = rustle_at(node.data_dir(), words(&[&"get", &cid, &"-o", &copy]))
        .await
        .unwrap();
    assert!(refused.refusal(1).contains("--force"));
    assert_eq!(fs::read(&copy).unwrap(), b"mine");

    done(rustle_at(node.data_dir(), words(&[&"get", &cid, &"-o", &copy, &"--force"])).await);
    assert!(tree(&original) == tree(&copy));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing else is left"
    );
}
