//! What may the deciding crates ask of a disk, and what does an acknowledged write promise?
//!
//! Content is kept by multihash and found by CID; everything else is an ordered record in a [`Table`]. Reads are
//! synchronous. All writes go through [`Store::commit`]: a [`Batch`] is applied whole or not at all, and with
//! [`Durability::Synced`] it survives the loss of power once `commit` has returned.
//!
//! ```
//! use rustle_store::{Batch, ContentStore, Durability, MemoryStore, Scan, Store, Table};
//! use rustle_types::BlockId;
//!
//! let store = MemoryStore::new();
//! let cid = BlockId::of(b"the bytes of a block").cid();
//!
//! // The block and the record that points to it become visible together, or not at all.
//! let mut batch = Batch::new();
//! batch.put_block(cid, "the bytes of a block".into());
//! batch.put(Table::Pins, b"a/first".to_vec(), cid.to_bytes());
//! batch.put(Table::Pins, b"b/second".to_vec(), cid.to_bytes());
//! store.commit(batch, Durability::Synced)?;
//!
//! assert_eq!(store.size(&cid)?, Some(20));
//! assert_eq!(store.get_verified(&cid)?.as_deref(), Some(&b"the bytes of a block"[..]));
//!
//! let pins = store.scan(Table::Pins, &Scan::prefix(b"a/", 10))?;
//! assert_eq!(pins.len(), 1);
//! assert_eq!(pins[0].0, b"a/first"[..]);
//! # Ok::<(), rustle_store::StoreError>(())
//! ```
//!
//! [`Collect`] is what garbage collection asks of a store on top of that, [`Collector`] the collection itself, and
//! [`pins`] the records that keep content.
//!
//! Who implements [`Store`] runs the functions of `contract` (feature `test-utils`) against it.

mod batch;
pub mod collect;
#[cfg(any(test, feature = "test-utils"))]
pub mod contract;
mod entry;
mod error;
mod memory;
pub mod pins;
mod store;

pub use batch::{Batch, Durability, Op};
pub use collect::{Collect, Collector};
pub use entry::{Entry, Epoch, Marked, is_inline};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use store::{ContentStore, Direction, Record, Scan, Store, Table};
