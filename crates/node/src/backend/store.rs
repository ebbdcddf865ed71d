//! The store, as the administration interface sees it.

use std::time::Duration;

use rustle_admin::views::{
    GarbageProgress, Pin, PinKind, PinPage, PinQuery, Pinned, StoreStat, VerifyProgress,
};
use rustle_admin::{Fault, Flow, StoreBackend};
use rustle_types::Cid;

use super::Service;
use crate::keep::{garbage, pins, upkeep};

impl StoreBackend for Service {
    async fn store_stat(&self) -> Result<StoreStat, Fault> {
        upkeep::stat(&self.shared).await
    }

    async fn verify_store(&self, repair: bool) -> Result<Flow<VerifyProgress>, Fault> {
        Ok(upkeep::verify(&self.shared, repair))
    }

    async fn collect_garbage(&self) -> Result<Flow<GarbageProgress>, Fault> {
        garbage::collect(&self.shared)
    }

    async fn pin(&self, pin: Pin, timeout: Duration) -> Result<Pinned, Fault> {
        pins::pin(&self.shared, pin, timeout).await
    }

    async fn unpin(&self, cid: Cid, kind: Option<PinKind>) -> Result<Pin, Fault> {
        pins::unpin(&self.shared, cid, kind).await
    }

    async fn pins(&self, query: PinQuery) -> Result<PinPage, Fault> {
        pins::list(&self.shared, query).await
    }

    fn is_healthy(&self) -> bool {
        self.shared.storage.health().is_none()
    }
}
