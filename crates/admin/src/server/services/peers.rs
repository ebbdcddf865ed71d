//! Service `Peers`.

use std::time::Duration;

use tonic::{Request, Response, Status};

use super::{CALL_TIME, GIVE_UP_TIME, Service, audit, time_limit, within};
use crate::backend::Backend;
use crate::parse;
use crate::proto::peers_server::Peers;
use crate::proto::{PeersConnectRequest, PeersConnectResponse, PeersListRequest, PeersListResponse};

const CONNECT_TIME: Duration = Duration::from_secs(15);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(120);

#[tonic::async_trait]
impl<B: Backend> Peers for Service<B> {
    async fn list(&self, _: Request<PeersListRequest>) -> Result<Response<PeersListResponse>, Status> {
        let views = within(CALL_TIME, self.backend.peers()).await?;
        Ok(Response::new(PeersListResponse {
            peers: views.into_iter().map(Into::into).collect(),
        }))
    }

    async fn connect(
        &self,
        request: Request<PeersConnectRequest>,
    ) -> Result<Response<PeersConnectResponse>, Status> {
        let request = request.into_inner();
        let address = parse::address(&request.address)?;
        let limit = time_limit(request.timeout_ms, CONNECT_TIME, CONNECT_TIME_MAX)?;
        let done = within(limit + GIVE_UP_TIME, self.backend.connect(address, limit)).await;
        let peer = audit("Peers.Connect", done)?;
        Ok(Response::new(PeersConnectResponse {
            peer_id: peer.to_string(),
        }))
    }
}
