//! What can the network be told to do?

use bytes::Bytes;
use libp2p::gossipsub::MessageId;
use rustle_peers::Rules;
use rustle_types::{Cid, ConnectionId, Multiaddr, PeerId, TopicName, Verdict};
use rustle_wire::Control;

use crate::Admission;

/// One thing to do. What comes of it is told by events; a command about a connection that is gone does nothing.
#[derive(Debug, Clone)]
pub enum Command {
    /// Connect to a peer. Answered by `Event::Connected` or `Event::DialFailed` with the same number.
    Dial {
        /// A number of the caller's choice.
        request: u64,
        /// Who must answer; absent where the address has no `/p2p/…` and anyone will do.
        peer: Option<PeerId>,
        /// Where to try, at the same time; with none, addresses that the DHT and identify told. Without `peer` only the
        /// first is tried.
        addresses: Vec<Multiaddr>,
    },
    /// Close a connection now.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Send a control message, write it out, wait at most a second for the peer to take it, then close.
    CloseAfter {
        /// Which connection.
        connection: ConnectionId,
        /// The last message, normally a `Disconnect`.
        message: Control,
    },
    /// Send a message on the control stream. Waits for the stream where it is still being opened.
    SendControl {
        /// On which connection.
        connection: ConnectionId,
        /// The message.
        message: Control,
    },
    /// It is known what is at the other end of this connection: serve what that may have, and let the protocols of the
    /// DHT and of gossip begin. Once per connection; a later one changes nothing. To be sent before the `HelloAck`, as
    /// the dialer may open streams as soon as it has read that.
    Admit {
        /// Which connection.
        connection: ConnectionId,
        /// What it may have.
        admission: Admission,
    },
    /// From now on these rules hold for whoever wants in. Connections that stand are not touched.
    Rules(Rules),
    /// Keep a connection although nothing happens on it (as at the start), or let it go after 60 idle seconds.
    Keep {
        /// Which connection.
        connection: ConnectionId,
        /// Whether to keep it.
        keep: bool,
    },
    /// Tell how long nothing has gone over a connection. Answered by `Event::Activity`.
    Probe {
        /// Which connection.
        connection: ConnectionId,
    },
    /// Ask a relay to keep a place for this node, renew it as long as the connection with it stands, and be reached through
    /// it. Connects to the relay where there is no connection. Answered by `Event::Reserved` or `Event::ReservationLost`;
    /// nothing where a place is kept or was asked for already.
    Reserve {
        /// The relay.
        relay: PeerId,
        /// Where it can be dialled by all who are to reach this node.
        address: Multiaddr,
    },
    /// Give up the place at a relay. Answered by `Event::ReservationLost`; nothing where there is none.
    Unreserve {
        /// The relay.
        relay: PeerId,
    },
    /// Take part in a topic. `Event::Subscribed` tells of neighbours that do so already.
    Subscribe {
        /// Which.
        topic: TopicName,
    },
    /// Leave a topic.
    Unsubscribe {
        /// Which.
        topic: TopicName,
    },
    /// Send a message to a topic. Best effort: with no peer on the topic it is lost.
    Publish {
        /// Which topic.
        topic: TopicName,
        /// At most `limits::GOSSIP_MESSAGE_BYTES_MAX`.
        data: Bytes,
    },
    /// What to do with a message that came from a topic; it is not forwarded before.
    Report {
        /// Which message.
        message: MessageRef,
        /// What it is worth.
        verdict: Verdict,
    },
    /// Tell the DHT where a peer of this network can be dialled.
    AddAddresses {
        /// Who.
        peer: PeerId,
        /// Where.
        addresses: Vec<Multiaddr>,
    },
    /// Tell the DHTs, once, that this node has the content: their nodes forget it after one or two days. Answered by
    /// `Event::Provided`.
    Provide {
        /// A number of the caller's choice.
        request: u64,
        /// Which content.
        cid: Cid,
    },
    /// Ask the DHTs who has some content. Answered by `Event::Providers`.
    FindProviders {
        /// A number of the caller's choice.
        request: u64,
        /// Which content.
        cid: Cid,
    },
    /// Be found under a name of this network at the rendezvous points, until it is unadvertised. At most
    /// `ADVERTISED_NAMES_MAX` names.
    Advertise {
        /// At most `DISCOVERY_NAME_BYTES_MAX`.
        name: String,
    },
    /// Be found under a name no more.
    Unadvertise {
        /// Which.
        name: String,
    },
    /// Ask the rendezvous points once who is there under a name of this network. Each point that answers is an
    /// `Event::Found`, and `Event::Discovered` tells where those are that are news. With an empty name, only what is new
    /// in the whole network is asked for, without `Event::Found`.
    Discover {
        /// At most `DISCOVERY_NAME_BYTES_MAX`.
        name: String,
    },
    /// Look around in the DHT, as happens by itself now and then: `Event::Discovered` tells whom it comes upon.
    Crawl,
    /// Ask the DHTs where a peer is. Answered by `Event::PeerFound`.
    FindPeer {
        /// A number of the caller's choice.
        request: u64,
        /// Who.
        peer: PeerId,
    },
}

/// Names one message of a topic and the peer it came through, for `Command::Report`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageRef {
    pub(crate) id: MessageId,
    pub(crate) from: PeerId,
}
