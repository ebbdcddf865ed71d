//! Which peer is asked for which block, and what happens when it stays silent?

use std::collections::BTreeMap;
use std::time::Duration;

use multihash_codetable::Multihash;
use rustle_types::{PeerId, Uptime};

use super::link::Link;
use super::session::{SEARCH_FIRST, Session};
use super::want::{Flight, PROBES_PER_SESSION, Stage, WantState};
use super::{Client, FLYING_BYTES_MAX, Output, RequestId, Timer};
use crate::message::{Version, Want};

/// Peers that are asked whether they have a block.
const BROADCAST_PEERS_MAX: usize = 32;
/// Wants of a session that everybody is asked about at once.
const BROADCAST_WANTS_MAX: usize = 64;
/// Wants at the front of a session that are looked at for one that a free peer can serve.
const SCAN_MAX: usize = 64;
/// A session with so few wants left may ask a second peer for a slow block.
pub(super) const END_GAME_WANTS_MAX: usize = 8;
/// A peer that delivers other blocks may be late with one, but not by more than this.
const FLIGHT_MAX: Duration = Duration::from_secs(30);
/// All wants have the same priority: peers then answer in the order of asking.
const PRIORITY: i32 = 1;

enum Choice {
    Ask(PeerId),
    /// Peers have it, but all of them have enough to do.
    Busy,
    /// No peer is known to have it.
    Nobody,
}

// === impl Client ===

impl Client {
    /// Asks for as many blocks as the windows of the peers allow, beginning with another session each time.
    pub(super) fn dispatch(&mut self, now: Uptime) {
        let ready =
            |(request, session): (&RequestId, &Session)| (!session.ready.is_empty()).then_some(*request);
        let mut requests: Vec<RequestId> = self.sessions.iter().filter_map(ready).collect();
        let first = requests.partition_point(|request| Some(*request) <= self.served);
        requests.rotate_left(first);
        for request in requests {
            self.served = Some(request);
            self.dispatch_session(now, request);
        }
    }

    fn dispatch_session(&mut self, now: Uptime, request: RequestId) {
        let (mut passed, mut is_busy) = (Vec::new(), false);
        while passed.len() < SCAN_MAX {
            let Some(session) = self.sessions.get_mut(&request) else {
                return;
            };
            let Some(hash) = session.ready.pop_front() else {
                break;
            };
            let Some(want) = self.wants.get(&hash) else {
                continue;
            };
            if want.stage != Stage::Ready || want.home() != Some(request) {
                continue;
            }
            let size = session.block_bytes;
            if 0 < self.flying_bytes && FLYING_BYTES_MAX < self.flying_bytes + size {
                session.ready.push_front(hash);
                break;
            }
            let known = session.members().chain(want.holders.iter().copied());
            match choose(&self.links, known, want, size) {
                Choice::Ask(peer) => self.ask_block(now, hash, peer),
                Choice::Busy => {
                    is_busy = true;
                    passed.push(hash);
                }
                Choice::Nobody if self.seek(now, request, hash) => {}
                Choice::Nobody => {
                    passed.push(hash);
                    break;
                }
            }
        }
        if let Some(session) = self.sessions.get_mut(&request) {
            passed
                .into_iter()
                .rev()
                .for_each(|hash| session.ready.push_front(hash));
        }
        if is_busy {
            self.probe(now, request);
        }
    }

    /// Those who have blocks have enough to do: others may have some, too. A few questions show it, and the load is split.
    fn probe(&mut self, now: Uptime, request: RequestId) {
        let Some(session) = self.sessions.get_mut(&request) else {
            return;
        };
        let modern = self
            .links
            .iter()
            .filter(|(_, link)| link.version == Version::V1_2);
        let peers: Vec<PeerId> = modern
            .map(|(peer, _)| *peer)
            .filter(|peer| session.probe(now, *peer))
            .take(BROADCAST_PEERS_MAX)
            .collect();
        let wants: Vec<Multihash> = session.ready.iter().take(PROBES_PER_SESSION).copied().collect();
        for peer in peers {
            for hash in &wants {
                self.ask_have(*hash, peer);
            }
        }
    }

    /// Asks those who were not asked yet; `false` if that must wait.
    fn seek(&mut self, now: Uptime, request: RequestId, hash: Multihash) -> bool {
        let (Some(session), Some(want)) = (self.sessions.get_mut(&request), self.wants.get_mut(&hash)) else {
            return true;
        };
        let cold = session.is_cold();
        if cold && BROADCAST_WANTS_MAX <= session.flying {
            return false;
        }
        let fresh = |(peer, link): (&PeerId, &Link)| {
            let new = !want.refused.contains(peer) && !want.asked.contains(peer);
            new.then_some((*peer, link.version))
        };
        let fresh: Vec<(PeerId, Version)> = self.links.iter().filter_map(fresh).collect();
        // Before 1.2 a peer cannot say whether it has a block: it is asked for the block, when nobody else is left.
        let modern = fresh.iter().any(|(_, version)| *version == Version::V1_2);
        let bold = fresh.iter().filter(|(_, version)| {
            if modern {
                cold && *version == Version::V1_2
            } else {
                true
            }
        });
        let first = match choose(
            &self.links,
            bold.map(|(peer, _)| *peer),
            want,
            session.block_bytes,
        ) {
            Choice::Busy => return false,
            Choice::Ask(peer) => Some(peer),
            Choice::Nobody => None,
        };
        let silent = first.is_none() && BROADCAST_WANTS_MAX <= session.parked.len();
        match first {
            Some(peer) => self.ask_block(now, hash, peer),
            None => {
                want.stage = Stage::Parked;
                session.parked.insert(hash);
            }
        }
        let others = fresh
            .into_iter()
            .filter(|(peer, version)| *version == Version::V1_2 && Some(*peer) != first);
        for (peer, _) in others.take(if silent { 0 } else { BROADCAST_PEERS_MAX }) {
            self.ask_have(hash, peer);
        }
        true
    }

    fn ask_block(&mut self, now: Uptime, hash: Multihash, peer: PeerId) {
        let (Some(want), Some(link)) = (self.wants.get_mut(&hash), self.links.get_mut(&peer)) else {
            return;
        };
        let mut session = want.home().and_then(|home| self.sessions.get_mut(&home));
        if let Some(session) = &mut session {
            session.ask(peer);
        }
        let bytes = session.as_ref().map_or(1, |session| session.block_bytes);
        if want.stage != Stage::Flying {
            want.stage = Stage::Flying;
            if let Some(session) = session {
                session.flying += 1;
            }
        }
        let due = now + link.patience();
        want.flights.push(Flight {
            peer,
            since: now,
            bytes,
            due,
            slow: false,
        });
        if !want.asked.contains(&peer) {
            want.asked.push(peer);
        }
        link.open.insert(hash);
        link.take_off(now, bytes);
        self.flying_bytes += bytes;
        self.timers.insert((due, Timer::Flight(hash, peer)));
        let cid = want.cid;
        self.send(peer, Want::block(cid, PRIORITY));
    }

    /// Asks a 1.2 peer whether it has the block, unless it was asked already.
    pub(super) fn ask_have(&mut self, hash: Multihash, peer: PeerId) {
        let (Some(want), Some(link)) = (self.wants.get_mut(&hash), self.links.get_mut(&peer)) else {
            return;
        };
        if link.hears() && !want.asked.contains(&peer) {
            want.asked.push(peer);
            link.open.insert(hash);
            let cid = want.cid;
            if let Some(session) = want.home().and_then(|home| self.sessions.get_mut(&home)) {
                session.ask(peer);
            }
            self.send(peer, Want::have(cid, PRIORITY));
        }
    }

    pub(super) fn on_flight_timer(&mut self, now: Uptime, hash: Multihash, peer: PeerId) {
        let (Some(want), Some(link)) = (self.wants.get_mut(&hash), self.links.get_mut(&peer)) else {
            return;
        };
        let home = want.home();
        let Some(flight) = want.flights.iter_mut().find(|flight| flight.peer == peer) else {
            return;
        };
        // What waits behind other blocks of a peer that delivers is not late.
        let silent_since = flight.since.max(link.last_delivery);
        let last = (silent_since + link.timeout()).min(flight.since + FLIGHT_MAX);
        if now < last {
            let newly_slow = !std::mem::replace(&mut flight.slow, true);
            flight.due = last;
            self.timers.insert((last, Timer::Flight(hash, peer)));
            if newly_slow {
                self.duplicate(now, home, hash);
            }
            return;
        }
        let silent = link.last_delivery <= flight.since;
        link.failed();
        link.open.remove(&hash);
        want.asked.retain(|other| *other != peer);
        want.holders.retain(|other| *other != peer);
        if !want.refused.contains(&peer) {
            want.refused.push(peer);
        }
        let cid = want.cid;
        if let Some(session) = home.and_then(|home| self.sessions.get_mut(&home)) {
            // One late block is a miss; nothing at all means that the peer is of no use now.
            if silent {
                session.dismiss(&peer)
            } else {
                session.miss(&peer)
            }
        }
        self.send(peer, Want::cancel(cid));
        self.end_flight(&hash, &peer);
    }

    /// Near the end of a session a slow block is asked of a second peer.
    fn duplicate(&mut self, now: Uptime, home: Option<RequestId>, hash: Multihash) {
        let session = home.and_then(|home| self.sessions.get(&home));
        let (Some(session), Some(want)) = (session, self.wants.get(&hash)) else {
            return;
        };
        let near_end = session.open.len() <= END_GAME_WANTS_MAX;
        if !near_end || want.flights.len() != 1 {
            return;
        }
        let flying = want.flights[0].peer;
        let known = session
            .members()
            .chain(want.holders.iter().copied())
            .filter(|peer| *peer != flying);
        if let Choice::Ask(peer) = choose(&self.links, known, want, session.block_bytes) {
            self.ask_block(now, hash, peer);
        }
    }

    /// Ends the flight of a block that the peer will not send; the block goes to another peer.
    pub(super) fn end_flight(&mut self, hash: &Multihash, peer: &PeerId) {
        let Some(want) = self.wants.get_mut(hash) else {
            return;
        };
        let Some(at) = want.flights.iter().position(|flight| flight.peer == *peer) else {
            return;
        };
        let flight = want.flights.remove(at);
        let grounded = want.flights.is_empty();
        self.close_flight(hash, &flight);
        if grounded {
            self.make_ready(hash);
        }
    }

    /// Takes a flight out of the books of its peer.
    pub(super) fn close_flight(&mut self, hash: &Multihash, flight: &Flight) {
        self.timers
            .remove(&(flight.due, Timer::Flight(*hash, flight.peer)));
        self.flying_bytes = self.flying_bytes.saturating_sub(flight.bytes);
        if let Some(link) = self.links.get_mut(&flight.peer) {
            link.land(flight.bytes);
        }
    }

    /// Flying or Parked => Ready, before all others of its session.
    pub(super) fn make_ready(&mut self, hash: &Multihash) {
        let Some(want) = self.wants.get_mut(hash) else {
            return;
        };
        let stage = std::mem::replace(&mut want.stage, Stage::Ready);
        if let Some(session) = want.home().and_then(|home| self.sessions.get_mut(&home)) {
            session.parked.remove(hash);
            session.flying -= usize::from(stage == Stage::Flying);
            session.ready.push_front(*hash);
        }
    }

    /// Parked => Ready for all wants of a session; those that nobody was asked about yet come first.
    pub(super) fn unpark(&mut self, request: RequestId) {
        let Some(session) = self.sessions.get_mut(&request) else {
            return;
        };
        for hash in std::mem::take(&mut session.parked) {
            let Some(want) = self.wants.get_mut(&hash) else {
                continue;
            };
            want.stage = Stage::Ready;
            if want.asked.is_empty() {
                session.ready.push_front(hash);
            } else {
                session.ready.push_back(hash);
            }
        }
    }

    /// Sets the time at which the session looks for providers if nothing comes until then.
    pub(super) fn arm_search(&mut self, now: Uptime, request: RequestId) {
        let alone = self.links.is_empty();
        let Some(session) = self.sessions.get_mut(&request) else {
            return;
        };
        if let Some(due) = session.search.take() {
            self.timers.remove(&(due, Timer::Search(request)));
        }
        let first = session.search_pause == SEARCH_FIRST;
        let due = if alone && first {
            now
        } else {
            now + session.search_pause
        };
        session.search = Some(due);
        self.timers.insert((due, Timer::Search(request)));
    }

    pub(super) fn on_search_timer(&mut self, now: Uptime, request: RequestId) {
        let Some(session) = self.sessions.get_mut(&request) else {
            return;
        };
        session.search = None;
        // The queue may name wants that are gone, the open ones never are.
        let missing = session
            .parked
            .iter()
            .chain(session.ready.iter().take(SCAN_MAX))
            .chain(&session.open);
        let Some(want) = missing
            .filter(|hash| session.open.contains(*hash))
            .find_map(|hash| self.wants.get(hash))
        else {
            return;
        };
        let idle = SEARCH_FIRST <= now - session.last_progress;
        if idle || self.links.is_empty() {
            self.outbox.push(Output::FindProviders {
                request,
                cid: want.cid,
            });
            // Who had it not, or was silent, may have it by now.
            for hash in &session.parked {
                if let Some(want) = self.wants.get_mut(hash) {
                    want.refused.clear();
                }
            }
            session.slow_search();
            self.unpark(request);
        }
        self.arm_search(now, request);
    }
}

/// The peer that would deliver first, of those that were not found wanting.
fn choose(
    links: &BTreeMap<PeerId, Link>,
    known: impl Iterator<Item = PeerId>,
    want: &WantState,
    size: u64,
) -> Choice {
    let mut seen = false;
    let mut best: Option<(f64, PeerId)> = None;
    for peer in known.filter(|peer| !want.refused.contains(peer)) {
        let Some(link) = links.get(&peer) else {
            continue;
        };
        seen = true;
        let seconds = link.seconds_for(size);
        if link.has_room(size) && best.is_none_or(|(least, _)| seconds < least) {
            best = Some((seconds, peer));
        }
    }
    match best {
        Some((_, peer)) => Choice::Ask(peer),
        None if seen => Choice::Busy,
        None => Choice::Nobody,
    }
}
