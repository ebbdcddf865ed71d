//! How do files and folders become blocks with the CIDs that `ipfs add` gives, and blocks files again?
//!
//! * [`Importer`] takes bytes in any portions and gives finished blocks; [`ImportProfile`] says how they are cut.
//!   [`make_leaf`] and [`Tree`] are its halves, for a caller that hashes leaves on many threads.
//! * [`Reader`] says which blocks it needs, far enough ahead that an exchange can prefetch, takes them in any order
//!   and gives the bytes of the file, or of a range of it, in order.
//! * [`FolderBuilder`] makes a folder of entries, in shards where it is large, [`FolderTree`] folders in folders of
//!   paths, [`make_symlink`] a symbolic link.
//! * [`Lister`] gives the entries of a folder, [`Resolver`] follows a path through folders, [`Stat`] says what a root
//!   block is. All three say which blocks they need, as the reader does.
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
//!
//! A folder of that file, as `ipfs add --wrap-with-directory` makes it:
//!
//! ```
//! use rustle_unixfs::{FolderBuilder, ImportProfile, Importer, Metadata};
//!
//! let mut importer = Importer::new(ImportProfile::KUBO_2015);
//! importer.push(b"hello world\n");
//! let mut folder = FolderBuilder::new(ImportProfile::KUBO_2015, Metadata::NONE);
//! folder.add(b"hello.txt", importer.finish().linked())?;
//! let mut blocks = folder.finish()?;
//! assert_eq!(blocks.by_ref().count(), 1);
//! let root = blocks.root().expect("all blocks were taken");
//! assert_eq!(root.cid.to_string(), "QmfLiVjH2vujCVP2e75zyzBYmpcjktmDeU1YBz6Ct8BBsc");
//! # Ok::<(), rustle_unixfs::FolderError>(())
//! ```

pub mod dagpb;
mod folder;
mod hamt;
mod import;
mod list;
mod profile;
mod protobuf;
mod read;
mod tree;
pub mod unixfs;

pub use folder::{
    FOLDER_DEPTH_MAX, FOLDER_ENTRIES_MAX, FinishedTree, FolderBlocks, FolderBuilder, FolderError, FolderTree,
    NAME_BYTES_MAX, TARGET_BYTES_MAX, check_name, make_symlink, wrap,
};
pub use hamt::{ShardBuilder, name_hash};
pub use import::{Imported, Importer};
pub use list::{
    ContentPath, Entry, LIST_WINDOW_BLOCKS_MAX, ListError, Listed, Lister, PathError, Resolved, Resolver,
    Stat, StatKind,
};
pub use profile::{FOLDER_BYTES_MAX, FolderSize, ImportProfile, ProfileError};
pub use protobuf::DecodeError;
pub use read::{
    DEPTH_MAX, HELD_BYTES_MAX, PENDING_LINKS_MAX, Progress, ReadError, Reader, WINDOW_BLOCKS_MAX,
};
pub use tree::{Block, Leaf, Linked, Tree, make_leaf};
pub use unixfs::{Metadata, ModifiedAt};
