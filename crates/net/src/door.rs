//! Who is let in, in terms of sockets?
//!
//! The gate of `rustle-peers` decides; here it is told what happens. Each socket that it lets in is held by an `Entry`,
//! which counts until it is dropped, and through which the gate may still cut it off for somebody else.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::channel::oneshot;
use rustle_peers::{Banned, Gate, GateCounts, GateLimits, Refusal, Rules};
use rustle_types::{Multiaddr, Now, PeerId, Uptime, address};

use crate::clock;

/// How often it is looked up how much memory the process uses.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);

/// The gate, as all who deal with sockets share it.
#[derive(Debug, Clone)]
pub(crate) struct Door(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    started: Instant,
    watches_memory: bool,
    state: Mutex<State>,
    banned_peers: AtomicU64,
    timed_out: AtomicU64,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    rules: Rules,
    /// Whom the gate may cut off: those who are pending, so that its limits bound it.
    cuts: HashMap<u64, oneshot::Sender<()>>,
    last_token: u64,
    memory_read: Option<Instant>,
}

/// A socket that was let in. Dropped, it makes room.
#[derive(Debug)]
pub(crate) struct Entry {
    door: Door,
    token: u64,
    since: Instant,
    /// Until it is safe from newcomers.
    cut: Option<oneshot::Receiver<()>>,
}

// === impl Door ===

impl Door {
    pub(crate) fn new(limits: GateLimits) -> Self {
        Self(Arc::new(Shared {
            started: clock::now(),
            watches_memory: limits.memory_bytes.is_some(),
            state: Mutex::new(State {
                gate: Gate::new(limits),
                rules: Rules::default(),
                cuts: HashMap::new(),
                last_token: 0,
                memory_read: None,
            }),
            banned_peers: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
        }))
    }

    /// Asks for a socket that was just accepted. `from` is where it comes from, or the relay it came through.
    pub(crate) fn knock(&self, from: &Multiaddr) -> Result<Entry, Refusal> {
        let since = clock::now();
        let now = self.now(since);
        let (cut, is_cut) = oneshot::channel();
        let token = self.locked(|state| {
            if self.0.watches_memory {
                state.look_at_memory(since);
            }
            state.last_token += 1;
            let token = state.last_token;
            if let Some(victim) = state.gate.admit(now, token, from)?
                && let Some(cut) = state.cuts.remove(&victim)
            {
                // Where nobody hears it any more, it is over already.
                let _ = cut.send(());
            }
            state.cuts.insert(token, cut);
            Ok(token)
        })?;
        Ok(Entry {
            door: self.clone(),
            token,
            since,
            cut: Some(is_cut),
        })
    }

    /// Whether a peer is banned, now that it is known who it is.
    pub(crate) fn check_peer(&self, peer: &PeerId, from: &Multiaddr) -> Result<(), Banned> {
        let now = self.now(clock::now());
        let checked = self.locked(|state| state.rules.check(now.wall, peer, address::ip(from)));
        if checked.is_err() {
            self.0.banned_peers.fetch_add(1, Ordering::Relaxed);
        }
        checked
    }

    /// An entry that became a connection of ours or a foreign one, and is safe now.
    pub(crate) fn established(&self, token: u64) {
        self.locked(|state| {
            state.gate.established(token);
            state.cuts.remove(&token);
        });
    }

    pub(crate) fn set_outbound(&self, connections: usize) {
        self.locked(|state| state.gate.set_outbound(connections));
    }

    pub(crate) fn set_rules(&self, rules: Rules) {
        let now = self.now(clock::now());
        self.locked(|state| {
            state.gate.set_rules(now, rules.clone());
            state.rules = rules;
        });
    }

    pub(crate) fn counts(&self) -> GateCounts {
        self.locked(|state| state.gate.counts())
    }

    pub(crate) fn banned_peers(&self) -> u64 {
        self.0.banned_peers.load(Ordering::Relaxed)
    }

    pub(crate) fn timed_out(&self) -> u64 {
        self.0.timed_out.load(Ordering::Relaxed)
    }

    fn now(&self, instant: Instant) -> Now {
        Now {
            uptime: Uptime::from_duration(instant.saturating_duration_since(self.0.started)),
            wall: clock::wall(),
        }
    }

    fn locked<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl State ===

impl State {
    fn look_at_memory(&mut self, now: Instant) {
        let is_fresh = |read: Instant| now.saturating_duration_since(read) < MEMORY_INTERVAL;
        if self.memory_read.is_some_and(is_fresh) {
            return;
        }
        self.memory_read = Some(now);
        if let Some(bytes) = resident_bytes() {
            self.gate.set_memory(bytes);
        }
    }
}

/// How much memory the process uses; `None` where the system does not say.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

// === impl Entry ===

impl Entry {
    pub(crate) fn token(&self) -> u64 {
        self.token
    }

    /// When the socket was accepted.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Whoever is there has completed the cipher.
    pub(crate) fn proved(&self) {
        self.door.locked(|state| state.gate.proved(self.token));
    }

    /// Whoever is there took too long.
    pub(crate) fn timed_out(&self) {
        self.door.0.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Ready once the gate wants the place for somebody else.
    pub(crate) fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.cut.as_mut().map(|cut| cut.poll_unpin(cx)) {
            Some(Poll::Ready(Ok(()))) => Poll::Ready(()),
            // Nobody can cut it off any more.
            Some(Poll::Ready(Err(oneshot::Canceled))) => {
                self.cut = None;
                Poll::Pending
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.door.locked(|state| {
            state.gate.ended(self.token);
            state.cuts.remove(&self.token);
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;

    use super::*;

    fn from(host: u8) -> Multiaddr {
        format!("/ip4/198.51.100.{host}/tcp/4001").parse().unwrap()
    }

    fn is_cut(entry: &mut Entry) -> bool {
        entry
            .poll_cut(&mut Context::from_waker(noop_waker_ref()))
            .is_ready()
    }

    #[test]
    fn an_entry_counts_until_it_is_dropped() {
        let door = Door::new(GateLimits {
            per_host: 1,
            ..GateLimits::default()
        });
        let first = door.knock(&from(1)).unwrap();
        assert_eq!(door.knock(&from(1)).unwrap_err(), Refusal::Host);
        assert!(door.knock(&from(2)).is_ok());
        drop(first);
        assert!(door.knock(&from(1)).is_ok());
        assert_eq!(door.counts().refused(Refusal::Host), 1);
    }

    #[test]
    fn who_is_pending_is_cut_off_and_who_is_established_is_safe() {
        let door = Door::new(GateLimits {
            pending: 2,
            ..GateLimits::default()
        });
        let mut safe = door.knock(&from(1)).unwrap();
        door.established(safe.token());
        let mut crowd = [door.knock(&from(2)).unwrap(), door.knock(&from(2)).unwrap()];
        let _newcomer = door.knock(&from(3)).unwrap();
        let cut = crowd.each_mut().map(is_cut);
        assert_eq!(cut.iter().filter(|cut| **cut).count(), 1, "{cut:?}");
        assert!(!is_cut(&mut safe));
        assert!(safe.cut.is_none());
    }

    #[test]
    fn the_memory_of_the_process_is_known_and_bounds_it() {
        let used = resident_bytes().unwrap();
        assert!((1 << 20..1 << 40).contains(&used), "{used}");
        let limited = |bytes| {
            Door::new(GateLimits {
                memory_bytes: Some(bytes),
                ..GateLimits::default()
            })
        };
        assert_eq!(limited(1).knock(&from(1)).unwrap_err(), Refusal::Memory);
        assert!(limited(1 << 40).knock(&from(1)).is_ok());
    }
}
