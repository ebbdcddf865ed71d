//! What do we promise of bytes that anybody may send?
//!
//! A target is a function of bytes that panics where a promise is broken: a decoder takes what it gives, a machine keeps
//! its bounds. libFuzzer drives them (`cargo xtask fuzz`, from the workspace in `fuzz/`); each test run replays the
//! corpus that it has found, and mutations of it, without any engine.
//!
//! ```
//! let control = rustle_targets::named("control").unwrap();
//! (control.run)(b"anything at all");
//! ```

mod bitswap;
mod content;
mod control;
mod exchange;
mod frames;
mod gossip;
mod input;
mod manager;
mod records;
mod streams;

/// Something that takes any bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called, and the folder of its corpus.
    pub name: &'static str,
    /// Panics where a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs from which a search begins: valid ones, so that it need not invent them.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Longer inputs show nothing new.
    pub bytes_max: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    frames::TARGET,
    control::TARGET,
    exchange::TARGET,
    gossip::TARGET,
    streams::TARGET,
    records::TARGET,
    manager::TARGET,
    content::TARGET,
    bitswap::TARGET,
];

/// The target of this name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
