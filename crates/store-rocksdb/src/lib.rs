//! How does a node keep its content and records on a disk, so that what was acknowledged outlives the loss of power?
//!
//! [`RocksStore`] implements [`rustle_store::Store`] on RocksDB, and this is the only crate that names it. Blocks live
//! in one column family with their bytes outside the tree (BlobDB), their sizes in another, and each
//! [`rustle_store::Table`] in one of its own. A commit is one write batch over all of them.
//!
//! All calls block: an async caller goes through a thread of its own. One process at a time holds a directory.
//!
//! ```
//! use rustle_store::{Batch, ContentStore, Durability, Store, StoreError, Table};
//! use rustle_store_rocksdb::{Config, RocksStore};
//! use rustle_types::BlockId;
//!
//! let directory = tempfile::tempdir().unwrap();
//! let cid = BlockId::of(b"kept").cid();
//!
//! let store = RocksStore::open(directory.path(), &Config::default())?;
//! let mut batch = Batch::new();
//! batch.put_block(cid, "kept".into());
//! batch.put(Table::Pins, b"mine".to_vec(), cid.to_bytes());
//! store.commit(batch, Durability::Synced)?;
//! store.close()?;
//!
//! let store = RocksStore::open(directory.path(), &Config::default())?;
//! assert_eq!(store.get_verified(&cid)?.as_deref(), Some(&b"kept"[..]));
//! assert!(store.record(Table::Pins, b"mine")?.is_some());
//! # Ok::<(), StoreError>(())
//! ```

mod check;
mod collect;
mod commit;
mod config;
mod failure;
mod families;
mod log;
mod pinned;
mod store;
#[cfg(test)]
mod tests;
mod unflushed;
mod usage;

pub use config::Config;
pub use store::{FORMAT, RocksStore};
