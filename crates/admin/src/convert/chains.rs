//! Conversions of chains and their blocks.

use data_encoding::HEXLOWER_PERMISSIVE;
use rustle_types::Timestamp;

use super::{Unreadable, field, fields, required, texts};
use crate::proto;
use crate::views::{
    Appended, BlockKind, BlockView, ChainDigest, ChainView, Delivery, FollowFrom, Joined, Order,
};

impl From<ChainView> for proto::Chain {
    fn from(view: ChainView) -> Self {
        Self {
            chain: view.chain.to_string(),
            name: view.name,
            blocks: view.blocks,
            height: view.height,
            leaves: view.leaves,
        }
    }
}

impl TryFrom<proto::Chain> for ChainView {
    type Error = Unreadable;

    fn try_from(answer: proto::Chain) -> Result<Self, Unreadable> {
        Ok(Self {
            chain: field("chain", &answer.chain)?,
            name: answer.name,
            blocks: answer.blocks,
            height: answer.height,
            leaves: answer.leaves,
        })
    }
}

impl From<Joined> for proto::ChainsJoinResponse {
    fn from(view: Joined) -> Self {
        Self {
            chain: view.chain.to_string(),
            name: view.name,
        }
    }
}

impl TryFrom<proto::ChainsJoinResponse> for Joined {
    type Error = Unreadable;

    fn try_from(answer: proto::ChainsJoinResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            chain: field("chain", &answer.chain)?,
            name: answer.name,
        })
    }
}

impl From<Appended> for proto::ChainsAppendResponse {
    fn from(view: Appended) -> Self {
        Self {
            block: view.block.to_string(),
            height: view.height,
        }
    }
}

impl TryFrom<proto::ChainsAppendResponse> for Appended {
    type Error = Unreadable;

    fn try_from(answer: proto::ChainsAppendResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            block: field("block", &answer.block)?,
            height: answer.height,
        })
    }
}

impl From<BlockView> for proto::Block {
    fn from(view: BlockView) -> Self {
        let kind = match view.kind {
            BlockKind::Genesis => proto::block::Kind::Genesis,
            BlockKind::Data => proto::block::Kind::Data,
            BlockKind::Other => proto::block::Kind::Unspecified,
        };
        Self {
            block: view.block.to_string(),
            height: view.height,
            time_ms: view.time.as_millis(),
            author: view.author.to_string(),
            parents: texts(&view.parents),
            topics: view.topics,
            body: view.body,
            kind: kind.into(),
        }
    }
}

impl TryFrom<proto::Block> for BlockView {
    type Error = Unreadable;

    fn try_from(answer: proto::Block) -> Result<Self, Unreadable> {
        Ok(Self {
            block: field("block", &answer.block)?,
            height: answer.height,
            time: Timestamp::from_millis(answer.time_ms),
            author: field("author", &answer.author)?,
            parents: fields("parents", &answer.parents)?,
            kind: match answer.kind() {
                proto::block::Kind::Genesis => BlockKind::Genesis,
                proto::block::Kind::Data => BlockKind::Data,
                proto::block::Kind::Unspecified => BlockKind::Other,
            },
            topics: answer.topics,
            body: answer.body,
        })
    }
}

impl TryFrom<proto::ChainsLogResponse> for BlockView {
    type Error = Unreadable;

    fn try_from(answer: proto::ChainsLogResponse) -> Result<Self, Unreadable> {
        required("block", answer.block)?.try_into()
    }
}

impl From<Order> for proto::chains_log_request::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::NewestFirst => Self::NewestFirst,
            Order::OldestFirst => Self::OldestFirst,
        }
    }
}

impl From<FollowFrom> for proto::chains_follow_request::From {
    fn from(from: FollowFrom) -> Self {
        match from {
            FollowFrom::Now => Self::Now(proto::chains_follow_request::Now {}),
            FollowFrom::Start => Self::Start(proto::chains_follow_request::Start {}),
            FollowFrom::Sequence(sequence) => Self::Sequence(sequence),
        }
    }
}

impl From<proto::chains_follow_request::From> for FollowFrom {
    fn from(from: proto::chains_follow_request::From) -> Self {
        match from {
            proto::chains_follow_request::From::Now(_) => Self::Now,
            proto::chains_follow_request::From::Start(_) => Self::Start,
            proto::chains_follow_request::From::Sequence(sequence) => Self::Sequence(sequence),
        }
    }
}

impl From<Delivery> for proto::ChainsFollowResponse {
    fn from(view: Delivery) -> Self {
        Self {
            sequence: view.sequence,
            block: Some(view.block.into()),
        }
    }
}

impl TryFrom<proto::ChainsFollowResponse> for Delivery {
    type Error = Unreadable;

    fn try_from(answer: proto::ChainsFollowResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            sequence: answer.sequence,
            block: required("block", answer.block)?.try_into()?,
        })
    }
}

impl From<ChainDigest> for proto::ChainsDigestResponse {
    fn from(view: ChainDigest) -> Self {
        Self {
            hash: HEXLOWER_PERMISSIVE.encode(&view.hash),
            blocks: view.blocks,
        }
    }
}

impl TryFrom<proto::ChainsDigestResponse> for ChainDigest {
    type Error = Unreadable;

    fn try_from(answer: proto::ChainsDigestResponse) -> Result<Self, Unreadable> {
        let bytes = HEXLOWER_PERMISSIVE
            .decode(answer.hash.as_bytes())
            .unwrap_or_default();
        let hash = <[u8; 32]>::try_from(bytes).map_err(|_| Unreadable {
            field: "hash",
            cause: "it is not 64 hexadecimal digits".to_owned(),
        })?;
        Ok(Self {
            hash,
            blocks: answer.blocks,
        })
    }
}
