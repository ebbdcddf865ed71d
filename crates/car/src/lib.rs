//! How do blocks travel in one file, and how is such a file read without trusting it? (ipld.io/specs/transport/car/carv1)
//!
//! A CAR is a header with the roots, then one section for each block: its length, its CID and its bytes.
//!
//! * [`Reader`] takes the file in any portions and gives blocks, each checked against its CID. It holds one section.
//! * [`encode_header`] and [`encode_section`] write; blocks are not copied.
//!
//! Nothing here opens a file. A CAR of version 2 is read, too: the index is skipped.
//!
//! ```
//! use rustle_car::{Block, Item, Reader, encode_header, encode_section};
//! use rustle_types::Cid;
//! use rustle_types::content::{CODEC_RAW, HashFunction};
//!
//! let bytes = bytes::Bytes::from_static(b"the bytes of a block");
//! let cid = Cid::new_v1(CODEC_RAW, HashFunction::Sha2_256.digest(&bytes));
//! let [head, body] = encode_section(&Block { cid, bytes: bytes.clone() });
//! let file = [&encode_header(&[cid])?[..], &head, &body].concat();
//!
//! let mut reader = Reader::new();
//! let mut blocks = Vec::new();
//! for portion in file.chunks(7) {
//!     reader.push(portion);
//!     while let Some(item) = reader.poll()? {
//!         match item {
//!             Item::Roots(roots) => assert_eq!(roots, [cid]),
//!             Item::Block(block) => blocks.push(block.bytes),
//!         }
//!     }
//! }
//! reader.finish()?;
//! assert_eq!(blocks, [bytes]);
//! # Ok::<(), rustle_car::CarError>(())
//! ```

mod error;
mod header;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use error::CarError;
pub use header::{HEADER_BYTES_MAX, ROOTS_MAX};
pub use reader::{Item, Reader, SECTION_BYTES_MAX};
pub use writer::{Block, encode_header, encode_section};
