//! Is everything that a pin or a chain needs here, and does it stay?

use std::time::Duration;

use bytes::Bytes;
use rustle_admin::Client;
use rustle_admin::fault::reason;
use rustle_admin::views::*;
use rustle_car::{Block, encode_header, encode_section};

use rustle_tests::waiting::append;
use rustle_tests::{Daemon, Setup};
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, HashFunction};

use super::{add, collect, file, leaves_of, reads, verify};
use crate::{named, refused};

/// How long to wait for a block that may not be here.
const SHORT: Duration = Duration::from_secs(2);

async fn block(client: &Client, cid: Cid) -> Bytes {
    client
        .block_get(BlockQuery { cid, timeout: SHORT })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_block_that_a_pin_or_a_chain_needs_is_not_removed_by_hand() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    let bytes = file(1, 600);
    let root = add(&client, &bytes).await;
    let leaf = leaves_of(&bytes)[1];
    client.create_chain("chat").await.unwrap();
    let entry = append(&client, &named("chat"), "an entry").await.unwrap();

    for (cid, named) in [(root, root), (leaf, root), (entry.cid(), entry.cid())] {
        let fault = refused(client.block_remove(cid).await);
        assert_eq!(fault.reason, reason::PINNED, "{}", fault.message);
        assert!(fault.message.contains(&named.to_string()), "{}", fault.message);
    }
    assert!(reads(&client, root, &bytes).await);
    client.unpin(&root, None).await.unwrap();
    client.block_remove(leaf).await.unwrap();
    client.block_remove(root).await.unwrap();
    assert_eq!(
        refused(client.block_remove(root).await).reason,
        reason::BLOCK_NOT_FOUND
    );

    node.kill().await.unwrap();
    node.restart().await.unwrap();
    let client = node.client().await.unwrap();
    assert_eq!(client.chains().await.unwrap()[0].blocks, 2);
    assert_eq!(verify(&client, false).await.1, []);
    assert!(!reads(&client, root, &bytes).await, "it was removed for good");
}

#[tokio::test]
async fn what_is_not_here_as_a_whole_is_not_pinned() {
    let source = Daemon::start("A", Setup::default()).await.unwrap();
    let client = source.client().await.unwrap();
    let bytes = file(1, 600);
    let root = add(&client, &bytes).await;
    let (top, leaves) = (block(&client, root).await, leaves_of(&bytes));
    let mut blocks = vec![(root, top.clone())];
    for leaf in &leaves {
        blocks.push((*leaf, block(&client, *leaf).await));
    }
    let car = |blocks: &[(Cid, Bytes)]| {
        let mut car = encode_header(&[root]).unwrap().to_vec();
        for (cid, bytes) in blocks {
            let block = Block {
                cid: *cid,
                bytes: bytes.clone(),
            };
            encode_section(&block)
                .into_iter()
                .for_each(|part| car.extend_from_slice(&part));
        }
        futures::stream::iter([Ok(Bytes::from(car))])
    };

    let mut node = Daemon::start("B", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    let put = |pin| NewBlock {
        data: top.clone(),
        codec: CODEC_DAG_PB,
        hash: HashFunction::Sha2_256,
        is_v0: true,
        pin,
    };
    let value = NewValue {
        value: format!(r#"{{"file":{{"/":"{root}"}}}}"#).into(),
        form: DagForm::Json,
        hash: HashFunction::Sha2_256,
        pin: true,
    };
    for fault in [
        refused(client.import_car(true, car(&blocks[..2])).await),
        refused(client.block_put(put(true)).await),
        refused(client.dag_put(value.clone()).await),
    ] {
        assert_eq!(fault.reason, reason::PIN_INCOMPLETE, "{}", fault.message);
        assert!(
            fault.message.contains(&leaves[1].to_string()),
            "{}",
            fault.message
        );
    }
    assert_eq!(client.store_stat().await.unwrap().recursive_pins, 0);
    assert_eq!(collect(&client).await.removed_blocks, 3, "and so it is garbage");

    // A part that is here already does as well as one that comes.
    client.import_car(false, car(&blocks[1..3])).await.unwrap();
    client
        .import_car(true, car(&[&blocks[..1], &blocks[3..]].concat()))
        .await
        .unwrap();
    client.dag_put(value).await.unwrap();
    node.kill().await.unwrap();
    node.restart().await.unwrap();
    let client = node.client().await.unwrap();
    assert_eq!(collect(&client).await.removed_blocks, 0);
    assert!(reads(&client, root, &bytes).await, "it survived the kill");
}
