//! Chains of signed blocks.

mod block;
mod chain;
mod create;
mod encoding;
mod genesis;
pub mod reader;
mod records;
mod signer;

pub use block::{BLOCK_VERSION, Block, BlockError, Body, Draft, DraftError, RESERVED_TOPIC_PREFIX};
pub use chain::{AppendError, Config, Fault, Input, OpenError, Output, Status, SyncOutcome};
pub use create::{AdoptError, adopt, create};
pub use genesis::{Genesis, GenesisError, Policy, is_chain_name};
pub use records::{BlockRecord, ChainRecord, ReadError};
pub use signer::Signer;
