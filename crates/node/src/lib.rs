//! A node assembled: RocksDB, libp2p, the engine and the administration interface in one process.
//!
//! The engine decides and never waits; the tasks of this crate wait and never decide. One task drives the engine
//! (`core_loop`), one thread writes (`storage`), and bulk bytes (files, sync, bitswap) run on tasks of their own between
//! the network streams and the store.
//!
//! ```no_run
//! use rustle_node::{Config, Node};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::start(Config::new("/var/lib/rustle")).await?;
//! println!("{} listens at {:?}", node.peer_id(), node.addresses());
//! node.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod backend;
mod clock;
pub mod config;
mod core_loop;
mod deliveries;
mod exchange;
mod facts;
mod faults;
mod files;
mod framed;
mod guests;
mod identity;
mod join;
mod keep;
mod lists;
mod log_budget;
mod metrics;
mod node;
mod people;
mod refusals;
mod routing;
mod settings;
mod shared;
mod storage;
mod sync;
mod tunnels;

pub use config::{
    Admin, Config, ConfigError, ConfigFile, DiscoveryConfig, NatConfig, PeersConfig, RoutingConfig,
};
pub use identity::DataDirError;
pub use node::{Node, StartError, StopError};
