//! What do the core, the sessions, the readers and the writers tell the exchange?

use bytes::Bytes;
use rustle_bitswap::client::RequestId;
use rustle_bitswap::message::{Message, Version};
use rustle_types::{Cid, ConnectionId, Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};

use super::Asked;

/// What the exchange is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// A connection stands.
    Connected { peer: PeerId, connection: ConnectionId },
    /// A connection is gone.
    Disconnected { peer: PeerId, connection: ConnectionId },
    /// Who has what was searched for.
    Providers {
        /// The number of the search.
        search: u64,
        providers: Vec<(PeerId, Vec<Multiaddr>)>,
    },
    /// A session begins.
    Open {
        request: RequestId,
        blocks: mpsc::Sender<(Cid, Bytes)>,
    },
    /// A session wants blocks.
    Want { request: RequestId, cids: Vec<Cid> },
    /// A session wants to know who was asked.
    Asked {
        request: RequestId,
        reply: oneshot::Sender<Asked>,
    },
    /// A session is over.
    Close { request: RequestId },
    /// A block has come into the store.
    Stored { cids: Vec<Cid> },
    /// The outbound stream to a peer is open.
    Speaks {
        peer: PeerId,
        visit: u64,
        version: Version,
    },
    /// The writer has given up: the peer does not speak bitswap, a relay is between us, or it does not take what it asked
    /// for.
    Mute {
        peer: PeerId,
        visit: u64,
        /// It has done no wrong, and stays connected.
        is_blameless: bool,
    },
    /// Bytes for a peer have gone, or have been given up.
    Sent { peer: PeerId, bytes: u64 },
    /// A message came; its blocks follow as [`Told::Arrived`].
    Said(Box<Said>),
    /// The blocks of a message were hashed.
    Arrived(Box<Arrived>),
}

/// What a peer wants, has and has not.
#[derive(Debug)]
pub(crate) struct Said {
    pub(super) peer: PeerId,
    /// Without its blocks.
    pub(super) message: Message,
}

/// Blocks of a peer, hashed.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(super) peer: PeerId,
    pub(super) blocks: Vec<(Cid, Bytes)>,
    /// Told which to keep, with the CIDs that they were asked for by.
    pub(super) keep: oneshot::Sender<Vec<(Cid, Bytes)>>,
}
