//! Over which transports do connections come and go?

use std::error::Error;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade;
use libp2p::{Transport as _, dns, noise, quic, tcp, yamux};
use rustle_types::PeerId;

use crate::Identity;
use crate::activity::Registry;
use crate::config::STREAMS_PER_CONNECTION_MAX;

/// TCP connections that the kernel holds ready for us.
const TCP_BACKLOG: u32 = 1024;
/// Bytes in flight towards us on one QUIC connection; a fast path across the world needs more than the default 15 MB.
const QUIC_CONNECTION_BYTES_MAX: u32 = 32 * 1024 * 1024;

/// What the swarm gets from the transports: who is there, and the streams.
pub(crate) type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// All transports, with names resolved and each connection watched.
pub(crate) fn connections(identity: &Identity, activity: Registry) -> Result<Connections, Box<dyn Error>> {
    let transports = match dns::tokio::Transport::system(sockets(identity)?) {
        Ok(named) => named.boxed(),
        Err(error) => {
            // A machine without a resolver can still talk with addresses in numbers.
            tracing::warn!(%error, "no DNS resolver is configured; /dns addresses will not be reached");
            let (servers, options) = (dns::ResolverConfig::default(), dns::ResolverOpts::default());
            dns::tokio::Transport::custom(sockets(identity)?, servers, options).boxed()
        }
    };
    // Outermost, so that the address is the one that the swarm knows, a name where a name was dialled.
    let watched = transports
        .map(move |(peer, muxer), point| (peer, StreamMuxerBox::new(activity.watch(peer, muxer, &point))));
    Ok(watched.boxed())
}

/// TCP with Noise and Yamux, and QUIC.
fn sockets(identity: &Identity) -> Result<Connections, noise::Error> {
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(STREAMS_PER_CONNECTION_MAX);
    let tcp_config = tcp::Config::default().nodelay(true).listen_backlog(TCP_BACKLOG);
    let tcp = tcp::tokio::Transport::new(tcp_config)
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise::Config::new(identity.keypair())?)
        .multiplex(muxer)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let mut quic_config = quic::Config::new(identity.keypair());
    quic_config.max_connection_data = QUIC_CONNECTION_BYTES_MAX;
    let quic =
        quic::tokio::Transport::new(quic_config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Ok(tcp
        .or_transport(quic)
        .map(|either, _| either.into_inner())
        .boxed())
}
