//! Does a node hold against peers that break the rules?
//!
//! Each test starts real nodes and attacks one of them with peers from `rustle_adversary`, which come from addresses of
//! 127.0.0.0/8 and stop, lie or flood at one stage. Times are measured at the adversary's end, from its own dial.

mod bans;
mod boot;
mod crowds;
mod doors;
mod exchange;
mod floods;
mod greeting;
mod pinging;
mod selves;
mod stalling;

use std::net::Ipv4Addr;
use std::time::Duration;

use rustle_adversary::{Adversary, ControlStream, Peer, hello};
use rustle_tests::waiting::within;
use rustle_tests::{Daemon, Setup};

use crate::SOON;

/// The network of the nodes under attack.
const NETWORK: &str = "tests";
/// From the moment that a connection is accepted until its handshake must be complete.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// What a deadline may be late on a machine that builds beside the tests.
const SLACK: Duration = Duration::from_millis(2_500);
/// Within this time an honest peer has shaken hands, whoever attacks.
const HONEST: Duration = Duration::from_secs(2);

/// A node, and nothing special about it.
async fn target() -> Daemon {
    Daemon::start("target", Setup::default()).await.unwrap()
}

/// An address of this machine that no other part of the test uses.
fn source(group: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 9, group, host)
}

/// Somebody who completes the handshake from this address.
async fn honest(node: &Daemon, source: Ipv4Addr) -> (Peer, ControlStream) {
    let adversary = Adversary::new().source(source);
    let greet = adversary.greet(node.address(), hello(NETWORK));
    let (peer, control, _) = within("an honest handshake", SOON, greet).await.unwrap().unwrap();
    (peer, control)
}
