//! Is content found by nodes that never met whoever has it?

use futures::StreamExt as _;
use rustle_admin::FaultKind;
use rustle_admin::fault::reason;
use rustle_admin::views::{Profile, ProviderQuery};
use rustle_tests::waiting::within;
use rustle_tests::{Cluster, Setup, content, rustle_at};
use serde_json::Value;

use crate::{SOON, refused};

/// The CID of bytes that nobody has.
const ABSENT: &str = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";

fn lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap();
    text.lines().map(parse).collect()
}

/// B and C know only A, and are in the DHT of their network and in that of IPFS.
#[tokio::test]
async fn content_is_found_and_fetched_through_a_third_node() {
    let setup = Setup::default().flag("--foreign").flag("allow");
    let cluster = Cluster::start(["A", "B", "C"], &setup).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let b = cluster.client(1).await.unwrap();
    let added = b.add_bytes(Profile::V0, content::pattern(1000)).await.unwrap();
    let cid = added.cid.to_string();
    let provider = cluster.node(1).peer().to_string();

    // Told by itself as it came; told again by hand, it says whom. It is not in both DHTs before both have nodes.
    let told = async {
        loop {
            let shown = rustle_at(cluster.node(1).data_dir(), ["provide", &cid, "--json"]);
            let told = lines(&shown.await.unwrap().text())[0]["told"].clone();
            let nodes = |dht: &str| {
                let told = told.as_array().unwrap().iter();
                told.filter(|told| told["dht"] == dht)
                    .any(|told| told["nodes"] != 0)
            };
            if nodes("rustle") && nodes("ipfs-lan") {
                return;
            }
        }
    };
    within("both DHTs to be told", SOON, told).await.unwrap();

    let search = [
        "find-providers",
        &cid,
        "--limit",
        "1",
        "--timeout",
        "15",
        "--json",
    ];
    let found = rustle_at(cluster.node(2).data_dir(), search).await.unwrap();
    let found = lines(&found.text());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["peer_id"], provider.as_str());
    assert!(!found[0]["addresses"].as_array().unwrap().is_empty());

    let read = rustle_at(cluster.node(2).data_dir(), ["cat", &cid])
        .await
        .unwrap();
    assert_eq!(
        (read.code, read.stdout),
        (Some(0), content::pattern(1000).to_vec())
    );
}

/// Nobody is there to be told when A adds the file; the DHT is told once it has a node.
#[tokio::test]
async fn what_was_added_alone_is_found_once_others_are_there() {
    let cluster = Cluster::start(["A", "B", "C"], &Setup::default()).await.unwrap();
    let (a, c) = (cluster.client(0).await.unwrap(), cluster.client(2).await.unwrap());
    let added = a.add_bytes(Profile::V0, content::pattern(1000)).await.unwrap();
    let middle = cluster.node(1).address();
    a.connect_peer(middle, None).await.unwrap();
    c.connect_peer(middle, None).await.unwrap();
    let search = async {
        loop {
            let mut found = c.find_providers(ProviderQuery::new(added.cid)).await.unwrap();
            if let Some(Ok(provider)) = found.next().await {
                return provider.peer;
            }
        }
    };
    let found = within("the provider", SOON, search).await.unwrap();
    assert_eq!(found, cluster.node(0).peer());
}

#[tokio::test]
async fn where_nobody_has_it_the_search_says_who_was_asked() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let folder = cluster.node(0).data_dir();

    let found = rustle_at(folder, ["find-providers", ABSENT]).await.unwrap();
    let line = found.refusal(1);
    assert!(line.contains(ABSENT) && line.contains("of rustle"), "{line}");

    let provided = rustle_at(folder, ["provide", ABSENT]).await.unwrap();
    assert!(provided.refusal(1).contains("is not here"));
    rustle_at(folder, ["find-providers", "nonsense"])
        .await
        .unwrap()
        .refusal(2);
}

#[tokio::test]
async fn a_light_node_provides_nothing_and_offers_no_service() {
    let cluster = Cluster::start(["A"], &Setup::default().light()).await.unwrap();
    let client = cluster.client(0).await.unwrap();
    let cid = ABSENT.parse().unwrap();
    let refusal = refused(client.provide(cid, false).await.map(|_| ()));
    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::FailedPrecondition, reason::LIGHT_NODE)
    );
    let listen = ["tunnel", "listen", "/x/a", "/ip4/127.0.0.1/tcp/1"];
    let offered = rustle_at(cluster.node(0).data_dir(), listen).await.unwrap();
    assert!(offered.refusal(1).contains("light"));
}
