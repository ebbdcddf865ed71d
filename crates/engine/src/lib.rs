//! The whole node without I/O: a machine made of machines.
//!
//! [`Engine`] holds the peer manager and one machine per chain, and routes between them: who subscribes to a chain's
//! topic is told to that chain, what a chain publishes goes to its topic, what must be durable goes out with a ticket and
//! comes back when it is. The node drives it with real time and sockets, a simulation with virtual ones.
//!
//! ```
//! use std::sync::Arc;
//! use rustle_engine::{Ask, Config, Engine, Input, Output, Reply};
//! use rustle_store::{Durability, MemoryStore, Store};
//! use rustle_types::{Machine, Now};
//!
//! let store = Arc::new(MemoryStore::new());
//! let signer = rustle_chain::Signer::from_secret([7; 32]);
//! let peers = rustle_peers::Config::new(signer.author().peer_id().unwrap());
//! let mut engine = Engine::open(Config { peers }, store.clone(), signer, [9; 32]).unwrap();
//!
//! let ask = Ask::CreateChain { name: "notes".into() };
//! engine.handle(Now::default(), Input::Request { request: 1, ask });
//! let mut chain = None;
//! while let Some(output) = engine.poll_output() {
//!     match output {
//!         Output::Commit { ticket, batch } => {
//!             store.commit(batch, Durability::Synced).unwrap();
//!             engine.handle(Now::default(), Input::Committed { ticket });
//!         }
//!         Output::Reply { reply: Ok(Reply::Chain(id)), .. } => chain = Some(id),
//!         _ => {}
//!     }
//! }
//! assert!(chain.is_some(), "acknowledged after the commit");
//! ```

mod asks;
mod chains;
mod engine;
mod event;
mod join;
mod people;
mod reachable;

pub use engine::{Config, Engine, OpenError};
pub use event::{Ask, AskError, Input, Numbers, Output, PeerAsk, Reply};
