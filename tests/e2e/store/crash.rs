//! What is left when the process is killed in the middle of an import or a collection?

use std::time::Duration;

use futures::StreamExt as _;
use rustle_admin::Client;
use rustle_admin::views::Profile;
use rustle_tests::{Daemon, Setup};
use rustle_types::Cid;

use super::{collect, file, reads, verify};

/// Kills of one test.
const KILLS: u8 = 12;

/// Every acknowledged file is here, and index and bytes agree.
async fn is_whole(client: &Client, kept: &[(u8, Cid)]) {
    let (_, faults) = verify(client, false).await;
    assert_eq!(faults, [], "index and bytes agree");
    for (number, cid) in kept {
        assert!(
            reads(client, *cid, &file(*number, 700)).await,
            "file {number} is lost"
        );
    }
}

#[tokio::test]
async fn a_kill_during_an_import_loses_nothing_that_was_acknowledged() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    let mut kept = Vec::new();
    let mut number = 0;
    for round in 0..KILLS {
        let client = node.client().await.unwrap();
        let work = async {
            loop {
                number += 1;
                let added = client.add_bytes(Profile::V0, file(number, 700)).await;
                match added {
                    Ok(added) => kept.push((number, added.cid)),
                    Err(_) => return,
                }
            }
        };
        let moment = Duration::from_millis(3 + 17 * u64::from(round));
        let _ = tokio::time::timeout(moment, work).await;
        node.kill().await.unwrap();
        node.restart().await.unwrap();
    }
    let client = node.client().await.unwrap();
    is_whole(&client, &kept).await;
    let pins = client.store_stat().await.unwrap().recursive_pins;
    assert!(pins >= kept.len() as u64, "{pins} pins of {} files", kept.len());

    let last = collect(&client).await;
    is_whole(&client, &kept).await;
    assert!(last.done, "the halves of imports go");
}

#[tokio::test]
async fn a_kill_during_a_collection_loses_nothing_that_is_pinned() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    let mut kept = Vec::new();
    for round in 0..KILLS {
        let client = node.client().await.unwrap();
        let first = round * 8;
        for number in first..first + 8 {
            let cid = client
                .add_bytes(Profile::V0, file(number, 700))
                .await
                .unwrap()
                .cid;
            if number % 2 == 0 {
                kept.push((number, cid));
            } else {
                client.unpin(&cid, None).await.unwrap();
            }
        }
        let work = async {
            let mut words = client.collect_garbage().await.unwrap();
            while let Some(Ok(_)) = words.next().await {}
        };
        let moment = Duration::from_millis(2 + 9 * u64::from(round));
        let _ = tokio::time::timeout(moment, work).await;
        node.kill().await.unwrap();
        node.restart().await.unwrap();
    }
    let client = node.client().await.unwrap();
    is_whole(&client, &kept).await;
    collect(&client).await;
    is_whole(&client, &kept).await;
    let stat = client.store_stat().await.unwrap();
    assert_eq!(
        stat.blocks,
        kept.len() as u64 * 4,
        "three leaves and a root of each that is pinned"
    );
}
