//! Do both fetch large folders from each other, and give them the same CID?

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rustle_tests::kubo::Kubo;
use rustle_tests::waiting::within;
use rustle_tests::{Daemon, programs};
use serde_json::json;

use crate::{place, rustle};

/// So many that Kubo makes a sharded folder of them.
const ENTRIES: usize = 10_000;
/// Kubo fetches the files of a folder one after the other, 5 ms each, from whomever.
const LONG: Duration = Duration::from_secs(180);

/// A folder with many files, a folder within, and a symbolic link.
fn folder(parent: &Path) -> std::path::PathBuf {
    let folder = parent.join("many");
    std::fs::create_dir_all(folder.join("within")).unwrap();
    for number in 0..ENTRIES {
        std::fs::write(
            folder.join(format!("file-{number:05}.txt")),
            format!("entry {number}\n"),
        )
        .unwrap();
    }
    std::fs::write(folder.join("within/deep"), "deep").unwrap();
    std::os::unix::fs::symlink("within/deep", folder.join("link")).unwrap();
    folder
}

/// All files and links below a folder, with what they hold.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if path.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                all.insert(name, target.display().to_string().into_bytes());
            } else if path.is_dir() {
                open.push(path);
            } else {
                all.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    all
}

/// Runs `rustle`, which may take long for so many entries, and gives its output.
async fn run(node: &Daemon, line: &[&str]) -> String {
    let mut command = tokio::process::Command::new(programs::rustle().unwrap());
    command.arg("--data-dir").arg(node.data_dir()).args(line);
    let output = within("rustle", LONG, command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{line:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn rustle_fetches_a_folder_of_10_000_entries_to_which_it_gives_the_same_cid() {
    let node = rustle("r").await;
    let maker = rustle("m").await;
    let mut kubo = Kubo::start(&[]).await.unwrap();
    kubo.connect(&place(&node, false)).await.unwrap();
    let folder = folder(kubo.folder());
    let adding = kubo.begin("add", json!({ "path": folder })).await.unwrap();
    let cid = adding.answer(LONG).await.unwrap()["cid"]
        .as_str()
        .unwrap()
        .to_owned();
    let ours = run(&maker, &["add", "-rQ", folder.to_str().unwrap()]).await;
    assert_eq!(ours, cid);

    let got = kubo.folder().join("got");
    run(&node, &["get", &cid, "-o", got.to_str().unwrap()]).await;
    assert!(contents(&got) == contents(&folder));
}

async fn folder_from_rustle(profile: &str) {
    let node = rustle("r").await;
    let mut kubo = Kubo::start(&[]).await.unwrap();
    kubo.connect(&place(&node, false)).await.unwrap();
    let folder = folder(kubo.folder());
    let cid = run(
        &node,
        &["add", "-rQ", "--profile", profile, folder.to_str().unwrap()],
    )
    .await;
    let got = kubo.folder().join("got");
    let getting = kubo
        .begin("get", json!({ "cid": cid, "path": got }))
        .await
        .unwrap();
    getting.answer(LONG).await.unwrap();
    assert!(contents(&got) == contents(&folder), "{cid}");
}

#[tokio::test]
async fn kubo_fetches_a_folder_of_10_000_entries_by_v0() {
    folder_from_rustle("v0").await;
}

#[tokio::test]
async fn kubo_fetches_a_folder_of_10_000_entries_by_v1() {
    folder_from_rustle("v1").await;
}
