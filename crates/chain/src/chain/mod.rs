//! The machine of one chain.

mod event;

pub use event::{AppendError, Config, Fault, Input, OpenError, Output, Status, SyncOutcome};
