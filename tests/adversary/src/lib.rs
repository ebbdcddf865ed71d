//! A peer that breaks the rules on demand.
//!
//! A node must hold against whoever dials it, so tests need peers that no honest program would be: ones that stop at any
//! stage of the handshake, say anything, answer nothing, or never read. They are made here of libp2p's building blocks
//! without its swarm: each stage is a call, and after each the caller has the bytes in hand.
//!
//! ```text
//! Adversary::tcp ──► Tap ── secure ──► Secured ── multiplex ──► Peer ── open(protocol) ──► Stream
//!  (from 127.x.y.z)   │ raw bytes       │ bytes under Noise      │ Yamux      │ bytes of one protocol
//! ```
//!
//! ```no_run
//! use rustle_adversary::{Adversary, hello};
//! use rustle_wire::Control;
//!
//! # async fn example() -> anyhow::Result<()> {
//! let node = "/ip4/127.0.0.1/tcp/4747".parse()?;
//! let adversary = Adversary::new().source("127.9.8.7".parse()?);
//! let (peer, mut control) = adversary.speak(&node).await?;
//! control.send(&Control::PingRequest { nonce: 7 }).await?;
//! control.send(&Control::Hello(hello("main"))).await?;
//! peer.closed().await;
//! # Ok(())
//! # }
//! ```

mod adversary;
mod bitswap;
mod control;
mod listener;
mod messages;
mod mirror;
mod negotiate;
mod peer;
mod tap;

pub use adversary::{Adversary, Secured};
pub use bitswap::{
    BITSWAP, BITSWAP_1_0, BITSWAP_1_1, Said, WireWant, bare_block, hear, payload, payloads, presence,
    wantlist,
};
pub use control::{ControlStream, Heard};
pub use listener::Listener;
pub use messages::{FIND_NODE, IDENTIFY, MESHSUB, find_node, hello, identify, publish, subscribe};
pub use mirror::Mirror;
pub use negotiate::{answer, propose};
pub use peer::{Manners, Peer, Stream};
pub use tap::{Ear, Tap, drained, dribble};
