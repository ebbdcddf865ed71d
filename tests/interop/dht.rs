//! Does each find the other through a third node, in the DHT that Kubo nodes of one network share?

use rustle_admin::views::{Profile, ProviderQuery};
use rustle_tests::kubo::Kubo;
use rustle_tests::waiting::within;
use rustle_tests::{Daemon, content};
use serde_json::json;

use crate::{SOON, random, rustle};

/// A node and a Kubo that know only a second Kubo, and are known to its DHT.
async fn acquainted() -> (Daemon, Kubo, Kubo) {
    let mut middle = Kubo::start(&["--routing", "dhtserver"]).await.unwrap();
    let mut kubo = Kubo::start(&[]).await.unwrap();
    let node = rustle("r").await;
    let client = node.client().await.unwrap();
    kubo.connect(&middle.tcp()).await.unwrap();
    client.connect_peer(&middle.tcp(), None).await.unwrap();
    let peers = middle.call("peers", json!({})).await.unwrap();
    assert_eq!(peers["ids"].as_array().unwrap().len(), 2, "{peers}");
    (node, kubo, middle)
}

#[tokio::test]
async fn rustle_finds_a_kubo_as_provider() {
    let (node, mut kubo, _middle) = acquainted().await;
    let client = node.client().await.unwrap();
    let bytes = random(1000, 1);
    let cid = kubo.add_bytes(&bytes, false).await.unwrap().parse().unwrap();

    // Kubo tells the DHT a moment after it has added the file.
    let found = within("Kubo as provider", SOON, async {
        loop {
            let mut found = client.find_providers(ProviderQuery::new(cid)).await.unwrap();
            if let Some(Ok(provider)) = futures::StreamExt::next(&mut found).await {
                return provider;
            }
        }
    });
    let found = found.await.unwrap();
    assert_eq!(found.peer.to_string(), kubo.id());
    assert!(!found.addresses.is_empty());

    let query = rustle_admin::views::CatQuery {
        cid,
        offset: 0,
        length: None,
        timeout: SOON,
    };
    assert_eq!(content::same_as(&client, query, &bytes[..]).await.unwrap(), 1000);
}

#[tokio::test]
async fn kubo_finds_a_rustle_node_as_provider() {
    let (node, mut kubo, _middle) = acquainted().await;
    let client = node.client().await.unwrap();
    let bytes = random(1000, 2);
    let added = client.add_bytes(Profile::V0, bytes.clone().into()).await.unwrap();
    assert!(kubo.cat(&added.cid.to_string()).await.unwrap() == bytes);
    let peers = kubo.call("peers", json!({})).await.unwrap();
    let id = node.peer().to_string();
    assert!(
        peers["ids"]
            .as_array()
            .unwrap()
            .iter()
            .any(|peer| *peer == id.as_str()),
        "{peers}"
    );
}
