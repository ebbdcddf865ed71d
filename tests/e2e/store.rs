//! Does the node keep what is pinned, let go of the rest, and find what its disk has changed?

mod crash;
mod needed;
mod room;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use rustle_admin::Client;
use rustle_admin::fault::reason;
use rustle_admin::views::*;

use rustle_tests::waiting::append;
use rustle_tests::{Daemon, Setup, content, rustle_at};
use rustle_types::Cid;

use crate::{SOON, named, refused};

/// Adds a file and gives its root.
async fn add(client: &Client, bytes: &Bytes) -> Cid {
    client.add_bytes(Profile::V0, bytes.clone()).await.unwrap().cid
}

/// Collects garbage to the end.
async fn collect(client: &Client) -> GarbageProgress {
    let mut words = client.collect_garbage().await.unwrap();
    let mut last = GarbageProgress::default();
    while let Some(word) = words.next().await {
        last = word.unwrap();
    }
    assert!(last.done, "{last:?}");
    last
}

/// Checks all blocks; gives how many there are and what is wrong.
async fn verify(client: &Client, repair: bool) -> (u64, Vec<(Cid, BlockFault, bool)>) {
    let mut words = client.verify_store(repair).await.unwrap();
    let (mut blocks, mut faults, mut done) = (0, Vec::new(), false);
    while let Some(word) = words.next().await {
        let word = word.unwrap();
        blocks = word.blocks;
        faults.extend(word.faults);
        done = word.done;
    }
    assert!(done);
    (blocks, faults)
}

async fn reads(client: &Client, cid: Cid, bytes: &Bytes) -> bool {
    let read = client.cat_whole(cid, Duration::from_secs(2), bytes.len()).await;
    read.is_ok_and(|read| read.is_some_and(|read| read == *bytes))
}

/// A file of a size in kibibytes, unlike those of all other numbers.
fn file(number: u8, kibibytes: usize) -> Bytes {
    let mut bytes = content::pattern(kibibytes << 10).to_vec();
    bytes.chunks_mut(64).for_each(|chunk| chunk[0] = number);
    bytes.into()
}

#[tokio::test]
async fn what_is_unpinned_goes_and_everything_else_stays() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    let files: BTreeMap<u8, Bytes> = (0..6).map(|number| (number, file(number, 900))).collect();
    let mut roots = BTreeMap::new();
    for (number, bytes) in &files {
        roots.insert(*number, add(&client, bytes).await);
    }
    client.create_chain("chat").await.unwrap();
    for number in 0..5 {
        append(&client, &named("chat"), format!("block {number}"))
            .await
            .unwrap();
    }
    let before = client.store_stat().await.unwrap();
    assert_eq!((before.recursive_pins, before.direct_pins), (6, 0));
    assert_eq!(
        before.blocks,
        6 * 5 + 6,
        "four leaves and a root each, and the chain"
    );

    assert_eq!(collect(&client).await.removed_blocks, 0, "all is kept");
    for number in [1, 4] {
        client.unpin(&roots[&number], None).await.unwrap();
    }
    client.unpin(&roots[&5], None).await.unwrap();
    client
        .pin(&Pin::new(roots[&5], PinKind::Direct), None)
        .await
        .unwrap();
    let last = collect(&client).await;
    assert_eq!(last.removed_blocks, 5 + 5 + 4, "of the direct pin the root stays");

    let after = client.store_stat().await.unwrap();
    assert_eq!((after.recursive_pins, after.direct_pins), (3, 1));
    assert_eq!(after.blocks, before.blocks - 14);
    assert_eq!(after.last_collection.unwrap().blocks, 14);
    assert!(
        after.disk_bytes.unwrap() + 2_000_000 < before.disk_bytes.unwrap() + before.bytes,
        "the disk has its room back: {after:?}"
    );
    node.kill().await.unwrap();
    node.restart().await.unwrap();
    let client = node.client().await.unwrap();
    for number in [0, 2, 3] {
        assert!(reads(&client, roots[&number], &files[&number]).await);
    }
    assert!(!reads(&client, roots[&1], &files[&1]).await);
    assert_eq!(client.chains().await.unwrap()[0].blocks, 6);
    assert_eq!(verify(&client, false).await, (after.blocks, Vec::new()));
}

#[tokio::test]
async fn pins_have_names_and_kinds_and_are_refused_where_they_make_no_sense() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    let root = add(&client, &file(1, 600)).await;
    let pin = |kind, name: &str| Pin {
        name: name.to_owned(),
        ..Pin::new(root, kind)
    };
    let listed = async || {
        client
            .pins(PinQuery {
                limit: 10,
                ..PinQuery::default()
            })
            .await
            .unwrap()
            .pins
    };

    assert_eq!(listed().await, [PinView::Own(pin(PinKind::Recursive, ""))]);
    let named = client.pin(&pin(PinKind::Recursive, "daily"), None).await.unwrap();
    assert_eq!(named.fetched, 0);
    assert_eq!(listed().await, [PinView::Own(pin(PinKind::Recursive, "daily"))]);
    let direct = client.pin(&pin(PinKind::Direct, ""), None).await;
    assert_eq!(refused(direct).reason, reason::PIN_CONFLICT);
    let none = client.unpin(&root, Some(PinKind::Direct)).await;
    assert_eq!(refused(none).reason, reason::PIN_CONFLICT);
    let absent = rustle_types::BlockId::of(b"absent").cid();
    assert_eq!(
        refused(client.unpin(&absent, None).await).reason,
        reason::PIN_NOT_FOUND
    );
    let timeout = Some(Duration::from_millis(300));
    let missing = client.pin(&Pin::new(absent, PinKind::Recursive), timeout).await;
    assert_eq!(refused(missing).reason, reason::CONTENT_NOT_FOUND);

    let block = client.store_stat().await.unwrap();
    assert_eq!(block.blocks, 4);
    let text = rustle_at(node.data_dir(), ["pin", "ls", "--json"])
        .await
        .unwrap()
        .text();
    assert!(
        text.contains("\"name\":\"daily\"") && text.contains("recursive"),
        "{text}"
    );
    let leaf = leaves_of(&file(1, 600))[0];
    let text = rustle_at(node.data_dir(), ["pin", "ls", &leaf.to_string(), "--json"])
        .await
        .unwrap()
        .text();
    assert!(
        text.contains("indirect") && text.contains(&root.to_string()),
        "{text}"
    );
    let gone = rustle_at(node.data_dir(), ["pin", "ls", &absent.to_string()])
        .await
        .unwrap();
    gone.refusal(1);
    for command in [&["store", "stat"][..], &["store", "verify"], &["store", "gc"]] {
        for json in [&[][..], &["--json"]] {
            let done = rustle_at(node.data_dir(), command.iter().chain(json))
                .await
                .unwrap();
            assert!(!done.text().is_empty(), "{command:?}");
        }
    }
}

/// The first leaves of a file as `ipfs add` makes it.
fn leaves_of(bytes: &Bytes) -> Vec<Cid> {
    let profile = rustle_unixfs::ImportProfile::KUBO_2015;
    let chunks = bytes.chunks(profile.chunk_bytes());
    chunks
        .map(|chunk| {
            rustle_unixfs::make_leaf(&profile, Bytes::copy_from_slice(chunk))
                .1
                .cid
        })
        .collect()
}

#[tokio::test]
async fn a_pin_fetches_what_is_missing_before_it_is_acknowledged() {
    let source = Daemon::start("A", Setup::default()).await.unwrap();
    let bytes = file(1, 3000);
    let root = add(&source.client().await.unwrap(), &bytes).await;
    let mut node = Daemon::start("B", Setup::default().bootstrap(source.address()))
        .await
        .unwrap();
    let client = node.client().await.unwrap();

    let pinned = client
        .pin(&Pin::new(root, PinKind::Recursive), Some(SOON))
        .await
        .unwrap();
    node.kill().await.unwrap();
    drop(source);

    assert_eq!(pinned.fetched, 12 + 1);
    node.set_up(Setup::default());
    node.restart().await.unwrap();
    let client = node.client().await.unwrap();
    assert_eq!(collect(&client).await.removed_blocks, 0);
    assert!(reads(&client, root, &bytes).await, "it survived the kill");
}

/// Stops the node and flips a bit in its largest file of blocks, behind one `part` of it.
async fn flip(node: &mut Daemon, part: usize) {
    // What is in the log only goes to such a file at the next start.
    node.terminate().await.unwrap();
    node.restart().await.unwrap();
    node.terminate().await.unwrap();
    let entries = std::fs::read_dir(node.data_dir().join("store")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let blobs = paths.filter(|path| path.extension().is_some_and(|end| end == "blob"));
    let largest = blobs.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut content = std::fs::read(&largest).unwrap();
    let place = content.len() / part;
    content[place] ^= 1;
    std::fs::write(&largest, content).unwrap();
}

#[tokio::test]
async fn a_flipped_bit_is_found_and_the_block_fetched_again() {
    let source = Daemon::start("A", Setup::default()).await.unwrap();
    let bytes = file(1, 2000);
    let root = add(&source.client().await.unwrap(), &bytes).await;
    let mut node = Daemon::start("B", Setup::default().bootstrap(source.address()))
        .await
        .unwrap();
    let client = node.client().await.unwrap();
    client
        .pin(&Pin::new(root, PinKind::Recursive), Some(SOON))
        .await
        .unwrap();
    flip(&mut node, 2).await;
    node.restart().await.unwrap();
    let client = node.client().await.unwrap();

    let (blocks, faults) = verify(&client, false).await;
    assert_eq!((blocks, faults.len()), (9, 1), "{faults:?}");
    assert_eq!((faults[0].1, faults[0].2), (BlockFault::Damaged, false));
    let told = rustle_at(node.data_dir(), ["store", "verify"]).await.unwrap();
    assert_eq!(told.code, Some(1));
    let garbage = client.collect_garbage().await.unwrap().next().await.unwrap();
    drop(garbage);
    let read = client.cat_whole(root, SOON, bytes.len()).await.unwrap();
    assert!(
        read.is_some_and(|read| read == bytes),
        "the damaged block came anew"
    );
    assert_eq!(verify(&client, false).await, (9, Vec::new()), "and was kept");

    // Without anybody who has it, a repair drops it, and a pin tells what is missing.
    drop(source);
    flip(&mut node, 4).await;
    node.set_up(Setup::default());
    node.restart().await.unwrap();
    let client = node.client().await.unwrap();
    let (_, faults) = verify(&client, true).await;
    assert!(faults.iter().all(|(_, _, repaired)| *repaired) && !faults.is_empty());
    assert_eq!(verify(&client, false).await.1, []);
}
