//! Can somebody who dials and then stalls hold a place, or hold others up?

use std::time::Duration;

use bytes::BytesMut;
use futures::future::{BoxFuture, join_all};
use futures::{AsyncWriteExt as _, FutureExt as _};
use rustle_adversary::{Adversary, Heard, Tap, drained, dribble, hello};
use rustle_tests::waiting::{peers_are, within};
use rustle_types::Multiaddr;
use rustle_wire::{Control, frame};
use tokio::time::{Instant, sleep};

use super::{HANDSHAKE, HONEST, NETWORK, SLACK, honest, source, target};
use crate::SOON;

/// Goes some way and stops; ends when the node has closed the connection.
type Stall = fn(Adversary, Multiaddr) -> BoxFuture<'static, anyhow::Result<()>>;

const MULTISTREAM: &[u8] = b"\x13/multistream/1.0.0\n";
const NOISE: &[u8] = b"\x07/noise\n";

/// Where one can stop on the way to a handshake.
const STALLS: [(&str, Stall); 11] = [
    ("nothing after TCP", |adversary, to| {
        async move {
            let mut tap = adversary.tcp(&to).await?;
            drained(&mut tap).await;
            Ok(())
        }
        .boxed()
    }),
    ("half of the negotiation", |adversary, to| {
        async move {
            let mut tap = adversary.tcp(&to).await?;
            tap.write_all(MULTISTREAM).await?;
            tap.write_all(&NOISE[..4]).await?;
            drained(&mut tap).await;
            Ok(())
        }
        .boxed()
    }),
    ("a byte of the negotiation each second", |adversary, to| {
        async move { dribbled(adversary.tcp(&to).await?, &[MULTISTREAM, NOISE].concat()).await }.boxed()
    }),
    ("a zero each second", |adversary, to| {
        async move { dribbled(adversary.tcp(&to).await?, &[]).await }.boxed()
    }),
    ("nothing after Noise was agreed on", |adversary, to| {
        async move {
            let mut tap = adversary.tcp(&to).await?;
            rustle_adversary::propose(&mut tap, "/noise").await?;
            drained(&mut tap).await;
            Ok(())
        }
        .boxed()
    }),
    ("nothing after Noise", |adversary, to| {
        async move {
            let (_, mut secured) = adversary.secure(adversary.tcp(&to).await?).await?;
            drained(&mut secured).await;
            Ok(())
        }
        .boxed()
    }),
    ("nothing after Yamux", |adversary, to| {
        async move {
            adversary.connect(&to).await?.closed().await;
            Ok(())
        }
        .boxed()
    }),
    ("a stream without a protocol", |adversary, to| {
        async move {
            let peer = adversary.connect(&to).await?;
            let mut stream = peer.open_raw().await?;
            stream.write_all(&MULTISTREAM[..5]).await?;
            peer.closed().await;
            Ok(())
        }
        .boxed()
    }),
    ("no hello", |adversary, to| {
        async move {
            let (peer, _control) = adversary.speak(&to).await?;
            peer.closed().await;
            Ok(())
        }
        .boxed()
    }),
    ("half a hello", |adversary, to| {
        async move {
            let (peer, mut control) = adversary.speak(&to).await?;
            let hello = framed_hello();
            control.bytes(&hello[..hello.len() / 2]).await?;
            peer.closed().await;
            Ok(())
        }
        .boxed()
    }),
    ("a byte of the hello each second", |adversary, to| {
        async move {
            let (peer, mut control) = adversary.speak(&to).await?;
            for byte in framed_hello() {
                if peer.is_closed() || control.bytes(&[byte]).await.is_err() {
                    break;
                }
                let pause = sleep(Duration::from_secs(1));
                futures::future::select(Box::pin(peer.closed()), Box::pin(pause)).await;
            }
            peer.closed().await;
            Ok(())
        }
        .boxed()
    }),
];

#[tokio::test]
async fn whoever_stalls_is_closed_in_time_and_holds_nobody_up() {
    let node = target().await;
    let stalls = (1..).zip(STALLS).map(|(host, (name, stall))| {
        let adversary = Adversary::new().source(source(1, host));
        let address = node.address().clone();
        async move {
            let began = Instant::now();
            let result = tokio::time::timeout(HANDSHAKE + SLACK, stall(adversary, address)).await;
            (name, began.elapsed(), result)
        }
    });
    let visit = async {
        let mut slowest = Duration::ZERO;
        for host in 1..=10 {
            sleep(Duration::from_millis(300)).await;
            let began = Instant::now();
            let _guest = honest(&node, source(2, host)).await;
            slowest = slowest.max(began.elapsed());
        }
        slowest
    };

    let (stalls, slowest) = tokio::join!(join_all(stalls), visit);

    let kept: Vec<_> = stalls
        .iter()
        .filter(|(_, _, result)| !matches!(result, Ok(Ok(()))))
        .map(|(name, took, result)| format!("{name}: {took:?}, {result:?}"))
        .collect();
    assert!(kept.is_empty(), "not closed in time: {kept:#?}");
    assert!(slowest < HONEST, "an honest handshake took {slowest:?}");
    let client = node.client().await.unwrap();
    peers_are(&client, "all to be gone", SOON, <[_]>::is_empty)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_deadline_runs_from_the_dial_and_not_from_the_last_byte() {
    let node = target().await;
    let adversary = Adversary::new();

    let began = Instant::now();
    let tap = adversary.tcp(node.address()).await.unwrap();
    let ear = tap.ear();
    sleep(HANDSHAKE / 2).await;
    let peer = adversary
        .multiplex(adversary.secure(tap).await.unwrap(), ear)
        .await
        .unwrap();
    let _control = peer.open("/rustle/hello/1").await.unwrap();
    let closed = within("the close", HANDSHAKE + SLACK, peer.closed()).await;
    let took = began.elapsed();

    closed.unwrap();
    assert!(took < HANDSHAKE + SLACK / 2, "closed only after {took:?}");
}

#[tokio::test]
async fn whoever_is_slow_but_in_time_is_let_in() {
    let node = target().await;
    let (_peer, mut control) = Adversary::new().speak(node.address()).await.unwrap();

    let hello = framed_hello();
    let (first, second) = hello.split_at(20);
    control.bytes(first).await.unwrap();
    sleep(HANDSHAKE / 2).await;
    control.bytes(second).await.unwrap();

    let heard = within("the answer", SOON, control.next()).await.unwrap();
    assert!(matches!(heard, Heard::Message(Control::HelloAck(_))), "{heard:?}");
}

#[tokio::test]
async fn garbage_in_place_of_a_handshake_is_closed() {
    let node = target().await;
    let garbage = [0x5a; 4096];

    let mut raw = Adversary::new().tcp(node.address()).await.unwrap();
    // The node may close before all is written.
    let _ = raw.write_all(&garbage).await;
    let under_tcp = within("the close", HANDSHAKE + SLACK, drained(&mut raw));
    under_tcp.await.unwrap();
    let adversary = Adversary::new();
    let tap = adversary.tcp(node.address()).await.unwrap();
    let (_, mut secured) = adversary.secure(tap).await.unwrap();
    let _ = secured.write_all(&garbage).await;
    let _ = secured.flush().await;
    let under_noise = within("the close", HANDSHAKE + SLACK, drained(&mut secured));
    under_noise.await.unwrap();

    honest(&node, source(3, 1)).await;
}

fn framed_hello() -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame::encode(&Control::Hello(hello(NETWORK)).encode(), &mut bytes);
    bytes.to_vec()
}

async fn dribbled(tap: Tap, bytes: &[u8]) -> anyhow::Result<()> {
    dribble(tap, bytes, Duration::from_secs(1)).await;
    Ok(())
}
