//! Does a node notice that it talks to itself?

use std::time::Duration;

use rustle_adversary::Mirror;
use rustle_tests::waiting::peers_are;
use rustle_tests::{Daemon, Setup, rustle_at, tcp_of};
use tokio::time::sleep;

use super::{source, target};
use crate::{SOON, refused};

#[tokio::test]
async fn a_node_that_is_led_to_itself_says_so() {
    let node = target().await;
    let mirror = Mirror::of(source(5, 1), node.address()).await.unwrap();
    let client = node.client().await.unwrap();

    for address in [mirror.address().clone(), tcp_of(node.address()).parse().unwrap()] {
        let refusal = refused(client.connect_peer(&address, None).await);
        assert!(refusal.message.contains("itself"), "{refusal}");
        let address = address.to_string();
        let shown = rustle_at(node.data_dir(), ["connect", &address]).await.unwrap();
        assert!(shown.refusal(1).contains("itself"));
    }

    peers_are(&client, "no peers", SOON, <[_]>::is_empty)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_address_that_leads_to_the_node_itself_is_forgotten() {
    let probe = target().await;
    // The port must be known before the node that listens there starts.
    let own = tcp_of(probe.address());
    drop(probe);
    let mirror = Mirror::of(source(5, 2), &own.parse().unwrap()).await.unwrap();
    let setup = Setup::default().listen(&own).bootstrap(mirror.address());
    let node = Daemon::start("narcissus", setup).await.unwrap();

    sleep(Duration::from_secs(6)).await;

    // Dialled again each second at first, where nothing was learned of it: 1 + 2 + 4 s.
    assert!(mirror.visits() <= 2, "led to itself {} times", mirror.visits());
    let client = node.client().await.unwrap();
    assert_eq!(client.peers().await.unwrap(), []);
}
