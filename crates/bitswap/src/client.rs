//! Which block do we ask of which peer?
//!
//! Wants come in requests; a request is also a session: blocks of one request are likely to lie at the same peers.
//! A session that knows nobody asks one peer for the block and all others whether they have it. Who says yes or
//! delivers becomes a peer of the session, and is from then on asked for blocks at once. Each block is asked of one
//! peer; the load is split by what peers have in flight and how fast they are; a peer that fails is replaced.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use multihash_codetable::Multihash;
use rustle_types::{Cid, Machine, Now, Outbox, PeerId, Uptime};

use crate::message::{Message, Version, Want};
use link::Link;
use past::Past;
use session::Session;
use want::WantState;

mod dispatch;
mod link;
mod past;
mod session;
#[cfg(test)]
mod tests;
mod want;

/// Blocks wanted at once by all requests; more are refused.
pub const WANTS_MAX: usize = 131_072;
/// Wants of ours that one peer holds; below the 1,024 that Kubo remembers.
pub const PEER_WANTS_MAX: usize = 1000;
/// Wants in one message (boxo's bound).
pub const MESSAGE_WANTS_MAX: usize = 256;
/// Bytes asked of all peers together and not yet come.
pub const FLYING_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Peers of one request that are remembered as asked.
pub const ASKED_PEERS_MAX: usize = 1024;

/// Names a request. The caller chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A fact for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Blocks are wanted. Repeated for the same request it adds to it; the request lives until `Cancel`.
    Want {
        /// For whom.
        request: RequestId,
        /// Blocks that are not in the store, in the order in which they are needed.
        cids: Vec<Cid>,
    },
    /// The request has ended, with or without all of its blocks.
    Cancel(RequestId),
    /// A peer that speaks bitswap is connected. Said again it only updates the version.
    PeerConnected(PeerId, Version),
    /// The last connection to the peer is gone.
    PeerDisconnected(PeerId),
    /// A message came, and its blocks were hashed.
    Received {
        /// From whom.
        peer: PeerId,
        /// Computed CIDs of the blocks, and their sizes in bytes.
        blocks: Vec<(Cid, u64)>,
        /// Blocks that the peer has.
        haves: Vec<Cid>,
        /// Blocks that the peer has not.
        dont_haves: Vec<Cid>,
    },
}

/// A decision of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send these wants and cancels as one message, never more than [`MESSAGE_WANTS_MAX`].
    Send {
        /// To whom.
        peer: PeerId,
        /// In this order.
        wants: Vec<Want>,
    },
    /// A wanted block has come: store it. Once for each request that wanted it, with the CID as it was asked for.
    Got {
        /// For whom.
        request: RequestId,
        /// Which block.
        cid: Cid,
        /// From whom.
        from: PeerId,
    },
    /// A block that nobody wants, or wants no more: do not store it.
    Unwanted {
        /// Who sent it.
        peer: PeerId,
        /// Which block.
        cid: Cid,
        /// Whether it was wanted a while ago: it has come from another peer, or the request has ended. That is no fault.
        is_late: bool,
    },
    /// No connected peer moves the request on: look for providers and connect to them.
    FindProviders {
        /// For whom.
        request: RequestId,
        /// The first block that is missing.
        cid: Cid,
    },
    /// Too many blocks are wanted; ask again when some have come.
    Refused {
        /// For whom.
        request: RequestId,
        /// Which block.
        cid: Cid,
    },
}

/// Fetches blocks from many peers.
#[derive(Debug, Default)]
pub struct Client {
    wants: HashMap<Multihash, WantState>,
    sessions: BTreeMap<RequestId, Session>,
    links: BTreeMap<PeerId, Link>,
    timers: BTreeSet<(Uptime, Timer)>,
    flying_bytes: u64,
    /// The session that was served last, so that the next one comes first.
    served: Option<RequestId>,
    outgoing: BTreeMap<PeerId, Vec<Want>>,
    /// What was wanted a while ago.
    past: Past,
    outbox: Outbox<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A block asked of a peer is late.
    Flight(Multihash, PeerId),
    /// A session makes no progress.
    Search(RequestId),
}

/// Whom a request has asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Peers that were asked for a block or the knowledge of it, at most [`ASKED_PEERS_MAX`], and whether they have said of
    /// one that they have it not.
    pub peers: BTreeMap<PeerId, bool>,
}

/// What is known of one peer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeerStats {
    /// Bytes a second, as measured while it had something to send.
    pub bytes_per_second: f64,
    /// Bytes that may be asked of it at once.
    pub window_bytes: u64,
    /// Blocks asked and not yet come.
    pub flying: usize,
}

impl Machine for Client {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Now, input: Input) {
        let now = now.uptime;
        match input {
            Input::Want { request, cids } => self.on_want(now, request, cids),
            Input::Cancel(request) => self.on_cancel(request),
            Input::PeerConnected(peer, version) => self.on_connected(now, peer, version),
            Input::PeerDisconnected(peer) => self.on_disconnected(&peer),
            Input::Received {
                peer,
                blocks,
                haves,
                dont_haves,
            } => {
                for (cid, size) in blocks {
                    self.on_block(now, peer, cid, size);
                }
                for cid in haves {
                    self.on_have(peer, cid.hash());
                }
                for cid in dont_haves {
                    self.on_dont_have(peer, cid.hash());
                }
            }
        }
        self.dispatch(now);
        self.flush();
    }

    fn on_deadline(&mut self, now: Now) {
        let now = now.uptime;
        while let Some((due, timer)) = self.timers.first().copied() {
            if now < due {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Flight(hash, peer) => self.on_flight_timer(now, hash, peer),
                Timer::Search(request) => self.on_search_timer(now, request),
            }
        }
        self.dispatch(now);
        self.flush();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    fn next_deadline(&self) -> Option<Uptime> {
        self.timers.first().map(|(due, _)| *due)
    }
}

// === impl Client ===

impl Client {
    /// A client without peers and wants.
    pub fn new() -> Self {
        Self::default()
    }

    /// Blocks that are wanted now.
    pub fn wanted(&self) -> usize {
        self.wants.len()
    }

    /// Whom a request has asked so far; nobody where there is no such request.
    pub fn asked(&self, request: RequestId) -> Asked {
        let session = self.sessions.get(&request);
        let peers = session.map(|session| session.asked.clone());
        Asked {
            peers: peers.unwrap_or_default(),
        }
    }

    /// What is known of a connected peer.
    pub fn peer_stats(&self, peer: &PeerId) -> Option<PeerStats> {
        self.links.get(peer).map(Link::stats)
    }

    /// Makes messages of what was decided.
    fn flush(&mut self) {
        for (peer, wants) in std::mem::take(&mut self.outgoing) {
            // Where want and cancel of a block meet here, the last word counts.
            let wants = Message::of_wants(wants).wants;
            for part in wants.chunks(MESSAGE_WANTS_MAX) {
                self.outbox.push(Output::Send {
                    peer,
                    wants: part.to_vec(),
                });
            }
        }
    }

    fn send(&mut self, peer: PeerId, want: Want) {
        self.outgoing.entry(peer).or_default().push(want);
    }
}
