//! What people see of the manager, and what they tell it.

use rustle_types::{Now, PeerId, Timestamp, address};
use rustle_wire::DisconnectReason;

use super::Manager;
use crate::book::{BookStats, EntryView, TableKind};
use crate::connection::Connection;
use crate::{ConnectionInfo, Counters, Counts, PeerInfo, PeerView, RuleKind, Rules, Target, Totals};

impl Manager {
    /// Every connection, as people are shown it.
    pub fn views(&self) -> impl Iterator<Item = PeerView> {
        self.links.iter().map(|(id, connection)| connection.view(id))
    }

    /// All about one peer; `None` where it is neither connected nor known, nor a rule is made for it.
    pub fn info(&self, now: Now, peer: &PeerId) -> Option<PeerInfo> {
        let connections = self.links.of(peer).map(|(id, one)| ConnectionInfo {
            view: one.view(id),
            why: one.why,
            active: one.active,
            round_trip_min: one.round_trip_min,
            round_trip_mean: one.round_trip_mean,
            content: one.useful.content,
            gossip: one.useful.gossip,
        });
        let ips: Vec<_> = self
            .links
            .of(peer)
            .filter_map(|(_, one)| address::ip(&one.address))
            .collect();
        let rules = self.rules.iter().filter(|rule| {
            let is_about = match &rule.target {
                Target::Peer(of) => of == peer,
                Target::Prefix(prefix) => ips.iter().any(|ip| prefix.contains(*ip)),
            };
            is_about && !rule.is_over(now.wall)
        });
        let info = PeerInfo {
            peer: *peer,
            connections: connections.collect(),
            score: self.scores.view(now.uptime, peer),
            book: self.book.view(peer),
            rules: rules.cloned().collect(),
        };
        let is_known = !info.connections.is_empty()
            || info.score.is_some()
            || info.book.is_some()
            || !info.rules.is_empty();
        is_known.then_some(info)
    }

    /// Closes every connection with a peer; whether there was one. Nothing keeps the two from connecting again.
    pub fn disconnect(&mut self, _now: Now, peer: &PeerId) -> bool {
        let is_connected = self.is_connected(peer);
        self.close_peer(peer, DisconnectReason::NotNeeded);
        is_connected
    }

    /// Peers of the address book behind `after`, by id.
    pub fn address_views(
        &self,
        table: Option<TableKind>,
        after: Option<&PeerId>,
    ) -> impl Iterator<Item = EntryView> {
        let after = after.copied();
        let behind = move |view: &EntryView| after.is_none_or(|after| after < view.peer);
        let within = move |view: &EntryView| table.is_none_or(|table| table == view.table);
        self.book.views().filter(behind).filter(within)
    }

    /// How many there are of what, now.
    pub fn totals(&self, now: Now) -> Totals {
        let book = self.book.stats();
        let hold = |kind| {
            let rules = self.rules.iter();
            rules
                .filter(|rule| rule.kind == kind && !rule.is_over(now.wall))
                .count()
        };
        let mut totals = Totals {
            peers_up: self.peers_up(),
            dialling: self.dials.len(),
            book_new: book.new,
            book_tried: book.tried,
            book_needed: book.needed,
            book_groups: book.groups,
            book_tests: book.pending_tests,
            bans: hold(RuleKind::Ban),
            permissions: hold(RuleKind::Allow),
            reservations: self.relays.held(),
            ..Totals::default()
        };
        for (_, one) in self.links.iter() {
            totals.add(one.class(), one.direction, &one.address);
        }
        totals
    }

    /// How many peers of each kind are connected.
    pub fn counts(&self) -> Counts {
        self.links.counts()
    }

    /// What has happened since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How full the address book is.
    pub fn book_stats(&self) -> BookStats {
        self.book.stats()
    }

    /// Whom the node lets in.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// When the next rule ends.
    pub fn next_rule_end(&self) -> Option<Timestamp> {
        self.rules.next_expiry()
    }
}

// === impl Connection ===

impl Connection {
    fn view(&self, id: rustle_types::ConnectionId) -> PeerView {
        PeerView {
            connection: id,
            peer: self.peer,
            direction: self.direction,
            address: self.address.clone(),
            class: self.class(),
            since: self.since,
            hello: self.hello().cloned(),
            round_trip: self.round_trip,
        }
    }
}
