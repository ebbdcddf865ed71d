//! What does the book know of one peer, and is it still worth a place?

use std::time::Duration;

use rustle_types::{Group, PeerId, Reach, Timestamp, Uptime};

use super::address_list::AddressList;
use super::source::Source;
use super::table::Place;

/// A peer of which nothing was seen or heard for so long is terrible.
pub const HORIZON: Duration = Duration::from_secs(30 * 24 * 3600);
/// A peer that was never reached is terrible after so many failed dials.
pub const NEVER_REACHED_FAILURES_MAX: u32 = 3;
/// A peer that was not reached for [`FAILING_FOR`] is terrible after so many failed dials.
pub const FAILURES_MAX: u32 = 10;
/// How long the failures must have gone on.
pub const FAILING_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// A peer that was dialled so recently is not terrible: the answer may be on its way.
const JUST_DIALLED: Duration = Duration::from_secs(60);
/// What is dialled again within this time is drawn a hundred times more rarely.
const RECENTLY_DIALLED: Duration = Duration::from_secs(600);
/// Failures beyond this do not make a peer rarer.
const CHANCE_FAILURES_MAX: u32 = 8;

/// Why the node needs a peer. Needed peers are kept apart from the tables and are always dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A member of one of its chains. This need survives a restart.
    Member,
    /// The operator wants the connection.
    Static,
    /// A boot node.
    Boot,
}

/// All reasons why one peer is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs(u8);

/// Where the entry sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// Heard of. New => (Tried | Needed).
    New(Place),
    /// Reached. Tried => (New | Needed).
    Tried(Place),
    /// Kept apart. Needed => (New | Tried).
    Needed,
}

/// What the present connection has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contact {
    /// The peer dialled us. Received => (Greeted | Excused).
    Received,
    /// We dialled. Dialled => (Greeted | Excused).
    Dialled,
    /// The handshake is complete. Greeted => Excused.
    Greeted,
    /// The connection comes to nothing, and that says nothing against the peer.
    Excused,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) seat: Seat,
    pub(super) needs: Needs,
    pub(super) addresses: AddressList,
    /// Who told us first.
    pub(super) source: Source,
    /// When a handshake with it was last complete; zero for never.
    pub(super) seen: Timestamp,
    /// When somebody spoke of it last.
    pub(super) heard: Timestamp,
    /// When it was dialled last; zero for never.
    pub(super) tried: Timestamp,
    /// When a dial last led to a handshake; zero for never.
    pub(super) reached: Timestamp,
    /// Failed dials since then, as far as they prove anything.
    pub(super) failures: u32,
    /// Failed dials in a row, whatever the reason; they lengthen the wait.
    pub(super) misses: u32,
    /// Connections in a row that the peer ended at once or refused; they lengthen the wait too.
    pub(super) drops: u32,
    /// Not dialled before.
    pub(super) ready: Uptime,
    pub(super) dialling: bool,
    pub(super) connected: bool,
    /// Since when an outbound connection is handshaken.
    pub(super) outbound: Option<Uptime>,
    pub(super) contact: Contact,
    /// When a failure was counted last.
    pub(super) counted: Option<Uptime>,
    pub(super) accepts_inbound: bool,
    /// It was met last as a peer that does not speak our protocol.
    pub(super) is_foreign: bool,
    /// One of the outbound connections that are made first after a restart.
    pub(super) anchor: bool,
}

// === impl Needs ===

impl Needs {
    pub(super) const fn with(self, need: Need) -> Self {
        Self(self.0 | 1 << need as u8)
    }

    pub(super) const fn without(self, need: Need) -> Self {
        Self(self.0 & !(1 << need as u8))
    }

    pub(super) const fn has(self, need: Need) -> bool {
        self.0 & 1 << need as u8 != 0
    }

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }
}

// === impl Entry ===

impl Entry {
    /// An entry of which nothing but its source is known. Its seat is given by the book.
    pub(super) fn new(source: Source) -> Self {
        Self {
            seat: Seat::Needed,
            needs: Needs::default(),
            addresses: AddressList::default(),
            source,
            seen: Timestamp::default(),
            heard: Timestamp::default(),
            tried: Timestamp::default(),
            reached: Timestamp::default(),
            failures: 0,
            misses: 0,
            drops: 0,
            ready: Uptime::ZERO,
            dialling: false,
            connected: false,
            outbound: None,
            contact: Contact::Received,
            counted: None,
            accepts_inbound: true,
            is_foreign: false,
            anchor: false,
        }
    }

    pub(super) const fn is_needed(&self) -> bool {
        matches!(self.seat, Seat::Needed)
    }

    /// Neither connected nor about to be.
    pub(super) const fn is_idle(&self) -> bool {
        !self.dialling && !self.connected
    }

    /// Whether it may be dialled at `now`.
    pub(super) fn is_ready(&self, now: Uptime) -> bool {
        self.is_idle() && self.ready <= now && !self.addresses.is_empty()
    }

    /// Whether it has ever been reached.
    pub(super) fn was_reached(&self) -> bool {
        Timestamp::default() < self.reached
    }

    pub(super) fn group(&self) -> Option<Group> {
        self.addresses.home().map(Group::of)
    }

    pub(super) fn reach(&self) -> Option<Reach> {
        self.addresses.home().and_then(Reach::of)
    }

    /// Whether it may be pushed out by a peer that was only heard of.
    pub(super) fn is_terrible(&self, now: Timestamp) -> bool {
        if !self.is_idle() || elapsed(self.tried, now) < JUST_DIALLED {
            return false;
        }
        // It fills no place that the book is for.
        if self.is_foreign {
            return true;
        }
        let is_old = HORIZON < elapsed(self.heard.max(self.seen), now);
        let never = !self.was_reached() && NEVER_REACHED_FAILURES_MAX <= self.failures;
        let no_more = FAILURES_MAX <= self.failures && FAILING_FOR < elapsed(self.reached, now);
        is_old || never || no_more
    }

    /// With which probability a draw is kept, as in Bitcoin Core: a third less for each failure, a hundredth after a dial
    /// of the last ten minutes.
    pub(super) fn chance(&self, now: Timestamp) -> f64 {
        let failures = self.failures.max(self.misses).min(CHANCE_FAILURES_MAX);
        let recent = if elapsed(self.tried, now) < RECENTLY_DIALLED {
            0.01
        } else {
            1.0
        };
        recent * 0.66_f64.powi(i32::try_from(failures).unwrap_or(i32::MAX))
    }

    /// The place of the entry in the new table.
    pub(super) fn new_place(&self, salt: &super::salt::Salt, peer: &PeerId) -> Option<Place> {
        let home = self.addresses.home()?;
        Some(salt.new_place(peer, home, &self.source))
    }
}

/// The time since `earlier`; none where the clock was set back, so that nothing is forgotten for it.
pub(super) fn elapsed(earlier: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(now.as_millis().saturating_sub(earlier.as_millis()))
}
