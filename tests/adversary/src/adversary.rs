//! Who attacks, from where, and how far into a connection it goes.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use libp2p::core::UpgradeInfo as _;
use libp2p::core::upgrade::{InboundConnectionUpgrade as _, OutboundConnectionUpgrade as _};
use libp2p::identity::{Keypair, PublicKey};
use libp2p::multiaddr::Protocol;
use libp2p::{noise, yamux};
use rustle_types::{Multiaddr, PeerId};
use rustle_wire::{Control, Hello};
use tokio::net::{TcpSocket, TcpStream};

use crate::{ControlStream, Heard, Manners, Peer, Tap, answer, propose};

const NOISE: &str = "/noise";
const YAMUX: &str = "/yamux/1.0.0";
const CONTROL: &str = "/rustle/hello/1";

/// A connection under Noise, before it is multiplexed; the handshake has proved who is there.
pub type Secured = noise::Output<Tap>;

/// An identity, and how it comes to a node.
#[derive(Debug, Clone)]
pub struct Adversary {
    key: Keypair,
    source: Ipv4Addr,
    receive_buffer: Option<u32>,
    manners: Manners,
}

// === impl Adversary ===

impl Default for Adversary {
    fn default() -> Self {
        Self::new()
    }
}

impl Adversary {
    /// Somebody new, who comes from 127.0.0.1 and leaves the streams of others unanswered.
    pub fn new() -> Self {
        Self {
            key: Keypair::generate_ed25519(),
            source: Ipv4Addr::LOCALHOST,
            receive_buffer: None,
            manners: Manners::Silent,
        }
    }

    /// Comes from this address; all of 127.0.0.0/8 is this machine.
    #[must_use]
    pub fn source(mut self, source: Ipv4Addr) -> Self {
        self.source = source;
        self
    }

    /// Asks the system for so small a receive buffer that the other end soon cannot write.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Treats the streams that the node opens in this way.
    #[must_use]
    pub fn manners(mut self, manners: Manners) -> Self {
        self.manners = manners;
        self
    }

    /// Its peer id.
    pub fn peer_id(&self) -> PeerId {
        self.key.public().to_peer_id()
    }

    /// Its public key.
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// A TCP connection that nothing was said on.
    pub async fn tcp(&self, to: &Multiaddr) -> Result<Tap> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        // A thousand connections from one address would run out of ports if each closed one kept its own.
        socket.set_reuseaddr(true)?;
        socket.bind((self.source, 0).into())?;
        let stream = socket.connect(socket_address(to)?).await?;
        stream.set_nodelay(true)?;
        Ok(Tap::new(stream))
    }

    /// Agrees on Noise and shakes hands, as the one who dialled.
    pub async fn secure(&self, mut tap: Tap) -> Result<(PeerId, Secured)> {
        propose(&mut tap, NOISE).await?;
        let config = noise::Config::new(&self.key)?;
        let info = config.protocol_info().next().context("Noise has a name")?;
        Ok(config.upgrade_outbound(tap, info).await?)
    }

    /// The same, as the one who was dialled.
    pub async fn secure_inbound(&self, mut tap: Tap) -> Result<(PeerId, Secured)> {
        answer(&mut tap, |protocol| protocol == NOISE).await?;
        let config = noise::Config::new(&self.key)?;
        let info = config.protocol_info().next().context("Noise has a name")?;
        Ok(config.upgrade_inbound(tap, info).await?)
    }

    /// Agrees on Yamux, as the one who dialled. `ear` is the one of the connection below.
    pub async fn multiplex(&self, (remote, mut secured): (PeerId, Secured), ear: crate::Ear) -> Result<Peer> {
        propose(&mut secured, YAMUX).await?;
        let muxer = yamux::Config::default().upgrade_outbound(secured, YAMUX).await?;
        Ok(Peer::drive(remote, muxer, ear, self.manners.clone()))
    }

    /// The same, as the one who was dialled.
    pub async fn multiplex_inbound(
        &self,
        (remote, mut secured): (PeerId, Secured),
        ear: crate::Ear,
    ) -> Result<Peer> {
        answer(&mut secured, |protocol| protocol == YAMUX).await?;
        let muxer = yamux::Config::default().upgrade_inbound(secured, YAMUX).await?;
        Ok(Peer::drive(remote, muxer, ear, self.manners.clone()))
    }

    /// A whole connection on which no stream was opened.
    pub async fn connect(&self, to: &Multiaddr) -> Result<Peer> {
        let tap = self.tcp(to).await?;
        let ear = tap.ear();
        self.multiplex(self.secure(tap).await?, ear).await
    }

    /// A connection with its control stream, on which nothing was said.
    pub async fn speak(&self, to: &Multiaddr) -> Result<(Peer, ControlStream)> {
        let peer = self.connect(to).await?;
        let control = ControlStream::new(peer.open(CONTROL).await?);
        Ok((peer, control))
    }

    /// Completes the handshake of a dialer with this hello; gives the node's own as well.
    pub async fn greet(&self, to: &Multiaddr, hello: Hello) -> Result<(Peer, ControlStream, Hello)> {
        let (peer, mut control) = self.speak(to).await?;
        control.send(&Control::Hello(hello)).await?;
        match control.next().await {
            Heard::Message(Control::HelloAck(theirs)) => Ok((peer, control, theirs)),
            other => bail!("{other:?} in place of a HelloAck"),
        }
    }

    /// Waits for the control stream that a dialer opens.
    pub async fn listen_to(&self, peer: &mut Peer) -> Result<ControlStream> {
        loop {
            let mut stream = peer.inbound().await.context("the dialer is gone")?;
            // The dialer may offer other streams first; they fail here and are dropped.
            if let Ok(protocol) = answer(&mut stream, |protocol| protocol == CONTROL).await {
                ensure!(protocol == CONTROL, "answered `{protocol}`");
                return Ok(ControlStream::new(stream));
            }
        }
    }

    pub(crate) fn of_stream(stream: TcpStream) -> Result<Tap> {
        stream.set_nodelay(true)?;
        Ok(Tap::new(stream))
    }
}

/// The socket of `/ip4/…/tcp/…`, whatever follows.
pub(crate) fn socket_address(address: &Multiaddr) -> Result<SocketAddr> {
    let mut parts = address.iter();
    match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => Ok((ip, port).into()),
        _ => bail!("{address} is no TCP address"),
    }
}
