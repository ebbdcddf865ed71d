//! What can a peer do wrong, and how much does it weigh?

use std::fmt;

/// A part of the node that judges peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subsystem {
    /// Handshake and ping.
    Control,
    /// Peer exchange.
    Exchange,
    /// Blocks of chains: sync and joining.
    Sync,
    /// Messages of topics.
    Gossip,
    /// Blocks of files.
    Content,
    /// Orders.
    Market,
}

/// What a peer did wrong. An incompatible version or network is none of these: it costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A frame on the control stream that is no message.
    Garbage,
    /// A message before the handshake was complete, or from the wrong side.
    EarlyMessage,
    /// A second greeting on one connection.
    SecondHello,
    /// More pings than anybody needs.
    PingFlood,
    /// A pong with the wrong nonce while one was awaited.
    WrongPong,
    /// No greeting in time.
    LateHello,
    /// A list of peers that nobody asked for.
    UnaskedList,
    /// Lists of peers asked for too often.
    ListFlood,
    /// A list of peers that is longer than allowed.
    OversizeList,
    /// A list or a request for one that cannot be read.
    GarbageList,
    /// An address that no honest node tells.
    InsaneAddress,
    /// A block of a chain that can never be valid.
    InvalidBlock,
    /// Two blocks where an honest author makes one.
    Equivocation,
    /// A frame on a sync or join stream that is no message.
    GarbageSync,
    /// Blocks that were not asked for.
    UnaskedBlocks,
    /// Blocks that the peer announced and does not give.
    WithheldBlocks,
    /// A request to join with an invitation that proves nothing.
    InvalidJoin,
    /// A message of a topic that can never be valid.
    InvalidGossip,
    /// More messages than a topic allows.
    GossipFlood,
    /// For a second it did not take the messages of its topics.
    SlowGossip,
    /// Bytes that are not what their CID says.
    BadContent,
    /// A bitswap message that cannot be read.
    GarbageContent,
    /// More wants than allowed.
    ContentFlood,
    /// An order that can never be valid.
    InvalidOrder,
    /// Two histories of the orders of one maker.
    ForkedOrders,
    /// More orders than allowed.
    OrderFlood,
}

// === impl Subsystem ===

impl Subsystem {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Control,
        Self::Exchange,
        Self::Sync,
        Self::Gossip,
        Self::Content,
        Self::Market,
    ];

    /// The word for lists and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Exchange => "exchange",
            Self::Sync => "sync",
            Self::Gossip => "gossip",
            Self::Content => "content",
            Self::Market => "market",
        }
    }
}

impl fmt::Display for Subsystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Fault ===

impl Fault {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Garbage,
        Self::EarlyMessage,
        Self::SecondHello,
        Self::PingFlood,
        Self::WrongPong,
        Self::LateHello,
        Self::UnaskedList,
        Self::ListFlood,
        Self::OversizeList,
        Self::GarbageList,
        Self::InsaneAddress,
        Self::InvalidBlock,
        Self::Equivocation,
        Self::GarbageSync,
        Self::UnaskedBlocks,
        Self::WithheldBlocks,
        Self::InvalidJoin,
        Self::InvalidGossip,
        Self::GossipFlood,
        Self::SlowGossip,
        Self::BadContent,
        Self::GarbageContent,
        Self::ContentFlood,
        Self::InvalidOrder,
        Self::ForkedOrders,
        Self::OrderFlood,
    ];

    /// Who judges it, what it costs, and its name in lists and metrics.
    ///
    /// 20 is what no honest program ever does: one is enough to part. 10 may be a bug. 5 and less may happen to anybody
    /// once. The cap of each subsystem keeps a bug in one of them, theirs or ours, from banning half the network.
    const fn entry(self) -> (Subsystem, f64, &'static str) {
        use Subsystem::{Content, Control, Exchange, Gossip, Market, Sync};
        match self {
            Self::Garbage => (Control, 10.0, "garbage"),
            Self::EarlyMessage => (Control, 10.0, "early-message"),
            Self::SecondHello => (Control, 10.0, "second-hello"),
            Self::PingFlood => (Control, 5.0, "ping-flood"),
            Self::WrongPong => (Control, 2.0, "wrong-pong"),
            Self::LateHello => (Control, 2.0, "late-hello"),
            Self::UnaskedList => (Exchange, 10.0, "unasked-list"),
            Self::ListFlood => (Exchange, 5.0, "list-flood"),
            Self::OversizeList => (Exchange, 20.0, "oversize-list"),
            Self::GarbageList => (Exchange, 20.0, "garbage-list"),
            Self::InsaneAddress => (Exchange, 1.0, "insane-address"),
            Self::InvalidBlock => (Sync, 20.0, "invalid-block"),
            Self::Equivocation => (Sync, 20.0, "equivocation"),
            Self::GarbageSync => (Sync, 20.0, "garbage-sync"),
            Self::UnaskedBlocks => (Sync, 10.0, "unasked-blocks"),
            Self::WithheldBlocks => (Sync, 5.0, "withheld-blocks"),
            Self::InvalidJoin => (Sync, 5.0, "invalid-join"),
            Self::InvalidGossip => (Gossip, 10.0, "invalid-gossip"),
            Self::GossipFlood => (Gossip, 5.0, "gossip-flood"),
            // Told once a second: a hiccup costs little, and whoever takes nothing for twenty seconds is parted with.
            Self::SlowGossip => (Gossip, 1.0, "slow-gossip"),
            Self::BadContent => (Content, 20.0, "bad-content"),
            Self::GarbageContent => (Content, 20.0, "garbage-content"),
            Self::ContentFlood => (Content, 5.0, "content-flood"),
            Self::InvalidOrder => (Market, 10.0, "invalid-order"),
            Self::ForkedOrders => (Market, 20.0, "forked-orders"),
            Self::OrderFlood => (Market, 5.0, "order-flood"),
        }
    }

    /// The part of the node that judges it.
    pub const fn subsystem(self) -> Subsystem {
        self.entry().0
    }

    /// How much score it costs.
    pub const fn penalty(self) -> f64 {
        self.entry().1
    }

    /// The word for lists and metrics.
    pub const fn name(self) -> &'static str {
        self.entry().2
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
