//! What if a Kubo disappears in the middle of a transfer?

use std::time::Duration;

use rustle_admin::views::CatQuery;
use rustle_tests::kubo::Kubo;
use rustle_tests::{content, rustle_at};

use crate::{LATER, place, random_file, rustle};

const BYTES: usize = 64 * 1024 * 1024;

fn query(cid: &str) -> CatQuery {
    CatQuery {
        cid: cid.parse().unwrap(),
        offset: 0,
        length: None,
        timeout: LATER,
    }
}

#[tokio::test]
async fn without_another_source_nothing_half_is_left_and_the_rest_comes_from_the_next() {
    let node = rustle("r").await;
    let client = node.client().await.unwrap();
    let mut first = Kubo::start(&[]).await.unwrap();
    first.connect(&place(&node, false)).await.unwrap();
    let path = random_file(node.data_dir(), BYTES, 1);
    let cid = first.add(&path).await.unwrap();

    // It is killed as soon as a part has arrived.
    let mut pieces = client.cat(query(&cid)).await.unwrap();
    assert!(futures::StreamExt::next(&mut pieces).await.unwrap().is_ok());
    first.kill().await.unwrap();
    drop(pieces);
    let output = node.data_dir().join("output");
    let line = ["cat", &cid, "--timeout", "3s", "-o", output.to_str().unwrap()];
    let read = rustle_at(node.data_dir(), line).await.unwrap();
    let message = read.refusal(1);
    assert!(message.contains("baf") || message.contains("Qm"), "{message}");
    assert!(!output.exists());
    assert!(client.status().await.unwrap().ready);

    let mut second = Kubo::start(&[]).await.unwrap();
    second.add(&path).await.unwrap();
    second.connect(&place(&node, false)).await.unwrap();
    let file = tokio::fs::File::open(&path).await.unwrap();
    assert_eq!(
        content::same_as(&client, query(&cid), file).await.unwrap(),
        BYTES as u64
    );
}

#[tokio::test]
async fn with_another_source_the_transfer_goes_on() {
    let node = rustle("r").await;
    let client = node.client().await.unwrap();
    let path = random_file(node.data_dir(), BYTES, 2);
    let (mut stays, mut goes) = (Kubo::start(&[]).await.unwrap(), Kubo::start(&[]).await.unwrap());
    let mut cid = String::new();
    for kubo in [&mut stays, &mut goes] {
        cid = kubo.add(&path).await.unwrap();
        kubo.connect(&place(&node, false)).await.unwrap();
    }
    let file = tokio::fs::File::open(&path).await.unwrap();
    let reading = content::same_as(&client, query(&cid), file);
    let killing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        goes.kill().await.unwrap();
    };
    let (read, ()) = tokio::join!(reading, killing);
    assert_eq!(read.unwrap(), BYTES as u64);
}
