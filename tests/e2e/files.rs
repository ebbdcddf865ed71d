//! Do files come over the network byte for byte, under the CID that any IPFS tool gives them?

mod bad;
mod cars;
mod hostile;
mod trees;
mod values;

use std::ffi::OsStr;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use rustle_admin::Client;
use rustle_admin::FaultKind;
use rustle_admin::fault::reason;
use rustle_admin::views::{CatQuery, Profile};
use rustle_tests::{Cluster, Daemon, Finished, Setup, content, rustle_at};
use rustle_types::Cid;

use crate::{SOON, refused};

/// The CID of bytes that nobody has.
const ABSENT: &str = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";

/// Runs `rustle` for this node; panics where it fails.
#[track_caller]
fn done(finished: anyhow::Result<Finished>) -> Finished {
    let finished = finished.unwrap();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished
}

/// Arguments of any kind as those of a program.
fn words<'a>(words: &[&'a dyn AsRef<OsStr>]) -> Vec<&'a OsStr> {
    words.iter().map(|word| (*word).as_ref()).collect()
}

async fn read(client: &Client, cid: Cid, offset: u64, length: Option<u64>) -> Vec<u8> {
    let query = CatQuery {
        cid,
        offset,
        length,
        timeout: SOON,
    };
    let mut pieces = client.cat(query).await.unwrap();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        whole.extend_from_slice(&piece.unwrap());
    }
    whole
}

#[tokio::test]
async fn files_of_all_sizes_come_whole_with_the_cids_of_kubo() {
    let cluster = Cluster::start(["A", "C"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let a = cluster.client(0).await.unwrap();
    let c = cluster.client(1).await.unwrap();
    let mut compared = 0;

    for size in [
        0,
        1,
        1000,
        262_143,
        262_144,
        262_145,
        786_432,
        2_621_457,
        5 * 1024 * 1024,
    ] {
        for profile in [Profile::V0, Profile::V1, Profile::V1Of2025] {
            let bytes = content::pattern(size);
            let added = a.add_bytes(profile, bytes.clone()).await.unwrap();
            assert_eq!(added.bytes, size as u64);
            if let Some(cid) = content::kubo_cid(size, profile) {
                assert_eq!(added.cid, cid, "{size} bytes as {profile:?}");
                compared += 1;
            }
            assert!(
                read(&c, added.cid, 0, None).await == bytes,
                "{size} bytes as {profile:?} differ"
            );
        }
    }

    assert!(8 < compared, "only {compared} sizes are among the vectors");
}

#[tokio::test]
async fn ranges_of_a_file_are_read_from_a_peer() {
    let cluster = Cluster::start(["A", "C"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let bytes = content::pattern(2_621_457);
    let c = cluster.client(1).await.unwrap();
    let added = cluster
        .client(0)
        .await
        .unwrap()
        .add_bytes(Profile::V0, bytes.clone())
        .await
        .unwrap();

    let size = bytes.len() as u64;
    for (offset, length) in [
        (0, Some(0)),
        (0, Some(1)),
        (262_143, Some(2)),
        (262_144, Some(262_144)),
        (1_000_000, Some(1_000_000)),
        (size - 1, None),
        (size - 1, Some(100)),
        (size, None),
        (size + 1000, Some(5)),
    ] {
        let from = bytes.len().min(offset as usize);
        let to = length.map_or(bytes.len(), |length| bytes.len().min(from + length as usize));
        let read = read(&c, added.cid, offset, length).await;
        assert!(
            read == bytes[from..to],
            "{length:?} bytes from {offset}: {} read",
            read.len()
        );
    }
}

#[tokio::test]
async fn an_absent_file_ends_at_its_deadline() {
    let cluster = Cluster::start(["A", "C"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let alone = Daemon::start("alone", Setup::default()).await.unwrap();

    for node in [cluster.node(1), &alone] {
        let refused = rustle_at(node.data_dir(), ["cat", ABSENT, "--timeout", "1s"])
            .await
            .unwrap();
        let line = refused.refusal(1);
        assert!(line.contains(ABSENT), "{line}");
    }

    let query = CatQuery {
        cid: ABSENT.parse().unwrap(),
        offset: 0,
        length: None,
        timeout: Duration::from_millis(500),
    };
    let mut pieces = match alone.client().await.unwrap().cat(query).await {
        Ok(pieces) => pieces,
        Err(error) => futures::stream::iter([Err(error)]).boxed(),
    };
    let refusal = refused(pieces.next().await.unwrap());
    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::DeadlineExceeded, reason::CONTENT_NOT_FOUND)
    );
}

#[tokio::test]
async fn a_file_is_found_when_its_holder_comes_later() {
    let cluster = Cluster::start(["A", "C"], &Setup::default()).await.unwrap();
    let bytes = content::pattern(600_000);
    let added = cluster
        .client(0)
        .await
        .unwrap()
        .add_bytes(Profile::V1, bytes.clone())
        .await
        .unwrap();
    let c = cluster.client(1).await.unwrap();

    let reading = tokio::spawn(async move { c.cat_whole(added.cid, SOON, 1 << 20).await });
    cluster.connect_to_first().await.unwrap();

    let whole: Option<Bytes> = reading.await.unwrap().unwrap();
    assert!(whole.is_some_and(|whole| whole == bytes));
}

#[tokio::test]
async fn what_was_read_is_kept_and_given_on() {
    let mut cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let bytes = content::pattern(700_000);
    let cid = cluster
        .client(0)
        .await
        .unwrap()
        .add_bytes(Profile::V0, bytes.clone())
        .await
        .unwrap()
        .cid;
    let b = cluster.client(1).await.unwrap();
    read(&b, cid, 0, None).await;
    cluster.node_mut(0).kill().await.unwrap();

    let late = Daemon::start("C", Setup::default()).await.unwrap();
    let c = late.client().await.unwrap();
    c.connect_peer(cluster.node(1).address(), None).await.unwrap();

    assert!(read(&c, cid, 0, None).await == bytes);
}

#[tokio::test]
async fn the_command_line_adds_and_reads_files() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (original, copy) = (folder.path().join("original"), folder.path().join("copy"));
    let bytes = content::pattern(262_145);
    std::fs::write(&original, &bytes).unwrap();

    let added = rustle_at(node.data_dir(), ["add".as_ref(), original.as_os_str()])
        .await
        .unwrap();
    assert_eq!(added.code, Some(0), "{added:?}");
    let cid = content::kubo_cid(bytes.len(), Profile::V0).expect("a vector of this size");
    assert_eq!(added.text(), cid.to_string());

    let read = rustle_at(node.data_dir(), ["cat", &added.text()]).await.unwrap();
    assert!(read.code == Some(0) && read.stdout == bytes, "{}", read.stderr);
    let arguments = [
        "cat".as_ref(),
        added.text().as_ref(),
        "--output".as_ref(),
        copy.as_os_str(),
    ]
    .map(ToOwned::to_owned);
    let read = rustle_at(node.data_dir(), arguments).await.unwrap();
    assert_eq!(read.code, Some(0), "{read:?}");
    assert!(std::fs::read(&copy).unwrap() == bytes);

    let missing = folder.path().join("missing");
    let refused = rustle_at(node.data_dir(), ["add".as_ref(), missing.as_os_str()])
        .await
        .unwrap();
    assert!(refused.refusal(1).contains("missing"));
}
