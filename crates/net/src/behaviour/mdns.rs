//! Which nodes are on the local network?
//!
//! libp2p's mDNS, whose one service name all of libp2p shares: what it finds may be a node of another network, or of none
//! of ours. Around it stands what it lacks. It remembers whatever any program on the network claims, so it is thrown away
//! once that is too much, and made anew after a rest; its addresses reach neither dials nor other behaviours.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::{ListenerId, PortUse};
use libp2p::mdns::{self, tokio::Behaviour as Mdns};
use libp2p::swarm::behaviour::{ExpiredListenAddr, NewListenAddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandlerInEvent, ToSwarm, dummy,
};
use rustle_types::{Multiaddr, PeerId};
use tokio::time::Sleep;

use crate::Config;
use crate::config::MDNS_ADDRESSES_MAX;

/// For so long nothing is asked after a flood.
const REST: Duration = Duration::from_secs(10 * 60);

/// The nodes around this one, as they announce themselves.
pub(crate) struct Neighbours {
    local: PeerId,
    mdns: Option<Mdns>,
    listening: VecDeque<Multiaddr>,
    /// Until when it rests.
    rest: Option<Pin<Box<Sleep>>>,
}

/// Peers and where they say they are.
pub(crate) type Sighted = Vec<(PeerId, Multiaddr)>;

/// Nothing where the settings say so, or where the system does not let us watch its interfaces.
pub(super) fn behaviour(config: &Config) -> Neighbours {
    let local = config.identity.peer_id();
    let mdns = match config.mdns.then(|| start(local)).transpose() {
        Ok(mdns) => mdns,
        Err(error) => {
            tracing::warn!(%error, "peers on the local network cannot be looked for; all else works");
            None
        }
    };
    if mdns.is_some()
        && let Err(error) = try_multicast()
    {
        // An interface may come later, and is then used.
        tracing::warn!(%error, "no local network carries multicast now; no peers are found there");
    }
    Neighbours {
        local,
        mdns,
        listening: VecDeque::new(),
        rest: None,
    }
}

fn start(local: PeerId) -> io::Result<Mdns> {
    Mdns::new(mdns::Config::default(), local)
}

/// libp2p tells of its failures again and again, and to nobody but the log; one word at the start is enough.
fn try_multicast() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.join_multicast_v4(&mdns::IPV4_MDNS_MULTICAST_ADDRESS, &Ipv4Addr::UNSPECIFIED)
}

// === impl Neighbours ===

impl Neighbours {
    fn begin_rest(&mut self, cx: &mut Context<'_>) {
        tracing::warn!(
            limit = MDNS_ADDRESSES_MAX,
            "the local network is flooded with announcements of peers; they are ignored for ten minutes"
        );
        self.fall_silent();
        self.mdns = None;
        let mut rest = Box::pin(tokio::time::sleep(REST));
        // Only to be woken; it cannot be over yet.
        let _ = rest.as_mut().poll(cx);
        self.rest = Some(rest);
    }

    fn end_rest(&mut self) {
        self.rest = None;
        self.mdns = start(self.local).ok();
        if let Some(mdns) = &mut self.mdns {
            for address in &self.listening {
                mdns.on_swarm_event(new_address(address));
            }
        }
    }

    /// The tasks of libp2p's behaviour outlive it for a while; without addresses they have nothing wrong to tell.
    fn fall_silent(&mut self) {
        if let Some(mdns) = &mut self.mdns {
            for address in &self.listening {
                mdns.on_swarm_event(FromSwarm::ExpiredListenAddr(ExpiredListenAddr {
                    listener_id: ListenerId::next(),
                    addr: address,
                }));
            }
        }
    }
}

/// libp2p's behaviour looks at the address only.
fn new_address(address: &Multiaddr) -> FromSwarm<'_> {
    FromSwarm::NewListenAddr(NewListenAddr {
        listener_id: ListenerId::next(),
        addr: address,
    })
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        self.fall_silent();
    }
}

impl NetworkBehaviour for Neighbours {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Sighted;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::NewListenAddr(NewListenAddr { addr, .. }) => self.listening.push_back(addr.clone()),
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { addr, .. }) => {
                self.listening.retain(|known| known != addr);
            }
            _ => {}
        }
        if let Some(mdns) = &mut self.mdns {
            mdns.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Sighted, THandlerInEvent<Self>>> {
        if let Some(rest) = &mut self.rest
            && rest.as_mut().poll(cx).is_ready()
        {
            self.end_rest();
        }
        while let Some(mdns) = &mut self.mdns
            && let Poll::Ready(event) = mdns.poll(cx)
        {
            if MDNS_ADDRESSES_MAX < mdns.discovered_nodes().len() {
                self.begin_rest(cx);
            } else if let ToSwarm::GenerateEvent(mdns::Event::Discovered(sighted)) = event {
                return Poll::Ready(ToSwarm::GenerateEvent(sighted));
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;

    use super::*;
    use crate::Identity;

    fn neighbours(mdns: bool) -> Neighbours {
        let identity = Identity::generate();
        behaviour(&Config {
            mdns,
            ..Config::new(identity, "test".parse().unwrap())
        })
    }

    #[tokio::test]
    async fn nothing_is_asked_where_it_is_switched_off() {
        let mut neighbours = neighbours(false);
        assert!(neighbours.mdns.is_none());
        assert!(
            neighbours
                .poll(&mut Context::from_waker(noop_waker_ref()))
                .is_pending()
        );
    }

    #[tokio::test]
    async fn after_a_rest_it_begins_anew_with_the_same_addresses() {
        let mut neighbours = neighbours(false);
        let mut cx = Context::from_waker(noop_waker_ref());
        let address: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        neighbours.on_swarm_event(new_address(&address));

        neighbours.begin_rest(&mut cx);
        assert!(neighbours.poll(&mut cx).is_pending());
        assert!(neighbours.rest.is_some(), "the rest has just begun");
        neighbours.end_rest();
        assert!(neighbours.rest.is_none());
        assert_eq!(neighbours.listening, [address]);
    }
}
