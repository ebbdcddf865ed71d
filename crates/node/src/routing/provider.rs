//! When are the DHTs told what this node has?
//!
//! When it comes, and again in rounds, as their nodes forget it after one or two days. How far a round has come outlives
//! the process, so that a restart neither begins it anew nor forgets it. A round comes early where the last one found
//! nobody in a DHT that has nodes now, or where this node can no longer be dialled where it could.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rand::RngExt as _;
use rustle_store::{Batch, Collect, Durability, Table};
use rustle_types::{Cid, Timestamp};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Announced, PROVIDES_MAX, contents, provide};
use crate::config::Provide;
use crate::shared::Shared;

/// From the beginning of one round to that of the next, as Kubo does: records live 24 hours at least.
const INTERVAL: Duration = Duration::from_secs(22 * 60 * 60);
/// By how much of it nodes differ, so that those started together do not go on together.
const JITTER: f64 = 0.05;
/// From the first node of a DHT to the round for it, as it is seldom alone.
const JOIN_DELAY: Duration = Duration::from_secs(1);
/// Between the end of a round and the next one, whatever asks for it.
const PAUSE: Duration = Duration::from_secs(10);
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
    let blocks = contents::below(shared, root);
    let tell = |cid| async move {
        provide(shared, cid).await;
    };
    blocks.for_each_concurrent(PROVIDES_MAX, tell).await;
}

async fn rounds(shared: &Shared, blocks: &Arc<dyn Collect>) {
    let mut state = State::load(shared).await;
    loop {
        joined(shared).await;
        let interval = INTERVAL.mul_f64(rand::rng().random_range(1.0 - JITTER..1.0 + JITTER));
        let due = state.due_in(shared.clock.now().wall, place(shared), interval);
        tokio::select! {
            () = tokio::time::sleep(due) => {}
            () = asked_for(shared) => {}
        }
        round(shared, blocks, &mut state).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until there is somebody to be told.
async fn joined(shared: &Shared) {
    while shared.routing.joined.lock().is_empty() {
        shared.routing.has_joined.notified().await;
    }
}

/// Waits until a round is worth while although none is due.
async fn asked_for(shared: &Shared) {
    loop {
        let is_asked_for = {
            let (missed, joined) = (shared.routing.missed.lock(), shared.routing.joined.lock());
            missed.iter().any(|dht| joined.contains(dht))
        };
        if is_asked_for || shared.routing.is_behind() {
            tokio::time::sleep(JOIN_DELAY).await;
            return;
        }
        shared.routing.has_joined.notified().await;
    }
}

/// One round, or the rest of it.
async fn round(shared: &Shared, blocks: &Arc<dyn Collect>, state: &mut State) {
    shared.routing.catch_up();
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
            return JOIN_DELAY;
        }
        let age = Duration::from_millis(now.as_millis() - self.started_millis);
        interval.saturating_sub(age).max(JOIN_DELAY)
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(due(&state, 130, 7), JOIN_DELAY);
        assert_eq!(due(&state, 110, 8), JOIN_DELAY, "it has moved");
        assert_eq!(due(&state, 90, 7), JOIN_DELAY, "the clock went back");
        assert_eq!(due(&State::default(), 90, 0), JOIN_DELAY);
        let half = State {
            cursor: vec![1],
            ..state
        };
        assert_eq!(due(&half, 110, 7), JOIN_DELAY, "the rest of it");
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
