//! The main job in four steps: share a file, share a chain, append together, survive a crash.
//!
//! Each step checks what it shows, and gives the facts for the table of the demo. The end-to-end tests run the same
//! steps, so that the demo cannot rot.

mod append;
mod crash;
mod join;
mod share;

use std::time::Duration;

use crate::Setup;

pub use self::append::append_together;
pub use self::crash::{CrashPlan, crash};
pub use self::join::create_and_join;
pub use self::share::share_file;

/// Longest time that nodes may take until they have the same blocks.
pub const CONVERGENCE_DEADLINE: Duration = Duration::from_secs(60);

/// The nodes of the demo.
pub const NAMES: [&str; 3] = ["A", "B", "C"];

/// How the nodes of the demo are set up: TCP on free ports of the loopback interface.
pub fn setup() -> Setup {
    Setup::default().network("demo")
}
