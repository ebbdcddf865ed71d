//! How does a node come onto the network?

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use libp2p::core::transport::TransportError;
use libp2p::{Swarm, relay, swarm};
use rustle_peers::directory::Directory;
use rustle_types::{Multiaddr, address};
use rustle_wire::rendezvous::PROTOCOL;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::activity::Registry;
use crate::behaviour::{Behaviour, NodeSwarm};
use crate::compact::Compact;
use crate::config::{
    COMMANDS_QUEUED_MAX, EVENTS_QUEUED_MAX, IDLE_TIMEOUT, RENDEZVOUS_STREAMS_QUEUED_MAX, STREAMS_WAITING_MAX,
};
use crate::door::Door;
use crate::streams::{Routes, Streams};
use crate::task::Task;
use crate::{Acceptor, Config, Event, Net, Scope};
use crate::{rendezvous, transport};

/// Events of one connection that wait for the swarm, and orders of the swarm that wait for a connection.
const CONNECTION_EVENTS_QUEUED_MAX: usize = 64;
const CONNECTION_ORDERS_QUEUED_MAX: usize = 256;

/// Why a node did not come onto the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Another program listens there.
    #[error("cannot listen on {0}: address in use; stop the other program or choose another with --listen")]
    AddressInUse(Multiaddr),
    /// No transport for the address.
    #[error("cannot listen on {0}: unsupported; use /ip4 or /ip6 with /tcp/PORT or /udp/PORT/quic-v1")]
    Unsupported(Multiaddr),
    /// The operating system refused.
    #[error("cannot listen on {address}: {reason}; choose another with --listen")]
    CannotListen {
        /// Where.
        address: Multiaddr,
        /// What it said.
        reason: String,
    },
    /// A name that does not begin with `/`.
    #[error("`{0}` is not a protocol name; it begins with /")]
    BadProtocol(String),
    /// Two acceptors for one protocol, or one for the control protocol.
    #[error("protocol {0} has two acceptors")]
    ProtocolTwice(String),
    /// The transports cannot be set up.
    #[error("cannot set up the network: {0}")]
    Transport(String),
}

/// Starts a node: gives a handle, its events, and its task, which ends once the node has left the network.
///
/// All addresses are bound when this returns; `Event::Listening` tells the ports that the system chose. To be called
/// within a tokio runtime with time and I/O.
pub fn spawn(mut config: Config) -> Result<(Net, mpsc::Receiver<Event>, JoinHandle<()>), StartError> {
    config.reconcile();
    let counts = Arc::default();
    if config.rendezvous_server {
        config.acceptors.push(rendezvous_point());
    }
    let acceptors = std::mem::take(&mut config.acceptors);
    let routes = Arc::new(Routes::new(acceptors)?);
    let activity = Registry::default();
    let door = Door::new(config.gate);
    let streams = Streams::new(
        Arc::clone(&routes),
        Arc::clone(&counts),
        activity.clone(),
        door.clone(),
        &config,
    );
    let changed = streams.changed();
    let mut swarm = build(&config, streams, door.clone(), activity).map_err(StartError::Transport)?;
    for address in &config.listen {
        refuse_taken_port(address)?;
    }
    let listeners = config.listen.len();
    for address in std::mem::take(&mut config.listen) {
        swarm.listen_on(address.clone()).map_err(|error| match error {
            TransportError::MultiaddrNotSupported(address) => StartError::Unsupported(address),
            TransportError::Other(error) => cannot_listen(address, &error),
        })?;
    }
    let (requests, requests_receiver) = mpsc::channel(COMMANDS_QUEUED_MAX);
    let (events, events_receiver) = mpsc::channel(EVENTS_QUEUED_MAX);
    let net = Net {
        peer_id: config.identity.peer_id(),
        requests,
        routes,
        counts,
        door,
        nat_counts: Arc::default(),
        changed,
    };
    let nat_counts = Arc::clone(&net.nat_counts);
    let task = Task::new(swarm, &config, nat_counts, requests_receiver, events);
    Ok((net, events_receiver, tokio::spawn(task.run(listeners))))
}

/// A directory of its own, served as long as streams to it can be opened.
fn rendezvous_point() -> Acceptor {
    let (streams, inbound) = mpsc::channel(RENDEZVOUS_STREAMS_QUEUED_MAX);
    tokio::spawn(rendezvous::serve(Directory::new(rand::random()), inbound));
    Acceptor {
        protocol: PROTOCOL.to_owned(),
        scope: Scope::Dht,
        streams,
    }
}

fn build(config: &Config, streams: Streams, door: Door, activity: Registry) -> Result<NodeSwarm, String> {
    let local = config.identity.peer_id();
    let (relayed, relay_client) = relay::client::new(local);
    let behaviour = Behaviour::new(config, streams, relay_client)?;
    let connections =
        transport::connections(config, relayed, door, activity).map_err(|error| error.to_string())?;
    let swarm_config = swarm_config(swarm::Config::with_tokio_executor());
    Ok(Swarm::new(connections, Compact(behaviour), local, swarm_config))
}

fn swarm_config(config: swarm::Config) -> swarm::Config {
    config
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        .with_max_negotiating_inbound_streams(STREAMS_WAITING_MAX)
        .with_per_connection_event_buffer_size(CONNECTION_EVENTS_QUEUED_MAX)
        .with_notify_handler_buffer_size(
            CONNECTION_ORDERS_QUEUED_MAX
                .try_into()
                .expect("the constant is not zero"),
        )
}

/// libp2p sets `SO_REUSEPORT` on its TCP listeners, so two nodes of one user could share a port unnoticed and each get
/// half of the connections. A plain bind finds the other one.
fn refuse_taken_port(address: &Multiaddr) -> Result<(), StartError> {
    let Some(socket) = address::tcp(address).filter(|socket| socket.port() != 0) else {
        return Ok(());
    };
    TcpListener::bind(socket)
        .map(drop)
        .map_err(|error| cannot_listen(address.clone(), &error))
}

fn cannot_listen(address: Multiaddr, error: &io::Error) -> StartError {
    // Each layer of the transport wraps the system's error once more; the text of the innermost says it all.
    let mut deepest = error;
    while let Some(inner) = deepest
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<io::Error>())
    {
        deepest = inner;
    }
    let reason = deepest.to_string();
    if deepest.kind() == io::ErrorKind::AddrInUse || reason.contains("in use") {
        StartError::AddressInUse(address)
    } else {
        StartError::CannotListen { address, reason }
    }
}
