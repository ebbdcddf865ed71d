//! Whole nodes without I/O, together: what holds when they join, lose each other, crash and come back?

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod appending;
mod bounds;
mod joining;
mod networks;
mod repair;
mod seeds;
mod world;
