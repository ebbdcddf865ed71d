//! From which peer do we pull next?
//!
//! One pull at a time brings everything once: the next one names what the last one brought. A further one starts beside
//! it only when it stalls, so that a peer that hangs costs seconds and not the chain. A peer is asked when it is new, when
//! it announced blocks that we lack, and, as long as ancestors are missing, in turn with all others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustle_types::{BlockId, PeerId, Uptime};

use super::SyncOutcome;

/// Peers of one chain; later ones are not asked.
pub(crate) const PEERS_MAX: usize = 1024;
/// Unknown ids kept of each peer; it has more when it is asked.
const ANNOUNCED_MAX: usize = 256;
/// Pulls that end well and still do not bring what the peer announced, until it is a fault.
const WITHHELD_MAX: u32 = 4;
/// Rounds over all peers that bring nothing, until the orphans are given up.
const ROUNDS_MAX: u32 = 8;
/// The first back-off, doubled with each failure.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest back-off.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Who has the chain, and what each of them owes us.
#[derive(Debug)]
pub(crate) struct Pulls {
    peers: BTreeMap<PeerId, Peer>,
    pulls_max: usize,
    stall: Duration,
    turn: u64,
    rounds: u32,
    round_at: Option<Uptime>,
}

#[derive(Debug, Default)]
struct Peer {
    announced: BTreeSet<BlockId>,
    is_new: bool,
    /// Sent a block whose ancestors are missing, so it has them.
    has_missing: bool,
    /// Asked in this round for missing ancestors.
    was_asked: bool,
    /// Pulling, and when it last brought something.
    progress: Option<Uptime>,
    /// Blocks of the running pull were dropped here, so their absence is not the peer's fault.
    was_cut: bool,
    has_left: bool,
    failures: u32,
    withheld: u32,
    retry_at: Uptime,
    turn: u64,
}

// === impl Pulls ===

impl Pulls {
    pub(crate) const fn new(pulls_max: usize, stall: Duration) -> Self {
        Self {
            peers: BTreeMap::new(),
            pulls_max,
            stall,
            turn: 0,
            rounds: 0,
            round_at: None,
        }
    }

    /// Peers on the topic.
    pub(crate) fn peers(&self) -> usize {
        self.peers.values().filter(|peer| !peer.has_left).count()
    }

    /// Pulls that run.
    pub(crate) fn active(&self) -> usize {
        self.peers.values().filter(|peer| peer.progress.is_some()).count()
    }

    pub(crate) fn on_joined(&mut self, id: PeerId) {
        if self.peers.len() < PEERS_MAX || self.peers.contains_key(&id) {
            let peer = self.peers.entry(id).or_default();
            (peer.is_new, peer.has_left) = (true, false);
        }
    }

    /// A pull that runs keeps its place until it ends.
    pub(crate) fn on_left(&mut self, id: &PeerId) {
        match self.peers.get_mut(id) {
            Some(peer) if peer.progress.is_some() => peer.has_left = true,
            _ => drop(self.peers.remove(id)),
        }
    }

    /// The peer has blocks that we lack.
    pub(crate) fn on_announced(&mut self, id: &PeerId, unknown: impl IntoIterator<Item = BlockId>) {
        if let Some(peer) = self.peers.get_mut(id) {
            let room = ANNOUNCED_MAX.saturating_sub(peer.announced.len());
            peer.announced.extend(unknown.into_iter().take(room));
        }
    }

    /// The peer sent a block whose ancestors are missing: it has them.
    pub(crate) fn on_orphan(&mut self, id: &PeerId) {
        if let Some(peer) = self.peers.get_mut(id) {
            (peer.has_missing, peer.was_asked) = (true, false);
        }
    }

    /// Blocks from this peer were dropped for want of room; it is asked again.
    pub(crate) fn on_cut(&mut self, id: &PeerId) {
        if let Some(peer) = self.peers.get_mut(id) {
            (peer.is_new, peer.was_cut) = (true, true);
        }
    }

    /// A block is attached: nobody owes it to us any more.
    pub(crate) fn on_attached(&mut self, id: &BlockId) {
        self.rounds = 0;
        for peer in self.peers.values_mut() {
            peer.announced.remove(id);
        }
    }

    pub(crate) fn on_progress(&mut self, now: Uptime, id: &PeerId) {
        if let Some(progress) = self.peers.get_mut(id).and_then(|peer| peer.progress.as_mut()) {
            *progress = now;
        }
    }

    /// A pull is over; gives how many announced blocks the peer withholds, when that is a fault.
    pub(crate) fn on_ended(&mut self, now: Uptime, id: &PeerId, outcome: SyncOutcome) -> Option<usize> {
        let peer = self.peers.get_mut(id)?;
        peer.progress.take()?;
        if peer.has_left {
            self.peers.remove(id);
            return None;
        }
        let was_cut = std::mem::take(&mut peer.was_cut);
        if outcome == SyncOutcome::Complete && !was_cut {
            peer.is_new = false;
            if peer.announced.is_empty() {
                (peer.failures, peer.withheld) = (0, 0);
                return None;
            }
            peer.withheld += 1;
            if WITHHELD_MAX <= peer.withheld {
                peer.withheld = 0;
                return Some(std::mem::take(&mut peer.announced).len());
            }
        }
        peer.failures = peer.failures.saturating_add(1);
        peer.retry_at = now + backoff(peer.failures);
        None
    }

    /// Whom to pull from now; `missing` where orphans wait. Called until it gives `None`.
    pub(crate) fn start_next(&mut self, now: Uptime, missing: bool) -> Option<PeerId> {
        self.begin_round(now, missing);
        if !self.has_slot(now) {
            return None;
        }
        let wanting = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.wants(missing) && peer.retry_at <= now);
        // Who is known to have what we lack comes before who may have it; then those that fail least; then in turn.
        let best = wanting.min_by_key(|(_, peer)| (!peer.is_source(), peer.failures, peer.turn));
        let id = *best?.0;
        self.turn += 1;
        let turn = self.turn;
        let peer = self.peers.get_mut(&id)?;
        (peer.progress, peer.turn) = (Some(now), turn);
        (peer.was_asked, peer.has_missing) = (true, false);
        Some(id)
    }

    /// Whether all peers were asked so often in vain that the orphans are hopeless; asked once after each input.
    pub(crate) fn take_hopeless(&mut self) -> bool {
        let hopeless = ROUNDS_MAX < self.rounds;
        if hopeless {
            (self.rounds, self.round_at) = (0, None);
        }
        hopeless
    }

    /// Once all peers were asked for missing ancestors, waits, and then asks all again.
    fn begin_round(&mut self, now: Uptime, missing: bool) {
        if !missing {
            // Who was asked before something was missing has not been asked for it.
            self.peers
                .values_mut()
                .for_each(|peer| (peer.was_asked, peer.has_missing) = (false, false));
            (self.rounds, self.round_at) = (0, None);
            return;
        }
        if self.round_at.is_some_and(|at| at <= now) {
            self.round_at = None;
            self.peers.values_mut().for_each(|peer| peer.was_asked = false);
        }
        // Without any peer a round is over at once, so that orphans do not wait for ever.
        let is_over = self
            .peers
            .values()
            .all(|peer| peer.was_asked && peer.progress.is_none());
        if self.round_at.is_none() && is_over {
            self.rounds += 1;
            self.round_at = Some(now + backoff(self.rounds));
        }
    }

    /// When the running pulls count as stalled; `None` where none runs.
    fn stalled_at(&self) -> Option<Uptime> {
        let latest = self.peers.values().filter_map(|peer| peer.progress).max()?;
        Some(latest + self.stall)
    }

    fn has_slot(&self, now: Uptime) -> bool {
        self.active() < self.pulls_max && self.stalled_at().is_none_or(|at| at <= now)
    }

    /// When `start_next` may have something to give, or a new round begins.
    pub(crate) fn deadline(&self, missing: bool) -> Option<Uptime> {
        let wanting = self.peers.values().filter(|peer| peer.wants(missing));
        let free = self.stalled_at().unwrap_or_default();
        let next = wanting.map(|peer| peer.retry_at.max(free)).min();
        let next = next.filter(|_| self.active() < self.pulls_max);
        [next, self.round_at].into_iter().flatten().min()
    }
}

// === impl Peer ===

impl Peer {
    fn is_source(&self) -> bool {
        self.has_missing || !self.announced.is_empty()
    }

    fn wants(&self, missing: bool) -> bool {
        let has_reason = self.is_new || !self.announced.is_empty() || (missing && !self.was_asked);
        has_reason && self.progress.is_none() && !self.has_left
    }
}

/// 1 s, 2 s, 4 s … 60 s.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    (BACKOFF * (1 << doublings)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests;
