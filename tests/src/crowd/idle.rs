//! Those who shake hands and stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use futures::{AsyncWriteExt as _, StreamExt as _, stream};
use rustle_adversary::{
    Adversary, ControlStream, Heard, IDENTIFY, MESHSUB, Manners, Peer, Stream, drained, hello, identify,
    subscribe,
};
use rustle_wire::Control;
use serde::{Deserialize, Serialize};

use super::{Numbers, Orders, source};

/// Handshakes at once: fewer than a node takes by default.
const HANDSHAKES_MAX: usize = 24;
/// So often one tries again that was refused.
const TRIES: usize = 5;

/// An idle crowd in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// Connections that stand.
    pub alive: usize,
    /// Those that did not come in.
    pub failed: usize,
    /// Pings that were answered.
    pub pings: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    alive: AtomicUsize,
    failed: AtomicUsize,
    pings: AtomicUsize,
}

impl Numbers for Arc<Counters> {
    type Answer = Alive;

    fn numbers(&self) -> Alive {
        Alive {
            alive: self.alive.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            pings: self.pings.load(Ordering::Relaxed),
        }
    }
}

/// Ends when all have come in, or were refused again and again.
pub(super) async fn come(orders: &Orders) -> Arc<Counters> {
    let counters = Arc::new(Counters::default());
    let arrivals = stream::iter(0..orders.count).map(|index| {
        let counters = Arc::clone(&counters);
        async move {
            for _ in 0..TRIES {
                if let Ok((peer, control, gossip)) = come_in(orders, index).await {
                    counters.alive.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(stay(peer, control, gossip, counters));
                    return;
                }
            }
            counters.failed.fetch_add(1, Ordering::Relaxed);
        }
    });
    arrivals.buffer_unordered(HANDSHAKES_MAX).collect::<()>().await;
    counters
}

/// Has what a peer of this project has: identify, the control stream, and gossip in both directions.
async fn come_in(orders: &Orders, index: usize) -> Result<(Peer, ControlStream, Stream)> {
    let adversary = Adversary::new().source(source(index));
    let introduction = identify(&adversary.public_key(), &[IDENTIFY, MESHSUB, "/rustle/hello/1"]);
    let adversary = adversary.manners(Manners::Polite(introduction));
    let own = rustle_wire::Hello {
        // Each process has its own number; a node would take two with the same for one peer.
        nonce: index as u64,
        ..hello(&orders.network)
    };
    let (peer, control, _) = adversary.greet(&orders.to, own).await?;
    let mut gossip = peer.open(MESHSUB).await?;
    let topic = format!("/rustle/{}/chain/1/crowd", orders.network);
    gossip.write_all(&subscribe(&topic)).await?;
    gossip.flush().await?;
    Ok((peer, control, gossip))
}

async fn stay(peer: Peer, mut control: ControlStream, mut gossip: Stream, counters: Arc<Counters>) {
    let answer = async {
        loop {
            match control.next().await {
                Heard::Message(Control::PingRequest { nonce }) => {
                    if control.send(&Control::PingResponse { nonce }).await.is_err() {
                        return;
                    }
                    counters.pings.fetch_add(1, Ordering::Relaxed);
                }
                Heard::Message(_) | Heard::Garbage(_) => {}
                Heard::End => return,
            }
        }
    };
    tokio::select! {
        () = answer => {}
        () = peer.closed() => {}
        _ = drained(&mut gossip) => peer.closed().await,
    }
    counters.alive.fetch_sub(1, Ordering::Relaxed);
}
