//! Service `Tunnels`.

use std::net::SocketAddr;

use rustle_admin::views::{Tunnel, TunnelAccess, TunnelEnd, TunnelFilter};
use rustle_admin::{Fault, TunnelsBackend};

use super::Service;
use crate::tunnels;

impl TunnelsBackend for Service {
    async fn tunnel_listen(
        &self,
        protocol: String,
        target: SocketAddr,
        access: TunnelAccess,
    ) -> Result<Tunnel, Fault> {
        tunnels::listen(&self.shared, protocol, target, access)
    }

    async fn tunnel_forward(
        &self,
        protocol: String,
        listen: SocketAddr,
        end: TunnelEnd,
    ) -> Result<Tunnel, Fault> {
        tunnels::forward(&self.shared, protocol, listen, end).await
    }

    async fn tunnels(&self) -> Result<Vec<Tunnel>, Fault> {
        Ok(self.shared.tunnels.list())
    }

    async fn close_tunnels(&self, filter: TunnelFilter) -> Result<usize, Fault> {
        self.shared.tunnels.close(&self.shared, &filter)
    }
}
