//! What people are shown of a connection.

use std::time::Duration;

use rustle_types::{ConnectionId, Direction, Multiaddr, PeerId, Uptime};
use rustle_wire::Hello;

/// What kind of peer is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The handshake is not complete.
    Pending,
    /// A Rustle node of our network.
    Rustle,
    /// It does not speak our protocol (Kubo, Helia …).
    Foreign,
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
