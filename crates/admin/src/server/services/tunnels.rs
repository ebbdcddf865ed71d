//! Service `Tunnels`.

use rustle_types::PeerId;
use tonic::{Request, Response, Status};

use super::{CALL_TIME, Service, audit, within};
use crate::backend::Backend;
use crate::fault::Fault;
use crate::parse;
use crate::proto::tunnel::Side;
use crate::proto::tunnels_server::Tunnels;
use crate::proto::{
    TunnelsCloseRequest, TunnelsCloseResponse, TunnelsForwardRequest, TunnelsForwardResponse,
    TunnelsListRequest, TunnelsListResponse, TunnelsListenRequest, TunnelsListenResponse,
};
use crate::views::{Tunnel, TunnelAccess, TunnelFilter};

#[tonic::async_trait]
impl<B: Backend> Tunnels for Service<B> {
    async fn listen(
        &self,
        request: Request<TunnelsListenRequest>,
    ) -> Result<Response<TunnelsListenResponse>, Status> {
        let request = request.into_inner();
        let protocol = parse::tunnel_name(&request.protocol)?;
        let target = parse::tcp(&request.target)?;
        if target.port() == 0 {
            return Err(Fault::bad_argument("nobody is at port 0; write the port of the service").into());
        }
        let access = access(&request.allow, request.allow_any)?;
        let done = within(CALL_TIME, self.backend.tunnel_listen(protocol, target, access)).await;
        let tunnel = audit("Tunnels.Listen", done)?;
        Ok(Response::new(TunnelsListenResponse {
            tunnel: Some(tunnel.into()),
        }))
    }

    async fn forward(
        &self,
        request: Request<TunnelsForwardRequest>,
    ) -> Result<Response<TunnelsForwardResponse>, Status> {
        let request = request.into_inner();
        let protocol = parse::tunnel_name(&request.protocol)?;
        let listen = parse::tcp(&request.listen)?;
        let end = parse::tunnel_end(&request.peer)?;
        let done = within(CALL_TIME, self.backend.tunnel_forward(protocol, listen, end)).await;
        let tunnel = audit("Tunnels.Forward", done)?;
        Ok(Response::new(TunnelsForwardResponse {
            tunnel: Some(tunnel.into()),
        }))
    }

    async fn list(&self, _: Request<TunnelsListRequest>) -> Result<Response<TunnelsListResponse>, Status> {
        let tunnels = within(CALL_TIME, self.backend.tunnels()).await?;
        Ok(Response::new(TunnelsListResponse {
            tunnels: tunnels.into_iter().map(Into::into).collect(),
        }))
    }

    async fn close(
        &self,
        request: Request<TunnelsCloseRequest>,
    ) -> Result<Response<TunnelsCloseResponse>, Status> {
        let request = request.into_inner();
        let filter = TunnelFilter {
            id: (request.id != 0).then_some(request.id),
            protocol: (!request.protocol.is_empty()).then(|| request.protocol.clone()),
            listens: match request.side() {
                Side::Unspecified => None,
                Side::Listen => Some(true),
                Side::Forward => Some(false),
            },
        };
        let done = within(CALL_TIME, self.backend.close_tunnels(filter)).await;
        let closed = audit("Tunnels.Close", done)?;
        Ok(Response::new(TunnelsCloseResponse {
            closed: u32::try_from(closed).unwrap_or(u32::MAX),
        }))
    }
}

fn access(allow: &[String], allow_any: bool) -> Result<TunnelAccess, Fault> {
    if Tunnel::ALLOWED_MAX < allow.len() {
        return Err(Fault::bad_argument(format!(
            "{} peers are too many; allow at most {}, or any",
            allow.len(),
            Tunnel::ALLOWED_MAX
        )));
    }
    match (allow_any, allow.is_empty()) {
        (true, true) => Ok(TunnelAccess::Anybody),
        (true, false) => Err(Fault::bad_argument("`allow_any` and `allow` exclude each other")),
        (false, true) => Ok(TunnelAccess::Network),
        (false, false) => {
            let peers: Result<Vec<PeerId>, Fault> = allow.iter().map(|text| parse::peer(text)).collect();
            Ok(TunnelAccess::Peers(peers?))
        }
    }
}
