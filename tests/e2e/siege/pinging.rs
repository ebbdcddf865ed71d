//! Is a silent connection pinged, a busy one not, and one without right answers closed?

use std::time::Duration;

use futures::AsyncReadExt as _;
use rustle_adversary::{Adversary, ControlStream, Heard, IDENTIFY, Peer, hello};
use rustle_tests::waiting::{peers_are, within};
use rustle_tests::{Daemon, Setup};
use rustle_wire::{Control, DisconnectReason};
use tokio::time::{Instant, sleep, timeout};

use super::{NETWORK, SLACK};
use crate::SOON;

/// Silence after which the node under test pings.
const IDLE: Duration = Duration::from_secs(1);
/// How long it waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often it asks.
const TRIES: usize = 3;
/// From the last sign of life to the close.
const PATIENCE: Duration = Duration::from_secs(1 + 3);

async fn target() -> Daemon {
    let setup = Setup::default()
        .peers("ping-idle-seconds", IDLE.as_secs())
        .peers("ping-timeout-seconds", TIMEOUT.as_secs());
    Daemon::start("target", setup).await.unwrap()
}

async fn handshaken(node: &Daemon, adversary: &Adversary) -> (Peer, ControlStream) {
    let greet = adversary.greet(node.address(), hello(NETWORK));
    let (peer, control, _) = within("the handshake", SOON, greet).await.unwrap().unwrap();
    (peer, control)
}

/// Answers each ping with what `answer` makes of its nonce, and gives the nonces and the last message.
async fn pinged(control: &mut ControlStream, answer: impl Fn(&[u64]) -> Option<u64>) -> (Vec<u64>, Control) {
    let mut nonces = Vec::new();
    let mut last = None;
    loop {
        match control.next().await {
            Heard::Message(Control::PingRequest { nonce }) => {
                nonces.push(nonce);
                if let Some(nonce) = answer(&nonces) {
                    control.send(&Control::PingResponse { nonce }).await.unwrap();
                }
            }
            Heard::Message(message) => last = Some(message),
            Heard::Garbage(garbage) => panic!("the node sends garbage: {garbage:?}"),
            Heard::End => return (nonces, last.expect("a goodbye")),
        }
    }
}

#[tokio::test]
async fn whoever_answers_stays() {
    let node = target().await;
    let adversary = Adversary::new();
    let (peer, mut control) = handshaken(&node, &adversary).await;

    let mut nonces = Vec::new();
    for _ in 0..3 {
        let heard = within("a ping", IDLE + SLACK, control.next()).await.unwrap();
        let Heard::Message(Control::PingRequest { nonce }) = heard else {
            panic!("{heard:?} in place of a ping");
        };
        nonces.push(nonce);
        control.send(&Control::PingResponse { nonce }).await.unwrap();
    }

    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 3, "a nonce came twice");
    assert!(!peer.is_closed());
    let client = node.client().await.unwrap();
    let timed = peers_are(&client, "the round trip", SOON, |peers| {
        peers.iter().any(|peer| peer.ping_rtt.is_some())
    });
    timed.await.unwrap();
}

#[tokio::test]
async fn wrong_nonces_old_nonces_and_silence_end_after_three_tries() {
    let node = target().await;
    type Answer = fn(&[u64]) -> Option<u64>;
    let answers: [(&str, Answer); 4] = [
        ("silence", |_| None),
        ("wrong nonces", |nonces| nonces.last().map(|nonce| nonce ^ 1)),
        ("zero", |_| Some(0)),
        ("old nonces", |nonces| nonces.iter().rev().nth(1).copied()),
    ];

    let attacks = answers.map(|(name, answer)| {
        let node = &node;
        async move {
            let adversary = Adversary::new();
            let (peer, mut control) = handshaken(node, &adversary).await;
            let began = Instant::now();
            let pinged = pinged(&mut control, answer);
            // Each wrong answer is activity, too, and must not give a further try.
            let (nonces, last) = within(name, PATIENCE + SLACK, pinged).await.unwrap();
            within("the close", SLACK, peer.closed()).await.unwrap();
            (name, began.elapsed(), nonces, last)
        }
    });

    for (name, took, mut nonces, last) in futures::future::join_all(attacks).await {
        assert!(
            PATIENCE <= took + Duration::from_millis(50),
            "{name}: already after {took:?}"
        );
        assert_eq!(nonces.len(), TRIES, "{name}");
        nonces.dedup();
        assert_eq!(nonces.len(), TRIES, "{name}: the same nonce again");
        let Control::Disconnect(goodbye) = last else {
            panic!("{name}: {last:?} is no goodbye");
        };
        assert_eq!(goodbye.reason, DisconnectReason::Timeout, "{name}");
    }
}

#[tokio::test]
async fn whoever_never_reads_is_closed() {
    let node = target().await;
    let adversary = Adversary::new().receive_buffer(2048);
    let (peer, mut control) = handshaken(&node, &adversary).await;
    let client = node.client().await.unwrap();
    peers_are(&client, "the peer", SOON, |peers| peers.len() == 1)
        .await
        .unwrap();

    peer.turn_deaf();

    let gone = peers_are(&client, "the deaf peer to go", PATIENCE + SLACK, <[_]>::is_empty);
    gone.await.unwrap();
    // Whoever does not read may go on writing, which must not matter any more.
    let _ = control.send(&Control::PingRequest { nonce: 1 }).await;
}

#[tokio::test]
async fn whoever_asks_and_never_reads_the_answers_is_closed() {
    let node = target().await;
    let adversary = Adversary::new().receive_buffer(2048);
    let (peer, mut control) = handshaken(&node, &adversary).await;
    peer.turn_deaf();

    let flood = async {
        let mut nonce = 0;
        while control.send(&Control::PingRequest { nonce }).await.is_ok() {
            nonce += 1;
        }
    };

    // The connection is busy all the time, so that no ping of the node's own can end it.
    let client = node.client().await.unwrap();
    tokio::select! {
        () = flood => {}
        gone = peers_are(&client, "the flooding peer to go", Duration::from_secs(15), <[_]>::is_empty) => {
            gone.unwrap();
        }
    }
    peers_are(&client, "the flooding peer to go", SOON, <[_]>::is_empty)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_busy_connection_is_not_pinged() {
    let node = target().await;
    let adversary = Adversary::new();
    let (peer, mut control) = handshaken(&node, &adversary).await;

    let busy = async {
        // Bytes on a stream that is not ours: activity is of the connection, not of the control stream.
        for _ in 0..20 {
            let mut stream = peer.open(IDENTIFY).await.unwrap();
            let mut one = [0];
            stream.read_exact(&mut one).await.unwrap();
            sleep(IDLE / 5).await;
        }
    };
    let quiet = async {
        let heard = control.next().await;
        panic!("the node speaks on a busy connection: {heard:?}");
    };
    tokio::select! {
        () = busy => {}
        () = quiet => {}
    }

    let heard = timeout(IDLE + SLACK, control.next()).await;
    assert!(
        matches!(heard, Ok(Heard::Message(Control::PingRequest { .. }))),
        "silent at last, and no ping: {heard:?}"
    );
}

#[tokio::test]
async fn pings_are_answered_and_answers_nobody_asked_for_ignored() {
    let node = target().await;
    let adversary = Adversary::new();
    let (peer, mut control) = handshaken(&node, &adversary).await;

    control.send(&Control::PingResponse { nonce: 5 }).await.unwrap();
    for nonce in [0, 7, u64::MAX] {
        control.send(&Control::PingRequest { nonce }).await.unwrap();
        let heard = within("the answer", IDLE, control.next()).await.unwrap();
        assert_eq!(heard, Heard::Message(Control::PingResponse { nonce }));
    }

    assert!(!peer.is_closed());
}
