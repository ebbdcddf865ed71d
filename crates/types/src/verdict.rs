//! What do we think of a message that came from a topic?

/// The answer to a topic's router: gossipsub 1.1, "extended validators".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Good: forward it.
    Accept,
    /// Neither good nor bad (already known, too early to tell): do not forward, no penalty.
    Ignore,
    /// Bad beyond doubt: do not forward, and the sender loses score.
    Reject,
}
