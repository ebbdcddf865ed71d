//! How does a chain come to be on this node?
//!
//! It is created here, or adopted with the genesis block that a member gave. Both give a batch; once it is committed,
//! the chain can be opened.

use bytes::Bytes;
use rustle_store::Batch;
use rustle_types::{ChainId, Timestamp};
use rustle_wire::Member;

use crate::records::{self, ChainRecord};
use crate::{Block, BlockError, Genesis, GenesisError, Policy, Signer};

/// Why a chain cannot be adopted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// The block is not the genesis that the invitation names.
    #[error("the member sent the first block of another chain")]
    OtherChain,
    /// The block is not a genesis block for this version.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
}

/// Makes a new open chain founded by `signer`. `nonce` is random.
pub fn create(
    signer: &Signer,
    name: &str,
    now: Timestamp,
    nonce: [u8; 16],
) -> Result<(ChainId, Batch), GenesisError> {
    let genesis = Genesis {
        name: name.to_owned(),
        policy: Policy::Open,
        nonce,
        created: now,
    };
    let block = genesis.sign(signer)?;
    Ok((block.chain(), first_batch(&block, genesis, &[], now)))
}

/// Takes over the chain of an invitation with the genesis block that a member gave.
///
/// Keeps at most 8 of `members` to dial later. Only for a chain that is not here ([`reader::record`](crate::reader::record)
/// gives `None`): the batch begins it anew.
pub fn adopt(
    genesis: Bytes,
    expected: ChainId,
    members: &[Member],
    now: Timestamp,
) -> Result<Batch, AdoptError> {
    let block = Block::decode(genesis).map_err(|error: BlockError| GenesisError::from(error))?;
    if block.id() != expected.genesis() {
        return Err(AdoptError::OtherChain);
    }
    let genesis = Genesis::read(&block)?;
    Ok(first_batch(&block, genesis, members, now))
}

fn first_batch(block: &Block, genesis: Genesis, members: &[Member], now: Timestamp) -> Batch {
    let record = ChainRecord {
        chain: block.chain(),
        name: genesis.name,
        created: genesis.created,
        joined: now,
        founder: block.author(),
        members: records::bounded(members).to_vec(),
    };
    let mut batch = Batch::new();
    record.put(&mut batch);
    records::put_attached(&mut batch, block, 0, &[]);
    batch
}
