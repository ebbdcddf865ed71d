//! What does the first block of a chain fix for ever?
//!
//! Its body is a DAG-CBOR map of name, nonce and policy; the block's author is its founder and its time the birth of the
//! chain. The nonce makes two chains of the same name, founder and millisecond different.

use bytes::Bytes;
use rustle_types::Timestamp;
use rustle_types::limits::CHAIN_NAME_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::encoding::{self, Raw};
use crate::signer::Signer;
use crate::{Block, BlockError, Body, Draft, DraftError};

/// What the genesis block fixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The name its creator gave: 1 to 64 bytes without control characters.
    pub name: String,
    /// Who may read and write.
    pub policy: Policy,
    /// Random.
    pub nonce: [u8; 16],
    /// When the chain was made; the time of the block.
    pub created: Timestamp,
}

/// Who may read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Whoever has the chain's id may read and write; invitations only say where to find it.
    Open,
}

/// Why a block cannot begin a chain here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Not a block.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// Cannot be made.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// A block that has parents.
    #[error("the block does not begin a chain")]
    NotFirst,
    /// The body is not a genesis map.
    #[error("the first block of the chain is malformed: {0}")]
    Malformed(String),
    /// The name has a wrong length or character.
    #[error("a chain's name must have 1 to {CHAIN_NAME_BYTES_MAX} bytes and no control characters")]
    BadName,
    /// A policy of a later version.
    #[error("the chain has the policy `{0}`, which this version does not know; update the program")]
    UnknownPolicy(String),
}

/// The body as it is encoded; keys by length, then bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded<'a> {
    name: &'a str,
    #[serde(borrow)]
    nonce: Raw<'a>,
    policy: &'a str,
}

/// Only the policy: those of later versions may add fields.
#[derive(Debug, Deserialize)]
struct PolicyOnly<'a> {
    policy: &'a str,
}

/// Whether a chain may be called so: 1 to 64 bytes without control characters.
pub fn is_chain_name(name: &str) -> bool {
    (1..=CHAIN_NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

// === impl Genesis ===

impl Genesis {
    /// Makes the genesis block.
    pub fn sign(&self, signer: &Signer) -> Result<Block, GenesisError> {
        if !is_chain_name(&self.name) {
            return Err(GenesisError::BadName);
        }
        let body = Encoded {
            name: &self.name,
            nonce: Raw(&self.nonce),
            policy: self.policy.as_str(),
        };
        let draft = Draft {
            chain: None,
            parents: Vec::new(),
            height: 0,
            time: self.created,
            topics: Vec::new(),
            body: Body::Inline(Bytes::from(encoding::write(&body, Vec::new()))),
        };
        Ok(draft.sign(signer)?)
    }

    /// Reads what a genesis block fixes.
    pub fn read(block: &Block) -> Result<Self, GenesisError> {
        if !block.is_genesis() {
            return Err(GenesisError::NotFirst);
        }
        let Body::Inline(bytes) = block.body() else {
            return Err(GenesisError::Malformed("its body is elsewhere".to_owned()));
        };
        let policy = encoding::read::<PolicyOnly<'_>>(bytes)
            .map_err(GenesisError::Malformed)?
            .policy;
        let policy = Policy::from_name(policy).ok_or_else(|| {
            GenesisError::UnknownPolicy(policy.chars().take(CHAIN_NAME_BYTES_MAX).collect())
        })?;
        let encoded = encoding::read::<Encoded<'_>>(bytes).map_err(GenesisError::Malformed)?;
        if !is_chain_name(encoded.name) {
            return Err(GenesisError::BadName);
        }
        let nonce = encoded.nonce.0.try_into();
        Ok(Self {
            name: encoded.name.to_owned(),
            policy,
            nonce: nonce.map_err(|_| GenesisError::Malformed("the nonce has not 16 bytes".to_owned()))?,
            created: block.time(),
        })
    }
}

// === impl Policy ===

impl Policy {
    /// The name in the genesis block.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        (name == Self::Open.as_str()).then_some(Self::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genesis(name: &str) -> Genesis {
        Genesis {
            name: name.to_owned(),
            policy: Policy::Open,
            nonce: [7; 16],
            created: Timestamp::from_millis(1_700_000_000_000),
        }
    }

    fn block_with_body(body: &[u8]) -> Block {
        let draft = Draft {
            chain: None,
            parents: Vec::new(),
            height: 0,
            time: Timestamp::default(),
            topics: Vec::new(),
            body: Body::Inline(Bytes::copy_from_slice(body)),
        };
        draft.sign(&Signer::from_secret([1; 32])).unwrap()
    }

    #[test]
    fn a_genesis_survives_its_block() {
        let genesis = genesis("diary");
        let block = genesis.sign(&Signer::from_secret([1; 32])).unwrap();

        assert!(block.is_genesis());
        assert_eq!(Genesis::read(&block), Ok(genesis));
    }

    #[test]
    fn bad_names_are_refused() {
        for name in ["", "a\nb", &"x".repeat(65)] {
            let refused = genesis(name).sign(&Signer::from_secret([1; 32]));
            assert_eq!(refused, Err(GenesisError::BadName), "{name:?}");
        }
    }

    #[test]
    fn a_policy_of_a_later_version_is_named() {
        // {"policy": "private", "keys": 1}: fields beside it do not hide the reason.
        let body = b"\xa2\x64keys\x01\x66policy\x67private";

        let refused = Genesis::read(&block_with_body(body));

        assert_eq!(refused, Err(GenesisError::UnknownPolicy("private".to_owned())));
    }

    #[test]
    fn rubbish_is_no_genesis() {
        for body in [&b"hello"[..], b"\xa1\x66policy\x64open", b"\xa0"] {
            let refused = Genesis::read(&block_with_body(body));
            assert!(matches!(refused, Err(GenesisError::Malformed(_))), "{refused:?}");
        }
    }
}
