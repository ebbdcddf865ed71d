//! What does a node need to know before it can talk, and which bounds hold?

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustle_peers::GateLimits;
use rustle_store::Store;
use rustle_types::limits::{CHAIN_TOPIC_BYTES_MAX, CHAINS_MAX, GOSSIP_MESSAGE_BYTES_MAX};
use rustle_types::{ConnectionId, Multiaddr, NetworkName, PeerId};
use tokio::sync::mpsc;

use crate::{ForeignAccess, Identity, IpfsDht, Proxy, Scope, Stream};

/// The control stream of a connection. Without the name of a network, so that a node of another network can be told
/// why it is refused.
pub const CONTROL_PROTOCOL: &str = "/rustle/hello/1";

/// Events that wait for the reader; beyond it the swarm is not polled, and the pressure ends at the peers.
pub const EVENTS_QUEUED_MAX: usize = 1024;
/// Commands that wait for the swarm.
pub const COMMANDS_QUEUED_MAX: usize = 1024;
/// Events that commands may cause while the reader is behind; beyond it commands wait too.
pub(crate) const EVENTS_HELD_MAX: usize = 4096;

/// Control messages to one peer that wait to be written; a peer that reads so slowly is as good as gone.
pub(crate) const CONTROL_MESSAGES_QUEUED_MAX: usize = 32;
/// Outbound streams of one connection that negotiate at the same time; further ones wait.
pub(crate) const STREAMS_OPENING_MAX: usize = 128;
/// Requests to open a stream on one connection that wait; beyond it `Net::open` waits.
pub(crate) const STREAM_REQUESTS_QUEUED_MAX: usize = 32;
/// Inbound streams of one connection that negotiate or wait for their acceptor; further ones stay in the muxer, whose
/// backlog (256 streams) is where the pressure meets the peer.
pub(crate) const STREAMS_WAITING_MAX: usize = 256;
/// Streams of one connection that live at the same time, where the muxer lets us say so (Yamux).
pub(crate) const STREAMS_PER_CONNECTION_MAX: usize = 512;
/// How long an inbound stream may negotiate and wait for its acceptor.
pub(crate) const STREAM_ACCEPT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long opening a stream may take.
pub(crate) const STREAM_OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the first commands wait until it is known where this node listens.
pub(crate) const LISTEN_PATIENCE: Duration = Duration::from_millis(500);
/// How long a stream waits, where only a relayed connection stands, for a direct one.
pub(crate) const DIRECT_PATIENCE: Duration = Duration::from_secs(5);
/// Places at relays that this node keeps.
pub(crate) const RESERVATIONS_KEPT_MAX: usize = 8;
/// How long a stream waits for the admission of its connection, where it may wait at all: as long as a handshake may
/// take. The acceptor of a connection has finished its end with the `HelloAck`, so it may speak before we have read that.
pub(crate) const ADMISSION_TIMEOUT: Duration = Duration::from_secs(5);
/// Streams of one connection that wait for its admission at the same time; further ones are refused.
pub(crate) const STREAMS_UNADMITTED_MAX: usize = 16;
/// How long an inbound connection may take for cipher and multiplexer, if nothing else is set.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long dialling one address may take, if nothing else is set.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing may be written of a control message before the peer is given up, if nothing else is set.
const WRITE_STALL: Duration = Duration::from_secs(60);
/// How long the last message of a connection may take to reach the peer.
pub(crate) const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long connections may take to close when the node stops.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that nobody keeps and on which no stream lives is closed after this time.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Gossip: room in a transmission around the largest message (rust-libp2p compares its whole receive buffer).
pub(crate) const GOSSIP_OVERHEAD_BYTES: usize = 64 * 1024;
/// Gossip: subscriptions and control messages in one transmission (go-libp2p sends IHAVEs of 5000 ids).
pub(crate) const GOSSIP_CONTROL_BYTES_MAX: usize = 512 * 1024;
/// Gossip: messages to one peer that wait to be written. Further ones are lost to it, which `Event::Slow` tells.
pub const GOSSIP_MESSAGES_QUEUED_MAX: usize = 512;
/// Gossip: topics that one peer may be subscribed to. A node may have so many chains.
pub(crate) const GOSSIP_TOPICS_PER_PEER_MAX: usize = CHAINS_MAX;
/// Gossip: what a subscription takes beside the name of its topic: two tags, two lengths, tag and value of the switch,
/// and as much again for a switch that a later version may add.
const GOSSIP_SUBSCRIPTION_BYTES: usize = 12;

const _: () = {
    // On a new connection a node tells all its topics in one message; refused, the peer would never hear of one.
    let all_topics = CHAINS_MAX * (CHAIN_TOPIC_BYTES_MAX + GOSSIP_SUBSCRIPTION_BYTES);
    assert!(all_topics <= GOSSIP_CONTROL_BYTES_MAX);
    assert!(GOSSIP_CONTROL_BYTES_MAX <= GOSSIP_MESSAGE_BYTES_MAX + GOSSIP_OVERHEAD_BYTES);
};

/// Addresses of one peer that are believed and passed on.
pub(crate) const PEER_ADDRESSES_MAX: usize = 16;
/// Searches in the DHT at the same time; further ones end with nothing.
pub(crate) const SEARCHES_MAX: usize = 256;
/// Peers that the DHT has dialled by itself and that are not admitted yet; further ones it has to do without.
pub(crate) const DHT_DIALS_MAX: usize = 16;
/// Keys that this node provides in the DHT.
pub(crate) const PROVIDED_KEYS_MAX: usize = 16 * 1024;
/// Keys that only others provide and this node remembers; they take no room from its own.
pub(crate) const FOREIGN_KEYS_MAX: usize = 8 * 1024;
/// Of those, keys that one provider may take: strangers share the room.
pub(crate) const FOREIGN_KEYS_PER_PROVIDER_MAX: usize = FOREIGN_KEYS_MAX / 2;
/// Provider records that wait to be written to the disk; beyond it no new ones are taken.
pub(crate) const DHT_WRITES_MAX: usize = 16 * 1024;
/// Addresses that are remembered with each of their providers.
pub(crate) const PROVIDER_ADDRESSES_MAX: usize = 4;
/// Addresses that are told with a peer that was discovered.
pub(crate) const DISCOVERED_ADDRESSES_MAX: usize = 8;
/// Discovered peers that are remembered, so that they are not told of again and again.
pub(crate) const SIGHTINGS_MAX: usize = 4096;
/// Rendezvous points of this node.
pub(crate) const RENDEZVOUS_POINTS_MAX: usize = 16;
/// Names, beside its network, under which this node is registered at rendezvous points. rust-libp2p's servers let nobody
/// renew who has 32 registrations.
pub const ADVERTISED_NAMES_MAX: usize = 30;
/// Longest such name: with the network in front it is a namespace of at most 255 bytes.
pub const DISCOVERY_NAME_BYTES_MAX: usize = 200;
/// Names that wait to be looked up at one rendezvous point.
pub(crate) const QUESTIONS_QUEUED_MAX: usize = 32;
/// Streams to this node's own directory that wait to be served.
pub(crate) const RENDEZVOUS_STREAMS_QUEUED_MAX: usize = 32;
/// Addresses on the local network that mDNS remembers; more of them are a flood.
pub(crate) const MDNS_ADDRESSES_MAX: usize = 1024;

/// How a node takes part. Made with [`Config::new`].
pub struct Config {
    /// The key of the node.
    pub identity: Identity,
    /// The network it belongs to.
    pub network: NetworkName,
    /// What identify tells peers about the program, for example `rustle/0.1.0`.
    pub agent: String,
    /// Where to listen; none for a node that only dials.
    pub listen: Vec<Multiaddr>,
    /// The protocols of raw streams that are served, and where each goes.
    pub acceptors: Vec<Acceptor>,
    /// Whether to answer requests of the DHT, and so which addresses are announced there.
    pub dht: DhtMode,
    /// In which DHTs of IPFS to take part beside that of the network; only peers that are admitted to the DHT get there.
    pub ipfs_dht: IpfsDht,
    /// Nodes of IPFS to begin with, while none is known; each ends with `/p2p/…`.
    pub ipfs_boot: Vec<Multiaddr>,
    /// Which inbound connections cost anything, and how many connections there may be.
    pub gate: GateLimits,
    /// How long an inbound connection may take for cipher and multiplexer, from when its socket was accepted.
    pub accept_timeout: Duration,
    /// How long dialling one address may take, cipher and multiplexer included; what a proxy needs comes on top.
    pub dial_timeout: Duration,
    /// How long a control message may wait for a peer that does not read.
    pub write_stall: Duration,
    /// Where the DHT's records of others outlive the process; nowhere where it is absent.
    pub dht_records: Option<Arc<dyn Store>>,
    /// Whether to look for nodes on the local network, and to let them find this one.
    pub mdns: bool,
    /// Where to register under the network, and to look for others; each ends with `/p2p/…`. At most 16 peers.
    pub rendezvous_points: Vec<Multiaddr>,
    /// Whether to be such a point. Foreign peers are served where they get answers from the DHT.
    pub rendezvous_server: bool,
    /// Whether to take part without serving others: no listener, whatever `listen` says, no answers of the DHT, and of the
    /// acceptors only those for content, as blocks come on streams of the peer.
    pub light: bool,
    /// What foreign peers may be admitted to. Their streams wait a little until they are recognised; streams for the rest
    /// are refused at once where a peer that dialled has not completed the handshake.
    pub foreign: ForeignAccess,
    /// Dial through this and in no other way: over TCP only, with names resolved there. Listening is as without.
    pub proxy: Option<Proxy>,
    /// Whether to keep places for nodes that nobody can dial, and to pass on connections to them.
    pub relay_server: bool,
    /// Whether to ask the router to open a port.
    pub upnp: bool,
    /// Whether to ask peers if they can dial this node, and to try it for them once this node is known to be public.
    pub autonat: bool,
}

/// Whether a node answers requests of the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DhtMode {
    /// As long as it seems that others can dial it: at an address that was confirmed; at a public one where it listens,
    /// until nobody could dial it there; on a network without the world, where it listens.
    #[default]
    Auto,
    /// Always. All addresses where it listens are announced.
    Server,
    /// Never: it only asks.
    Client,
}

/// Who takes the inbound streams of a protocol.
#[derive(Debug, Clone)]
pub struct Acceptor {
    /// The protocol name, beginning with `/`.
    pub protocol: String,
    /// What it belongs to: streams are refused on connections that were not admitted to it.
    pub scope: Scope,
    /// Where streams go. While it is full they wait, in the order they came.
    pub streams: mpsc::Sender<Inbound>,
}

/// A stream that a peer opened, with its protocol negotiated and nothing read from it.
#[derive(Debug)]
pub struct Inbound {
    /// Who opened it.
    pub peer: PeerId,
    /// On which connection.
    pub connection: ConnectionId,
    /// The address of the remote end.
    pub address: Multiaddr,
    /// Whether it is no node of our network.
    pub is_foreign: bool,
    /// The protocol it is for.
    pub protocol: String,
    /// The stream; dropping it resets it.
    pub stream: Stream,
}

// === impl Config ===

impl Config {
    /// A node that only dials, serves nothing, and has the usual bounds. The rest is set field by field, or by struct
    /// update, so that a setting which is added later keeps its default.
    pub fn new(identity: Identity, network: NetworkName) -> Self {
        Self {
            identity,
            network,
            agent: concat!("rustle/", env!("CARGO_PKG_VERSION")).to_owned(),
            listen: Vec::new(),
            acceptors: Vec::new(),
            dht: DhtMode::Client,
            ipfs_dht: IpfsDht::Off,
            ipfs_boot: Vec::new(),
            gate: GateLimits::default(),
            accept_timeout: ACCEPT_TIMEOUT,
            dial_timeout: DIAL_TIMEOUT,
            write_stall: WRITE_STALL,
            dht_records: None,
            mdns: false,
            rendezvous_points: Vec::new(),
            rendezvous_server: false,
            light: false,
            foreign: ForeignAccess::ALL,
            proxy: None,
            relay_server: false,
            upnp: false,
            autonat: false,
        }
    }

    /// Switches off what does not go with the rest: what would give a node away that hides behind a proxy, and what a
    /// light one does not serve.
    pub(crate) fn reconcile(&mut self) {
        if self.proxy.is_some() {
            // Both announce where it listens.
            self.dht = DhtMode::Client;
            self.mdns = false;
            // What a hidden node wants is not for the world to know, and its neighbours are not to see it at all.
            self.ipfs_dht = IpfsDht::Off;
            // Nobody dials where it does.
            self.upnp = false;
            self.autonat = false;
            self.relay_server = false;
        }
        if self.light {
            self.listen.clear();
            self.dht = DhtMode::Client;
            self.rendezvous_server = false;
            // Blocks that it asked for come on streams that the peer opens.
            self.acceptors.retain(|acceptor| acceptor.scope == Scope::Content);
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("identity", &self.identity)
            .field("network", &self.network)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}
