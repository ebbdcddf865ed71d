//! Do whole nodes do what they promise? Real processes on loopback, driven as a user or a program drives them.
//!
//! Each test starts its own nodes in its own folders on free ports, and waits for events with a deadline.
#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is its failure, also in what several tests share"
)]

mod bad_input;
mod catch_up;
mod discovery;
mod durability;
mod exchange;
mod files;
mod follow;
mod interface;
mod invitations;
mod lifecycle;
mod load;
mod metrics;
mod nat;
mod networks;
mod peers;
mod ping;
mod proxy;
mod routing;
mod siege;
mod steps;
mod store;
mod tunnels;

use std::time::Duration;

use rustle_admin::fault::reason;
use rustle_admin::views::{ChainRef, InviteTerms};
use rustle_admin::{ClientError, Refusal};

/// Longest time for anything that takes a moment on loopback. Generous: a build may run beside the tests.
const SOON: Duration = Duration::from_secs(15);

/// An invitation for one node, without end.
const ONCE: InviteTerms = InviteTerms {
    expires_in: None,
    uses: 1,
};

/// What the daemon refused; panics where it did something else.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Refusal {
    let error = answer.expect_err("the daemon should have refused");
    let refusal = error.refusal().unwrap_or_else(|| panic!("no refusal: {error}"));
    assert!(!refusal.message.contains('\n'), "{}", refusal.message);
    assert_ne!(refusal.reason, reason::INTERNAL, "{}", refusal.message);
    refusal.clone()
}

/// A chain by its name.
fn named(name: &str) -> ChainRef {
    ChainRef::Name(name.to_owned())
}
