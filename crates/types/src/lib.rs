//! The words every other crate of Rustle speaks: ids, topics, time, limits, verdicts and the contract of a machine.
//!
//! Nothing here waits, reads a clock or touches a disk, and nothing here depends on another Rustle crate (layer 0).
//!
//! ```
//! use rustle_types::{BlockId, Now, Timestamp, Uptime};
//!
//! let id = BlockId::of(b"the bytes of a block");
//! assert_eq!(id, id.to_string().parse().unwrap());
//! assert!(id.to_string().starts_with("bafyrei"), "a block is a CIDv1 of DAG-CBOR");
//!
//! let now = Now { uptime: Uptime::from_secs(60), wall: Timestamp::from_millis(1_700_000_000_000) };
//! assert_eq!(now.uptime - Uptime::ZERO, std::time::Duration::from_secs(60));
//! ```

pub mod address;
mod connection;
pub mod content;
mod id;
pub mod limits;
pub mod machine;
mod time;
mod topic;
mod verdict;

pub use address::{Group, Host, Reach};
pub use cid::Cid;
pub use connection::{ConnectionId, Direction};
pub use id::{Author, BlockId, ChainId, IdError};
pub use libp2p_identity::PeerId;
pub use machine::{Machine, Outbox};
pub use multiaddr::Multiaddr;
pub use time::{Now, Timestamp, Uptime};
pub use topic::{NetworkName, TopicError, TopicName};
pub use verdict::Verdict;
