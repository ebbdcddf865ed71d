//! What time is it, for code that must not ask?
//!
//! Machines get `Now` as an argument. `Uptime` cannot be made from the system clock here, so a pure crate cannot cheat.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Monotonic time since the node started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uptime(Duration);

/// Wall-clock time: milliseconds since the Unix epoch. Informative; no rule of order depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// Both clocks at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For deadlines.
    pub uptime: Uptime,
    /// For what people and peers read.
    pub wall: Timestamp,
}

// === impl Uptime ===

impl Uptime {
    /// The start of the node.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// A time this long after the start.
    pub const fn from_duration(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// A time this many seconds after the start.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A time this many milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// How long after the start.
    pub const fn since_start(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Uptime {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

impl Sub for Uptime {
    type Output = Duration;

    /// The time between the two; zero where `earlier` is the later one.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

// === impl Timestamp ===

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time and a duration more.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
