//! Who may stay: bounds of each kind of connection, and who goes when there are too many.
//!
//! Newcomers are let in up to the upper bound, and what is above the target goes little by little, the least useful first.
//! So a full node never stops to take newcomers, and whoever fills it with connections of its own loses those first.

use std::time::Duration;

use rustle_types::{ConnectionId, Group, Now, PeerId, Reach, Uptime};
use rustle_wire::{Disconnect, DisconnectReason};

use super::Manager;
use crate::Why;
use crate::connection::Connection;
use crate::eviction::{Candidate, choose_inbound, choose_outbound};

/// Peers that dialled us and have not said Hello. For one more, the one that has waited longest goes.
pub const GREETING_INBOUND_MAX: usize = 32;
/// A greeting is given so much time before a newcomer may take its place.
const GREETING_GRACE: Duration = Duration::from_millis(250);
/// So long the dialer has to close all but one of its connections.
const SETTLE_AFTER: Duration = Duration::from_secs(3);
/// How often what is above the target goes, and how many at once.
pub(super) const TRIM_EVERY: Duration = Duration::from_secs(10);
const TRIM_MAX: usize = 4;

/// Why there is no place for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The upper bound is reached, or the bound of those who dial in.
    Full,
    /// A light client takes nobody in.
    Light,
}

impl Manager {
    /// Silent dialers never lock others out: they wait for as long as nobody else wants in.
    pub(super) fn make_room_for_greeting(&mut self, now: Uptime, newest: ConnectionId) {
        if self.links.greetings() <= self.config.greeting_inbound {
            return;
        }
        let victim = match self.links.oldest_greeting() {
            Some((since, id)) if since + GREETING_GRACE <= now => id,
            _ => newest,
        };
        self.counters.on_refused("greeting");
        self.close(victim, Some(Disconnect::because(DisconnectReason::Full)));
    }

    /// Whether a peer that has just said Hello may stay.
    pub(super) fn place_for(&self, now: Now, id: ConnectionId) -> Result<(), NoPlace> {
        let Some(connection) = self.links.get(id) else {
            return Ok(());
        };
        if self.links.is_up(&connection.peer) || self.is_protected(now, &connection.peer, connection.why) {
            return Ok(());
        }
        let (counts, targets) = (self.links.counts(), self.config.targets);
        if connection.is_chosen() {
            // We wanted it when we dialled; only a crowd that came meanwhile sends it away again.
            let is_room = counts.up() < targets.upper || counts.outbound < targets.outbound;
            return if is_room { Ok(()) } else { Err(NoPlace::Full) };
        }
        if self.config.light && !connection.is_outbound() {
            return Err(NoPlace::Light);
        }
        let is_room = counts.up() < targets.upper && counts.inbound < targets.inbound();
        if is_room { Ok(()) } else { Err(NoPlace::Full) }
    }

    /// Each network that this node can dial has one place, and in a crowd somebody who dialled in gives way to it.
    pub(super) fn make_room_for_class(&mut self, now: Now, id: ConnectionId) -> bool {
        let reach_of = |one: &Connection| Reach::of(&one.address).filter(|reach| *reach != Reach::Local);
        let chosen = self.links.get(id).filter(|one| one.is_chosen());
        let Some(reach) = chosen.and_then(reach_of) else {
            return false;
        };
        let is_same = |one: &Connection| one.is_chosen() && one.is_ready() && reach_of(one) == Some(reach);
        if self.links.iter().any(|(_, one)| is_same(one)) {
            return false;
        }
        let Some(victim) = choose_inbound(&self.candidates(now), self.secret) else {
            return false;
        };
        self.counters.on_evicted();
        self.close(victim, Some(Disconnect::because(DisconnectReason::Full)));
        true
    }

    /// Peers that are never dropped for others.
    pub(super) fn is_protected(&self, now: Now, peer: &PeerId, why: Why) -> bool {
        // Whoever hears a topic of ours counts as needed, which is nothing that an attacker could not do; so of these only
        // peers that we chose to dial are kept.
        matches!(why, Why::Static | Why::Asked)
            || (why.is_chosen() && self.book.is_needed(peer))
            || self.rules.is_peer_allowed(now.wall, peer, None)
    }

    /// Drops what is above the target, the least useful first.
    pub(super) fn trim(&mut self, now: Now) {
        let (counts, targets) = (self.links.counts(), self.config.targets);
        // Those that dial in have a target of their own below their bound, so that there is always room for a newcomer.
        let inbound = counts
            .inbound
            .saturating_sub(targets.target.saturating_sub(targets.outbound));
        let mut excess = counts
            .up()
            .saturating_sub(targets.target)
            .max(inbound)
            .min(TRIM_MAX);
        if excess == 0 {
            return;
        }
        let mut candidates = self.candidates(now);
        while 0 < excess {
            let outbound = self.links.counts().outbound;
            let spare = outbound.saturating_sub(self.config.targets.outbound);
            let victim = choose_inbound(&candidates, self.secret)
                .or_else(|| (0 < spare).then(|| choose_outbound(&candidates)).flatten());
            let Some(victim) = victim else {
                return;
            };
            candidates.retain(|candidate| candidate.connection != victim);
            self.counters.on_evicted();
            self.close(victim, Some(Disconnect::because(DisconnectReason::Full)));
            excess -= 1;
        }
    }

    fn candidates(&self, now: Now) -> Vec<Candidate> {
        let ready = self.links.iter().filter(|(_, one)| one.is_ready());
        ready
            .map(|(id, one)| Candidate {
                connection: id,
                group: Group::of(&one.address),
                reach: Reach::of(&one.address).unwrap_or(Reach::Clear),
                is_chosen: one.is_chosen(),
                since: one.since,
                round_trip: one.round_trip_min,
                content: one.useful.content,
                gossip: one.useful.gossip,
                is_protected: self.is_protected(now, &one.peer, one.why) || one.why == Why::Boot,
            })
            .collect()
    }

    /// Both ends dialled at once, or the peer came back before we noticed that it had gone: one connection must stay, and
    /// both ends must choose the same. A direct one stays before a relayed one. Of two directions the one dialled by the
    /// lower peer id stays. Of one direction the dialer chooses, and keeps the newest; whoever was dialled closes only what
    /// is too old to be a doubled dial. What is so old gives way in any case: the peer has most likely lost it. Where the
    /// dialer does not choose, the newest stays.
    ///
    /// Only handshaken connections are compared: until the better one is, the other one serves.
    pub(super) fn close_duplicate(&mut self, now: Uptime, peer: PeerId, newest: ConnectionId) {
        let Some(best) = self.best_of(&peer, newest) else {
            return;
        };
        let Some(kept) = self
            .links
            .get(best)
            .map(|one| (one.is_relayed(), one.direction, one.since))
        else {
            return;
        };
        let ready = self
            .links
            .of(&peer)
            .filter(|(id, one)| *id != best && one.is_ready());
        let lesser = ready.filter(|(_, one)| {
            let is_same_way = (one.is_relayed(), one.direction) == (kept.0, kept.1);
            !is_same_way || one.is_outbound() || one.since + crate::book::STEADY <= kept.2
        });
        let lesser: Vec<ConnectionId> = lesser.map(|(id, _)| id).collect();
        for id in lesser {
            self.close(id, Some(Disconnect::because(DisconnectReason::Duplicate)));
        }
        self.give_time_to_choose(now, &peer);
    }

    /// Whom we have chosen stays so on each of its connections, whichever of them is kept: a direct one after a relayed one,
    /// or the peer's own. Else whoever is dialled could free his place by dialling back, again and again.
    pub(super) fn share_reason(&mut self, peer: &PeerId) {
        let reasons = self.links.of(peer).filter(|(_, one)| one.is_ready());
        let reasons: Vec<(ConnectionId, Why)> = reasons.map(|(id, one)| (id, one.why)).collect();
        // Of several the one that the operator gave.
        let chosen = reasons
            .iter()
            .map(|(_, why)| *why)
            .filter(|why| why.is_chosen())
            .min();
        let Some(chosen) = chosen else {
            return;
        };
        for (id, _) in reasons.iter().filter(|(_, why)| !why.is_chosen()) {
            self.links.set_why(*id, chosen);
        }
    }

    fn give_time_to_choose(&mut self, now: Uptime, peer: &PeerId) {
        let ready = self.links.of(peer).filter(|(_, one)| one.is_ready());
        let left: Vec<ConnectionId> = ready.map(|(id, _)| id).collect();
        if left.len() < 2 {
            return;
        }
        for id in left {
            if let Some(one) = self.links.get_mut(id) {
                one.settles = Some(now + SETTLE_AFTER);
            }
            self.arm(id);
        }
    }

    /// The dialer had its time: the newest of its connections stays.
    pub(super) fn settle(&mut self, id: ConnectionId) {
        let Some(one) = self.links.get_mut(id) else {
            return;
        };
        one.settles = None;
        let peer = one.peer;
        let ready = self.links.of(&peer).filter(|(_, one)| one.is_ready());
        let Some((newest, _)) = ready.max_by_key(|(id, one)| (one.since, *id)) else {
            return;
        };
        let best = self.best_of(&peer, newest);
        let ready = self.links.of(&peer).filter(|(_, one)| one.is_ready());
        let lesser: Vec<ConnectionId> = ready.map(|(id, _)| id).filter(|id| Some(*id) != best).collect();
        for id in lesser {
            self.close(id, Some(Disconnect::because(DisconnectReason::Duplicate)));
        }
    }

    fn best_of(&self, peer: &PeerId, newest: ConnectionId) -> Option<ConnectionId> {
        use rustle_types::Direction::{Inbound, Outbound};
        let kept_direction = if self.config.local < *peer {
            Outbound
        } else {
            Inbound
        };
        let ready = self.links.of(peer).filter(|(_, one)| one.is_ready());
        let latest = self.links.get(newest).map(|one| one.since);
        let best = ready.max_by_key(|(id, one)| {
            let is_fresh = latest.is_none_or(|latest| latest < one.since + crate::book::STEADY);
            (
                !one.is_relayed(),
                is_fresh,
                one.direction == kept_direction,
                *id == newest,
                *id,
            )
        });
        best.map(|(id, _)| id)
    }
}
