//! Does what was acknowledged survive a kill that comes right after?

use rustle_admin::views::Profile;
use rustle_tests::waiting::{append, ordered};
use rustle_tests::{Daemon, Setup, content};

use crate::{SOON, named};

#[tokio::test]
async fn an_acknowledged_append_survives_a_kill_at_once() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    let chain = named("chat");
    node.client().await.unwrap().create_chain("chat").await.unwrap();
    let mut acknowledged = Vec::new();

    for round in 0..5 {
        let client = node.client().await.unwrap();
        acknowledged.push(append(&client, &chain, format!("round {round}")).await.unwrap());
        node.kill().await.unwrap();
        node.restart().await.unwrap();
    }

    let client = node.client().await.unwrap();
    let log = ordered(&client, &chain).await.unwrap();
    let kept: Vec<_> = log[1..].iter().map(|block| block.block).collect();
    assert_eq!(kept, acknowledged);
    let heights: Vec<u64> = log.iter().map(|block| block.height).collect();
    assert_eq!(
        heights,
        [0, 1, 2, 3, 4, 5],
        "each block was built on the one before the kill"
    );
}

#[tokio::test]
async fn a_new_chain_and_a_file_survive_a_kill_at_once() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    let bytes = content::pattern(300_000);
    let cid = client.add_bytes(Profile::V0, bytes.clone()).await.unwrap().cid;
    let chain = client.create_chain("chat").await.unwrap();
    let peer = node.peer();

    node.kill().await.unwrap();
    node.restart().await.unwrap();

    let client = node.client().await.unwrap();
    assert_eq!(node.peer(), peer, "the identity is kept");
    assert_eq!(client.chains().await.unwrap()[0].chain, chain);
    let read = client.cat_whole(cid, SOON, bytes.len()).await.unwrap();
    assert!(read.is_some_and(|read| read == bytes));
}
