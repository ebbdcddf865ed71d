//! What is a chain, who may extend it, and how do nodes come to hold the same one?
//!
//! A chain is a DAG of signed blocks that grows without coordination: a block names the current leaves as parents. The
//! same blocks have the same order on every node, by height and then id, whatever the order in which they arrived.
//!
//! [`Block`] is a decoded and verified block; [`Chain`] the machine of one chain, which decides and never waits;
//! [`reader`] answers questions from committed state, on any thread; [`sync`] finds what one node lacks of another;
//! [`Invitation`] is the string that lets somebody in.
//!
//! ```
//! use std::sync::Arc;
//! use rustle_chain::{Body, Chain, Config, Input, Output, Signer, create, reader};
//! use rustle_store::{Direction, Durability, MemoryStore, Store};
//! use rustle_types::{Machine, Now, Timestamp};
//!
//! let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
//! let signer = Signer::from_secret([7; 32]);
//! let (id, batch) = create(&signer, "diary", Timestamp::from_millis(1_700_000_000_000), [1; 16])?;
//! store.commit(batch, Durability::Synced)?;
//!
//! let mut chain = Chain::open(id, Arc::clone(&store), signer, Config::default(), 42)?;
//! let body = Body::Inline("dear diary".into());
//! chain.handle(Now::default(), Input::Append { request: 1, topics: vec!["mood".into()], body });
//! let mut appended = None;
//! while let Some(output) = chain.poll_output() {
//!     match output {
//!         Output::Commit { ticket, batch } => {
//!             store.commit(batch, Durability::Synced)?;
//!             chain.handle(Now::default(), Input::Committed { ticket });
//!         }
//!         Output::Appended { id, .. } => appended = Some(id),
//!         _ => {}
//!     }
//! }
//!
//! let log = reader::log(&*store, &id, None, Direction::Forward, 10)?;
//! assert_eq!(log.len(), 2, "the genesis and the block");
//! assert_eq!(Some(log[1].id), appended);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod chain;
mod create;
mod encoding;
mod genesis;
mod invitation;
pub mod reader;
mod records;
mod signer;
pub mod sync;
#[cfg(test)]
mod testing;

pub use block::{BLOCK_VERSION, Block, BlockError, Body, Draft, DraftError, RESERVED_TOPIC_PREFIX};
pub use chain::{
    AppendError, Chain, Config, Fault, Input, LEAVES_MAX, OpenError, Output, Status, SyncOutcome,
};
pub use create::{AdoptError, adopt, create};
pub use genesis::{Genesis, GenesisError, Policy, is_chain_name};
pub use invitation::{
    INVITATION_USES_MAX, Invitation, InvitationError, InviteError, RequestCheck, check_request,
    record_issued, redeem,
};
pub use reader::{BlockRecord, ChainRecord, ReadError};
pub use signer::Signer;
