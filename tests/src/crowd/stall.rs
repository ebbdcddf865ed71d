//! Those who come and stop half-way, each time they are closed anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::AsyncWriteExt as _;
use rustle_adversary::{Adversary, drained, dribble, propose};
use rustle_types::Multiaddr;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::{Numbers, Orders, source};

/// Between two visits of one of them. The whole crowd so dials two thousand times a second where it is refused at once.
const PAUSE: Duration = Duration::from_secs(1);
/// Whoever was not closed by then is counted as held so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A visit that was ended sooner was refused rather than closed for its delay.
const REFUSED: Duration = Duration::from_millis(500);
/// Between two bytes of one that dribbles.
const DRIBBLE: Duration = Duration::from_secs(1);

/// A stalling crowd in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Connections that stand now, as far as this end knows.
    pub open: usize,
    /// Visits that have ended.
    pub visits: usize,
    /// Those of them that were turned away within half a second.
    pub refused: usize,
    /// How long the longest visit lasted, in milliseconds; those that last still are counted too.
    pub longest_ms: u64,
}

#[derive(Debug)]
pub(super) struct Counters {
    epoch: Instant,
    /// When the visit of each began, in milliseconds after the epoch and one more; 0 for those who are not there.
    present: Vec<AtomicU64>,
    visits: AtomicUsize,
    refused: AtomicUsize,
    longest_ms: AtomicU64,
}

impl Counters {
    fn new(count: usize) -> Self {
        Self {
            epoch: Instant::now(),
            present: (0..count).map(|_| AtomicU64::new(0)).collect(),
            visits: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            longest_ms: AtomicU64::new(0),
        }
    }

    /// Now, as `present` has it.
    fn now(&self) -> u64 {
        millis(self.epoch.elapsed()).saturating_add(1)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Numbers for Arc<Counters> {
    type Answer = Held;

    fn numbers(&self) -> Held {
        let now = self.now();
        let present = self.present.iter().map(|since| since.load(Ordering::Relaxed));
        let present: Vec<u64> = present.filter(|since| *since != 0).collect();
        let still = present.iter().min().map_or(0, |since| now.saturating_sub(*since));
        Held {
            open: present.len(),
            visits: self.visits.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            longest_ms: self.longest_ms.load(Ordering::Relaxed).max(still),
        }
    }
}

/// Begins at once; they come as long as the process lives.
pub(super) fn come(orders: &Orders) -> Arc<Counters> {
    let counters = Arc::new(Counters::new(orders.count));
    for index in 0..orders.count {
        let (to, counters) = (orders.to.clone(), Arc::clone(&counters));
        tokio::spawn(async move {
            let adversary = Adversary::new().source(source(index));
            // Not all at once: that would only fill the kernel's queue.
            sleep(PAUSE.mul_f64(index as f64 / 2_000.0)).await;
            loop {
                visit(&adversary, &to, index, &counters).await;
                sleep(PAUSE).await;
            }
        });
    }
    counters
}

async fn visit(adversary: &Adversary, to: &Multiaddr, index: usize, counters: &Counters) {
    let began = Instant::now();
    counters.present[index].store(counters.now(), Ordering::Relaxed);
    // How a visit ends does not matter, only when.
    let _ = timeout(PATIENCE, stall(adversary, to, index)).await;
    counters.present[index].store(0, Ordering::Relaxed);
    counters.visits.fetch_add(1, Ordering::Relaxed);
    let took = began.elapsed();
    if took < REFUSED {
        counters.refused.fetch_add(1, Ordering::Relaxed);
    }
    counters.longest_ms.fetch_max(millis(took), Ordering::Relaxed);
}

/// Half of them say nothing or next to nothing; the others work for it, and cost the node its half of the work.
async fn stall(adversary: &Adversary, to: &Multiaddr, index: usize) -> Result<()> {
    let mut tap = adversary.tcp(to).await?;
    match index % 6 {
        0 | 1 => {
            drained(&mut tap).await;
        }
        2 => {
            dribble(tap, b"\x13/multistream/1.0.0\n\x07/noise\n", DRIBBLE).await;
        }
        3 => {
            propose(&mut tap, "/noise").await?;
            tap.write_all(&[0, 32]).await?;
            dribble(tap, &[0x5a; 32], DRIBBLE).await;
        }
        4 => {
            let (_, mut secured) = adversary.secure(tap).await?;
            drained(&mut secured).await;
        }
        _ => {
            let ear = tap.ear();
            let peer = adversary.multiplex(adversary.secure(tap).await?, ear).await?;
            let mut control = peer.open_raw().await?;
            control
                .write_all(b"\x13/multistream/1.0.0\n\x10/rustle/hello/1\n\x20")
                .await?;
            control.flush().await?;
            peer.closed().await;
        }
    }
    Ok(())
}
