//! What time is it, for what happens on the network?

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustle_types::Timestamp;

/// A moment of the clock that never goes back.
#[expect(
    clippy::disallowed_methods,
    reason = "what happens on a socket happens in real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The date, by which rules about peers end.
#[expect(
    clippy::disallowed_methods,
    reason = "what happens on a socket happens in real time"
)]
pub(crate) fn wall() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
