//! How does a file become blocks with the CID that `ipfs add` gives, and blocks a file again?
//!
//! * [`Importer`] takes bytes in any portions and gives finished blocks; [`ImportProfile`] says how they are cut.
//!   [`make_leaf`] and [`Tree`] are its halves, for a caller that hashes leaves on many threads.
//! * [`Reader`] says which blocks it needs, far enough ahead that an exchange can prefetch, takes them in any order
//!   and gives the bytes of the file, or of a range of it, in order.
//! * [`dagpb`] and [`unixfs`] are the two codecs below: the node with its links, and the message in its data field.
//!
//! Nothing here waits or stores. The bytes of a block are checked against its CID by whoever received them.
//!
//! ```
//! use rustle_unixfs::{ImportProfile, Importer, Progress, Reader};
//! use std::collections::HashMap;
//!
//! let mut importer = Importer::new(ImportProfile::KUBO_2015);
//! let mut store = HashMap::new();
//! importer.push(b"hello world\n");
//! let imported = importer.finish();
//! while let Some(block) = importer.poll_block() {
//!     store.insert(block.cid, block.bytes);
//! }
//! assert_eq!(imported.root.to_string(), "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o");
//!
//! let mut reader = Reader::new(imported.root);
//! let mut file = Vec::new();
//! loop {
//!     for cid in reader.wants(1 << 20) {
//!         reader.supply(&cid, store[&cid].clone())?;
//!     }
//!     match reader.poll()? {
//!         Progress::Bytes(bytes) => file.extend_from_slice(&bytes),
//!         Progress::Need(_) => continue,
//!         Progress::Done => break,
//!     }
//! }
//! assert_eq!(file, b"hello world\n");
//! # Ok::<(), rustle_unixfs::ReadError>(())
//! ```

pub mod dagpb;
mod import;
mod profile;
mod protobuf;
mod read;
mod tree;
pub mod unixfs;

pub use import::{Imported, Importer};
pub use profile::{ImportProfile, ProfileError};
pub use protobuf::DecodeError;
pub use read::{DEPTH_MAX, PENDING_LINKS_MAX, Progress, ReadError, Reader, WINDOW_BLOCKS_MAX};
pub use tree::{Block, Leaf, Tree, make_leaf};
