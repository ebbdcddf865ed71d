//! What do peers get who speak older versions, want too much, or do not read?

use std::time::Duration;

use futures::AsyncWriteExt as _;
use rustle_admin::views::Profile;
use rustle_adversary::{
    Adversary, BITSWAP, BITSWAP_1_0, BITSWAP_1_1, Said, WireWant, bare_block, hello, payload, wantlist,
};
use rustle_tests::content::pattern;
use rustle_tests::waiting::within;
use rustle_tests::{Daemon, Setup};
use rustle_types::Cid;
use rustle_unixfs::ImportProfile;

use super::stranger::{File, Stranger};
use crate::SOON;
use crate::metrics::{get, sample, setup};

/// What a bomb of wants may cost: bytes of memory.
const BOMB_BYTES_MAX: u64 = 16 << 20;
/// Bytes under way to a peer that does not read, with what two messages and the buffers between take.
const UNREAD_BYTES_MAX: u64 = 16 << 20;

fn block(cid: Vec<u8>) -> WireWant {
    WireWant {
        cid,
        ..WireWant::default()
    }
}

fn asked(cid: &[u8], have: bool) -> WireWant {
    WireWant {
        cid: cid.to_vec(),
        cancel: false,
        have,
        send_dont_have: true,
    }
}

/// The first message with something in it.
async fn answer(stranger: &mut Stranger) -> Said {
    loop {
        let said = stranger.hear().await;
        if said != Said::default() {
            return said;
        }
    }
}

#[tokio::test]
async fn peers_of_older_versions_are_fetched_from() {
    for protocol in [BITSWAP_1_0, BITSWAP_1_1] {
        let node = Daemon::start("target", Setup::default()).await.unwrap();
        let file = File::new(ImportProfile::KUBO_2015, 10_000, 40);
        let mut stranger = Stranger::greet(&node, protocol).await;
        let client = node.client().await.unwrap();
        let root = file.root;
        let fetching = tokio::spawn(async move { client.cat_whole(root, SOON, usize::MAX).await });

        while !fetching.is_finished() {
            let wants = stranger.hear_all_within(Duration::from_secs(1)).await;
            let mut messages = Vec::new();
            for want in wants.iter().filter(|want| !want.cancel) {
                assert!(
                    !want.have && !want.send_dont_have,
                    "{protocol} has no words for that"
                );
                let Some(block) = file.blocks.get(&want.cid) else {
                    continue;
                };
                messages.push(match protocol {
                    BITSWAP_1_0 => bare_block(&block.data),
                    _ => payload(&block.prefix, &block.data),
                });
            }
            stranger.say_each(&messages).await;
        }

        let whole = fetching.await.unwrap().unwrap();
        assert!(whole == Some(file.bytes), "over {protocol}");
    }
}

#[tokio::test]
async fn peers_of_older_versions_are_served() {
    let node = Daemon::start("target", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    let added = client.add_bytes(Profile::V0, pattern(5_000)).await.unwrap();
    let absent = File::new(ImportProfile::KUBO_2015, 1_000, 1).root;
    for protocol in [BITSWAP_1_0, BITSWAP_1_1, BITSWAP] {
        let mut stranger = Stranger::greet(&node, protocol).await;
        let mut stream = stranger.peer.open(protocol).await.unwrap();
        let wants = [
            asked(&absent.to_bytes(), false),
            asked(&added.cid.to_bytes(), false),
        ];
        stream.write_all(&wantlist(&wants, true)).await.unwrap();
        stream.flush().await.unwrap();

        let mut said = answer(&mut stranger).await;
        if said.blocks.is_empty() && said.payload.is_empty() {
            said = answer(&mut stranger).await;
        }
        let blocks = (said.blocks.len(), said.payload.len());
        assert_eq!(
            blocks,
            if protocol == BITSWAP_1_0 { (1, 0) } else { (0, 1) },
            "{protocol}"
        );
        assert_eq!(
            said.dont_haves.len(),
            usize::from(protocol == BITSWAP),
            "{protocol}"
        );
    }
}

#[tokio::test]
async fn a_small_block_answers_whoever_asks_whether_it_is_there() {
    let node = Daemon::start("target", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    let small = client.add_bytes(Profile::V1, pattern(1_000)).await.unwrap().cid;
    let large = client.add_bytes(Profile::V1, pattern(5_000)).await.unwrap().cid;
    let mut stranger = Stranger::greet(&node, BITSWAP).await;
    let mut stream = stranger.peer.open(BITSWAP).await.unwrap();

    let wants = [asked(&small.to_bytes(), true), asked(&large.to_bytes(), true)];
    stream.write_all(&wantlist(&wants, false)).await.unwrap();
    stream.flush().await.unwrap();

    let said = answer(&mut stranger).await;
    assert_eq!(said.payload.len(), 1);
    assert_eq!(said.payload[0].1, pattern(1_000));
    assert_eq!(said.haves, [large.to_bytes()]);
}

/// The CID of a block that nobody has.
fn nowhere(number: u32) -> Vec<u8> {
    let mut cid = vec![1, 0x55, 0x12, 32];
    cid.extend_from_slice(&[7; 28]);
    cid.extend_from_slice(&number.to_be_bytes());
    cid
}

#[tokio::test]
async fn bombs_of_wants_cost_little_and_harm_nobody() {
    let node = Daemon::start("target", setup()).await.unwrap();
    let client = node.client().await.unwrap();
    let added = client.add_bytes(Profile::V1, pattern(900)).await.unwrap();
    let before = node.memory("VmRSS").unwrap();
    let (bomber, _control, _) = Adversary::new()
        .source([127, 8, 9, 9].into())
        .greet(node.address(), hello("tests"))
        .await
        .unwrap();

    let mut bombs: Vec<Vec<u8>> = Vec::new();
    for full in [false, true] {
        let many: Vec<WireWant> = (0..60_000).map(|number| block(nowhere(number))).collect();
        bombs.push(wantlist(&many, full));
        bombs.push(wantlist(&vec![block(nowhere(1)); 60_000], full));
        bombs.push(wantlist(&vec![block(vec![1; 1024]); 3_000], full));
    }
    // A length of 2^60, and one that is none.
    bombs.push(vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
    bombs.push(vec![0xff; 11]);
    for bomb in bombs {
        let mut stream = bomber.open(BITSWAP).await.unwrap();
        // It may be reset before all is written.
        let _ = stream.write_all(&bomb).await;
        let _ = stream.close().await;
    }

    let mut stranger = Stranger::greet(&node, BITSWAP).await;
    let mut stream = stranger.peer.open(BITSWAP).await.unwrap();
    let wants = [asked(&added.cid.to_bytes(), false)];
    stream.write_all(&wantlist(&wants, false)).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(answer(&mut stranger).await.payload.len(), 1);
    let dropped = async {
        // All but 1,024 of each of the four messages with many.
        loop {
            let page = get(&node, "/metrics").await;
            if 115_000.0 < sample(&page, "rustle_bitswap_wants_dropped_total").unwrap() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within("the wants to be dropped", SOON, dropped).await.unwrap();
    let grown = node.memory("VmRSS").unwrap().saturating_sub(before);
    assert!(grown < BOMB_BYTES_MAX, "{grown} bytes for the bombs");
}

#[tokio::test]
async fn who_wants_much_and_reads_nothing_holds_little() {
    let node = Daemon::start("target", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    // Blocks of a megabyte; all of them are wanted at once.
    let file = File::new(ImportProfile::V1_RAW_2025, 1 << 20, 40);
    let added = client
        .add_bytes(Profile::V1Of2025, file.bytes.clone())
        .await
        .unwrap();
    assert_eq!(added.cid, file.root);
    let stranger = Stranger::greet_as(Adversary::new().receive_buffer(4096), &node, BITSWAP).await;
    let mut stream = stranger.peer.open(BITSWAP).await.unwrap();
    stranger.peer.turn_deaf();
    let before = node.memory("VmRSS").unwrap();

    let wants: Vec<WireWant> = file.blocks.keys().cloned().map(block).collect();
    stream.write_all(&wantlist(&wants, true)).await.unwrap();
    stream.flush().await.unwrap();

    let other = Daemon::start("other", Setup::default()).await.unwrap();
    let reader = other.client().await.unwrap();
    reader.connect_peer(node.address(), None).await.unwrap();
    let fetch = reader.cat_whole(file.root, SOON, usize::MAX);
    let whole = within("a fetch beside it", SOON, fetch).await.unwrap().unwrap();
    assert!(whole == Some(file.bytes), "the bytes differ");
    let grown = node.memory("VmRSS").unwrap().saturating_sub(before);
    // What was read for the other is in the same figure.
    assert!(
        grown < 2 * UNREAD_BYTES_MAX,
        "{grown} bytes for one that does not read"
    );
}

#[tokio::test]
async fn what_is_known_of_a_peer_dies_with_it() {
    let node = Daemon::start("target", setup()).await.unwrap();
    let wants: Vec<WireWant> = (0..1024).map(|number| block(nowhere(number))).collect();
    let bomb = wantlist(&wants, true);
    let identities: Vec<Adversary> = (0..50)
        .map(|number| Adversary::new().source([127, 8, number, 2].into()))
        .collect();
    let mut after_first = 0;
    for round in 0..6 {
        for adversary in &identities {
            // The gate lets in so many in a second.
            let greeted = async {
                loop {
                    match adversary.greet(node.address(), hello("tests")).await {
                        Ok((peer, control, _)) => return (peer, control),
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
            };
            let (peer, control) = within("a place at the gate", SOON, greeted).await.unwrap();
            let mut stream = peer.open(BITSWAP).await.unwrap();
            stream.write_all(&bomb).await.unwrap();
            stream.flush().await.unwrap();
            drop((stream, control, peer));
        }
        if round == 2 {
            after_first = node.memory("VmRSS").unwrap();
        }
    }
    let gone = async {
        loop {
            let page = get(&node, "/metrics").await;
            let of = |name| sample(&page, name).unwrap();
            if of("rustle_bitswap_streams") + of("rustle_bitswap_peers") == 0.0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    within("the end of all that they left", SOON, gone).await.unwrap();
    // 1 KiB for each further connection.
    let grown = node.memory("VmRSS").unwrap().saturating_sub(after_first);
    assert!(
        grown < 150 * 1024 + (1 << 20),
        "{grown} bytes for 150 connections"
    );
}

/// Where the CID of a file of one block is that of its block.
#[test]
fn the_strangers_file_is_what_a_node_makes_of_it() {
    let file = File::new(ImportProfile::V1_RAW_2025, 1000, 1);
    let cid: Cid = file.root;
    assert!(file.blocks.contains_key(&cid.to_bytes()));
}
