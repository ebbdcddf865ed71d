//! How much do we still put up with from a peer?
//!
//! Each fault costs score, and time forgives: what is left of a penalty halves every ten minutes. Nothing earns score, so
//! that nobody can behave well in order to do harm later. What one subsystem holds against a peer is capped below what
//! bans: a ban always takes two of them, and a bug in one part of a program, theirs or ours, splits no network.
//!
//! A new peer id costs nothing, an address does: where three peers of one host were banned, the host is.

mod fault;

use std::collections::BTreeMap;
use std::time::Duration;

use rustle_types::{Host, Now, PeerId, Uptime};

use crate::FaultView;
pub use fault::{Fault, Subsystem};

/// Peers whose faults are remembered. A further one takes the place of the one with the best score.
pub const SCORES_MAX: usize = 4_096;
/// At this score a peer is disconnected at each further fault, and not worth a new connection.
pub const DISCONNECT_SCORE: f64 = -20.0;
/// At this score a peer is banned.
pub const BAN_SCORE: f64 = -50.0;
/// What one subsystem may hold against a peer.
pub const SUBSYSTEM_SCORE_MIN: f64 = -40.0;

/// A penalty is worth half after this time.
const HALF_LIFE: Duration = Duration::from_secs(10 * 60);
/// What is left of a score when it is forgotten.
const FORGOTTEN: f64 = 0.1;
/// The first ban; each further one is twice as long.
const BAN_MIN: Duration = Duration::from_secs(3600);
const BAN_MAX: Duration = Duration::from_secs(24 * 3600);
/// So long after its end, a ban makes the next one longer and counts against the host.
const BAN_MEMORY: Duration = Duration::from_secs(24 * 3600);
/// So many banned peers make a host banned.
const HOST_PEERS: usize = 3;

const _: () = assert!(
    BAN_SCORE < SUBSYSTEM_SCORE_MIN && SUBSYSTEM_SCORE_MIN < DISCONNECT_SCORE,
    "one subsystem can disconnect and never ban"
);

/// What follows from a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Tolerate,
    /// The peer is disconnected.
    Disconnect,
    /// The peer is disconnected and banned for so long.
    Ban(Duration),
}

/// What is held against a peer, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreView {
    /// The peer.
    pub peer: PeerId,
    /// All of it; 0 is the best there is.
    pub score: f64,
    /// What each subsystem holds against it, where that is anything.
    pub shares: Vec<(Subsystem, f64)>,
    /// What it did, the last fault in front.
    pub faults: Vec<FaultView>,
    /// How many of its bans are remembered.
    pub bans: u32,
}

/// The scores of the peers that did something wrong lately; at most [`SCORES_MAX`].
#[derive(Debug, Clone, Default)]
pub struct Scores {
    records: BTreeMap<PeerId, Record>,
}

#[derive(Debug, Clone, Default)]
struct Record {
    /// What each subsystem held against the peer at `at`, as positive numbers.
    penalties: [f64; Subsystem::ALL.len()],
    at: Uptime,
    /// At most one for each kind.
    faults: Vec<FaultView>,
    bans: u32,
    /// When its last ban ends or ended.
    banned_until: Uptime,
    /// Where it was when it was banned last.
    host: Option<Host>,
}

// === impl Scores ===

impl Scores {
    /// Notes a fault. Gives what follows for the peer, and for how long its host is to be banned, if it is.
    ///
    /// `host` is where the peer dials from or was dialled; `None` where it came through a relay, because the relay's
    /// address is not its own. A loopback address is never banned: a proxy that sits there speaks for everybody.
    pub fn add(
        &mut self,
        now: Now,
        peer: PeerId,
        host: Option<Host>,
        fault: Fault,
    ) -> (Verdict, Option<Duration>) {
        let now = now.uptime;
        let mut record = self.records.remove(&peer).unwrap_or_default();
        record.note(now, fault);
        let is_banned = now < record.banned_until;
        let score = record.score(now);
        let ban = (score <= BAN_SCORE && !is_banned).then(|| record.ban(now, host));
        let host_ban = ban.and_then(|_| self.judge(now, host?));
        self.insert(now, peer, record);
        let verdict = match ban {
            Some(wait) => Verdict::Ban(wait),
            None if score <= DISCONNECT_SCORE => Verdict::Disconnect,
            None => Verdict::Tolerate,
        };
        (verdict, host_ban)
    }

    /// The score of a peer: 0 or less.
    pub fn score(&self, now: Uptime, peer: &PeerId) -> f64 {
        self.records.get(peer).map_or(0.0, |record| record.score(now))
    }

    /// Whether a peer is worth a connection.
    pub fn tolerates(&self, now: Uptime, peer: &PeerId) -> bool {
        DISCONNECT_SCORE < self.score(now, peer)
    }

    /// Forgets all that a peer did: somebody lifted its ban.
    pub fn forgive(&mut self, peer: &PeerId) {
        self.records.remove(peer);
    }

    /// Forgets of which hosts banned peers were: somebody lifted the ban of these. The next one that is banned there is the
    /// first.
    pub fn forgive_hosts(&mut self, is_forgiven: impl Fn(Host) -> bool) {
        for record in self.records.values_mut() {
            record.host = record.host.filter(|host| !is_forgiven(*host));
        }
    }

    /// What is held against a peer; `None` where nothing is.
    pub fn view(&self, now: Uptime, peer: &PeerId) -> Option<ScoreView> {
        self.records.get(peer).map(|record| record.view(now, *peer))
    }

    /// What is held against whom, by peer.
    pub fn views(&self, now: Uptime) -> impl Iterator<Item = ScoreView> {
        self.records
            .iter()
            .map(move |(peer, record)| record.view(now, *peer))
    }

    /// How many peers are remembered.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nobody did anything wrong.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How long the host of a peer that is just being banned is to be banned itself: twice as long for each peer more.
    fn judge(&self, now: Uptime, host: Host) -> Option<Duration> {
        if host.is_loopback() {
            return None;
        }
        let others = self
            .records
            .values()
            .filter(|record| record.host == Some(host) && record.remembers_ban(now));
        let further = (others.count() + 1).checked_sub(HOST_PEERS)?;
        Some(ban_length(further.try_into().unwrap_or(u32::MAX)))
    }

    fn insert(&mut self, now: Uptime, peer: PeerId, record: Record) {
        if SCORES_MAX <= self.records.len() {
            self.records.retain(|_, record| !record.is_over(now));
        }
        if SCORES_MAX <= self.records.len() {
            let weight = |record: &Record| record.weight(now);
            let best = self
                .records
                .iter()
                .min_by(|a, b| weight(a.1).total_cmp(&weight(b.1)));
            let Some((best, weight)) = best.map(|(peer, record)| (*peer, weight(record))) else {
                return;
            };
            // Otherwise many small faults of fresh peers would wash away the memory of a bad one.
            if record.weight(now) < weight {
                return;
            }
            self.records.remove(&best);
        }
        self.records.insert(peer, record);
    }
}

// === impl Record ===

impl Record {
    fn note(&mut self, now: Uptime, fault: Fault) {
        let left = self.left(now);
        if !self.remembers_ban(now) {
            self.bans = 0;
            self.host = None;
        }
        self.at = self.at.max(now);
        for penalty in &mut self.penalties {
            *penalty *= left;
        }
        let penalty = &mut self.penalties[fault.subsystem() as usize];
        *penalty = (*penalty + fault.penalty()).min(-SUBSYSTEM_SCORE_MIN);
        let seen = self.faults.iter().position(|seen| seen.fault == fault.name());
        let count = seen.map_or(0, |index| self.faults.remove(index).count) + 1;
        let view = FaultView {
            fault: fault.name(),
            count,
            last: now,
        };
        self.faults.insert(0, view);
    }

    fn ban(&mut self, now: Uptime, host: Option<Host>) -> Duration {
        let length = ban_length(self.bans);
        self.bans = self.bans.saturating_add(1);
        self.banned_until = now + length;
        self.host = host;
        length
    }

    /// The part of the penalties that time has left.
    fn left(&self, now: Uptime) -> f64 {
        let age = (now - self.at).as_secs_f64();
        (-age / HALF_LIFE.as_secs_f64()).exp2()
    }

    fn score(&self, now: Uptime) -> f64 {
        -self.penalties.iter().sum::<f64>() * self.left(now)
    }

    fn remembers_ban(&self, now: Uptime) -> bool {
        self.bans != 0 && now < self.banned_until + BAN_MEMORY
    }

    fn is_over(&self, now: Uptime) -> bool {
        -FORGOTTEN < self.score(now) && !self.remembers_ban(now)
    }

    /// How much would be lost with it.
    fn weight(&self, now: Uptime) -> f64 {
        let ban = if self.remembers_ban(now) { -BAN_SCORE } else { 0.0 };
        ban - self.score(now)
    }

    fn view(&self, now: Uptime, peer: PeerId) -> ScoreView {
        let left = self.left(now);
        let shares = Subsystem::ALL.into_iter().zip(self.penalties);
        ScoreView {
            peer,
            score: self.score(now),
            shares: shares
                .filter(|(_, penalty)| 0.0 < *penalty)
                .map(|(subsystem, penalty)| (subsystem, -penalty * left))
                .collect(),
            faults: self.faults.clone(),
            bans: if self.remembers_ban(now) { self.bans } else { 0 },
        }
    }
}

/// The length of a ban after so many earlier ones.
fn ban_length(earlier: u32) -> Duration {
    BAN_MIN.saturating_mul(2u32.saturating_pow(earlier)).min(BAN_MAX)
}

#[cfg(test)]
mod tests;
