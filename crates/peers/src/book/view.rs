//! What people are shown of the book.

use rustle_types::{PeerId, Timestamp, Uptime};

use super::Book;
use super::address_list::KnownAddress;
use super::entry::{Entry, Seat};
use super::source::SourceKind;

/// In which part of the book a peer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableKind {
    /// It was only heard of, or lost its place in the tried table.
    New,
    /// It was reached.
    Tried,
    /// The node needs it.
    Needed,
}

/// A peer of the book as people are shown it.
#[derive(Debug, Clone)]
pub struct EntryView {
    /// The peer.
    pub peer: PeerId,
    /// Where it may be found, its home first.
    pub addresses: Vec<KnownAddress>,
    /// In which part of the book it stands.
    pub table: TableKind,
    /// Who named it first.
    pub source: SourceKind,
    /// When a handshake with it was last complete; zero for never.
    pub seen: Timestamp,
    /// When it was dialled last; zero for never.
    pub tried: Timestamp,
    /// When a dial last led to a handshake; zero for never.
    pub reached: Timestamp,
    /// Failed dials since then.
    pub failures: u32,
    /// When it may be dialled again; `None` while it is connected or being dialled.
    pub next_dial: Option<Uptime>,
    /// Whether it is dialled first after a restart.
    pub anchor: bool,
}

/// How full the book is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BookStats {
    /// Peers that were only heard of.
    pub new: usize,
    /// Peers that were reached.
    pub tried: usize,
    /// Peers that the node needs.
    pub needed: usize,
    /// Groups that all of them are spread over.
    pub groups: usize,
    /// Places in the tried table whose holders are to be tested.
    pub pending_tests: usize,
}

// === impl TableKind ===

impl TableKind {
    /// The name of the part in lists and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Tried => "tried",
            Self::Needed => "needed",
        }
    }
}

// === impl Book ===

impl Book {
    /// Every peer, in the order of ids.
    pub fn views(&self) -> impl Iterator<Item = EntryView> {
        self.entries.iter().map(|(peer, entry)| view(*peer, entry))
    }

    /// One peer.
    pub fn view(&self, peer: &PeerId) -> Option<EntryView> {
        self.entries.get(peer).map(|entry| view(*peer, entry))
    }

    /// How full the book is.
    pub fn stats(&self) -> BookStats {
        BookStats {
            new: self.new.len(),
            tried: self.tried.len(),
            needed: self.needed,
            groups: self.index.groups(),
            pending_tests: self.trials.len(),
        }
    }
}

fn view(peer: PeerId, entry: &Entry) -> EntryView {
    EntryView {
        peer,
        addresses: entry.addresses.iter().cloned().collect(),
        table: match entry.seat {
            Seat::New(_) => TableKind::New,
            Seat::Tried(_) => TableKind::Tried,
            Seat::Needed => TableKind::Needed,
        },
        source: entry.source.kind,
        seen: entry.seen,
        tried: entry.tried,
        reached: entry.reached,
        failures: entry.failures.max(entry.misses),
        next_dial: entry.is_idle().then_some(entry.ready),
        anchor: entry.anchor,
    }
}
