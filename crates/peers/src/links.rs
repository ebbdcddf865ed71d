//! Which connections are there, to whom, and how many of each kind?
//!
//! Every count that a limit is compared with is kept up to date here, so that no event costs a walk over all connections.

use std::collections::{BTreeMap, BTreeSet};

use rustle_types::{ConnectionId, Direction, Group, PeerId, Reach, Uptime};

use crate::Why;
use crate::connection::{Connection, Phase};

/// All connections, by id and by peer.
#[derive(Debug, Default)]
pub(crate) struct Links {
    all: BTreeMap<ConnectionId, Connection>,
    by_peer: BTreeMap<PeerId, Vec<ConnectionId>>,
    counts: Counts,
    /// Those that dialled us and have not said Hello, the oldest first.
    greeting: BTreeSet<(Uptime, ConnectionId)>,
    /// Connections that we chose in each group on the public internet, handshaken or on the way there.
    groups: BTreeMap<Group, usize>,
    group_set: BTreeSet<Group>,
}

/// How many peers of each kind are connected. A peer counts once, as the best of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Handshaken peers that dialled us, or that another part of the node dialled.
    pub inbound: usize,
    /// Handshaken peers that the manager dialled by its own choice.
    pub outbound: usize,
    /// Handshaken peers that the manager dialled because a part of the node wants them.
    pub needed: usize,
    /// Peers that do not speak our protocol.
    pub foreign: usize,
    /// Peers that dialled us and are not greeted yet.
    pub greeting_inbound: usize,
    /// Peers that the manager dialled by its own choice and that are not greeted yet. Others are counted once they are.
    pub greeting_outbound: usize,
}

/// What a peer counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    GreetingInbound,
    GreetingOutbound,
    Foreign,
    Inbound,
    Needed,
    Outbound,
}

// === impl Counts ===

impl Counts {
    /// Handshaken peers.
    pub const fn up(&self) -> usize {
        self.inbound + self.needed + self.outbound
    }

    fn of(&mut self, standing: Standing) -> &mut usize {
        match standing {
            Standing::GreetingInbound => &mut self.greeting_inbound,
            Standing::GreetingOutbound => &mut self.greeting_outbound,
            Standing::Foreign => &mut self.foreign,
            Standing::Inbound => &mut self.inbound,
            Standing::Needed => &mut self.needed,
            Standing::Outbound => &mut self.outbound,
        }
    }
}

// === impl Links ===

impl Links {
    pub(crate) fn insert(&mut self, id: ConnectionId, connection: Connection) {
        let peer = connection.peer;
        let before = self.standing(&peer);
        self.count_group(&connection, true);
        if matches!(connection.phase, Phase::AwaitHello) {
            self.greeting.insert((connection.since, id));
        }
        if let Some(old) = self.all.insert(id, connection) {
            // The network never reuses a number; were it to, the books must still balance.
            self.count_group(&old, false);
        }
        let siblings = self.by_peer.entry(peer).or_default();
        if !siblings.contains(&id) {
            siblings.push(id);
        }
        self.recount(&peer, before);
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let peer = self.all.get(&id)?.peer;
        let before = self.standing(&peer);
        let connection = self.all.remove(&id)?;
        self.greeting.remove(&(connection.since, id));
        self.count_group(&connection, false);
        if let Some(siblings) = self.by_peer.get_mut(&peer) {
            siblings.retain(|sibling| *sibling != id);
            if siblings.is_empty() {
                self.by_peer.remove(&peer);
            }
        }
        self.recount(&peer, before);
        Some(connection)
    }

    /// Moves a connection on; the only way to do so.
    pub(crate) fn set_phase(&mut self, id: ConnectionId, phase: Phase) {
        let Some(peer) = self.all.get(&id).map(|connection| connection.peer) else {
            return;
        };
        let before = self.standing(&peer);
        if let Some(connection) = self.all.get_mut(&id) {
            connection.phase = phase;
            self.greeting.remove(&(connection.since, id));
        }
        self.recount(&peer, before);
    }

    /// Notes for which reason a connection is kept; the only way to do so once it is here.
    pub(crate) fn set_why(&mut self, id: ConnectionId, why: Why) {
        if let Some(mut connection) = self.remove(id) {
            connection.why = why;
            self.insert(id, connection);
        }
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.all.get(&id)
    }

    /// For everything but the phase.
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.all.get_mut(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.all.iter().map(|(id, connection)| (*id, connection))
    }

    /// The connections of a peer, the oldest first.
    pub(crate) fn of(&self, peer: &PeerId) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        let ids = self.by_peer.get(peer).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| Some((*id, self.all.get(id)?)))
    }

    pub(crate) fn is_connected(&self, peer: &PeerId) -> bool {
        self.by_peer.contains_key(peer)
    }

    pub(crate) fn is_up(&self, peer: &PeerId) -> bool {
        self.of(peer).any(|(_, connection)| connection.is_ready())
    }

    /// Of those that dialled us and have not said Hello, the one that has had most time.
    pub(crate) fn oldest_greeting(&self) -> Option<(Uptime, ConnectionId)> {
        self.greeting.first().copied()
    }

    /// Connections, not peers: one peer may have several.
    pub(crate) fn greetings(&self) -> usize {
        self.greeting.len()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Groups of the public internet that connections of our choice lead into.
    pub(crate) fn groups(&self) -> &BTreeSet<Group> {
        &self.group_set
    }

    /// Whether a connection of our choice through this network stands or is on its way.
    pub(crate) fn reaches(&self, reach: Reach) -> bool {
        self.iter().any(|(_, one)| {
            one.is_chosen()
                && !matches!(one.phase, Phase::Closing | Phase::Foreign)
                && Reach::of(&one.address) == Some(reach)
        })
    }

    fn standing(&self, peer: &PeerId) -> Option<Standing> {
        self.of(peer)
            .filter_map(
                |(_, connection)| match (&connection.phase, connection.direction) {
                    (Phase::Closing, _) => None,
                    (Phase::Ready(_), _) if connection.is_needed() => Some(Standing::Needed),
                    (Phase::Ready(_), _) if connection.is_chosen() => Some(Standing::Outbound),
                    (Phase::Ready(_), _) => Some(Standing::Inbound),
                    (Phase::Foreign, _) => Some(Standing::Foreign),
                    (_, Direction::Outbound) if connection.is_chosen() && !connection.is_needed() => {
                        Some(Standing::GreetingOutbound)
                    }
                    (_, Direction::Outbound) => None,
                    (_, Direction::Inbound) => Some(Standing::GreetingInbound),
                },
            )
            .max()
    }

    fn recount(&mut self, peer: &PeerId, before: Option<Standing>) {
        let after = self.standing(peer);
        if before == after {
            return;
        }
        if let Some(before) = before {
            let count = self.counts.of(before);
            *count = count.saturating_sub(1);
        }
        if let Some(after) = after {
            *self.counts.of(after) += 1;
        }
    }

    fn count_group(&mut self, connection: &Connection, is_new: bool) {
        let is_counted = connection.is_chosen() && Reach::of(&connection.address) == Some(Reach::Clear);
        if !is_counted {
            return;
        }
        let group = Group::of(&connection.address);
        if is_new {
            *self.groups.entry(group).or_default() += 1;
            self.group_set.insert(group);
        } else if let Some(count) = self.groups.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                self.groups.remove(&group);
                self.group_set.remove(&group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::from_bytes(&[0x00, 0x01, number]).unwrap()
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_recount(
            steps in prop::collection::vec((0u64..8, 0u8..4, any::<bool>(), any::<bool>(), 0u8..5), 0..60)
        ) {
            let mut links = Links::default();
            for (id, number, outbound, ours, what) in steps {
                let id = ConnectionId(id);
                match what {
                    0 => {
                        let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
                        let address = format!("/ip4/8.{number}.0.1/tcp/1").parse().unwrap();
                        if links.get(id).is_none() {
                            let mut fresh = Connection::new(Uptime::ZERO, peer(number), direction, address);
                            if outbound && ours {
                                fresh.why = Why::Known;
                            }
                            links.insert(id, fresh);
                        }
                    }
                    1 => links.set_phase(id, Phase::Foreign),
                    2 => links.set_phase(id, Phase::Closing),
                    3 => links.set_why(id, if ours { Why::Known } else { Why::Other }),
                    _ => drop(links.remove(id)),
                }
                let mut fresh = Links::default();
                for number in 0..4 {
                    fresh.by_peer.insert(peer(number), links.of(&peer(number)).map(|(id, _)| id).collect());
                }
                fresh.all = std::mem::take(&mut links.all);
                for number in 0..4 {
                    fresh.recount(&peer(number), None);
                }
                links.all = std::mem::take(&mut fresh.all);
                prop_assert_eq!(links.counts, fresh.counts);
                let chosen = links.iter().filter(|(_, one)| one.is_chosen()).count();
                prop_assert_eq!(links.groups.values().sum::<usize>(), chosen);
            }
        }
    }
}
