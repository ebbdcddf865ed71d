//! What do two IPFS nodes say to each other when they exchange blocks? (specs.ipfs.tech/bitswap-protocol)
//!
//! Payloads are never copied: a block is a slice of the message that it came in, and leaves as a part of its own in
//! the frame that is written. Hashing is apart from reading ([`RawBlock::hash`]), so that it can run elsewhere.

use std::collections::HashSet;

use bytes::Bytes;
use rustle_types::Cid;

pub use decode::{DecodeError, FrameLength, frame_length};
pub use raw_block::{HashError, RawBlock};

mod decode;
mod encode;
mod raw_block;
#[cfg(test)]
mod tests;

/// The protocols, the best first, in the order in which they are offered.
pub const PROTOCOLS: [&str; 4] = [
    "/ipfs/bitswap/1.2.0",
    "/ipfs/bitswap/1.1.0",
    "/ipfs/bitswap/1.0.0",
    "/ipfs/bitswap",
];

/// Wants of one message that are kept; the others are dropped and counted.
pub const MESSAGE_WANTS_MAX: usize = 1024;
/// Wants, blocks and presences of one message together; a message with more is refused before it is unpacked.
pub const MESSAGE_PARTS_MAX: usize = 65_536;

/// What a peer can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Blocks without prefix, so CIDv0 only.
    V1_0,
    /// Blocks with the prefix of their CID.
    V1_1,
    /// Want-have and presences.
    V1_2,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// What the sender wants, at most [`MESSAGE_WANTS_MAX`] after reading.
    pub wants: Vec<Want>,
    /// Whether the wants replace all earlier ones.
    pub full: bool,
    /// Blocks, not hashed yet where the message was read.
    pub blocks: Vec<RawBlock>,
    /// Presences that were asked for.
    pub presences: Vec<(Cid, Presence)>,
    /// Bytes that the sender has queued for the receiver.
    pub pending_bytes: u32,
    /// Wants and presences that were not kept: over the bound, or with a CID that is none or is not known here.
    pub dropped: usize,
}

/// One want, or its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Of which block.
    pub cid: Cid,
    /// Higher is more urgent.
    pub priority: i32,
    /// The block, or the knowledge of it.
    pub kind: WantKind,
    /// The want is withdrawn.
    pub cancel: bool,
    /// An answer is wished also when the block is not there.
    pub send_dont_have: bool,
}

/// What is wanted of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WantKind {
    /// Its bytes.
    Block,
    /// Whether it is there.
    Have,
}

/// Whether a block is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// It is.
    Have,
    /// It is not.
    DontHave,
}

// === impl Version ===

impl Version {
    /// The version behind a protocol name.
    pub fn of_protocol(name: &str) -> Option<Self> {
        match name {
            "/ipfs/bitswap/1.2.0" => Some(Self::V1_2),
            "/ipfs/bitswap/1.1.0" => Some(Self::V1_1),
            "/ipfs/bitswap/1.0.0" | "/ipfs/bitswap" => Some(Self::V1_0),
            _ => None,
        }
    }
}

// === impl Want ===

impl Want {
    /// A want for the block, answered in any case.
    pub const fn block(cid: Cid, priority: i32) -> Self {
        Self {
            cid,
            priority,
            kind: WantKind::Block,
            cancel: false,
            send_dont_have: true,
        }
    }

    /// A want for the knowledge of the block, answered in any case.
    pub const fn have(cid: Cid, priority: i32) -> Self {
        Self {
            cid,
            priority,
            kind: WantKind::Have,
            cancel: false,
            send_dont_have: true,
        }
    }

    /// The end of a want.
    pub const fn cancel(cid: Cid) -> Self {
        Self {
            cid,
            priority: 0,
            kind: WantKind::Block,
            cancel: true,
            send_dont_have: false,
        }
    }
}

// === impl Message ===

impl Message {
    /// A message with wants only: of each block the last word. Of want and cancel in one message boxo would keep the cancel,
    /// whichever came first.
    pub fn of_wants(mut wants: Vec<Want>) -> Self {
        let mut said = HashSet::with_capacity(wants.len());
        wants.reverse();
        wants.retain(|want| said.insert(want.cid));
        wants.reverse();
        Self {
            wants,
            ..Self::default()
        }
    }

    /// Reads a message without its length. The blocks share memory with `bytes`.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        decode::decode(bytes)
    }

    /// The message with its length in front, as parts to be written one after the other.
    ///
    /// What `version` has no words for is left out: want-have and presences before 1.2, prefixes in 1.0.
    pub fn frame(&self, version: Version) -> Vec<Bytes> {
        encode::frame(self, version)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.wants.is_empty() && self.blocks.is_empty() && self.presences.is_empty() && !self.full
    }
}
