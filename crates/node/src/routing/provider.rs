//! When are the DHTs told what this node has?
//!
//! When it comes, and again in rounds, as their nodes forget it after one or two days. How far a round has come outlives
//! the process, so that a restart neither begins it anew nor forgets it. What nobody of a DHT took is told again by itself, see
//! `agenda`; a round comes early where this node can no longer be dialled where it could.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rand::RngExt as _;
use rustle_store::{Batch, Collect, Durability, Table};
use rustle_types::{Cid, Multiaddr, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::agenda::{JOIN_DELAY, Job};
use super::{Announced, PROVIDES_MAX, Routing, contents, provide};
use crate::config::Provide;
use crate::shared::Shared;

/// From the beginning of one round to that of the next, as Kubo does: records live 24 hours at least.
const INTERVAL: Duration = Duration::from_secs(22 * 60 * 60);
/// By how much of it nodes differ, so that those started together do not go on together.
const JITTER: f64 = 0.05;
/// Between two records of a round: it is not in a hurry, and each is a search.
const PACE: Duration = Duration::from_millis(10);
/// Where the state of the rounds stands in the table `Meta`.
const STATE_KEY: &[u8] = b"routing.round";

/// How far the rounds have come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// When the last one began; 0 before the first.
    started_millis: u64,
    /// Where this node could be dialled then, as a hash.
    place: u64,
    /// Key of the last pin or block that was told of; empty where the round is over.
    cursor: Vec<u8>,
}

/// Tells of what comes, and does rounds.
pub(crate) async fn run(
    shared: Shared,
    blocks: Arc<dyn Collect>,
    announced: mpsc::Receiver<(Cid, Announced)>,
) {
    let setting = shared.routing.setting;
    if shared.is_light || setting == Provide::None {
        return;
    }
    let tell = ReceiverStream::new(announced).for_each_concurrent(PROVIDES_MAX, |(cid, what)| {
        let shared = shared.clone();
        async move {
            provide(&shared, cid).await;
            if what == Announced::Root && setting != Provide::Roots {
                tell_below(&shared, cid).await;
            }
        }
    });
    tokio::join!(tell, rounds(&shared, &blocks));
}

async fn tell_below(shared: &Shared, root: Cid) {
    let blocks = contents::below(shared, &shared.routing.walks, root);
    let tell = |cid| async move {
        provide(shared, cid).await;
    };
    blocks.for_each_concurrent(PROVIDES_MAX, tell).await;
}

async fn rounds(shared: &Shared, blocks: &Arc<dyn Collect>) {
    let mut state = State::load(shared).await;
    let mut moves = shared.facts.moves();
    loop {
        let interval = INTERVAL.mul_f64(rand::rng().random_range(1.0 - JITTER..1.0 + JITTER));
        let round_in = || state.due_in(shared.clock.now().wall, place(shared), interval);
        match next(&shared.routing, &mut moves, round_in).await {
            Job::Round => {
                tokio::time::sleep(JOIN_DELAY).await;
                shared.routing.agenda.lock().begin_round(Instant::now());
                round(shared, blocks, &mut state).await;
                shared.routing.agenda.lock().end_round(Instant::now());
            }
            Job::Again(cids) => again(shared, cids).await,
        }
    }
}

/// Waits until there is something to do: when it is due, somebody can be told at last, or this node has moved.
async fn next(
    routing: &Routing,
    moves: &mut watch::Receiver<Vec<Multiaddr>>,
    round_in: impl Fn() -> Duration,
) -> Job {
    loop {
        moves.mark_unchanged();
        let next = routing.agenda.lock().next(round_in(), Instant::now());
        let at = match next {
            Ok(job) => return job,
            Err(at) => at.unwrap_or_else(|| Instant::now() + INTERVAL),
        };
        tokio::select! {
            () = tokio::time::sleep_until(at) => {}
            () = routing.has_changed.notified() => {}
            Ok(()) = moves.changed() => {}
        }
    }
}

/// Tells of what nobody of some DHT took, as far as it is still here.
async fn again(shared: &Shared, cids: Vec<Cid>) {
    let tell = |cid: Cid| async move {
        match shared.read(move |store| store.has(&cid)).await {
            Ok(Ok(false)) => shared.routing.agenda.lock().forget(&cid),
            _ => {
                provide(shared, cid).await;
            }
        }
    };
    futures::stream::iter(cids)
        .for_each_concurrent(PROVIDES_MAX, tell)
        .await;
}

/// One round, or the rest of it.
async fn round(shared: &Shared, blocks: &Arc<dyn Collect>, state: &mut State) {
    if state.cursor.is_empty() {
        state.started_millis = shared.clock.now().wall.as_millis();
        state.place = place(shared);
    }
    let setting = shared.routing.setting;
    let mut count = 0;
    loop {
        let (after, store) = (state.cursor.clone(), Arc::clone(blocks));
        let read = move || contents::page(&*store, setting == Provide::All, &after);
        let page = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                tracing::warn!(%error, "what is here cannot be listed; the DHTs are not told of it");
                return;
            }
            Err(_) => return,
        };
        let is_last = page.len() < contents::PAGE;
        let cursor = page.last().map(|(key, _)| key.clone());
        count += page.len();
        let tell = |(_, cid)| async move {
            tokio::time::sleep(PACE).await;
            provide(shared, cid).await;
            if setting == Provide::Pinned {
                tell_below(shared, cid).await;
            }
        };
        futures::stream::iter(page)
            .for_each_concurrent(PROVIDES_MAX, tell)
            .await;
        state.cursor = cursor.filter(|_| !is_last).unwrap_or_default();
        state.save(shared).await;
        if is_last {
            tracing::debug!(count, ?setting, "told the DHTs what is here");
            return;
        }
    }
}

/// Where this node can be dialled, as a hash.
fn place(shared: &Shared) -> u64 {
    let mut addresses = shared.facts.addresses();
    addresses.sort_unstable();
    let mut hasher = DefaultHasher::new();
    addresses.hash(&mut hasher);
    hasher.finish()
}

// === impl State ===

impl State {
    async fn load(shared: &Shared) -> Self {
        let read = shared.read(|store| store.record(Table::Meta, STATE_KEY)).await;
        let bytes = read.ok().and_then(Result::ok).flatten().unwrap_or_default();
        Self::decode(&bytes).unwrap_or_default()
    }

    async fn save(&self, shared: &Shared) {
        let mut batch = Batch::new();
        batch.put(Table::Meta, STATE_KEY.to_vec(), self.encode());
        // Lost, the round is repeated; and a store that fails has told so elsewhere.
        let _ = shared.storage.commit(batch, Durability::Buffered).await;
    }

    /// Start (u64 BE), place (u64 BE), cursor.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.started_millis.to_be_bytes().to_vec();
        bytes.extend(self.place.to_be_bytes());
        bytes.extend(&self.cursor);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (started, rest) = bytes.split_first_chunk()?;
        let (place, cursor) = rest.split_first_chunk()?;
        Some(Self {
            started_millis: u64::from_be_bytes(*started),
            place: u64::from_be_bytes(*place),
            cursor: cursor.to_vec(),
        })
    }

    /// When to go on with a round, or to begin one.
    fn due_in(&self, now: Timestamp, place: u64, interval: Duration) -> Duration {
        let started = Timestamp::from_millis(self.started_millis);
        let is_new = self.started_millis == 0 || now < started;
        if is_new || self.place != place || !self.cursor.is_empty() {
            return Duration::ZERO;
        }
        let age = Duration::from_millis(now.as_millis() - self.started_millis);
        interval.saturating_sub(age)
    }
}

#[cfg(test)]
mod tests {
    use rustle_net::{Asked, Dht, Event};

    use super::*;

    const HOUR: u64 = 60 * 60 * 1000;

    fn at(hour: u64) -> Timestamp {
        Timestamp::from_millis(hour * HOUR)
    }

    #[test]
    fn a_round_is_due_in_time_and_early_where_it_did_not_end_or_the_node_has_moved() {
        let state = State {
            started_millis: 100 * HOUR,
            place: 7,
            cursor: Vec::new(),
        };
        let due = |state: &State, hour, place| state.due_in(at(hour), place, INTERVAL);
        assert_eq!(due(&state, 110, 7), Duration::from_secs(12 * 60 * 60));
        assert_eq!(due(&state, 130, 7), Duration::ZERO);
        assert_eq!(due(&state, 110, 8), Duration::ZERO, "it has moved");
        assert_eq!(due(&state, 90, 7), Duration::ZERO, "the clock went back");
        assert_eq!(due(&State::default(), 90, 0), Duration::ZERO);
        let half = State {
            cursor: vec![1],
            ..state
        };
        assert_eq!(due(&half, 110, 7), Duration::ZERO, "the rest of it");
    }

    /// What is waited for, while nothing is due for an hour and `wake` happens.
    async fn woken(wake: impl AsyncFnOnce(&Routing, &watch::Sender<Vec<Multiaddr>>)) -> Job {
        let (routing, _announced) = Routing::new(Provide::Roots);
        let (moved, mut moves) = watch::channel(Vec::new());
        let here = &moves.clone();
        routing.agenda.lock().on_joined(Dht::Own);
        let round_in = || match here.borrow().is_empty() {
            true => Duration::from_secs(60 * 60),
            false => Duration::ZERO,
        };
        let waiting = next(&routing, &mut moves, round_in);
        let waking = async {
            tokio::task::yield_now().await;
            wake(&routing, &moved).await;
        };
        // Left asleep, it would wait for an hour.
        let both = async { tokio::join!(waiting, waking).0 };
        tokio::time::timeout(Duration::from_secs(30), both).await.unwrap()
    }

    #[tokio::test]
    async fn what_cannot_wait_to_be_told_of_wakes_the_provider() {
        assert_eq!(woken(async |routing, _| routing.on_lost()).await, Job::Round);
    }

    #[tokio::test]
    async fn a_move_wakes_the_provider() {
        let there = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        let job = woken(async |_, moved| drop(moved.send_replace(vec![there]))).await;
        assert_eq!(job, Job::Round);
    }

    #[tokio::test]
    async fn a_dht_that_is_joined_and_what_it_missed_wake_the_provider() {
        let cid = rustle_types::BlockId::of(b"x").cid();
        let job = woken(async |routing, _| {
            let (dht, nodes) = (Dht::Ipfs, 0);
            routing.on_told(cid, &[Asked { dht, nodes }]);
            assert!(routing.take(Event::DhtJoined { dht }).is_none());
        });
        assert_eq!(job.await, Job::Again(vec![cid]));
    }

    #[test]
    fn the_state_survives() {
        let state = State {
            started_millis: 1,
            place: 2,
            cursor: b"r123".to_vec(),
        };
        assert_eq!(State::decode(&state.encode()), Some(state));
        assert_eq!(State::decode(b"short"), None);
    }
}
