//! What does a chain's machine take, and what does it decide?

use std::time::Duration;

use bytes::Bytes;
use rustle_store::{Batch, StoreError};
use rustle_types::{BlockId, ChainId, PeerId, Verdict};
use rustle_wire::WireError;

use crate::{Block, BlockError, Body, DraftError, ReadError};

/// What a caller may tune. The defaults suit a node on the internet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A chain with few peers announces its leaves after at least this silence, and at most twice as much.
    pub quiet: Duration,
    /// The longest silence, whatever the number of peers.
    pub quiet_max: Duration,
    /// Pulls at the same time from different peers.
    pub pulls_max: usize,
    /// A further pull starts beside those that have brought nothing for so long.
    pub pull_stall: Duration,
    /// Bytes of accepted blocks that wait for the disk; beyond, appends are refused and announcements ignored.
    pub pending_bytes_max: usize,
}

/// Facts for a chain.
#[derive(Debug, Clone)]
pub enum Input {
    /// The application appends. Answered by one `Appended` or `Refused` with the same request number.
    Append {
        /// The caller's number for it.
        request: u64,
        /// At most 16 topics of 1 to 64 bytes.
        topics: Vec<String>,
        /// What the block says.
        body: Body,
    },
    /// A message on the chain's topic. Answered by one `Judge`, at once or within 3 s.
    Announced {
        /// The caller's number for it.
        message: u64,
        /// Who passed it to us.
        from: PeerId,
        /// The payload as it came.
        payload: Bytes,
    },
    /// Verified blocks from a pull, in the order the peer sent them. Answered by one `Continue`.
    Synced {
        /// Who sent them.
        from: PeerId,
        /// The blocks.
        blocks: Vec<Block>,
    },
    /// A pull is over; each `Sync` ends with exactly one of these.
    SyncEnded {
        /// From whom it was.
        peer: PeerId,
        /// How it ended.
        outcome: SyncOutcome,
    },
    /// A peer has subscribed to the chain's topic, and its handshake is done.
    PeerJoined {
        /// Which.
        peer: PeerId,
    },
    /// It has unsubscribed or gone.
    PeerLeft {
        /// Which.
        peer: PeerId,
    },
    /// The batch of this ticket, and of all earlier ones, is durable.
    Committed {
        /// Of the `Commit`.
        ticket: u64,
    },
    /// The batch of this ticket could not be written. The chain stops: see [`Chain`](crate::Chain).
    CommitFailed {
        /// Of the `Commit`.
        ticket: u64,
        /// What the store said.
        error: StoreError,
    },
}

/// Decisions of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write this, synced, in the order of the tickets and none after one that failed.
    Commit {
        /// For the answer; ascending.
        ticket: u64,
        /// What to write.
        batch: Batch,
    },
    /// The append is durable.
    Appended {
        /// Of the `Append`.
        request: u64,
        /// The new block.
        id: BlockId,
        /// Its height.
        height: u64,
    },
    /// The append is not done, and never will be.
    Refused {
        /// Of the `Append`.
        request: u64,
        /// Why.
        error: AppendError,
    },
    /// Say this on the chain's topic.
    Publish {
        /// An encoded announcement.
        payload: Bytes,
    },
    /// What to think of a message.
    Judge {
        /// Of the `Announced`.
        message: u64,
        /// The thought.
        verdict: Verdict,
    },
    /// Pull what we lack from this peer, with [`locator`](crate::sync::locator) as its `have`.
    Sync {
        /// From whom.
        peer: PeerId,
    },
    /// The blocks of the last `Synced` from this peer are taken: hand in the next.
    Continue {
        /// From whom.
        peer: PeerId,
    },
    /// All blocks below this sequence number are durable: followers may read on.
    Delivered {
        /// One more than the last.
        next_sequence: u64,
    },
    /// The peer sent something that no honest peer sends.
    Fault {
        /// Who.
        peer: PeerId,
        /// What.
        fault: Fault,
    },
    /// The store failed; for the log. The input that met the failure is dropped.
    StoreFailed {
        /// How.
        error: ReadError,
    },
}

/// How a pull ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncOutcome {
    /// The peer has sent all it had.
    Complete,
    /// The stream broke, timed out, or brought something that is not a block.
    Failed,
    /// The peer would not.
    Refused,
}

/// What no honest peer sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A message that is no announcement.
    #[error("announced something that is no announcement: {0}")]
    Malformed(#[from] WireError),
    /// A block that is not one.
    #[error("sent an invalid block: {0}")]
    Invalid(#[from] BlockError),
    /// A block under the id of another.
    #[error("announced a block as {0}, which it is not")]
    WrongId(BlockId),
    /// A block of another chain.
    #[error("sent block {0} of another chain")]
    ForeignChain(BlockId),
    /// A block whose height is not one more than that of its highest parent.
    #[error("sent block {id} with height {height} where {expected} is right")]
    WrongHeight {
        /// Which block.
        id: BlockId,
        /// What it says.
        height: u64,
        /// What is right.
        expected: u64,
    },
    /// Ids that the peer announced, and did not give when it was asked, several times.
    #[error("announced {0} blocks that it does not give")]
    Withheld(usize),
}

/// Why an append is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Topics or body are outside their bounds.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// The disk does not keep up.
    #[error("too much waits for the disk; try again in a moment")]
    Busy,
    /// A write has failed.
    #[error("the chain has stopped after a failed write: {0}")]
    Stopped(#[from] StoreError),
}

/// Why a chain cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No such chain here.
    #[error("chain {0} is not known here; create or join it first")]
    UnknownChain(ChainId),
    /// Its tables cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A chain at a glance, uncommitted blocks included where not said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Blocks, the genesis included.
    pub blocks: u64,
    /// Blocks that are durable.
    pub durable: u64,
    /// Blocks without children.
    pub leaves: usize,
    /// Blocks that wait for missing ancestors.
    pub orphans: usize,
    /// Bytes that wait for the disk.
    pub pending_bytes: usize,
    /// Peers on the topic.
    pub peers: usize,
    /// Pulls that run.
    pub pulls: usize,
    /// Whether a write has failed.
    pub is_stopped: bool,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(5),
            quiet_max: Duration::from_secs(300),
            pulls_max: 3,
            pull_stall: Duration::from_secs(2),
            pending_bytes_max: 64 * 1024 * 1024,
        }
    }
}
