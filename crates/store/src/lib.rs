//! What may the deciding crates ask of a disk, and what does an acknowledged write promise?
//!
//! Content is kept by multihash and found by CID; everything else is an ordered record in a [`Table`]. Reads are
//! synchronous. All writes go through [`Store::commit`]: a [`Batch`] is applied whole or not at all, and with
//! [`Durability::Synced`] it survives the loss of power once `commit` has returned.

mod batch;
mod error;
mod memory;
mod store;

pub use batch::{Batch, Durability, Op};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use store::{ContentStore, Direction, Record, Scan, Store, Table};
