//! The only real clock of the node.

use std::time::Duration;

use rustle_types::{Now, Timestamp, Uptime};
use tokio::time::Instant;

/// Tells the machines what time it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

// === impl Clock ===

impl Clock {
    /// A clock whose uptime begins now.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Both clocks at this instant.
    #[expect(clippy::disallowed_methods, reason = "this is the real clock")]
    pub(crate) fn now(&self) -> Now {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            uptime: Uptime::from_duration(self.start.elapsed()),
            wall: Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// The instant of an uptime, for timers.
    pub(crate) fn instant(&self, uptime: Uptime) -> Instant {
        self.start + uptime.since_start()
    }
}
