//! Over which transports do connections come and go?

use std::error::Error;
use std::io;
use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade;
use libp2p::tcp::{Config as TcpConfig, tokio::Transport as TcpTransport};
use libp2p::{Transport, dns, noise, quic, relay, yamux};
use rustle_types::PeerId;

use crate::activity::Registry;
use crate::allowance::Metered;
use crate::config::STREAMS_PER_CONNECTION_MAX;
use crate::crossing::Crossing;
use crate::door::Door;
use crate::forgiving::Forgiving;
use crate::guarded::Guarded;
use crate::proxy::{Dialer, ListenOnly, PROXY_TIMEOUT};
use crate::{Config, Identity, Proxy};

/// TCP connections that the kernel holds ready for us.
const TCP_BACKLOG: u32 = 1024;
/// Bytes in flight towards us on one QUIC connection; a fast path across the world needs more than the default 15 MB.
const QUIC_CONNECTION_BYTES_MAX: u32 = 32 * 1024 * 1024;

/// Streams of one QUIC connection that the peer has open at the same time; it waits with further ones. There is a place for
/// each from the beginning on, in tables of 64 that are full with 56, and ours need some too.
const QUIC_STREAMS_MAX: u32 = 48;

/// What the swarm gets from the transports: who is there, and the streams.
pub(crate) type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// All transports behind the gate, with each connection watched.
pub(crate) fn connections(
    config: &Config,
    relayed: relay::client::Transport,
    door: Door,
    activity: Registry,
) -> Result<Connections, Box<dyn Error>> {
    let transports = match &config.proxy {
        Some(proxy) => proxied(&config.identity, proxy)?,
        None => direct(&config.identity)?,
    };
    // The others take a relayed address for one of theirs, so this one is asked first.
    let relayed = secured(relayed.map_err(io::Error::other), &config.identity)?;
    let transports = relayed
        .or_transport(transports)
        .map(|either, _| either.into_inner())
        .boxed();
    // Outermost, so that the address is the one that the swarm knows, a name where a name was dialled.
    let detour = config.proxy.as_ref().map_or(Duration::ZERO, |_| PROXY_TIMEOUT);
    let (accept, dial) = (config.accept_timeout, config.dial_timeout + detour);
    Ok(Guarded::new(transports, door, activity, accept, dial).boxed())
}

/// TCP and QUIC, with names resolved.
fn direct(identity: &Identity) -> Result<Connections, Box<dyn Error>> {
    let sockets = || {
        Ok::<_, noise::Error>(
            tcp(identity)?
                .or_transport(quic(identity))
                .map(|either, _| either.into_inner()),
        )
    };
    Ok(match dns::tokio::Transport::system(sockets()?) {
        Ok(named) => named.boxed(),
        Err(error) => {
            // A machine without a resolver can still talk with addresses in numbers.
            tracing::warn!(%error, "no DNS resolver is configured; /dns addresses will not be reached");
            let (servers, options) = (dns::ResolverConfig::default(), dns::ResolverOpts::default());
            dns::tokio::Transport::custom(sockets()?, servers, options).boxed()
        }
    })
}

/// Dials go through the proxy, all of them, and the proxy resolves names: there is no resolver here, and no other
/// transport that would dial.
fn proxied(identity: &Identity, proxy: &Proxy) -> Result<Connections, Box<dyn Error>> {
    let dialer = secured(Dialer::new(proxy.clone()), identity)?;
    let tcp = ListenOnly(secured(sockets(), identity)?);
    let quic = ListenOnly(quic(identity));
    Ok(dialer
        .or_transport(tcp)
        .map(|either, _| either.into_inner())
        .or_transport(quic)
        .map(|either, _| either.into_inner())
        .boxed())
}

/// TCP, dialled from the port where it listens, or from another where that does not do.
pub(crate) fn tcp(identity: &Identity) -> Result<Connections, noise::Error> {
    let transport = || secured(Crossing::of_sockets(sockets(), sockets()), identity);
    Ok(Crossing::of_ciphers(transport()?, transport()?).boxed())
}

fn sockets() -> TcpTransport {
    TcpTransport::new(TcpConfig::default().nodelay(true).listen_backlog(TCP_BACKLOG))
}

/// Noise and Yamux over a transport of bytes.
fn secured<T>(transport: T, identity: &Identity) -> Result<Connections, noise::Error>
where
    T: Transport<Error = io::Error> + Send + Unpin + 'static,
    T::Output: futures::AsyncRead + futures::AsyncWrite + Send + Unpin + 'static,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
{
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(STREAMS_PER_CONNECTION_MAX);
    Ok(transport
        .map(|socket, _| Metered::new(socket))
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise::Config::new(identity.keypair())?)
        .multiplex(muxer)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed())
}

fn quic(identity: &Identity) -> Connections {
    let mut config = quic::Config::new(identity.keypair());
    config.max_connection_data = QUIC_CONNECTION_BYTES_MAX;
    config.max_concurrent_stream_limit = QUIC_STREAMS_MAX;
    quic::tokio::Transport::new(config)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(Forgiving(StreamMuxerBox::new(muxer)))))
        .boxed()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    use futures::AsyncWrite;
    use futures::future::Either;
    use libp2p::core::Endpoint;
    use libp2p::core::muxing::StreamMuxerExt;
    use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportEvent};
    use rustle_peers::GateLimits;

    use super::*;

    /// The behaviour is kept: without it the transport of relays ends.
    fn node() -> (PeerId, Registry, Connections, relay::client::Behaviour) {
        let config = Config::new(Identity::generate(), "test".parse().unwrap());
        let registry = Registry::default();
        let door = Door::new(GateLimits::default());
        let (relayed, relays) = relay::client::new(config.identity.peer_id());
        let transports = connections(&config, relayed, door, registry.clone()).unwrap();
        (config.identity.peer_id(), registry, transports, relays)
    }

    #[tokio::test]
    async fn both_ends_of_a_new_connection_are_metered() {
        let (acceptor, acceptors, mut listening, _relays) = node();
        let (dialer, dialers, mut dialling, _others) = node();
        let address = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        listening.listen_on(ListenerId::next(), address).unwrap();
        let event = poll_fn(|cx| Pin::new(&mut listening).poll(cx)).await;
        let TransportEvent::NewAddress { listen_addr, .. } = event else {
            panic!("{event:?}")
        };
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let dial = dialling.dial(listen_addr, options).unwrap();
        let accept = async {
            let event = poll_fn(|cx| Pin::new(&mut listening).poll(cx)).await;
            event.into_incoming().unwrap().0.await
        };

        // The dialer says what it wants only when it opens a stream.
        let dial = async {
            let (_, mut muxer) = dial.await.unwrap();
            let mut stream = None;
            let driven = poll_fn(|cx| {
                if stream.is_none() {
                    stream = match muxer.poll_outbound_unpin(cx) {
                        Poll::Ready(opened) => Some(opened.unwrap()),
                        Poll::Pending => None,
                    };
                }
                if let Some(stream) = &mut stream {
                    let _ = Pin::new(&mut *stream).poll_write(cx, b"hello");
                    let _ = Pin::new(&mut *stream).poll_flush(cx);
                }
                muxer.poll_unpin(cx).map(drop)
            });
            driven.await;
        };

        tokio::pin!(accept, dial);
        let Either::Left((accepted, _dialling)) = futures::future::select(accept, dial).await else {
            panic!("the dialer gave up")
        };
        let _open = accepted.unwrap();

        for (registry, remote) in [(dialers, acceptor), (acceptors, dialer)] {
            let left = registry.left(&remote).unwrap();
            assert!((1..256 * 1024).contains(&left), "{left}");
            registry.unbind(&remote);
            assert_eq!(registry.left(&remote), None);
        }
    }
}
