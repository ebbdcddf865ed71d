//! What people are shown of connections and peers.

use std::collections::BTreeMap;
use std::time::Duration;

use rustle_types::{ConnectionId, Direction, Multiaddr, PeerId, Reach, Uptime};
use rustle_wire::Hello;

use crate::book::EntryView;
use crate::{Rule, ScoreView};

/// What kind of peer is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The handshake is not complete.
    Pending,
    /// A Rustle node of our network.
    Rustle,
    /// It does not speak our protocol (Kubo, Helia …).
    Foreign,
}

/// Why a connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The peer dialled us.
    Inbound,
    /// Somebody at the administration door wanted it.
    Asked,
    /// A static peer of the settings.
    Static,
    /// A boot node of the settings.
    Boot,
    /// The node needs the peer: a member of one of its chains.
    Needed,
    /// It was connected before the restart.
    Anchor,
    /// It was known, and there were too few peers.
    Known,
    /// To find out whether an address that was only heard of is good.
    Feeler,
    /// Another part of the node dialled. It counts as one that dialled us.
    Other,
}

/// A connection as people are shown it.
#[derive(Debug, Clone)]
pub struct PeerView {
    /// The connection.
    pub connection: ConnectionId,
    /// Who is there.
    pub peer: PeerId,
    /// Who dialled.
    pub direction: Direction,
    /// The address of the other end.
    pub address: Multiaddr,
    /// What kind of peer.
    pub class: Class,
    /// When the connection was made.
    pub since: Uptime,
    /// What it said in the handshake.
    pub hello: Option<Hello>,
    /// The last measured round trip.
    pub round_trip: Option<Duration>,
}

/// A connection with all that is known of it.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// What every list shows.
    pub view: PeerView,
    /// Why it was made.
    pub why: Why,
    /// When something last went over it, as far as is known: between two pings nobody looks.
    pub active: Uptime,
    /// The shortest measured round trip.
    pub round_trip_min: Option<Duration>,
    /// The mean of the measured round trips.
    pub round_trip_mean: Option<Duration>,
    /// When it last brought a block or file content that we wanted.
    pub content: Option<Uptime>,
    /// When it last was the first to bring a message of a topic.
    pub gossip: Option<Uptime>,
}

/// All about one peer.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// The peer.
    pub peer: PeerId,
    /// Its connections, handshaken or not.
    pub connections: Vec<ConnectionInfo>,
    /// What is held against it, where anything is.
    pub score: Option<ScoreView>,
    /// What the address book has of it.
    pub book: Option<EntryView>,
    /// The rules that decide about it: its own, and those of the addresses of its connections.
    pub rules: Vec<Rule>,
}

/// One kind of fault of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultView {
    /// The name of the kind.
    pub fault: &'static str,
    /// How often it was seen.
    pub count: u64,
    /// When it was seen last.
    pub last: Uptime,
}

/// How many there are of what, now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections by kind. Kinds of which there is none may be left out.
    pub connections: BTreeMap<Kind, usize>,
    /// Peers with a handshaken connection.
    pub peers_up: usize,
    /// Dials under way.
    pub dialling: usize,
    /// Peers of the book that were only heard of.
    pub book_new: usize,
    /// Peers of the book that were reached.
    pub book_tried: usize,
    /// Peers of the book that the node needs.
    pub book_needed: usize,
    /// Network groups that the peers of the book are spread over.
    pub book_groups: usize,
    /// Places of the book whose holders are to be tested.
    pub book_tests: usize,
    /// Bans that hold.
    pub bans: usize,
    /// Permissions that hold.
    pub permissions: usize,
    /// Relays that keep a place for this node.
    pub reservations: usize,
}

/// A kind of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// What is at the other end.
    pub class: Class,
    /// Who dialled.
    pub direction: Direction,
    /// Through which kind of network; what cannot be told counts as [`Reach::Clear`].
    pub reach: Reach,
}

// === impl Class ===

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Rustle, Self::Foreign];

    /// The word for lists and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Rustle => "rustle",
            Self::Foreign => "foreign",
        }
    }
}

// === impl Why ===

impl Why {
    /// Whether the peer manager wanted the connection, or only puts up with it.
    pub const fn is_chosen(self) -> bool {
        !matches!(self, Self::Inbound | Self::Other)
    }

    /// The word for lists and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Asked => "asked",
            Self::Static => "static",
            Self::Boot => "boot",
            Self::Needed => "needed",
            Self::Anchor => "anchor",
            Self::Known => "known",
            Self::Feeler => "feeler",
            Self::Other => "other",
        }
    }
}

// === impl Totals ===

impl Totals {
    /// Counts one connection.
    pub fn add(&mut self, class: Class, direction: Direction, address: &Multiaddr) {
        let reach = Reach::of(address).unwrap_or(Reach::Clear);
        let kind = Kind {
            class,
            direction,
            reach,
        };
        *self.connections.entry(kind).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_kind() {
        let mut totals = Totals::default();
        for text in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/192.0.2.1/tcp/1",
        ] {
            totals.add(Class::Rustle, Direction::Inbound, &text.parse().unwrap());
        }
        let counts: Vec<_> = totals
            .connections
            .iter()
            .map(|(kind, count)| (kind.reach, *count))
            .collect();
        assert_eq!(counts, [(Reach::Local, 2), (Reach::Clear, 1)]);
    }
}
