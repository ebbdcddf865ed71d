//! Does a node work with real Kubo nodes? Processes of both on loopback.
//!
//! Run by `cargo xtask interop kubo`, which fetches Kubo first; a run of all tests leaves this program out.
#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is its failure, also in what several tests share"
)]

mod cids;
mod content;
mod dht;
mod folders;
mod gossip;
mod loss;
mod peers;
mod tunnels;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustle_tests::{Daemon, Setup};
use rustle_types::Multiaddr;

/// Longest time for anything that takes a moment on loopback.
const SOON: Duration = Duration::from_secs(20);
/// Longest time for 100 MiB, with programs that are not optimised, on a machine that does much else.
const LATER: Duration = Duration::from_secs(90);

/// A node that lets foreign peers have all they can, and listens with TCP and QUIC.
async fn rustle(name: &str) -> Daemon {
    let setup = Setup::default().flag("--foreign").flag("allow");
    let setup = setup.flag("--listen").flag("/ip4/127.0.0.1/udp/0/quic-v1");
    Daemon::start(name, setup).await.unwrap()
}

/// Where a node listens, with its id: with QUIC, or with TCP.
fn place(node: &Daemon, quic: bool) -> Multiaddr {
    let is_it = |address: &&Multiaddr| address.to_string().contains("/quic-v1") == quic;
    node.addresses().iter().find(is_it).unwrap().clone()
}

/// A file of so many bytes without a pattern, the same for the same seed.
fn random_file(folder: &Path, bytes: usize, seed: u64) -> PathBuf {
    let path = folder.join(format!("random-{bytes}-{seed}"));
    std::fs::write(&path, random(bytes, seed)).unwrap();
    path
}

fn random(bytes: usize, seed: u64) -> Vec<u8> {
    use rand::{RngExt as _, SeedableRng as _};
    let mut all = vec![0; bytes];
    rand::rngs::StdRng::seed_from_u64(seed).fill(&mut all[..]);
    all
}
