//! What a node must be able to do about its store.

use std::time::Duration;

use rustle_types::Cid;

use super::Flow;
use crate::fault::Fault;
use crate::views::{GarbageProgress, Pin, PinKind, PinPage, PinQuery, Pinned, StoreStat, VerifyProgress};

/// The part of [`super::Backend`] for the store.
pub trait StoreBackend: Send + Sync + 'static {
    /// Counts what is kept.
    fn store_stat(&self) -> impl Future<Output = Result<StoreStat, Fault>> + Send;

    /// Hashes all blocks, and repairs what is wrong where that is asked for.
    fn verify_store(&self, repair: bool) -> impl Future<Output = Result<Flow<VerifyProgress>, Fault>> + Send;

    /// Collects garbage. Dropping the flow ends it.
    fn collect_garbage(&self) -> impl Future<Output = Result<Flow<GarbageProgress>, Fault>> + Send;

    /// Sets a pin, once all that it keeps is here and durable. Waits at most `timeout` for each missing block.
    fn pin(&self, pin: Pin, timeout: Duration) -> impl Future<Output = Result<Pinned, Fault>> + Send;

    /// Ends a pin, of this kind if one is given.
    fn unpin(&self, cid: Cid, kind: Option<PinKind>) -> impl Future<Output = Result<Pin, Fault>> + Send;

    /// Whether writes are accepted. Asked often, so it waits for nothing.
    fn is_healthy(&self) -> bool;

    /// Lists pins.
    fn pins(&self, query: PinQuery) -> impl Future<Output = Result<PinPage, Fault>> + Send;
}
