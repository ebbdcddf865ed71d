//! The same peers, waiting to be dialled.

use std::net::Ipv4Addr;

use anyhow::Result;
use libp2p::multiaddr::Protocol;
use rustle_types::{Multiaddr, PeerId};
use tokio::net::TcpListener;

use crate::{Adversary, ControlStream, Peer, Tap};

/// A port at which somebody waits.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: Multiaddr,
}

// === impl Listener ===

impl Listener {
    /// A free port of this address.
    pub async fn bind(ip: Ipv4Addr) -> Result<Self> {
        let socket = TcpListener::bind((ip, 0)).await?;
        let port = socket.local_addr()?.port();
        let address = Multiaddr::empty().with(ip.into()).with(Protocol::Tcp(port));
        Ok(Self { socket, address })
    }

    /// Where it waits, without `/p2p/`.
    pub fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// Where it waits, and as whom.
    pub fn address_of(&self, peer: PeerId) -> Multiaddr {
        self.address.clone().with(Protocol::P2p(peer))
    }

    /// The next connection, on which nothing was said.
    pub async fn accept(&self) -> Result<Tap> {
        let (stream, _) = self.socket.accept().await?;
        Adversary::of_stream(stream)
    }

    /// The next connection, up to its streams.
    pub async fn accept_peer(&self, adversary: &Adversary) -> Result<Peer> {
        let tap = self.accept().await?;
        let ear = tap.ear();
        adversary
            .multiplex_inbound(adversary.secure_inbound(tap).await?, ear)
            .await
    }

    /// The next connection, up to its control stream, on which the dialer speaks first.
    pub async fn accept_control(&self, adversary: &Adversary) -> Result<(Peer, ControlStream)> {
        let mut peer = self.accept_peer(adversary).await?;
        let control = adversary.listen_to(&mut peer).await?;
        Ok((peer, control))
    }
}
