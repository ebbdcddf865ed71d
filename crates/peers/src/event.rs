//! What the peer manager is told, and what it decides.

use std::time::Duration;

use rustle_store::Batch;
use rustle_types::{ConnectionId, Direction, Multiaddr, NetworkName, PeerId};
use rustle_wire::{Control, Disconnect, DisconnectReason, Hello, Versions};

/// Facts.
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection stands: transport, cipher and multiplexer are negotiated.
    Connected {
        /// Its id.
        connection: ConnectionId,
        /// Who is at the other end, proved by the cipher.
        peer: PeerId,
        /// Who dialled.
        direction: Direction,
        /// The address of the other end.
        address: Multiaddr,
        /// The `Output::Dial` that led to it.
        request: Option<u64>,
    },
    /// The control stream of a connection that we dialled is open.
    ControlOpened {
        /// The connection.
        connection: ConnectionId,
    },
    /// The other end does not speak our control protocol: a foreign peer.
    ControlUnsupported {
        /// The connection.
        connection: ConnectionId,
    },
    /// A message on the control stream.
    Control {
        /// The connection.
        connection: ConnectionId,
        /// The message.
        message: Control,
    },
    /// The control stream ended or carried garbage.
    ControlBroken {
        /// The connection.
        connection: ConnectionId,
    },
    /// The answer to `Output::Probe`.
    Activity {
        /// The connection.
        connection: ConnectionId,
        /// For so long nothing went over it, in either direction, on any stream.
        idle: Duration,
    },
    /// The connection is gone.
    Disconnected {
        /// The connection.
        connection: ConnectionId,
    },
    /// A dial came to nothing.
    DialFailed {
        /// The `Output::Dial`.
        request: u64,
        /// What the network said.
        error: String,
    },
    /// Somebody at the administration door wants a connection.
    Connect {
        /// Their number, echoed in `Output::Connect`.
        request: u64,
        /// Where to.
        address: Multiaddr,
    },
    /// Where a peer may be found.
    Learned {
        /// The peer.
        peer: PeerId,
        /// Its addresses.
        addresses: Vec<Multiaddr>,
        /// Whether the node needs it (a member of one of its chains): it is dialled until it is reached.
        wanted: bool,
    },
    /// Addresses at which this node can be dialled.
    Listening {
        /// All of them.
        addresses: Vec<Multiaddr>,
    },
}

/// Decisions.
#[derive(Debug, Clone)]
pub enum Output {
    /// Dial; answer with `Input::Connected` or `Input::DialFailed`.
    Dial {
        /// The number of this dial.
        request: u64,
        /// Who is expected there, where known.
        peer: Option<PeerId>,
        /// Where.
        addresses: Vec<Multiaddr>,
    },
    /// Send a frame on the control stream.
    Send {
        /// The connection.
        connection: ConnectionId,
        /// The message.
        message: Control,
    },
    /// Find out how long nothing went over the connection; answer with `Input::Activity`.
    Probe {
        /// The connection.
        connection: ConnectionId,
    },
    /// Close the connection, after this goodbye where there is one.
    Close {
        /// The connection.
        connection: ConnectionId,
        /// What to say before.
        goodbye: Option<Disconnect>,
    },
    /// The handshake is complete: serve our own protocols on this connection.
    Admit {
        /// The connection.
        connection: ConnectionId,
    },
    /// A peer has its first handshaken connection.
    Up {
        /// The peer.
        peer: PeerId,
        /// What it said.
        hello: Box<Hello>,
    },
    /// A peer lost its last handshaken connection.
    Down {
        /// The peer.
        peer: PeerId,
    },
    /// A peer that does not speak our protocol is connected.
    Foreign {
        /// The peer.
        peer: PeerId,
    },
    /// The answer to `Input::Connect`.
    Connect {
        /// The number of the request.
        request: u64,
        /// The peer that was reached.
        result: Result<PeerId, ConnectError>,
    },
    /// Keep these records; they need not be synced.
    Persist(Batch),
    /// A peer broke the protocol; the connection is closed.
    Fault {
        /// The peer.
        peer: PeerId,
        /// What it did.
        fault: &'static str,
    },
}

/// Why a wanted connection was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answered at the address.
    #[error("cannot reach {address}: {error}; check the address and that the node runs")]
    Unreachable {
        /// Where.
        address: Multiaddr,
        /// What the network said.
        error: String,
    },
    /// The node there belongs to another network.
    #[error(
        "the node there is on network `{theirs}`, this one is on `{ours}`; start one of them with the other's --network"
    )]
    OtherNetwork {
        /// Its network.
        theirs: NetworkName,
        /// Our network.
        ours: NetworkName,
    },
    /// The node there speaks no protocol version that we speak.
    #[error("the node there speaks protocol version {theirs}, this one {ours}; update the older one")]
    OtherVersion {
        /// Its versions.
        theirs: Versions,
        /// Our versions.
        ours: Versions,
    },
    /// The address is our own.
    #[error("{address} is this node itself")]
    SelfConnection {
        /// The address.
        address: Multiaddr,
    },
    /// The node there closed the connection.
    #[error("the node there closed the connection: {0}")]
    Refused(DisconnectReason),
    /// The handshake was not completed in time.
    #[error("the node there did not complete the handshake in time")]
    Timeout,
    /// Too many such requests at once.
    #[error("too many connection requests at once; try again")]
    Busy,
}
