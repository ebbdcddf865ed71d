//! What is said on a chain's topic.

use bytes::Bytes;
use prost::Message as _;
use rustle_types::BlockId;
use rustle_types::limits::{ANNOUNCED_BLOCK_BYTES_MAX, ANNOUNCED_LEAVES_MAX};

use crate::WireError;
use crate::error::array;
use crate::generated as pb;

/// The payload of a message on a chain's topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    /// A block has been made. The bytes, where present, still have to be checked against the id.
    NewBlock {
        /// The block's id.
        id: BlockId,
        /// The encoded block where it is at most 16 KiB.
        block: Option<Bytes>,
    },
    /// The chain is quiet; these are the newest blocks, at most 64.
    Leaves(Vec<BlockId>),
}

// === impl Announcement ===

impl Announcement {
    /// The payload as protobuf. Blocks above 16 KiB are left out, leaves beyond 64 cut off.
    pub fn encode(&self) -> Bytes {
        use pb::announcement::Announcement as Kind;
        let kind = match self {
            Self::NewBlock { id, block } => Kind::NewBlock(pb::NewBlock {
                id: Bytes::copy_from_slice(id.digest()),
                block: block
                    .clone()
                    .filter(|block| block.len() <= ANNOUNCED_BLOCK_BYTES_MAX)
                    .unwrap_or_default(),
            }),
            Self::Leaves(ids) => Kind::Leaves(pb::Leaves {
                ids: ids
                    .iter()
                    .take(ANNOUNCED_LEAVES_MAX)
                    .map(|id| Bytes::copy_from_slice(id.digest()))
                    .collect(),
            }),
        };
        pb::Announcement {
            announcement: Some(kind),
        }
        .encode_to_vec()
        .into()
    }

    /// Reads a payload; blocks are slices of `bytes`.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        use pb::announcement::Announcement as Kind;
        match pb::Announcement::decode(bytes)?
            .announcement
            .ok_or(WireError::Missing("announcement"))?
        {
            Kind::NewBlock(new) => {
                if new.block.len() > ANNOUNCED_BLOCK_BYTES_MAX {
                    return Err(WireError::invalid("block", "longer than 16 KiB"));
                }
                let id = BlockId::from_digest(array(&new.id, "id")?);
                Ok(Self::NewBlock {
                    id,
                    block: Some(new.block).filter(|block| !block.is_empty()),
                })
            }
            Kind::Leaves(leaves) => {
                if leaves.ids.is_empty() || leaves.ids.len() > ANNOUNCED_LEAVES_MAX {
                    return Err(WireError::invalid("leaves", "must be 1 to 64"));
                }
                let ids = leaves
                    .ids
                    .iter()
                    .map(|id| Ok(BlockId::from_digest(array(id, "leaves")?)));
                ids.collect::<Result<_, WireError>>().map(Self::Leaves)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn announcements_survive(digests in prop::collection::vec(any::<[u8; 32]>(), 1..=64), block in prop::collection::vec(any::<u8>(), 0..2000)) {
            let ids: Vec<BlockId> = digests.into_iter().map(BlockId::from_digest).collect();
            let block = Some(Bytes::from(block)).filter(|block| !block.is_empty());
            for announcement in [Announcement::NewBlock { id: ids[0], block }, Announcement::Leaves(ids)] {
                prop_assert_eq!(Announcement::decode(announcement.encode()).unwrap(), announcement);
            }
        }

        #[test]
        fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Announcement::decode(garbage.into());
        }
    }

    #[test]
    fn a_large_block_is_announced_by_id_alone() {
        let id = BlockId::of(b"large");
        let large = Bytes::from(vec![0; ANNOUNCED_BLOCK_BYTES_MAX + 1]);
        let announcement = Announcement::NewBlock {
            id,
            block: Some(large),
        };
        assert_eq!(
            Announcement::decode(announcement.encode()).unwrap(),
            Announcement::NewBlock { id, block: None }
        );
    }

    #[test]
    fn too_many_leaves_are_refused() {
        let leaves = pb::Leaves {
            ids: vec![Bytes::from(vec![0; 32]); ANNOUNCED_LEAVES_MAX + 1],
        };
        let message = pb::Announcement {
            announcement: Some(pb::announcement::Announcement::Leaves(leaves)),
        };
        assert!(Announcement::decode(message.encode_to_vec().into()).is_err());
    }
}
