//! What two nodes say on a sync stream.

use bytes::Bytes;
use prost::Message as _;
use rustle_types::limits::BLOCK_BYTES_MAX;
use rustle_types::{BlockId, ChainId};

use crate::WireError;
use crate::error::array;
use crate::generated as pb;

/// Digests in one request.
pub const SYNC_HAVE_MAX: usize = 1024;

/// "Send what I lack."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// The chain.
    pub chain: ChainId,
    /// Blocks that the asking node has, with all their ancestors; at most 1,024.
    pub have: Vec<BlockId>,
}

/// One frame of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncReply {
    /// Encoded blocks, parents before children; not verified here.
    Batch(Vec<Bytes>),
    /// All sent.
    End {
        /// How many blocks were sent.
        blocks: u64,
    },
    /// Nothing will be sent.
    Refused(SyncRefusal),
}

/// Why nothing will be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SyncRefusal {
    /// The node does not know the chain.
    #[error("the peer does not know this chain")]
    UnknownChain,
    /// Too many streams.
    #[error("the peer is busy")]
    Busy,
    /// The request is malformed.
    #[error("the peer found the request malformed")]
    Invalid,
    /// A reason that this version does not know.
    #[error("the peer refused without a known reason")]
    Unspecified,
}

// === impl SyncRequest ===

impl SyncRequest {
    /// The request as protobuf, without a length. Digests beyond 1,024 are left out.
    pub fn encode(&self) -> Bytes {
        let have = self.have.iter().take(SYNC_HAVE_MAX);
        pb::SyncRequest {
            chain: Bytes::copy_from_slice(self.chain.digest()),
            have: have.map(|id| Bytes::copy_from_slice(id.digest())).collect(),
        }
        .encode_to_vec()
        .into()
    }

    /// Reads a request.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let request = pb::SyncRequest::decode(bytes)?;
        if request.have.len() > SYNC_HAVE_MAX {
            return Err(WireError::invalid("have", "more than 1,024"));
        }
        let have = request
            .have
            .iter()
            .map(|id| Ok(BlockId::from_digest(array(id, "have")?)));
        Ok(Self {
            chain: ChainId::of_genesis(BlockId::from_digest(array(&request.chain, "chain")?)),
            have: have.collect::<Result<_, WireError>>()?,
        })
    }
}

// === impl SyncReply ===

impl SyncReply {
    /// The frame as protobuf, without a length.
    pub fn encode(&self) -> Bytes {
        use pb::sync_reply::Reply;
        let reply = match self {
            Self::Batch(blocks) => Reply::Batch(pb::SyncBatch {
                blocks: blocks.clone(),
            }),
            Self::End { blocks } => Reply::End(pb::SyncEnd { blocks: *blocks }),
            Self::Refused(refusal) => Reply::Refused(pb::SyncRefused {
                reason: refusal.to_proto().into(),
            }),
        };
        pb::SyncReply { reply: Some(reply) }.encode_to_vec().into()
    }

    /// Reads a frame; the blocks are slices of `bytes`.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        use pb::sync_reply::Reply;
        match pb::SyncReply::decode(bytes)?
            .reply
            .ok_or(WireError::Missing("reply"))?
        {
            Reply::Batch(batch) => {
                if batch
                    .blocks
                    .iter()
                    .any(|block| block.is_empty() || block.len() > BLOCK_BYTES_MAX)
                {
                    return Err(WireError::invalid(
                        "blocks",
                        "one is empty or longer than a block",
                    ));
                }
                Ok(Self::Batch(batch.blocks))
            }
            Reply::End(end) => Ok(Self::End { blocks: end.blocks }),
            Reply::Refused(refused) => Ok(Self::Refused(SyncRefusal::from_proto(refused.reason()))),
        }
    }
}

// === impl SyncRefusal ===

impl SyncRefusal {
    const fn to_proto(self) -> pb::sync_refused::Reason {
        use pb::sync_refused::Reason;
        match self {
            Self::UnknownChain => Reason::UnknownChain,
            Self::Busy => Reason::Busy,
            Self::Invalid => Reason::Invalid,
            Self::Unspecified => Reason::Unspecified,
        }
    }

    const fn from_proto(reason: pb::sync_refused::Reason) -> Self {
        use pb::sync_refused::Reason;
        match reason {
            Reason::UnknownChain => Self::UnknownChain,
            Reason::Busy => Self::Busy,
            Reason::Invalid => Self::Invalid,
            Reason::Unspecified => Self::Unspecified,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn requests_and_replies_survive(digests in prop::collection::vec(any::<[u8; 32]>(), 0..100), blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 0..20)) {
            let chain = ChainId::of_genesis(BlockId::of(b"g"));
            let request = SyncRequest { chain, have: digests.into_iter().map(BlockId::from_digest).collect() };
            prop_assert_eq!(SyncRequest::decode(request.encode()).unwrap(), request);
            let batch = SyncReply::Batch(blocks.into_iter().map(Bytes::from).collect());
            for reply in [batch, SyncReply::End { blocks: 3 }, SyncReply::Refused(SyncRefusal::Busy)] {
                prop_assert_eq!(SyncReply::decode(reply.encode()).unwrap(), reply);
            }
        }

        #[test]
        fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..300)) {
            let bytes = Bytes::from(garbage);
            let _ = SyncRequest::decode(bytes.clone());
            let _ = SyncReply::decode(bytes);
        }
    }

    #[test]
    fn too_many_haves_are_refused() {
        let chain = Bytes::from(vec![0; 32]);
        let request = pb::SyncRequest {
            chain: chain.clone(),
            have: vec![chain; SYNC_HAVE_MAX + 1],
        };
        assert!(SyncRequest::decode(request.encode_to_vec().into()).is_err());
    }
}
