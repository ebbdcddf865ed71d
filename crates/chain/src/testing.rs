//! Keys, peers and blocks for tests.

use bytes::Bytes;
use rustle_types::{BlockId, ChainId, PeerId, Timestamp};

use crate::{Block, Body, Draft, Signer};

/// The key of test author `n`.
pub(crate) fn signer(n: u8) -> Signer {
    Signer::from_secret([n; 32])
}

/// The peer with the key of test author `n`.
pub(crate) fn peer(n: u8) -> PeerId {
    signer(n)
        .author()
        .peer_id()
        .expect("a signer's key is a valid key")
}

/// A chain that nobody made.
pub(crate) fn no_chain() -> ChainId {
    ChainId::of_genesis(BlockId::of(b"no chain"))
}

/// A valid block of `no_chain`.
pub(crate) fn block_on(parents: &[BlockId], height: u64, body: &[u8]) -> Block {
    block_of(no_chain(), &signer(1), parents, height, body)
}

/// A valid block of `chain` by `signer`.
pub(crate) fn block_of(
    chain: ChainId,
    signer: &Signer,
    parents: &[BlockId],
    height: u64,
    body: &[u8],
) -> Block {
    let draft = Draft {
        chain: Some(chain),
        parents: parents.to_vec(),
        height,
        time: Timestamp::from_millis(1_700_000_000_000),
        topics: Vec::new(),
        body: Body::Inline(Bytes::copy_from_slice(body)),
    };
    draft.sign(signer).expect("within all bounds")
}
