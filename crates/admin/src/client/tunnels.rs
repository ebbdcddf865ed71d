//! Calls of service `Tunnels`.

use std::net::SocketAddr;

use super::{Client, ClientError, Door};
use crate::convert::{all, allowed, required};
use crate::parse;
use crate::proto;
use crate::proto::tunnel::Side;
use crate::proto::tunnels_client::TunnelsClient;
use crate::server::ANSWER_BYTES_MAX;
use crate::views::{Tunnel, TunnelAccess, TunnelEnd, TunnelFilter};

impl Client {
    /// Offers the TCP service at `target` to peers under the name `protocol`.
    pub async fn tunnel_listen(
        &self,
        protocol: &str,
        target: SocketAddr,
        access: &TunnelAccess,
    ) -> Result<Tunnel, ClientError> {
        let (allow, allow_any) = allowed(access);
        let request = proto::TunnelsListenRequest {
            protocol: protocol.to_owned(),
            target: parse::tcp_text(target),
            allow,
            allow_any,
        };
        let answer = self.take(self.tunnels_service().listen(request).await)?;
        Ok(required("tunnel", answer.tunnel)?.try_into()?)
    }

    /// Passes TCP connections at `listen` on to the service that a peer offers under the name `protocol`.
    pub async fn tunnel_forward(
        &self,
        protocol: &str,
        listen: SocketAddr,
        end: &TunnelEnd,
    ) -> Result<Tunnel, ClientError> {
        let peer = match &end.address {
            Some(address) => address.to_string(),
            None => end.peer.to_string(),
        };
        let request = proto::TunnelsForwardRequest {
            protocol: protocol.to_owned(),
            listen: parse::tcp_text(listen),
            peer,
        };
        let answer = self.take(self.tunnels_service().forward(request).await)?;
        Ok(required("tunnel", answer.tunnel)?.try_into()?)
    }

    /// The tunnels, the oldest first.
    pub async fn tunnels(&self) -> Result<Vec<Tunnel>, ClientError> {
        let answer = self.take(self.tunnels_service().list(proto::TunnelsListRequest {}).await)?;
        Ok(all(answer.tunnels)?)
    }

    /// Ends the tunnels that fit, and tells how many those were.
    pub async fn close_tunnels(&self, filter: TunnelFilter) -> Result<u32, ClientError> {
        let side = match filter.listens {
            None => Side::Unspecified,
            Some(true) => Side::Listen,
            Some(false) => Side::Forward,
        };
        let request = proto::TunnelsCloseRequest {
            id: filter.id.unwrap_or(0),
            protocol: filter.protocol.unwrap_or_default(),
            side: side.into(),
        };
        Ok(self.take(self.tunnels_service().close(request).await)?.closed)
    }

    fn tunnels_service(&self) -> TunnelsClient<Door> {
        TunnelsClient::new(self.service.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}
