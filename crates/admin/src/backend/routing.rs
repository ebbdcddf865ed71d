//! Who has some content, and who is told of it?

use rustle_types::Cid;

use super::Flow;
use crate::fault::Fault;
use crate::views::{Provided, Provider, ProviderQuery};

/// What the service `Routing` asks of a node.
pub trait RoutingBackend: Send + Sync + 'static {
    /// Tells the DHTs that this node has a block, or that and all blocks below it; one item for each.
    fn provide(
        &self,
        cid: Cid,
        recursive: bool,
    ) -> impl Future<Output = Result<Flow<Provided>, Fault>> + Send;

    /// Who has some content, as it is found. Ends by itself at the limit or the deadline of the query, and with a fault where
    /// nobody was found.
    fn find_providers(
        &self,
        query: ProviderQuery,
    ) -> impl Future<Output = Result<Flow<Provider>, Fault>> + Send;
}
