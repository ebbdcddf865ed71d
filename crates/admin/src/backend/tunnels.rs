//! Which TCP connections go through streams of peers?

use std::net::SocketAddr;

use crate::fault::Fault;
use crate::views::{Tunnel, TunnelAccess, TunnelEnd, TunnelFilter};

/// What the service `Tunnels` asks of a node.
pub trait TunnelsBackend: Send + Sync + 'static {
    /// Offers the TCP service at `target` under the name `protocol`.
    fn tunnel_listen(
        &self,
        protocol: String,
        target: SocketAddr,
        access: TunnelAccess,
    ) -> impl Future<Output = Result<Tunnel, Fault>> + Send;

    /// Passes TCP connections at `listen` on to the service that a peer offers under the name `protocol`.
    fn tunnel_forward(
        &self,
        protocol: String,
        listen: SocketAddr,
        end: TunnelEnd,
    ) -> impl Future<Output = Result<Tunnel, Fault>> + Send;

    /// The tunnels, the oldest first.
    fn tunnels(&self) -> impl Future<Output = Result<Vec<Tunnel>, Fault>> + Send;

    /// Ends the tunnels that fit, and tells how many those were; a fault where none does.
    fn close_tunnels(&self, filter: TunnelFilter) -> impl Future<Output = Result<usize, Fault>> + Send;
}
