//! Service `Routing`.

use rustle_admin::fault::reason;
use rustle_admin::views::{Provided, Provider, ProviderQuery};
use rustle_admin::{Fault, FaultKind, Flow, RoutingBackend};
use rustle_types::Cid;

use super::Service;
use crate::{faults, routing};

impl RoutingBackend for Service {
    async fn provide(&self, cid: Cid, recursive: bool) -> Result<Flow<Provided>, Fault> {
        if self.shared.is_light {
            return Err(faults::light("gives nobody content"));
        }
        let has = self.shared.read(move |store| store.has(&cid)).await?;
        if !has.map_err(faults::store)? {
            let message = format!("{cid} is not here; only what this node has can be provided");
            return Err(Fault::new(FaultKind::NotFound, reason::BLOCK_NOT_FOUND, message));
        }
        Ok(routing::provide_all(self.shared.clone(), cid, recursive))
    }

    async fn find_providers(&self, query: ProviderQuery) -> Result<Flow<Provider>, Fault> {
        Ok(routing::search(&self.shared, query).await)
    }
}
