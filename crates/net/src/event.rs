//! What happened on the network?

use std::time::Duration;

use bytes::Bytes;
use rustle_types::{ConnectionId, Direction, Multiaddr, PeerId, TopicName};
use rustle_wire::{Control, WireError, frame::FrameError};

use crate::{Dht, DialError, MessageRef};

/// One fact. All about a connection comes between its `Connected` and its `Disconnected`, in the order it happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The node is reachable at this address of its own.
    Listening {
        /// Where; without `/p2p/…`.
        address: Multiaddr,
    },
    /// The node is not reachable there any more.
    ListenFailed {
        /// Where it was.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
    /// Whether others can dial this node; `None` where nobody knows (as at the start).
    Reachability {
        /// Whether they can.
        reachable: Option<bool>,
    },
    /// Others can dial this node at this address, which it does not listen on itself.
    ExternalAddress {
        /// Where; without `/p2p/…`.
        address: Multiaddr,
    },
    /// Others cannot dial this node there any more.
    ExternalExpired {
        /// Where they could.
        address: Multiaddr,
    },
    /// A relay keeps a place for this node.
    Reserved {
        /// The relay.
        relay: PeerId,
        /// Where others reach this node through it: `…/p2p/<relay>/p2p-circuit`, without the own id.
        address: Multiaddr,
    },
    /// A relay keeps no place for this node: it refused, it is gone, or `Command::Unreserve` was carried out.
    ReservationLost {
        /// The relay.
        relay: PeerId,
    },
    /// A connection stands, encrypted, with the peer's id proven; the handshake of the control stream is yet to come.
    Connected {
        /// Its id from now on.
        connection: ConnectionId,
        /// Who is there.
        peer: PeerId,
        /// Who dialled.
        direction: Direction,
        /// The address of the remote end; with `/p2p-circuit` where a relay lies between, which allows 128 KiB in two
        /// minutes. A direct connection follows by itself where that can be had.
        address: Multiaddr,
        /// The number of the `Command::Dial`; absent for inbound connections and those that the DHT dialled.
        request: Option<u64>,
        /// How long ago its socket was accepted, or its dial began.
        age: Duration,
    },
    /// A connection is gone.
    Disconnected {
        /// Which.
        connection: ConnectionId,
        /// Who was there.
        peer: PeerId,
        /// Why.
        reason: String,
    },
    /// No connection came of a `Command::Dial`.
    DialFailed {
        /// The number of the command.
        request: u64,
        /// Who was dialled, where known.
        peer: Option<PeerId>,
        /// Why.
        error: DialError,
    },
    /// The control stream is open: the dialer may send its `Hello`, the acceptor may wait for it.
    ControlOpened {
        /// Of which connection.
        connection: ConnectionId,
    },
    /// A message came on the control stream.
    Control {
        /// Of which connection.
        connection: ConnectionId,
        /// What it says.
        message: Control,
    },
    /// The peer does not speak the control protocol: it is no node of ours.
    ControlUnsupported {
        /// On which connection.
        connection: ConnectionId,
    },
    /// The control stream is of no use any more. Told once; the connection stays until it is closed.
    ControlBroken {
        /// Of which connection.
        connection: ConnectionId,
        /// Why.
        error: ControlError,
    },
    /// The answer to a `Command::Probe`.
    Activity {
        /// Which connection.
        connection: ConnectionId,
        /// For so long no stream of it has carried a byte, in either direction.
        idle: Duration,
    },
    /// A peer told what it is.
    Identified {
        /// On which connection.
        connection: ConnectionId,
        /// Who.
        peer: PeerId,
        /// Program and version.
        agent: String,
        /// The protocols it accepts.
        protocols: Vec<String>,
        /// Where it says it can be dialled; at most 16.
        listen_addresses: Vec<Multiaddr>,
        /// Where it sees us.
        observed: Multiaddr,
    },
    /// A peer takes part in a topic.
    Subscribed {
        /// Who.
        peer: PeerId,
        /// In which.
        topic: TopicName,
    },
    /// A peer left a topic.
    Unsubscribed {
        /// Who.
        peer: PeerId,
        /// Which.
        topic: TopicName,
    },
    /// Messages of topics were lost to a peer within the last second, because it does not take them.
    Slow {
        /// Who.
        peer: PeerId,
    },
    /// A message came from a topic. It waits for a `Command::Report`.
    Message {
        /// Its name.
        message: MessageRef,
        /// The peer that delivered it.
        from: PeerId,
        /// The peer that wrote and signed it.
        author: PeerId,
        /// The topic.
        topic: TopicName,
        /// The content, not looked at.
        data: Bytes,
    },
    /// Some answers to a `Command::FindProviders`.
    Providers {
        /// The number of the command.
        request: u64,
        /// Who has the content, and where they can be dialled, where known. The same peer may be told of again.
        providers: Vec<(PeerId, Vec<Multiaddr>)>,
        /// With the last answer: how many nodes of each DHT answered. Empty where there were too many searches.
        done: Option<Vec<Asked>>,
    },
    /// The answer to a `Command::Provide`.
    Provided {
        /// The number of the command.
        request: u64,
        /// How many nodes of each DHT were told, or somewhat fewer than were. Empty where there were too many searches.
        told: Vec<Asked>,
    },
    /// A node of a DHT is known, and before none was.
    DhtJoined {
        /// Which DHT.
        dht: Dht,
    },
    /// No node of a DHT is known any more.
    DhtLeft {
        /// Which DHT.
        dht: Dht,
    },
    /// The answer to a `Command::FindPeer`.
    PeerFound {
        /// The number of the command.
        request: u64,
        /// Who was looked for.
        peer: PeerId,
        /// Where it can be dialled; empty where nobody knows.
        addresses: Vec<Multiaddr>,
    },
    /// What one rendezvous point answered to a `Command::Discover` with a name. Where a peer can be dialled is told by
    /// `Event::Discovered`, unless it was told lately.
    Found {
        /// The name.
        name: String,
        /// Which point.
        point: PeerId,
        /// Who proved to be registered there; at most 512.
        peers: Vec<PeerId>,
    },
    /// There is, or so it is said, a peer. Not told again for ten minutes, unless its addresses change.
    Discovered {
        /// Who. Perhaps of another network, perhaps no node of ours at all.
        peer: PeerId,
        /// Where it may be; one to eight, without `/p2p/…` of itself.
        addresses: Vec<Multiaddr>,
        /// Who says so.
        source: Source,
    },
}

/// How many nodes of a DHT took part in something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Which DHT.
    pub dht: Dht,
    /// Nodes of it that answered.
    pub nodes: u32,
}

/// By which way a peer was discovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// It announces itself on the local network.
    Mdns,
    /// A rendezvous point has it.
    Rendezvous,
    /// A node of the DHT told of it.
    Dht,
}

/// Why a control stream is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The bytes are no frames, or a frame is too large.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A frame is no control message.
    #[error("{0}")]
    Message(#[from] WireError),
    /// The peer closed it.
    #[error("the peer closed its control stream")]
    Closed,
    /// The peer does not read: so many messages wait.
    #[error("the peer does not read: {0} control messages wait")]
    Stalled(usize),
    /// The peer does not read: nothing could be written for so long.
    #[error("the peer does not read: nothing could be written for {0:?}")]
    Unread(Duration),
    /// It could not be opened, read or written.
    #[error("{0}")]
    Io(String),
}
