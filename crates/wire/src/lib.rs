//! What do the bytes between two nodes mean?
//!
//! Bytes become checked domain types here, or an error; nothing behind this crate sees a malformed message. The generated
//! protobuf types stay private.
//!
//! ```
//! use bytes::BytesMut;
//! use rustle_types::limits::CONTROL_FRAME_BYTES_MAX;
//! use rustle_wire::{Control, frame};
//!
//! let ping = Control::PingRequest { nonce: 7 };
//! let mut bytes = BytesMut::new();
//! frame::encode(&ping.encode(), &mut bytes);
//!
//! let mut decoder = frame::Decoder::new(CONTROL_FRAME_BYTES_MAX);
//! decoder.push(&bytes);
//! let message = decoder.next().unwrap().expect("a whole frame was pushed");
//! assert_eq!(Control::decode(&message).unwrap(), ping);
//! ```

mod announce;
mod control;
mod error;
mod exchange;
pub mod frame;
mod join;
pub mod rendezvous;
mod sync;

/// The generated protobuf types, private to this crate.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::use_self,
    unreachable_pub,
    reason = "generated code"
)]
mod generated {
    include!("generated/rustle.wire.v1.rs");
}

pub use announce::Announcement;
pub use control::{Control, Disconnect, DisconnectReason, Hello, PROTOCOL_VERSION, Services, Versions};
pub use error::WireError;
pub use exchange::{PeerEntry, PeersList, PeersRequest};
pub use join::{JoinAccepted, JoinRefusal, JoinReply, JoinRequest, Member};
pub use sync::{SYNC_HAVE_MAX, SyncRefusal, SyncReply, SyncRequest};
