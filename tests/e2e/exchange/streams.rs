//! How many streams may a peer open, and what becomes of the others meanwhile?

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::AsyncWriteExt as _;
use rustle_admin::views::Profile;
use rustle_adversary::{Adversary, BITSWAP, hello, payloads};
use rustle_tests::content::pattern;
use rustle_tests::waiting::within;
use rustle_tests::{Daemon, Setup};
use rustle_unixfs::ImportProfile;
use tokio::time::Instant;

use super::stranger::{File, Stranger};
use crate::SOON;
use crate::metrics::{get, sample, setup};

/// Streams that all peers together may have, and what each may have whatever the others have.
const STREAMS_MAX: f64 = 8192.0;
const STREAMS_PER_PEER_SURE: f64 = 16.0;

async fn streams(node: &Daemon) -> f64 {
    let page = get(node, "/metrics").await;
    sample(&page, "rustle_bitswap_streams").unwrap()
}

async fn refused(node: &Daemon) -> f64 {
    let page = get(node, "/metrics").await;
    sample(&page, "rustle_bitswap_streams_failed_total{reason=\"refused\"}").unwrap()
}

#[tokio::test]
async fn no_block_is_lost_of_a_peer_that_opens_a_stream_for_each() {
    let node = Daemon::start("target", setup()).await.unwrap();
    let file = Arc::new(File::new(ImportProfile::V1_RAW_2025, 1000, 3000));
    let stranger = Stranger::greet(&node, BITSWAP).await;
    let most = Arc::new(AtomicUsize::new(0));
    let serving = tokio::spawn({
        let (file, most) = (Arc::clone(&file), Arc::clone(&most));
        async move { stranger.serve_each_on_its_own(&file, &most).await }
    });

    let client = node.client().await.unwrap();
    let began = Instant::now();
    let whole = client.cat_whole(file.root, SOON, usize::MAX).await.unwrap();

    assert!(whole.as_ref() == Some(&file.bytes), "the bytes differ");
    // A lost block would come only after the second in which nothing comes.
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "it took {:?}",
        began.elapsed()
    );
    assert!(
        100 < most.load(Ordering::Relaxed),
        "{most:?} streams at once show nothing"
    );
    assert_eq!(refused(&node).await, 0.0);
    serving.abort();
}

#[tokio::test]
async fn a_hundred_thousand_small_blocks_come_in_one_session() {
    let node = Daemon::start("target", setup()).await.unwrap();
    let file = Arc::new(File::new(ImportProfile::V1_RAW_2025, 300, 100_000));
    let mut stranger = Stranger::greet(&node, BITSWAP).await;
    let mut stream = stranger.peer.open(BITSWAP).await.unwrap();
    let blocks = Arc::clone(&file);
    let serving = tokio::spawn(async move {
        loop {
            let wants = stranger.hear().await.wants;
            let wanted = wants.iter().filter(|want| !want.cancel && !want.have);
            let found = wanted.filter_map(|want| blocks.blocks.get(&want.cid));
            let message = payloads(found.map(|block| (&block.prefix[..], &block.data[..])));
            stream.write_all(&message).await.unwrap();
            stream.flush().await.unwrap();
        }
    });

    let client = node.client().await.unwrap();
    let began = Instant::now();
    let whole = client.cat_whole(file.root, SOON, usize::MAX).await.unwrap();
    let took = began.elapsed();

    assert!(whole.as_ref() == Some(&file.bytes), "the bytes differ");
    println!("100,000 blocks of 300 bytes in {took:?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
    let page = get(&node, "/metrics").await;
    let received = sample(&page, "rustle_bitswap_blocks_total{kind=\"received\"}");
    assert!(received.unwrap() <= file.blocks.len() as f64, "none comes twice");
    serving.abort();
}

#[tokio::test]
async fn ten_thousand_silent_streams_keep_nobody_out_and_end_with_their_peers() {
    let node = Daemon::start("target", setup()).await.unwrap();
    let content = pattern(3_000_000);
    let added = node.client().await.unwrap();
    let added = added.add_bytes(Profile::V1, content.clone()).await.unwrap();
    let reader = Daemon::start("reader", Setup::default()).await.unwrap();
    let client = reader.client().await.unwrap();
    client.connect_peer(node.address(), None).await.unwrap();

    let (mut peers, mut silent) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let adversary = Adversary::new().source([127, 8, number, 1].into());
        let (peer, control, _) = adversary.greet(node.address(), hello("tests")).await.unwrap();
        for _ in 0..500 {
            let mut stream = peer.open_raw().await.unwrap();
            let proposal = b"\x13/multistream/1.0.0\n\x14/ipfs/bitswap/1.2.0\n";
            stream.write_all(proposal).await.unwrap();
            stream.flush().await.unwrap();
            silent.push(stream);
        }
        assert!(!peer.is_closed(), "500 streams are no fault");
        peers.push((peer, control));
    }
    let waiting = async {
        while streams(&node).await < STREAMS_MAX {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    within("all places to be taken", SOON, waiting).await.unwrap();
    let bound = STREAMS_MAX + 22.0 * STREAMS_PER_PEER_SURE;
    assert!(streams(&node).await <= bound);
    assert!(0.0 < refused(&node).await, "the others were refused");

    let fetch = client.cat_whole(added.cid, SOON, usize::MAX);
    let fetched = within("a fetch beside them", SOON, fetch).await.unwrap();
    assert!(fetched.unwrap() == Some(content), "the bytes differ");

    drop((silent, peers));
    let gone = async {
        while STREAMS_PER_PEER_SURE < streams(&node).await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    within("the end of their streams", SOON, gone).await.unwrap();
}
