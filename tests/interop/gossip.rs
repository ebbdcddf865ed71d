//! Do messages of topics pass both ways, through peers with RSA identities too?

use std::time::Duration;

use rustle_admin::views::{ChainRef, InviteTerms};
use rustle_tests::kubo::Kubo;
use rustle_tests::waiting::{append, data_blocks};
use serde_json::{Value, json};

use crate::{SOON, rustle};

/// The data of the next message that a Kubo hears.
async fn heard(kubo: &mut Kubo, limit: Duration) -> Option<Value> {
    let message = kubo.event("message", limit).await.ok()?;
    Some(message["data"].clone())
}

/// A block is announced to Kubo nodes; one of them passes it on, under its own name, to a node that has missed it.
#[tokio::test]
async fn announcements_reach_kubo_and_come_back_from_a_peer_with_an_rsa_identity() {
    let mut rsa = Kubo::start(&["--key", "rsa"]).await.unwrap();
    let mut ed25519 = Kubo::start(&[]).await.unwrap();
    assert!(rsa.id().starts_with("Qm") && ed25519.id().starts_with("12D3"));
    let mut maker = rustle("A").await;
    let mut reader = rustle("B").await;
    let chain = ChainRef::Name("demo".to_owned());

    let client = maker.client().await.unwrap();
    let id = client.create_chain("demo").await.unwrap();
    let terms = InviteTerms {
        expires_in: None,
        uses: 1,
    };
    let invitation = client.invite(&chain, terms).await.unwrap();
    let joined = reader.client().await.unwrap().join(&invitation, Some(SOON)).await;
    joined.unwrap();

    let topic = format!("/rustle/tests/chain/1/{id}");
    client.connect_peer(&rsa.tcp(), None).await.unwrap();
    client.connect_peer(&ed25519.quic(), None).await.unwrap();
    // A message is lost to whom a subscription has not reached yet.
    let mut blocks = 0;
    for kubo in [&mut rsa, &mut ed25519] {
        kubo.call("subscribe", json!({ "topic": topic })).await.unwrap();
        loop {
            append(&client, &chain, "can you hear me?").await.unwrap();
            blocks += 1;
            if heard(kubo, Duration::from_secs(1)).await.is_some() {
                break;
            }
        }
    }
    data_blocks(&reader.client().await.unwrap(), &chain, blocks, SOON)
        .await
        .unwrap();
    reader.terminate().await.unwrap();
    for kubo in [&mut rsa, &mut ed25519] {
        while heard(kubo, Duration::from_secs(1)).await.is_some() {}
    }

    append(&client, &chain, "news").await.unwrap();
    let payload = heard(&mut rsa, SOON).await.expect("an announcement");
    assert_eq!(heard(&mut ed25519, SOON).await.as_ref(), Some(&payload));
    maker.kill().await.unwrap();

    reader.restart().await.unwrap();
    let client = reader.client().await.unwrap();
    client.connect_peer(&rsa.tcp(), None).await.unwrap();
    let publish = json!({ "topic": topic, "data": payload });
    for _ in 0..30 {
        rsa.call("publish", publish.clone()).await.unwrap();
        let all = data_blocks(&client, &chain, blocks + 1, Duration::from_secs(1)).await;
        if all.is_ok_and(|all| &all[blocks].body[..] == b"news") {
            return;
        }
    }
    panic!("the announcement did not come back");
}
