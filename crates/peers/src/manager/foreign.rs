//! Who of those that do not speak our protocol may stay?
//!
//! They have places of their own, and nothing shows what one of them is worth but what goes over its connection. So one
//! that is silent for long is closed, and where all places are taken, a newcomer takes that of the least useful: nobody
//! holds all of them by being there first.

use std::collections::BTreeSet;

use rustle_types::{ConnectionId, Group, Now, PeerId, Reach};

use super::Manager;
use crate::Why;
use crate::connection::{Connection, Phase};
use crate::eviction::{Candidate, choose_inbound};

impl Manager {
    /// Whether there is a place for a peer that does not speak our protocol; makes one where another can give way.
    pub(super) fn place_for_foreign(&mut self, now: Now, id: ConnectionId) -> bool {
        let Some(connection) = self.links.get(id) else {
            return false;
        };
        if connection.request.is_some() || is_asked_for(connection.why) {
            return true;
        }
        let foreign = self.config.foreign;
        if !foreign.is_allowed() || foreign.places == 0 {
            return false;
        }
        let is_chosen = connection.is_chosen();
        let is_known = self
            .links
            .of(&connection.peer)
            .any(|(_, one)| matches!(one.phase, Phase::Foreign));
        if is_known || self.links.counts().foreign < foreign.places {
            return true;
        }
        // What we dialled in search of a peer of our own kind is worth nobody else's place.
        if is_chosen {
            return false;
        }
        let victim = choose_inbound(&self.foreign_candidates(now), self.secret);
        let Some(peer) = victim.and_then(|victim| self.peer(victim)) else {
            return false;
        };
        self.counters.on_evicted();
        self.close_foreign(&peer);
        true
    }

    /// Every foreign peer, as its oldest connection.
    fn foreign_candidates(&self, now: Now) -> Vec<Candidate> {
        let mut peers: BTreeSet<PeerId> = BTreeSet::new();
        let foreign = self
            .links
            .iter()
            .filter(|(_, one)| matches!(one.phase, Phase::Foreign));
        foreign
            .filter(|(_, one)| peers.insert(one.peer))
            .map(|(id, one)| Candidate {
                connection: id,
                group: Group::of(&one.address),
                reach: Reach::of(&one.address).unwrap_or(Reach::Clear),
                is_chosen: false,
                since: one.since,
                round_trip: None,
                content: one.useful.content,
                gossip: one.useful.gossip,
                is_protected: self.links.of(&one.peer).any(|(_, one)| self.is_wanted(now, one)),
            })
            .collect()
    }

    /// Closes a foreign connection that nothing goes over, unless somebody wanted it.
    pub(super) fn on_idle_foreign(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.links.get(id) else {
            return;
        };
        if !self.is_wanted(now, connection) {
            self.counters.on_evicted();
            self.close(id, None);
        } else if let Some(connection) = self.links.get_mut(id) {
            connection.spare(now.uptime);
        }
    }

    fn is_wanted(&self, now: Now, connection: &Connection) -> bool {
        is_asked_for(connection.why) || self.is_protected(now, &connection.peer, connection.why)
    }

    /// Closes what foreign connections a peer has: it gives way, or was taken for a foreign one before its handshake.
    pub(super) fn close_foreign(&mut self, peer: &PeerId) {
        let foreign = self
            .links
            .of(peer)
            .filter(|(_, one)| matches!(one.phase, Phase::Foreign));
        let foreign: Vec<ConnectionId> = foreign.map(|(id, _)| id).collect();
        for id in foreign {
            self.close(id, None);
        }
    }
}

const fn is_asked_for(why: Why) -> bool {
    matches!(why, Why::Boot | Why::Static | Why::Asked)
}
