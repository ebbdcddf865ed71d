//! What is said over the interface, in words of the domain.
//!
//! Server and client share these types, so that neither a backend nor a caller touches protobuf.

mod content;
mod peers;
mod routing;
mod store;
mod tunnels;

use std::time::Duration;

use bytes::Bytes;
use rustle_types::{BlockId, ChainId, Multiaddr, NetworkName, PeerId, Timestamp};

pub use self::content::{
    AddEntry, AddNews, AddOptions, AddPart, Added, AddedEntry, AddedRoots, BlockQuery, CarImported, CarPart,
    CatQuery, ContentStat, DagCount, DagForm, DagQuery, EntryBody, EntryKind, FileQuery, GetEntry, GetPart,
    ImportChoices, ListEntry, ListQuery, NewBlock, NewValue, PathQuery, Profile, StoredBlock,
};
pub use self::peers::{
    AddressPage, AddressQuery, BookTable, ConnectionView, Direction, FaultView, KnownPeer, Origin,
    OwnAddresses, PeerClass, PeerDetails, PeerFilter, PeerView, Reachability, Reason, Rule, RuleKind, Target,
};
pub use self::routing::{DhtNodes, Provided, Provider, ProviderQuery};
pub use self::store::{
    BlockFault, Collected, GarbagePhase, GarbageProgress, PIN_NAME_BYTES_MAX, PINS_MAX, Pin, PinKind,
    PinPage, PinQuery, PinView, Pinned, QuotaView, StoreStat, VerifyProgress,
};
pub use self::tunnels::{Tunnel, TunnelAccess, TunnelEnd, TunnelFilter, TunnelSide};
use crate::fault::{Fault, FaultKind, reason};

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeIdentity {
    /// Its peer id.
    pub peer: PeerId,
    /// Where it can be dialled, each with `/p2p/<peer id>`.
    pub addresses: Vec<Multiaddr>,
    /// Its network.
    pub network: NetworkName,
    /// Program and version, as told to peers.
    pub agent: String,
    /// Version of the node software.
    pub version: String,
}

/// How a node is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Time since the daemon started.
    pub uptime: Duration,
    /// Whether it serves.
    pub ready: bool,
    /// The state in words.
    pub health: String,
    /// Its network.
    pub network: NetworkName,
    /// Version of the node software.
    pub version: String,
    /// Its own listening sockets.
    pub listen_addresses: Vec<Multiaddr>,
    /// Connected peers by class.
    pub peers: PeerCounts,
    /// Chains on this node.
    pub chains: u64,
    /// Bytes that the store uses on disk, where known.
    pub store_bytes: Option<u64>,
}

/// Connected peers by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerCounts {
    /// Handshake complete.
    pub rustle: u64,
    /// Does not speak the handshake.
    pub foreign: u64,
    /// Not known yet.
    pub pending: u64,
}

/// A chain as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainRef {
    /// By its id.
    Id(ChainId),
    /// By its name on this node: 1 to 64 bytes.
    Name(String),
}

/// A chain on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainView {
    /// Its id.
    pub chain: ChainId,
    /// Its name on the node.
    pub name: String,
    /// Blocks that the node has, with the genesis block.
    pub blocks: u64,
    /// Height of the highest block.
    pub height: u64,
    /// Blocks that no other names as parent.
    pub leaves: u64,
}

/// What an invitation allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InviteTerms {
    /// When it ends, from now, in whole seconds; `None` for never.
    pub expires_in: Option<Duration>,
    /// How many nodes may join; 0 for any number.
    pub uses: u32,
}

/// A chain that was joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its id.
    pub chain: ChainId,
    /// Its name on this node.
    pub name: String,
}

/// What to append.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewEntry {
    /// At most 16 topics of 1 to 64 bytes.
    pub topics: Vec<String>,
    /// At most 256 KiB.
    pub body: Bytes,
}

/// An appended block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its id.
    pub block: BlockId,
    /// Its height.
    pub height: u64,
}

/// What a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// The first block of its chain.
    Genesis,
    /// What an application appended.
    Data,
    /// A kind that this program does not know.
    Other,
}

/// A block of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockView {
    /// Its id.
    pub block: BlockId,
    /// Longest way to the genesis block.
    pub height: u64,
    /// Clock of the author; informative.
    pub time: Timestamp,
    /// Who signed it.
    pub author: PeerId,
    /// Its parents.
    pub parents: Vec<BlockId>,
    /// Its topics.
    pub topics: Vec<String>,
    /// What it says.
    pub body: Bytes,
    /// What it is for.
    pub kind: BlockKind,
}

/// From which end of the canonical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// From the highest block down.
    #[default]
    NewestFirst,
    /// From the genesis block up.
    OldestFirst,
}

/// Which blocks of a chain's canonical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// At most so many; `None` for all.
    pub limit: Option<u64>,
    /// The direction.
    pub order: Order,
    /// Begin behind this block, in the direction of `order`.
    pub after: Option<BlockId>,
}

/// Where a follower begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FollowFrom {
    /// With what comes from now on.
    #[default]
    Now,
    /// With the first block that the node delivered.
    Start,
    /// With this delivery.
    Sequence(u64),
}

/// A block as delivered to followers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Number of this delivery on this node, rising by 1.
    pub sequence: u64,
    /// The block.
    pub block: BlockView,
}

/// One hash over a chain's ordered block ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainDigest {
    /// The hash.
    pub hash: [u8; 32],
    /// How many blocks it covers.
    pub blocks: u64,
}

// === impl ChainRef ===

impl ChainRef {
    /// Finds the one chain that is meant among those on the node.
    pub fn resolve<'a>(
        &self,
        chains: impl IntoIterator<Item = (ChainId, &'a str)>,
    ) -> Result<ChainId, Fault> {
        let mut found: Option<ChainId> = None;
        for (id, name) in chains {
            let meant = match self {
                Self::Id(wanted) => *wanted == id,
                Self::Name(wanted) => wanted == name,
            };
            if !meant {
                continue;
            }
            if found.is_some() {
                let message = format!("several chains here are named `{name}`; use the id");
                return Err(Fault::new(
                    FaultKind::FailedPrecondition,
                    reason::CHAIN_NAME_AMBIGUOUS,
                    message,
                ));
            }
            found = Some(id);
        }
        found.ok_or_else(|| {
            let message = format!("no chain {self} on this node; `rustle chain list` shows those there are");
            Fault::new(FaultKind::NotFound, reason::CHAIN_NOT_FOUND, message)
        })
    }
}

impl std::fmt::Display for ChainRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => write!(f, "`{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_must_mean_one_chain() {
        let id = |byte| ChainId::of_genesis(BlockId::from_digest([byte; 32]));
        let chains = [(id(1), "chat"), (id(2), "audit"), (id(3), "chat")];
        let resolve = |chain: ChainRef| chain.resolve(chains).map_err(|fault| fault.reason);

        assert_eq!(resolve(ChainRef::Name("audit".into())), Ok(id(2)));
        assert_eq!(resolve(ChainRef::Id(id(3))), Ok(id(3)));
        assert_eq!(
            resolve(ChainRef::Name("chat".into())),
            Err(reason::CHAIN_NAME_AMBIGUOUS)
        );
        assert_eq!(
            resolve(ChainRef::Name("nobody".into())),
            Err(reason::CHAIN_NOT_FOUND)
        );
        assert_eq!(resolve(ChainRef::Id(id(9))), Err(reason::CHAIN_NOT_FOUND));
    }
}
