//! What is said of the store.

use std::time::Duration;

use rustle_types::{Cid, Timestamp};

pub use rustle_store::collect::Fault as BlockFault;
pub use rustle_store::pins::{NAME_BYTES_MAX as PIN_NAME_BYTES_MAX, Pin, PinKind};

/// Pins of one answer.
pub const PINS_MAX: usize = 1000;

/// The state of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStat {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Recursive pins.
    pub recursive_pins: u64,
    /// Direct pins.
    pub direct_pins: u64,
    /// Bytes of all files of the store, where the system tells.
    pub disk_bytes: Option<u64>,
    /// Bytes that are free on its disk, where the system tells.
    pub free_bytes: Option<u64>,
    /// The bound of the bytes on disk, if there is one.
    pub quota: Option<QuotaView>,
    /// The last collection of garbage since the start.
    pub last_collection: Option<Collected>,
    /// Whether writes are accepted.
    pub healthy: bool,
    /// The state in words.
    pub health: String,
}

/// The bound of the bytes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaView {
    /// The bound.
    pub bytes: u64,
    /// From so many on garbage is collected.
    pub high: u64,
    /// Down to so many it is removed.
    pub low: u64,
}

/// A collection of garbage that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// When.
    pub ended: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// Blocks that it removed.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How far a check of all blocks has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyProgress {
    /// Blocks so far.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was found since the last answer: the block, what is wrong, and whether it was repaired.
    pub faults: Vec<(Cid, BlockFault, bool)>,
    /// Whether this is the last answer.
    pub done: bool,
}

/// What a collection of garbage is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GarbagePhase {
    /// It looks for what is kept.
    #[default]
    Mark,
    /// It removes the rest.
    Sweep,
    /// It gives the room back to the system.
    Reclaim,
}

/// How far a collection of garbage has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GarbageProgress {
    /// What it is doing.
    pub phase: GarbagePhase,
    /// Blocks that were found to be kept.
    pub marked: u64,
    /// Blocks that the sweep has looked at.
    pub seen: u64,
    /// Blocks that were removed.
    pub removed_blocks: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Whether this is the last answer.
    pub done: bool,
}

/// How content is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinView {
    /// By a pin of its own.
    Own(Pin),
    /// By a recursive pin that it lies below.
    Indirect {
        /// The content.
        cid: Cid,
        /// The root of the pin.
        through: Cid,
    },
}

/// Which pins to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PinQuery {
    /// Only how this one is kept.
    pub cid: Option<Cid>,
    /// Only pins of this kind.
    pub kind: Option<PinKind>,
    /// Go on behind the page with this token.
    pub after: Option<Vec<u8>>,
    /// At most so many, up to [`PINS_MAX`].
    pub limit: usize,
}

/// Some pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinPage {
    /// The pins.
    pub pins: Vec<PinView>,
    /// Token of the next page.
    pub next: Option<Vec<u8>>,
}

/// A pin that was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The pin.
    pub pin: Pin,
    /// Blocks that were fetched for it.
    pub fetched: u64,
}
