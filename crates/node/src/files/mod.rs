//! Files, folders and blocks in; CIDs out. CIDs in; files, folders and blocks out.
//!
//! Importing: bytes are cut into chunks, each is hashed on whichever core is free, and the blocks are written in groups
//! while the next ones are hashed (`import`, `intake`). Memory is bounded by the chunks in flight and the groups on
//! their way. What is acknowledged is durable: the blocks are flushed before the pin of the root is synced.
//!
//! Reading: the pure machines say which blocks they need, `supply` takes them from the store or from peers, a window
//! ahead of what the caller has taken. What the blocks say is bounded by those machines.

mod blocks;
mod car;
mod dag;
mod flow;
mod folders;
mod get;
mod import;
mod intake;
mod list;
mod pinned;
mod pull;
mod read;
mod resolve;
mod supply;

pub(crate) use self::blocks::{block_get, block_put, block_stat};
pub(crate) use self::car::{export_car, import_car};
pub(crate) use self::dag::{dag_get, dag_put, dag_stat};
pub(crate) use self::get::get;
pub(crate) use self::import::add;
pub(crate) use self::list::{list, stat};
pub(crate) use self::read::cat;
