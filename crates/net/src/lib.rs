//! How does a node talk with others?
//!
//! The libp2p swarm of a node, and the only crate that names libp2p. It carries out and never decides: commands go in,
//! events come out, both through bounded queues, and one task owns the swarm between them. Who is worth a connection,
//! what a message is worth and what to say are the business of others.
//!
//! * Transports: TCP with Noise and Yamux, QUIC v1, DNS.
//! * Identify; a Kademlia DHT of each network, and by setting those of IPFS; gossipsub that go-libp2p and js-libp2p understand.
//! * One control stream per connection (`/rustle/hello/1`), for the handshake and pings.
//! * Raw streams of any other protocol: inbound ones go to the [`Acceptor`] of their protocol, outbound ones are opened
//!   with [`Net::open`]. Their bytes never pass the task of the swarm.
//!
//! ```no_run
//! use rustle_net::{Command, Config, DhtMode, Event, Identity, spawn};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let (net, mut events, task) = spawn(Config {
//!     listen: vec!["/ip4/0.0.0.0/tcp/0".parse()?, "/ip4/0.0.0.0/udp/0/quic-v1".parse()?],
//!     dht: DhtMode::Auto,
//!     ..Config::new(Identity::generate(), "main".parse()?)
//! })?;
//! let address = "/ip4/192.0.2.1/tcp/4001".parse()?;
//! net.send(Command::Dial { request: 1, peer: None, addresses: vec![address] }).await?;
//! while let Some(event) = events.recv().await {
//!     match event {
//!         Event::Connected { peer, .. } => println!("connected with {peer}"),
//!         Event::DialFailed { error, .. } => println!("{error}"),
//!         _ => break,
//!     }
//! }
//! net.shutdown().await;
//! task.await?;
//! # Ok(())
//! # }
//! ```

mod activity;
mod admission;
mod allowance;
mod behaviour;
mod clock;
mod command;
mod commands;
mod compact;
mod config;
mod crossing;
mod dht;
mod dhts;
mod dial_error;
mod discovery;
mod door;
mod errands;
mod event;
mod events;
mod forgiving;
mod gated;
mod guarded;
mod handle;
mod identity;
mod keeping;
mod nat;
mod providers;
mod proxy;
mod realm;
mod rendezvous;
mod sightings;
mod standing;
mod start;
mod streams;
mod task;
mod transport;

pub use admission::{Admission, ForeignAccess, Scope};
pub use command::{Command, MessageRef};
pub use config::{
    ADVERTISED_NAMES_MAX, Acceptor, COMMANDS_QUEUED_MAX, CONTROL_PROTOCOL, Config, DISCOVERY_NAME_BYTES_MAX,
    DhtMode, EVENTS_QUEUED_MAX, GOSSIP_MESSAGES_QUEUED_MAX, Inbound,
};
pub use dhts::{Dht, IpfsDht};
pub use dial_error::DialError;
pub use event::{Asked, ControlError, Event, Source};
pub use handle::{Counters, NatCounters, Net, OpenError, Permit, Stopped};
pub use identity::{Identity, IdentityError};
pub use libp2p::Stream;
pub use proxy::{Proxy, ProxyFormatError};
pub use start::{StartError, spawn};
