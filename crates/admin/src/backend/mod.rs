//! What must a node be able to do, to be administered?
//!
//! One method per call, in domain types. Arguments have been parsed and are within their bounds; time limits of calls
//! without one of their own are kept by the server, which drops the future. So each method must be safe to drop.

mod content;
mod routing;
mod store;
mod tunnels;

use std::time::Duration;

use futures::stream::BoxStream;
use rustle_types::{BlockId, ChainId, Multiaddr, PeerId};

pub use self::content::ContentBackend;
pub use self::store::StoreBackend;
use crate::fault::Fault;
use crate::views::{
    AddressPage, AddressQuery, Appended, BlockView, ChainDigest, ChainRef, ChainView, Delivery, FollowFrom,
    InviteTerms, Joined, LogQuery, NewEntry, NodeIdentity, NodeStatus, PeerDetails, PeerView, Reason, Rule,
    RuleKind, Target,
};

pub use self::routing::RoutingBackend;
pub use self::tunnels::TunnelsBackend;

/// A long answer or request. It is pulled: no item is made before the other side has room for it.
pub type Flow<T> = BoxStream<'static, Result<T, Fault>>;

/// A node, as the administration interface sees it: this and one trait for each further service. Implementations may write
/// `async fn`.
pub trait Backend:
    ContentBackend + RoutingBackend + StoreBackend + TunnelsBackend + Send + Sync + 'static
{
    /// Who the node is.
    fn id(&self) -> impl Future<Output = Result<NodeIdentity, Fault>> + Send;

    /// How the node is doing.
    fn status(&self) -> impl Future<Output = Result<NodeStatus, Fault>> + Send;

    /// The connected peers.
    fn peers(&self) -> impl Future<Output = Result<Vec<PeerView>, Fault>> + Send;

    /// Dials, and waits for the end of the handshake, at most for `timeout`.
    fn connect(
        &self,
        address: Multiaddr,
        timeout: Duration,
    ) -> impl Future<Output = Result<PeerId, Fault>> + Send;

    /// All about one peer; a fault where nothing is known of it.
    fn peer(&self, peer: PeerId) -> impl Future<Output = Result<PeerDetails, Fault>> + Send;

    /// Closes all connections with a peer; a fault where there is none.
    fn disconnect(&self, peer: PeerId) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Bans or welcomes for `duration`, or for ever, and gives the rule as it is kept. Waits for no disk.
    fn add_rule(
        &self,
        kind: RuleKind,
        target: Target,
        duration: Option<Duration>,
        reason: Reason,
    ) -> impl Future<Output = Result<Rule, Fault>> + Send;

    /// Ends a rule; a fault where none has exactly this target.
    fn remove_rule(&self, kind: RuleKind, target: Target) -> impl Future<Output = Result<(), Fault>> + Send;

    /// All rules that hold, in a stable order.
    fn rules(&self) -> impl Future<Output = Result<Vec<Rule>, Fault>> + Send;

    /// A page of the address book in a stable order, and the node's own addresses.
    fn addresses(&self, query: AddressQuery) -> impl Future<Output = Result<AddressPage, Fault>> + Send;

    /// Makes a chain.
    fn create_chain(&self, name: String) -> impl Future<Output = Result<ChainId, Fault>> + Send;

    /// The chains on the node, in a stable order.
    fn chains(&self) -> impl Future<Output = Result<Vec<ChainView>, Fault>> + Send;

    /// Issues an invitation and gives its text.
    fn invite(
        &self,
        chain: ChainRef,
        terms: InviteTerms,
    ) -> impl Future<Output = Result<String, Fault>> + Send;

    /// Joins by an invitation, of which only the outer form has been checked.
    fn join(
        &self,
        invitation: String,
        timeout: Duration,
    ) -> impl Future<Output = Result<Joined, Fault>> + Send;

    /// Appends a block and waits until it is durable.
    fn append(
        &self,
        chain: ChainRef,
        entry: NewEntry,
    ) -> impl Future<Output = Result<Appended, Fault>> + Send;

    /// The blocks in canonical order.
    fn log(
        &self,
        chain: ChainRef,
        query: LogQuery,
    ) -> impl Future<Output = Result<Flow<BlockView>, Fault>> + Send;

    /// The leaves, in canonical order.
    fn leaves(&self, chain: ChainRef) -> impl Future<Output = Result<Vec<BlockId>, Fault>> + Send;

    /// Blocks as they come, without end.
    fn follow(
        &self,
        chain: ChainRef,
        from: FollowFrom,
    ) -> impl Future<Output = Result<Flow<Delivery>, Fault>> + Send;

    /// The hash over the canonical order.
    fn digest(&self, chain: ChainRef) -> impl Future<Output = Result<ChainDigest, Fault>> + Send;
}
