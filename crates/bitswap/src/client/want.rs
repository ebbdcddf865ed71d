//! Facts about wanted blocks: who asked, who has them, who has not.

use multihash_codetable::Multihash;
use rustle_types::{Cid, PeerId, Uptime};

use super::link::Link;
use super::session::Session;
use super::{Client, Input, Output, RequestId, Timer, WANTS_MAX};
use crate::message::{Version, Want};

/// Wants that a new peer is asked about for each session.
pub(super) const PROBES_PER_SESSION: usize = 4;

/// One wanted block.
#[derive(Debug)]
pub(super) struct WantState {
    /// The CID that peers are asked for.
    pub(super) cid: Cid,
    /// Who wants it, with the CID as it was asked for. The first decides where it queues.
    pub(super) claims: Vec<(RequestId, Cid)>,
    pub(super) stage: Stage,
    /// Peers that the block was asked of; two only near the end of a session.
    pub(super) flights: Vec<Flight>,
    /// Peers that remember our want.
    pub(super) asked: Vec<PeerId>,
    /// Peers that say they have it.
    pub(super) holders: Vec<PeerId>,
    /// Peers that say they have it not, or did not send it.
    pub(super) refused: Vec<PeerId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits for a peer with room.
    Ready,
    /// Asked of a peer.
    Flying,
    /// Nobody known has it.
    Parked,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) peer: PeerId,
    pub(super) since: Uptime,
    /// Bytes it was counted with.
    pub(super) bytes: u64,
    /// When its timer goes off.
    pub(super) due: Uptime,
    /// Whether it was seen that it is slow.
    pub(super) slow: bool,
}

// === impl WantState ===

impl WantState {
    pub(super) fn new(request: RequestId, cid: Cid) -> Self {
        Self {
            cid,
            claims: vec![(request, cid)],
            stage: Stage::Ready,
            flights: Vec::new(),
            asked: Vec::new(),
            holders: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The session that it queues in.
    pub(super) fn home(&self) -> Option<RequestId> {
        self.claims.first().map(|(request, _)| *request)
    }
}

// === impl Client ===

impl Client {
    pub(super) fn on_want(&mut self, now: Uptime, request: RequestId, cids: Vec<Cid>) {
        for cid in cids {
            let hash = *cid.hash();
            let known = self.wants.contains_key(&hash);
            if !known && WANTS_MAX <= self.wants.len() {
                self.outbox.push(Output::Refused { request, cid });
                continue;
            }
            let session = self.sessions.entry(request).or_insert_with(|| Session::new(now));
            if !session.open.insert(hash) {
                continue;
            }
            match self.wants.get_mut(&hash) {
                Some(want) => want.claims.push((request, cid)),
                None => {
                    self.wants.insert(hash, WantState::new(request, cid));
                    session.ready.push_back(hash);
                }
            }
        }
        if let Some(session) = self.sessions.get_mut(&request)
            && session.search.is_none()
            && !session.open.is_empty()
        {
            session.last_progress = now;
            self.arm_search(now, request);
        }
    }

    pub(super) fn on_cancel(&mut self, request: RequestId) {
        let Some(session) = self.sessions.remove(&request) else {
            return;
        };
        if let Some(due) = session.search {
            self.timers.remove(&(due, Timer::Search(request)));
        }
        for hash in session.open {
            let Some(want) = self.wants.get_mut(&hash) else {
                continue;
            };
            let was_home = want.home() == Some(request);
            want.claims.retain(|(other, _)| *other != request);
            match want.home() {
                None => {
                    self.drop_want(&hash, None);
                }
                Some(home) if was_home => {
                    let stage = want.stage;
                    if let Some(session) = self.sessions.get_mut(&home) {
                        match stage {
                            Stage::Flying => session.flying += 1,
                            Stage::Ready | Stage::Parked => {
                                want.stage = Stage::Ready;
                                session.ready.push_back(hash);
                            }
                        }
                    }
                }
                Some(_) => {}
            }
        }
    }

    pub(super) fn on_connected(&mut self, now: Uptime, peer: PeerId, version: Version) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.version = version;
            return;
        }
        self.links.insert(peer, Link::new(version));
        // A session that has its peers would never ask the new one: a few questions show what it has.
        let mut probes = Vec::new();
        for session in self.sessions.values_mut() {
            if !session.is_cold() && session.probe(now, peer) {
                let candidates = session.ready.iter().rev().chain(&session.open);
                probes.extend(candidates.take(PROBES_PER_SESSION).copied());
            }
        }
        let requests: Vec<RequestId> = self.sessions.keys().copied().collect();
        for request in requests {
            self.unpark(request);
        }
        if version == Version::V1_2 {
            for hash in probes {
                self.ask_have(hash, peer);
            }
        }
    }

    pub(super) fn on_disconnected(&mut self, peer: &PeerId) {
        let Some(link) = self.links.remove(peer) else {
            return;
        };
        for session in self.sessions.values_mut() {
            session.dismiss(peer);
        }
        for hash in link.open {
            self.end_flight(&hash, peer);
            if let Some(want) = self.wants.get_mut(&hash) {
                for list in [&mut want.asked, &mut want.holders, &mut want.refused] {
                    list.retain(|other| other != peer);
                }
            }
        }
        self.outgoing.remove(peer);
    }

    pub(super) fn on_block(&mut self, now: Uptime, peer: PeerId, cid: Cid, size: u64) {
        let hash = *cid.hash();
        let flight = self
            .wants
            .get(&hash)
            .and_then(|want| want.flights.iter().find(|flight| flight.peer == peer))
            .map(|flight| flight.since);
        if let (Some(since), Some(link)) = (flight, self.links.get_mut(&peer)) {
            link.delivered(now, since, size);
        }
        let Some(want) = self.drop_want(&hash, Some(peer)) else {
            let is_late = self.past.contains(&hash);
            self.outbox.push(Output::Unwanted { peer, cid, is_late });
            return;
        };
        let connected = self.links.contains_key(&peer);
        for (request, cid) in want.claims {
            self.outbox.push(Output::Got {
                request,
                cid,
                from: peer,
            });
            let Some(session) = self.sessions.get_mut(&request) else {
                continue;
            };
            session.open.remove(&hash);
            let searched = session.progress(now, size);
            if connected && session.admit(peer) {
                self.unpark(request);
            }
            if searched {
                self.arm_search(now, request);
            }
        }
    }

    pub(super) fn on_have(&mut self, peer: PeerId, hash: &Multihash) {
        // Only answers count: a peer could otherwise name itself everywhere.
        let Some(want) = self.wants.get_mut(hash).filter(|want| want.asked.contains(&peer)) else {
            return;
        };
        want.refused.retain(|other| *other != peer);
        if !want.holders.contains(&peer) {
            want.holders.push(peer);
        }
        let requests: Vec<RequestId> = want.claims.iter().map(|(request, _)| *request).collect();
        if want.stage == Stage::Parked {
            self.make_ready(hash);
        }
        for request in requests {
            if self
                .sessions
                .get_mut(&request)
                .is_some_and(|session| session.admit(peer))
            {
                self.unpark(request);
            }
        }
    }

    pub(super) fn on_dont_have(&mut self, peer: PeerId, hash: &Multihash) {
        let Some(want) = self.wants.get_mut(hash).filter(|want| want.asked.contains(&peer)) else {
            return;
        };
        want.holders.retain(|other| *other != peer);
        if !want.refused.contains(&peer) {
            want.refused.push(peer);
        }
        for (request, _) in &want.claims {
            if let Some(session) = self.sessions.get_mut(request) {
                session.miss(&peer);
                if let Some(refused) = session.asked.get_mut(&peer) {
                    *refused = true;
                }
            }
        }
        self.end_flight(hash, &peer);
    }

    /// Forgets a want: tells all who were asked but `from`.
    fn drop_want(&mut self, hash: &Multihash, from: Option<PeerId>) -> Option<WantState> {
        let want = self.wants.remove(hash)?;
        self.past.insert(*hash);
        for flight in &want.flights {
            self.close_flight(hash, flight);
        }
        if let Some(session) = want.home().and_then(|home| self.sessions.get_mut(&home)) {
            session.parked.remove(hash);
            session.flying -= usize::from(want.stage == Stage::Flying);
        }
        for peer in &want.asked {
            if let Some(link) = self.links.get_mut(peer) {
                link.open.remove(hash);
                if from != Some(*peer) {
                    self.send(*peer, Want::cancel(want.cid));
                }
            }
        }
        Some(want)
    }
}

impl Input {
    /// A message whose blocks were hashed, as an input.
    pub fn received(peer: PeerId, message: &crate::message::Message, blocks: Vec<(Cid, u64)>) -> Self {
        use crate::message::Presence;

        let with = |wanted: Presence| {
            message
                .presences
                .iter()
                .filter(move |(_, presence)| *presence == wanted)
                .map(|(cid, _)| *cid)
        };
        let (haves, dont_haves) = (with(Presence::Have).collect(), with(Presence::DontHave).collect());
        Self::Received {
            peer,
            blocks,
            haves,
            dont_haves,
        }
    }
}
