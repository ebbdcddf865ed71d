//! Calls of service `Routing`.

use rustle_types::Cid;

use super::{Answers, Client, ClientError, Door};
use crate::convert::millis;
use crate::proto;
use crate::proto::routing_client::RoutingClient;
use crate::server::ANSWER_BYTES_MAX;
use crate::views::{Provided, Provider, ProviderQuery};

impl Client {
    /// Tells the DHTs that the node has a block, or that and all blocks below it; one item for each.
    pub async fn provide(&self, cid: Cid, recursive: bool) -> Result<Answers<Provided>, ClientError> {
        let request = proto::RoutingProvideRequest {
            cid: cid.to_string(),
            recursive,
        };
        self.read_all(self.routing().provide(request).await)
    }

    /// Who has some content, as it is found. An error where nobody was found.
    pub async fn find_providers(&self, query: ProviderQuery) -> Result<Answers<Provider>, ClientError> {
        let request = proto::RoutingFindProvidersRequest {
            cid: query.cid.to_string(),
            limit: u32::try_from(query.limit).unwrap_or(u32::MAX),
            timeout_ms: millis(query.timeout),
        };
        self.read_all(self.routing().find_providers(request).await)
    }

    fn routing(&self) -> RoutingClient<Door> {
        RoutingClient::new(self.service.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}
