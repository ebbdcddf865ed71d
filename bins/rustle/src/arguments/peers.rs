//! What can be typed behind `rustle peer`.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use rustle_admin::views::{BookTable, Direction, PeerClass};

use crate::duration::{self, Expiry};

pub(super) const LIST_HELP: &str = "\
JSON: peers[] of {peer_id, address, direction (inbound, outbound), class (rustle, foreign, pending), agent, version, \
network, services (bitmap), connected_ms, ping_rtt_us, reach (local, clear, tor, i2p, yggdrasil), relayed}; null where \
the peer has not said or nothing was measured.";

const INFO_HELP: &str = "\
JSON: peer_id, score, shares[] of {part, score}, bans, \
connections[] of {the fields of `peer ls`, connection, why (inbound, asked, static, boot, needed, anchor, known, feeler, \
other), service_names[], version_min, version_max, time_ms, listen_addresses[], observed_address, idle_ms, \
ping_rtt_min_us, ping_rtt_mean_us, content_ago_ms, gossip_ago_ms}, faults[] of {fault, count, last_ago_ms}, \
known (null, or as in `peer addresses`), rules[] (as in `peer bans`).";

const BANS_HELP: &str = "\
JSON: rules[] of {target, kind (ban, allow), origin (operator, score), reason, since_ms, until_ms (null for never)}.";

const ADDRESSES_HELP: &str = "\
JSON: own {listen[], external[], relayed[], reachability (unknown, reachable, unreachable)}, peers[] of {peer_id, \
addresses[], table (new, tried, needed), source, seen_ms, tried_ms, reached_ms, failures, next_dial_in_ms, anchor}; \
null for never.";

/// The commands about peers. PEER is a peer id; TARGET is a peer id, an IP address (an IPv6 address stands for its /64) or
/// a prefix such as 192.0.2.0/24.
#[derive(Debug, Subcommand)]
pub(crate) enum PeerCommand {
    /// List the connected peers.
    #[command(visible_alias = "list", after_long_help = LIST_HELP)]
    Ls {
        /// Only peers of this class.
        #[arg(long, value_enum)]
        class: Option<ClassName>,
        /// Only connections of this direction.
        #[arg(long, value_enum)]
        direction: Option<DirectionName>,
    },
    /// Show all about one peer.
    #[command(after_long_help = INFO_HELP)]
    Info {
        /// The peer.
        peer: String,
    },
    /// Connect to a node.
    #[command(after_long_help = "JSON: peer_id.")]
    Connect {
        /// Multiaddr, with or without /p2p/PEER.
        address: String,
        /// How long to try: seconds, or as in 30s, 2m.
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        timeout: Option<Duration>,
    },
    /// Close all connections with a peer; it may come back.
    #[command(after_long_help = "JSON: peer_id.")]
    Disconnect {
        /// The peer.
        peer: String,
    },
    /// Keep a peer or a part of the network away.
    #[command(
        after_long_help = "A ban takes the place of an earlier one of the same target, and survives restarts.\n\
        JSON: the rule, as in `peer bans`."
    )]
    Ban {
        /// Whom.
        target: String,
        /// When the ban ends: as in 30m, 24h, 7d, or never.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration::parse_expiry)]
        expires: Expiry,
        /// Why, for people: at most 128 bytes.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// End a ban.
    #[command(after_long_help = "JSON: target.")]
    Unban {
        /// Whom, exactly as the ban has it.
        target: String,
    },
    /// List bans and permissions.
    #[command(after_long_help = BANS_HELP)]
    Bans,
    /// Welcome a peer or a part of the network always.
    #[command(
        after_long_help = "No limit by address or rate holds for it; it is not dropped to make room, and not banned by \
        its score.\nJSON: the rule, as in `peer bans`."
    )]
    Allow {
        /// Whom.
        target: String,
        /// Why, for people: at most 128 bytes.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// End a permission.
    #[command(after_long_help = "JSON: target.")]
    Disallow {
        /// Whom, exactly as the permission has it.
        target: String,
    },
    /// List the address book, and the node's own addresses.
    #[command(after_long_help = ADDRESSES_HELP)]
    Addresses {
        /// Only this part of the book: new was only heard of, tried was reached, needed is needed by this node.
        #[arg(long, value_enum)]
        table: Option<TableName>,
        /// At most so many peers.
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroUsize>,
    },
}

/// A class of peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClassName {
    /// Rustle nodes.
    Rustle,
    /// Others, for example Kubo.
    Foreign,
    /// Not known yet.
    Pending,
}

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DirectionName {
    /// The peer.
    Inbound,
    /// This node.
    Outbound,
}

/// A part of the address book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableName {
    /// Only heard of.
    New,
    /// Reached.
    Tried,
    /// Needed by this node.
    Needed,
}

impl From<ClassName> for PeerClass {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Rustle => Self::Rustle,
            ClassName::Foreign => Self::Foreign,
            ClassName::Pending => Self::Pending,
        }
    }
}

impl From<DirectionName> for Direction {
    fn from(name: DirectionName) -> Self {
        match name {
            DirectionName::Inbound => Self::Inbound,
            DirectionName::Outbound => Self::Outbound,
        }
    }
}

impl From<TableName> for BookTable {
    fn from(name: TableName) -> Self {
        match name {
            TableName::New => Self::New,
            TableName::Tried => Self::Tried,
            TableName::Needed => Self::Needed,
        }
    }
}
