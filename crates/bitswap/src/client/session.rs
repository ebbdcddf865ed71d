//! Who has the blocks of one request?

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use multihash_codetable::Multihash;
use rustle_types::{PeerId, Uptime};

use super::ASKED_PEERS_MAX;

/// Peers that a session asks at once.
const SESSION_PEERS_MAX: usize = 32;
/// A peer that has so many blocks in a row not, leaves the session (boxo's bound).
const MISSES_MAX: u32 = 16;
/// Time without progress until providers are looked for, and the longest time between two searches.
pub(super) const SEARCH_FIRST: Duration = Duration::from_secs(1);
const SEARCH_LAST: Duration = Duration::from_secs(60);
/// After so long those are asked again who had nothing of a session, as they may be fetching it themselves.
const PROBE_PAUSE: Duration = Duration::from_secs(10);
/// Taken for the size of a block until some have come: Kubo's default chunk.
const BLOCK_BYTES_GUESS: u64 = 256 * 1024;

/// One request.
#[derive(Debug)]
pub(super) struct Session {
    /// Wants of the request that have not come.
    pub(super) open: HashSet<Multihash>,
    /// Wants that wait for a peer with room. May name wants that have moved on.
    pub(super) ready: VecDeque<Multihash>,
    /// Wants that no peer known to us has.
    pub(super) parked: BTreeSet<Multihash>,
    /// Wants asked of a peer.
    pub(super) flying: usize,
    /// Who was asked for anything, and whether they had something not.
    pub(super) asked: BTreeMap<PeerId, bool>,
    /// Who was asked whether it has something of this session too, and since when.
    probed: BTreeSet<PeerId>,
    probed_since: Uptime,
    members: Vec<Member>,
    pub(super) block_bytes: u64,
    pub(super) last_progress: Uptime,
    /// When the search timer goes off, and how long it was set for.
    pub(super) search: Option<Uptime>,
    pub(super) search_pause: Duration,
}

#[derive(Debug)]
struct Member {
    peer: PeerId,
    misses: u32,
}

// === impl Session ===

impl Session {
    pub(super) fn new(now: Uptime) -> Self {
        Self {
            open: HashSet::new(),
            ready: VecDeque::new(),
            parked: BTreeSet::new(),
            flying: 0,
            asked: BTreeMap::new(),
            probed: BTreeSet::new(),
            probed_since: now,
            members: Vec::new(),
            block_bytes: BLOCK_BYTES_GUESS,
            last_progress: now,
            search: None,
            search_pause: SEARCH_FIRST,
        }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.members.iter().map(|member| member.peer)
    }

    pub(super) fn is_cold(&self) -> bool {
        self.members.is_empty()
    }

    /// The peer is asked for something.
    pub(super) fn ask(&mut self, peer: PeerId) {
        if self.asked.len() < ASKED_PEERS_MAX {
            self.asked.entry(peer).or_insert(false);
        }
    }

    /// Whether the peer is yet to be asked if it has something of this session too; from now on it counts as asked.
    pub(super) fn probe(&mut self, now: Uptime, peer: PeerId) -> bool {
        if PROBE_PAUSE <= now - self.probed_since {
            self.probed.clear();
            self.probed_since = now;
        }
        let is_member = self.members.iter().any(|member| member.peer == peer);
        !is_member && self.members.len() < SESSION_PEERS_MAX && self.probed.insert(peer)
    }

    /// The peer has a block of this session; whether that is news.
    pub(super) fn admit(&mut self, peer: PeerId) -> bool {
        if let Some(member) = self.members.iter_mut().find(|member| member.peer == peer) {
            member.misses = 0;
            return false;
        }
        let room = self.members.len() < SESSION_PEERS_MAX;
        if room {
            self.members.push(Member { peer, misses: 0 });
        }
        room
    }

    /// The peer has a block not, or did not send it.
    pub(super) fn miss(&mut self, peer: &PeerId) {
        if let Some(at) = self.members.iter().position(|member| member.peer == *peer) {
            self.members[at].misses += 1;
            if MISSES_MAX <= self.members[at].misses {
                self.members.remove(at);
            }
        }
    }

    pub(super) fn dismiss(&mut self, peer: &PeerId) {
        self.probed.remove(peer);
        self.members.retain(|member| member.peer != *peer);
    }

    /// A block of `bytes` bytes has come; whether searches had become rare meanwhile.
    pub(super) fn progress(&mut self, now: Uptime, bytes: u64) -> bool {
        self.block_bytes = ((self.block_bytes * 7 + bytes) / 8).max(1);
        self.last_progress = now;
        std::mem::replace(&mut self.search_pause, SEARCH_FIRST) != SEARCH_FIRST
    }

    /// Doubles the time until the next search.
    pub(super) fn slow_search(&mut self) {
        self.search_pause = (self.search_pause * 2).min(SEARCH_LAST);
    }
}
