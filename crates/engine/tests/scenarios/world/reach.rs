//! Who reaches whom, and what a test does about it.

use std::time::Duration;

use rustle_types::Multiaddr;

use super::links::{Link, LinkEvent};
use super::{Event, Index, World, pair};

// === impl World ===

impl World {
    /// Who answers at an address when `from` dials it.
    pub(super) fn node_at(&self, from: Index, address: &Multiaddr) -> Option<Index> {
        let text = address.to_string();
        let place = text.split("/p2p/").next().unwrap_or_default();
        self.nodes.iter().enumerate().position(|(index, node)| {
            let is_reached = node.is_running() && node.setup.listens && index != from;
            is_reached && !self.is_cut(from, index) && node.address.to_string() == place
        })
    }

    /// Whether `node` believes in a connection to `other`.
    pub(super) fn is_connected(&self, node: Index, other: Index) -> bool {
        self.links.values().any(|link| {
            (0..2).any(|end| link.open[end] && link.nodes[end] == node && link.nodes[1 - end] == other)
        })
    }

    /// The neighbours of a node, as it sees them.
    pub(super) fn neighbours(&self, node: Index) -> Vec<Index> {
        (0..self.nodes.len())
            .filter(|other| self.is_connected(node, *other))
            .collect()
    }

    /// Whether `server` answers streams that `asker` opens.
    pub(crate) fn is_served(&self, asker: Index, server: Index) -> bool {
        let stands = |link: &Link| {
            link.open == [true; 2]
                && (0..2).any(|end| {
                    link.admitted[end] && link.nodes[end] == server && link.nodes[1 - end] == asker
                })
        };
        !self.silent.contains(&pair(asker, server)) && self.links.values().any(stands)
    }

    pub(super) fn is_silent(&self, one: Index, other: Index) -> bool {
        self.silent.contains(&pair(one, other))
    }

    fn is_cut(&self, one: Index, other: Index) -> bool {
        let pair = pair(one, other);
        self.cut.contains(&pair) || self.silent.contains(&pair)
    }

    /// Breaks what connects two nodes; they may connect again.
    pub(crate) fn disconnect(&mut self, one: Index, other: Index) {
        let between = pair(one, other);
        for link in self.links_where(|nodes| pair(nodes[0], nodes[1]) == between) {
            for end in 0..2 {
                let gone = LinkEvent::Gone {
                    link,
                    end,
                    by_wire: false,
                };
                self.later(Duration::ZERO, Event::Link(gone));
            }
        }
    }

    /// Breaks what connects two nodes, until [`Self::heal`].
    pub(crate) fn cut(&mut self, one: Index, other: Index) {
        self.cut.insert(pair(one, other));
        self.disconnect(one, other);
    }

    /// Nothing passes between two nodes and nobody is told, until [`Self::heal`].
    pub(crate) fn silence(&mut self, one: Index, other: Index) {
        self.silent.insert(pair(one, other));
    }

    /// Everybody can reach everybody again.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        self.silent.clear();
    }
}
