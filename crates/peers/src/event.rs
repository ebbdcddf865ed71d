//! What the peer manager is told, and what it decides.

use std::time::Duration;

use rustle_store::Batch;
use rustle_types::{ConnectionId, Direction, Multiaddr, NetworkName, PeerId};
use rustle_wire::{Control, Disconnect, DisconnectReason, Hello, PeersList, PeersRequest, Versions};

use crate::book::SourceKind;
use crate::{Banned, Class, Fault, Rules, Verdict};

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
        /// For so long its socket has been accepted, or its dial been under way.
        age: Duration,
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
        /// Whether the peer sent what is no message.
        is_garbage: bool,
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
        /// What kind of failure.
        why: DialFailure,
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
        /// By which way that was learned. A peer named by an invitation is needed: it is dialled until it is reached.
        source: SourceKind,
    },
    /// Addresses at which this node can be dialled.
    Listening {
        /// All of them.
        addresses: Vec<Multiaddr>,
    },
    /// Whether this node can be dialled from outside; `None` where that is not known.
    Reachability {
        /// Whether it can.
        reachable: Option<bool>,
    },
    /// A relay keeps a place for this node.
    Reserved {
        /// The relay.
        relay: PeerId,
    },
    /// A relay keeps no place for this node, or not any more.
    ReservationLost {
        /// The relay.
        relay: PeerId,
    },
    /// A peer asks for a list of peers; answered with `Output::AnswerPeers`.
    PeersAsked {
        /// A number of the caller's choice.
        request: u64,
        /// Who asks.
        peer: PeerId,
        /// What it sent.
        asked: PeersRequest,
    },
    /// A peer's answer to `Output::AskPeers`.
    PeersHeard {
        /// Who answered.
        peer: PeerId,
        /// What it sent.
        list: PeersList,
    },
    /// No answer came to `Output::AskPeers`.
    PeersUnheard {
        /// Who was asked.
        peer: PeerId,
    },
    /// A peer broke the rules of some part of the node.
    Fault {
        /// Who.
        peer: PeerId,
        /// What it did.
        fault: Fault,
    },
    /// A peer was of use.
    Useful {
        /// Who.
        peer: PeerId,
        /// What it brought.
        what: Use,
    },
}

/// What kind of failure ended a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DialFailure {
    /// Nobody answered.
    Unreachable,
    /// Somebody else lives there.
    WrongPeer,
    /// This node itself lives there.
    Myself,
    /// The address cannot be dialled from here.
    Unsupported,
}

// === impl DialFailure ===

impl DialFailure {
    /// The name in lists and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::WrongPeer => "wrong_peer",
            Self::Myself => "self",
            Self::Unsupported => "unsupported",
        }
    }
}

/// What a peer was of use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Use {
    /// It brought blocks.
    Content,
    /// It was the first to bring a message of a topic.
    Gossip,
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
    /// It is known who is there: serve on this connection what such a peer may have.
    Admit {
        /// The connection.
        connection: ConnectionId,
        /// What kind of peer.
        class: Class,
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
    /// A peer broke the rules; for the log.
    Fault {
        /// The peer.
        peer: PeerId,
        /// What it did.
        fault: Fault,
        /// What follows.
        verdict: Verdict,
    },
    /// Ask a peer for a list of peers; answer with `Input::PeersHeard` or `Input::PeersUnheard`.
    AskPeers {
        /// Whom.
        peer: PeerId,
        /// What to send.
        ask: PeersRequest,
    },
    /// The answer to `Input::PeersAsked`.
    AnswerPeers {
        /// The number of the request.
        request: u64,
        /// What to send; with none, the stream is to be reset.
        list: Option<PeersList>,
    },
    /// There are fewer peers than the lower bound: look around for more, in the DHT and at rendezvous points. What comes of
    /// it is told by `Input::Learned`.
    Seek,
    /// Whom to let in has changed.
    Rules(Rules),
    /// Ask a relay for a place; answer with `Input::Reserved` or `Input::ReservationLost`.
    Reserve {
        /// The relay.
        relay: PeerId,
        /// Where it is connected.
        address: Multiaddr,
    },
    /// Give up the place at a relay.
    Unreserve {
        /// The relay.
        relay: PeerId,
    },
}

/// Why a wanted connection was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answered at the address.
    #[error("cannot reach {address}: {error}")]
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
    /// The node there closed the connection without a word, as nodes do to whom they do not even greet.
    #[error("the node there hung up before the handshake; it may be full, or refuse this node")]
    HungUp,
    /// This node does not let the peer in.
    #[error("the node there is {0}; `rustle peer unban` lifts that")]
    Banned(Banned),
    /// The peer does not speak our protocol, and there is no place for such peers.
    #[error("the node there does not speak Rustle's handshake, and this node takes no further foreign peers")]
    Foreign,
    /// All places are taken.
    #[error("this node has as many peers as it takes; raise --peers.upper, or disconnect one")]
    NoPlace,
    /// The handshake was not completed in time.
    #[error("the node there did not complete the handshake in time")]
    Timeout,
    /// Too many such requests at once.
    #[error("too many connection requests at once; try again")]
    Busy,
}
