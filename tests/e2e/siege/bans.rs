//! Does a ban hold, whatever the banned one changes about itself, and only for as long as it should?

use std::net::Ipv4Addr;
use std::time::Duration;

use rustle_admin::fault::reason;
use rustle_admin::views::Target;
use rustle_adversary::{Adversary, ControlStream, Listener, Peer, hello};
use rustle_tests::waiting::{peers_are, within};
use rustle_tests::{Daemon, Setup, tcp_of};
use rustle_wire::Control;
use tokio::time::{Instant, sleep};

use super::{NETWORK, SLACK, honest, source, target};
use crate::{SOON, refused};

fn aim(text: &str) -> Target {
    text.parse().unwrap()
}

/// Whether somebody gets in; stays connected for as long as the result is kept.
async fn get_in(node: &Daemon, adversary: &Adversary) -> Option<(Peer, ControlStream)> {
    let greet = adversary.greet(node.address(), hello(NETWORK));
    let (peer, control, _) = within("an answer of any kind", SOON, greet).await.unwrap().ok()?;
    Some((peer, control))
}

async fn newcomer_gets_in(node: &Daemon, source: Ipv4Addr) -> bool {
    get_in(node, &Adversary::new().source(source)).await.is_some()
}

#[tokio::test]
async fn a_banned_address_stays_out_under_any_name_and_identity() {
    let mut node = target().await;
    let client = node.client().await.unwrap();
    let (inside, _control) = honest(&node, source(9, 1)).await;

    // Written as IPv6, which must not make it another address.
    let rule = client
        .ban(&aim("::ffff:127.9.9.1"), None, "crowds")
        .await
        .unwrap();

    assert_eq!(rule.target, aim("127.9.9.1"));
    within("the banned one to be closed", SLACK, inside.closed())
        .await
        .unwrap();
    assert!(!newcomer_gets_in(&node, source(9, 1)).await, "a new identity");
    assert!(newcomer_gets_in(&node, source(9, 2)).await, "a neighbour");

    node.set_up(Setup::default().listen(&tcp_of(node.address())));
    node.kill().await.unwrap();
    node.restart().await.unwrap();
    assert!(!newcomer_gets_in(&node, source(9, 1)).await, "after a restart");

    let client = node.client().await.unwrap();
    client.unban(&aim("127.9.9.1")).await.unwrap();
    assert!(newcomer_gets_in(&node, source(9, 1)).await, "after the ban");
}

#[tokio::test]
async fn a_ban_of_a_prefix_is_a_ban_of_all_its_addresses() {
    let node = target().await;
    let client = node.client().await.unwrap();

    client.ban(&aim("127.9.10.0/24"), None, "").await.unwrap();

    for host in [1, 77, 254] {
        assert!(!newcomer_gets_in(&node, source(10, host)).await, "{host}");
    }
    assert!(newcomer_gets_in(&node, source(11, 1)).await);
}

#[tokio::test]
async fn a_banned_peer_is_known_by_its_key_wherever_it_is() {
    let node = target().await;
    let client = node.client().await.unwrap();
    let adversary = Adversary::new();
    let who = aim(&adversary.peer_id().to_string());

    client.ban(&who, None, "").await.unwrap();

    for host in 1..=3 {
        let elsewhere = adversary.clone().source(source(12, host));
        assert!(get_in(&node, &elsewhere).await.is_none(), "from another address");
    }
    let listener = Listener::bind(source(12, 9)).await.unwrap();
    let address = listener.address_of(adversary.peer_id());
    let refusal = refused(client.connect_peer(&address, None).await);
    assert_eq!(refusal.reason, reason::BANNED, "{refusal}");
    assert!(
        newcomer_gets_in(&node, source(12, 1)).await,
        "the address is not banned"
    );
}

#[tokio::test]
async fn a_ban_ends_when_it_was_said_to() {
    let node = target().await;
    let client = node.client().await.unwrap();
    let lasting = Duration::from_secs(2);
    let began = Instant::now();

    client.ban(&aim("127.9.13.1"), Some(lasting), "").await.unwrap();
    let got_in = newcomer_gets_in(&node, source(13, 1)).await;

    assert!(!got_in || lasting <= began.elapsed(), "at once");
    sleep(lasting).await;
    assert!(newcomer_gets_in(&node, source(13, 1)).await, "afterwards");
}

#[tokio::test]
async fn whoever_is_allowed_is_not_counted() {
    let setup = Setup::default().peers("per-ip", 2).peers("accept-rate", 1000);
    let node = Daemon::start("target", setup).await.unwrap();
    let client = node.client().await.unwrap();
    client.allow(&aim("127.9.14.1"), "a friend").await.unwrap();

    let mut inside = Vec::new();
    for _ in 0..5 {
        let friend = Adversary::new().source(source(14, 1));
        inside.push(get_in(&node, &friend).await.expect("a friend is let in"));
    }

    client.disallow(&aim("127.9.14.1")).await.unwrap();
    let mut is_counted = false;
    // It takes a moment until the gate hears of it.
    for _ in 0..20 {
        is_counted |= !newcomer_gets_in(&node, source(14, 1)).await;
    }
    assert!(is_counted, "counted again");
    assert!(inside.iter().all(|(peer, _)| !peer.is_closed()));
}

#[tokio::test]
async fn breaches_of_one_kind_never_ban() {
    let node = target().await;
    let client = node.client().await.unwrap();
    let adversary = Adversary::new().source(source(15, 1));

    for _ in 0..20 {
        let (peer, mut control) = adversary.speak(node.address()).await.unwrap();
        control.send(&Control::PingRequest { nonce: 1 }).await.unwrap();
        within("the close", SOON, peer.closed()).await.unwrap();
    }

    let rules = client.rules().await.unwrap();
    assert!(rules.is_empty(), "{rules:?}");
    let details = client.peer(&adversary.peer_id()).await.unwrap();
    assert!((-40.0..0.0).contains(&details.score), "{}", details.score);
    assert!(!details.faults.is_empty());
    // Who mends his ways is let in again, and others from there never were out.
    assert!(get_in(&node, &adversary).await.is_some());
    peers_are(&client, "the visitors to go", SOON, <[_]>::is_empty)
        .await
        .unwrap();
}
