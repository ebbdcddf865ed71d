//! Many peer managers and a network between them, in virtual time: what holds for hours of peer life?

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod boot;
mod churn;
mod eclipse;
mod node;
mod opening;
mod relaying;
mod world;
