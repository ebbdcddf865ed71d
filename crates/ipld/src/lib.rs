//! What does a block say, whatever its codec: which links, which values, which text?
//!
//! The codecs are raw, dag-pb, dag-cbor and dag-json; dag-cbor is read strictly, so equal values are equal blocks.
//!
//! * [`links`] gives the CIDs in a block, and [`Walker`] every block below a root once, whatever leads to it how often.
//! * [`to_dag_json`] shows a block as text, [`to_dag_cbor`] makes a block of text.
//! * [`decode`] gives the values, [`select`] follows names and indexes in them.
//!
//! A block is at most 2 MiB, but a few bytes of it can become hundreds in memory: [`VALUES_MAX`] bounds what is decoded.
//!
//! ```
//! use rustle_ipld::{links, to_dag_cbor, to_dag_json};
//! use rustle_types::Cid;
//! use rustle_types::content::{CODEC_DAG_CBOR, HashFunction};
//!
//! let text = r#"{"name":"a","see":{"/":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}}"#;
//! let block = to_dag_cbor(text)?;
//! let cid = Cid::new_v1(CODEC_DAG_CBOR, HashFunction::Sha2_256.digest(&block));
//! assert_eq!(to_dag_json(&cid, block.clone())?, text);
//! assert_eq!(links(&cid, block)?.len(), 1);
//! # Ok::<(), rustle_ipld::IpldError>(())
//! ```

mod bounds;
mod codec;
mod error;
mod select;
mod text;
mod walk;

pub use bounds::{DEPTH_MAX, VALUES_MAX};
pub use codec::{decode, links};
pub use error::IpldError;
pub use ipld_core::ipld::Ipld;
pub use select::{Selected, select};
pub use text::{TEXT_BYTES_MAX, encode_dag_cbor, to_dag_cbor, to_dag_json};
pub use walk::{Step, WALK_BLOCKS_MAX, WALK_WINDOW_BLOCKS_MAX, WalkError, Walker};
