//! What is said of peers.

use std::time::Duration;

use rustle_types::{Multiaddr, PeerId, Timestamp};

pub use rustle_peers::{Origin, Reason, Rule, RuleKind, Target};

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The peer did.
    Inbound,
    /// This node did.
    Outbound,
}

/// What kind of node a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerClass {
    /// It completed the handshake.
    Rustle,
    /// It does not speak the handshake, for example Kubo.
    Foreign,
    /// Not known yet.
    Pending,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Its peer id.
    pub peer: PeerId,
    /// The other end of the connection.
    pub address: Multiaddr,
    /// Who dialled.
    pub direction: Direction,
    /// What kind of node it is.
    pub class: PeerClass,
    /// Program and version that it claims.
    pub agent: Option<String>,
    /// Version of its node software.
    pub version: Option<String>,
    /// Name of its network.
    pub network: Option<String>,
    /// Bitmap of what it offers, as in its `Hello`.
    pub services: u64,
    /// How long the connection stands, in whole milliseconds.
    pub connected: Duration,
    /// Round trip of the last ping, in whole microseconds.
    pub ping_rtt: Option<Duration>,
    /// Through which kind of network, where that can be told.
    pub reach: Option<String>,
    /// Whether a relay lies between.
    pub relayed: bool,
}

/// Which connections to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerFilter {
    /// Only peers of this class.
    pub class: Option<PeerClass>,
    /// Only those of this direction.
    pub direction: Option<Direction>,
}

/// All about one peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerDetails {
    /// The peer.
    pub peer: PeerId,
    /// Its connections, handshaken or not.
    pub connections: Vec<ConnectionView>,
    /// 0 for an unblemished peer, less for each fault, and back towards 0 with time.
    pub score: f64,
    /// The score by the part of the node that judges, where it is not 0.
    pub shares: Vec<(String, f64)>,
    /// How often it was banned by its score lately.
    pub bans: u32,
    /// What it did wrong lately, by kind.
    pub faults: Vec<FaultView>,
    /// What the address book has of it.
    pub known: Option<KnownPeer>,
    /// The rules that decide about it.
    pub rules: Vec<Rule>,
}

/// A connection with all that is known of it. Times are in whole milliseconds, round trips in whole microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionView {
    /// What the list shows of it.
    pub peer: PeerView,
    /// Its number.
    pub connection: u64,
    /// Why it was made, in a word.
    pub why: String,
    /// What the peer offers, by name.
    pub service_names: Vec<String>,
    /// The lowest and the highest protocol version that the peer speaks.
    pub versions: Option<(u32, u32)>,
    /// The peer's clock at the handshake.
    pub time: Option<Timestamp>,
    /// Where the peer says that it can be dialled.
    pub listen_addresses: Vec<Multiaddr>,
    /// Where the peer sees this node.
    pub observed_address: Option<Multiaddr>,
    /// For so long nothing went over the connection, as far as is known.
    pub idle: Duration,
    /// The shortest round trip of a ping.
    pub ping_rtt_min: Option<Duration>,
    /// The mean round trip of the pings.
    pub ping_rtt_mean: Option<Duration>,
    /// So long ago it brought content that this node wanted.
    pub content_ago: Option<Duration>,
    /// So long ago it was the first to bring a message of a topic.
    pub gossip_ago: Option<Duration>,
}

/// One kind of fault of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultView {
    /// Its name.
    pub fault: String,
    /// How often it was seen.
    pub count: u64,
    /// So long ago it was seen last, in whole milliseconds.
    pub last_ago: Duration,
}

/// A part of the address book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookTable {
    /// Peers that were only heard of.
    New,
    /// Peers that were reached.
    Tried,
    /// Peers that the node needs.
    Needed,
}

/// A peer of the address book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// The peer.
    pub peer: PeerId,
    /// Where it may be found, what is dialled first in front.
    pub addresses: Vec<Multiaddr>,
    /// In which part of the book; `None` for one that this program does not know.
    pub table: Option<BookTable>,
    /// By which way it became known, in a word.
    pub source: String,
    /// When a handshake with it was last complete.
    pub seen: Option<Timestamp>,
    /// When it was dialled last.
    pub tried: Option<Timestamp>,
    /// When a dial last led to a handshake.
    pub reached: Option<Timestamp>,
    /// Failed dials since then.
    pub failures: u32,
    /// When it may be dialled again, from now, in whole milliseconds; `None` while it is connected or being dialled.
    pub next_dial_in: Option<Duration>,
    /// Whether it is dialled first after a restart.
    pub anchor: bool,
}

/// Which page of the address book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressQuery {
    /// Only this part.
    pub table: Option<BookTable>,
    /// Begin behind this peer.
    pub after: Option<PeerId>,
    /// At most so many peers, 1 to [`AddressQuery::LIMIT_MAX`].
    pub limit: usize,
}

/// A page of the address book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPage {
    /// Its peers.
    pub peers: Vec<KnownPeer>,
    /// The next page begins behind this peer; `None` where there is none.
    pub next: Option<PeerId>,
    /// The node's own addresses.
    pub own: OwnAddresses,
}

/// Whether a node can be dialled from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reachability {
    /// Not found out, or not looked for.
    #[default]
    Unknown,
    /// It can.
    Reachable,
    /// It cannot.
    Unreachable,
}

/// Where a node can be found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnAddresses {
    /// Its sockets.
    pub listen: Vec<Multiaddr>,
    /// Where others reach it from outside.
    pub external: Vec<Multiaddr>,
    /// Through relays that keep a place for it.
    pub relayed: Vec<Multiaddr>,
    /// Whether it can be dialled from outside.
    pub reachability: Reachability,
}

// === impl PeerFilter ===

impl PeerFilter {
    /// Whether a connection is to be listed.
    pub fn takes(&self, view: &PeerView) -> bool {
        self.class.is_none_or(|class| class == view.class)
            && self.direction.is_none_or(|direction| direction == view.direction)
    }
}

// === impl BookTable ===

impl BookTable {
    /// The word for lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Tried => "tried",
            Self::Needed => "needed",
        }
    }
}

// === impl AddressQuery ===

impl AddressQuery {
    /// Peers of one page.
    pub const LIMIT_MAX: usize = 1_000;

    /// The first page of everything, of the usual size.
    pub const fn first() -> Self {
        Self {
            table: None,
            after: None,
            limit: 100,
        }
    }
}

// === impl Reachability ===

impl Reachability {
    /// The word for lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Reachable => "reachable",
            Self::Unreachable => "unreachable",
        }
    }
}
