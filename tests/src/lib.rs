//! Real nodes in real processes: how they are started, driven, killed and compared.
//!
//! The end-to-end tests, the demo and the benchmark stand on this. Waiting is on events with a deadline; a test never
//! sleeps in the hope that something has happened meanwhile.
//!
//! ```no_run
//! use rustle_tests::{Cluster, Setup};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let cluster = Cluster::start(["A", "B"], &Setup::default()).await?;
//! cluster.connect_to_first().await?;
//! let peers = cluster.client(1).await?.peers().await?;
//! assert_eq!(peers[0].peer, cluster.node(0).peer());
//! # Ok(())
//! # }
//! ```

pub mod bench;
mod cluster;
pub mod content;
pub mod crowd;
mod daemon;
pub mod demo;
pub mod kubo;
pub mod lab;
pub mod limited;
mod process;
pub mod programs;
mod setup;
pub mod waiting;

pub use cluster::Cluster;
pub use daemon::{Daemon, Kept};
pub use process::{Finished, rustle, rustle_at, rustled, tcp_of};
pub use setup::Setup;
