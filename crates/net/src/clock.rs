//! What time is it, for what happens on the network?

use std::time::Instant;

/// A moment of the clock that never goes back.
#[expect(
    clippy::disallowed_methods,
    reason = "what happens on a socket happens in real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
