//! What a joiner and a member say on a join stream.

use bytes::Bytes;
use prost::Message as _;
use rustle_types::limits::{BLOCK_BYTES_MAX, INVITATION_ADDRESSES_MAX, INVITATION_PEERS_MAX};
use rustle_types::{Author, BlockId, ChainId, Multiaddr, PeerId, Timestamp};

use crate::WireError;
use crate::control::address;
use crate::error::array;
use crate::generated as pb;

/// "Let me in." The signatures are not checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The chain.
    pub chain: ChainId,
    /// Who issued the invitation.
    pub inviter: Author,
    /// Public key of the invitation's capability.
    pub capability: Author,
    /// When the invitation ends; `None` for never.
    pub expires: Option<Timestamp>,
    /// How many nodes may join with it; `None` for any number.
    pub uses: Option<u32>,
    /// The inviter's signature over the invitation.
    pub certificate: [u8; 64],
    /// The capability key's signature over chain, joiner and member.
    pub proof: [u8; 64],
}

/// The member's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinReply {
    /// Welcome.
    Accepted(JoinAccepted),
    /// No.
    Refused(JoinRefusal),
}

/// What a new member needs to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAccepted {
    /// The encoded genesis block; still to be checked against the chain id.
    pub genesis: Bytes,
    /// At most 8 members to sync from.
    pub members: Vec<Member>,
}

/// A member of a chain and where to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its peer id.
    pub peer: PeerId,
    /// At most 4 addresses.
    pub addresses: Vec<Multiaddr>,
}

/// Why a join is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum JoinRefusal {
    /// The member does not know the chain.
    #[error("the member does not know this chain")]
    UnknownChain,
    /// The certificate or the proof is not valid.
    #[error("the invitation is not valid: it was altered or cut off")]
    Invalid,
    /// The invitation has ended.
    #[error("the invitation has expired; ask for a new one")]
    Expired,
    /// All uses are spent.
    #[error("the invitation is used up; ask for a new one")]
    Exhausted,
    /// The inviter may not invite to this chain.
    #[error("whoever made the invitation may not invite to this chain")]
    Inviter,
    /// Too many requests.
    #[error("the member is busy; try again in a minute")]
    Busy,
    /// A reason that this version does not know.
    #[error("the member refused without a known reason")]
    Unspecified,
}

// === impl JoinRequest ===

impl JoinRequest {
    /// The request as protobuf, without a length.
    pub fn encode(&self) -> Bytes {
        pb::JoinRequest {
            chain: Bytes::copy_from_slice(self.chain.digest()),
            inviter: Bytes::copy_from_slice(self.inviter.as_bytes()),
            capability: Bytes::copy_from_slice(self.capability.as_bytes()),
            expires_ms: self.expires.map_or(0, Timestamp::as_millis),
            uses: self.uses.unwrap_or(0),
            certificate: Bytes::copy_from_slice(&self.certificate),
            proof: Bytes::copy_from_slice(&self.proof),
        }
        .encode_to_vec()
        .into()
    }

    /// Reads a request.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let request = pb::JoinRequest::decode(bytes)?;
        Ok(Self {
            chain: ChainId::of_genesis(BlockId::from_digest(array(&request.chain, "chain")?)),
            inviter: Author::from_bytes(array(&request.inviter, "inviter")?),
            capability: Author::from_bytes(array(&request.capability, "capability")?),
            expires: Some(request.expires_ms)
                .filter(|ms| *ms != 0)
                .map(Timestamp::from_millis),
            uses: Some(request.uses).filter(|uses| *uses != 0),
            certificate: array(&request.certificate, "certificate")?,
            proof: array(&request.proof, "proof")?,
        })
    }
}

// === impl JoinReply ===

impl JoinReply {
    /// The reply as protobuf, without a length. Members and addresses beyond their bounds are left out.
    pub fn encode(&self) -> Bytes {
        use pb::join_reply::Reply;
        let reply = match self {
            Self::Accepted(accepted) => Reply::Accepted(pb::JoinAccepted {
                genesis: accepted.genesis.clone(),
                members: accepted
                    .members
                    .iter()
                    .take(INVITATION_PEERS_MAX)
                    .map(Member::to_proto)
                    .collect(),
            }),
            Self::Refused(refusal) => Reply::Refused(pb::JoinRefused {
                reason: refusal.to_proto().into(),
            }),
        };
        pb::JoinReply { reply: Some(reply) }.encode_to_vec().into()
    }

    /// Reads a reply.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        use pb::join_reply::Reply;
        match pb::JoinReply::decode(bytes)?
            .reply
            .ok_or(WireError::Missing("reply"))?
        {
            Reply::Accepted(accepted) => {
                if accepted.genesis.len() > BLOCK_BYTES_MAX {
                    return Err(WireError::invalid("genesis", "longer than a block"));
                }
                if accepted.members.len() > INVITATION_PEERS_MAX {
                    return Err(WireError::invalid("members", "more than 8"));
                }
                let members = accepted
                    .members
                    .iter()
                    .map(Member::from_proto)
                    .collect::<Result<_, _>>()?;
                Ok(Self::Accepted(JoinAccepted {
                    genesis: accepted.genesis,
                    members,
                }))
            }
            Reply::Refused(refused) => Ok(Self::Refused(JoinRefusal::from_proto(refused.reason()))),
        }
    }
}

// === impl Member ===

impl Member {
    fn to_proto(&self) -> pb::Member {
        let addresses = self.addresses.iter().take(INVITATION_ADDRESSES_MAX);
        pb::Member {
            peer: self.peer.to_bytes().into(),
            addresses: addresses.map(|address| address.to_vec().into()).collect(),
        }
    }

    fn from_proto(member: &pb::Member) -> Result<Self, WireError> {
        if member.addresses.len() > INVITATION_ADDRESSES_MAX {
            return Err(WireError::invalid("addresses", "more than 4"));
        }
        Ok(Self {
            peer: PeerId::from_bytes(&member.peer)
                .map_err(|_| WireError::invalid("peer", "not a peer id"))?,
            addresses: member
                .addresses
                .iter()
                .map(|bytes| address(bytes, "addresses"))
                .collect::<Result<_, _>>()?,
        })
    }
}

// === impl JoinRefusal ===

impl JoinRefusal {
    const fn to_proto(self) -> pb::join_refused::Reason {
        use pb::join_refused::Reason;
        match self {
            Self::UnknownChain => Reason::UnknownChain,
            Self::Invalid => Reason::Invalid,
            Self::Expired => Reason::Expired,
            Self::Exhausted => Reason::Exhausted,
            Self::Inviter => Reason::Inviter,
            Self::Busy => Reason::Busy,
            Self::Unspecified => Reason::Unspecified,
        }
    }

    const fn from_proto(reason: pb::join_refused::Reason) -> Self {
        use pb::join_refused::Reason;
        match reason {
            Reason::UnknownChain => Self::UnknownChain,
            Reason::Invalid => Self::Invalid,
            Reason::Expired => Self::Expired,
            Reason::Exhausted => Self::Exhausted,
            Reason::Inviter => Self::Inviter,
            Reason::Busy => Self::Busy,
            Reason::Unspecified => Self::Unspecified,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_and_replies_survive() {
        let request = JoinRequest {
            chain: ChainId::of_genesis(BlockId::of(b"g")),
            inviter: Author::from_bytes([1; 32]),
            capability: Author::from_bytes([2; 32]),
            expires: Some(Timestamp::from_millis(9)),
            uses: None,
            certificate: [3; 64],
            proof: [4; 64],
        };
        assert_eq!(JoinRequest::decode(request.encode()).unwrap(), request);

        // The base point of Ed25519 is a valid public key.
        let mut base_point = [0x66; 32];
        base_point[0] = 0x58;
        let member = Member {
            peer: Author::from_bytes(base_point).peer_id().unwrap(),
            addresses: vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()],
        };
        let accepted = JoinAccepted {
            genesis: Bytes::from_static(b"g"),
            members: vec![member],
        };
        for reply in [
            JoinReply::Accepted(accepted),
            JoinReply::Refused(JoinRefusal::Expired),
        ] {
            assert_eq!(JoinReply::decode(reply.encode()).unwrap(), reply);
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..300)) {
            let bytes = Bytes::from(garbage);
            let _ = JoinRequest::decode(bytes.clone());
            let _ = JoinReply::decode(bytes);
        }
    }
}
