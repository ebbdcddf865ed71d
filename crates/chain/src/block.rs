//! What is a block, and when is it one?
//!
//! A [`Block`] exists only decoded and verified: canonical bytes, every field within its bound, the author's signature
//! right. What needs other blocks to be judged (parents known, height one above the highest parent) is checked when the
//! block is attached to its chain.

use bytes::Bytes;
use rustle_types::limits::{
    BLOCK_BODY_BYTES_MAX, BLOCK_BYTES_MAX, BLOCK_TOPIC_BYTES_MAX, BLOCK_TOPICS_MAX, CID_BYTES_MAX,
    PARENTS_MAX,
};
use rustle_types::{Author, BlockId, ChainId, Cid, Timestamp};

use crate::encoding::{self, Encoded, Raw, VersionOnly};
use crate::signer::{Signer, is_signed_by};

/// The version of the block format that this crate reads and writes.
pub const BLOCK_VERSION: u64 = 1;
/// Topics that begin so are kept for the protocol: a draft must not have them, a block may.
pub const RESERVED_TOPIC_PREFIX: &str = "rustle/";

/// What a block's signature covers before the encoded map.
const DOMAIN: &str = "rustle/block/1";

/// A decoded and verified block. Cheap to clone: the bytes are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    id: BlockId,
    chain: ChainId,
    parents: Vec<BlockId>,
    height: u64,
    time: Timestamp,
    author: Author,
    topics: Vec<String>,
    body: Body,
    bytes: Bytes,
}

/// What a block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// At most 256 KiB inside the block.
    Inline(Bytes),
    /// Content in the store.
    Linked {
        /// Its root.
        cid: Cid,
        /// Its bytes, as the author says.
        size: u64,
    },
}

/// A block before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The chain; `None` makes a genesis block.
    pub chain: Option<ChainId>,
    /// 1 to 16 parents in any order; none for a genesis block.
    pub parents: Vec<BlockId>,
    /// One more than the highest parent; 0 for a genesis block.
    pub height: u64,
    /// Informative: no rule depends on it.
    pub time: Timestamp,
    /// At most 16 topics of 1 to 64 bytes without control characters; none begins with `rustle/`.
    pub topics: Vec<String>,
    /// What it says.
    pub body: Body,
}

/// Why bytes are not a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Longer than any block.
    #[error("a block of {0} bytes; {BLOCK_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Not a DAG-CBOR map with a block's fields.
    #[error("not a block: {0}")]
    Malformed(String),
    /// A block of another version.
    #[error("a block of format {0}; this version reads format {BLOCK_VERSION}, update the program")]
    Version(u64),
    /// Another encoding of a block than the canonical one.
    #[error("the encoding of the block is not canonical")]
    NotCanonical,
    /// A link to something that is not a block.
    #[error("`{0}` links to something that is not a block")]
    NotABlock(&'static str),
    /// Chain, parents and height fit neither a genesis block nor a later one.
    #[error("a genesis block has no chain, no parents and height 0, a later block has all three")]
    Lineage,
    /// More parents than allowed.
    #[error("{0} parents; {PARENTS_MAX} are allowed")]
    TooManyParents(usize),
    /// Parents not strictly ascending.
    #[error("the parents are not sorted, or one is there twice")]
    UnsortedParents,
    /// More topics than allowed.
    #[error("{0} topics; {BLOCK_TOPICS_MAX} are allowed")]
    TooManyTopics(usize),
    /// A topic with a wrong length or character.
    #[error("a topic must have 1 to {BLOCK_TOPIC_BYTES_MAX} bytes and no control characters")]
    BadTopic,
    /// No body, two bodies, or one beyond its bound.
    #[error("a body is at most {BLOCK_BODY_BYTES_MAX} bytes, or a cid and a size")]
    BadBody,
    /// The key has not 32 bytes or the signature not 64, or it is not the author's.
    #[error("the signature is not the author's")]
    BadSignature,
}

/// Why a draft cannot become a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// A topic is kept for the protocol.
    #[error("topic `{0}` is reserved: topics must not begin with `rustle/`")]
    ReservedTopic(String),
    /// What would be wrong with the block.
    #[error(transparent)]
    Invalid(#[from] BlockError),
}

// === impl Block ===

impl Block {
    /// Reads and verifies a block: size, canonical encoding, bounds, signature.
    pub fn decode(bytes: Bytes) -> Result<Self, BlockError> {
        let encoded = parse(&bytes)?;
        let signature: &[u8; 64] = match encoded.sig {
            Some(Raw(signature)) => signature.try_into().map_err(|_| BlockError::BadSignature)?,
            None => return Err(BlockError::BadSignature),
        };
        let canonical = encoding::write(&encoded, Vec::with_capacity(bytes.len()));
        if canonical != bytes {
            return Err(BlockError::NotCanonical);
        }
        let block = Self::checked(&encoded, bytes.clone())?;
        let unsigned = encoding::write(&Encoded { sig: None, ..encoded }, canonical_buffer(canonical));
        if is_signed_by(&block.author, DOMAIN, &[&unsigned], signature) {
            Ok(block)
        } else {
            Err(BlockError::BadSignature)
        }
    }

    /// Reads and verifies many blocks; the error names the index of the first that is not one.
    ///
    /// They are verified one by one: Ed25519 batch verification accepts signatures that strict verification refuses,
    /// and then two nodes could disagree. Callers with several cores split the list.
    pub fn decode_many(many: impl IntoIterator<Item = Bytes>) -> Result<Vec<Self>, (usize, BlockError)> {
        many.into_iter()
            .enumerate()
            .map(|(index, bytes)| Self::decode(bytes).map_err(|error| (index, error)))
            .collect()
    }

    /// Reads a block from our own store, where it was verified before it was written.
    pub(crate) fn decode_trusted(bytes: Bytes) -> Result<Self, BlockError> {
        let encoded = parse(&bytes)?;
        Self::checked(&encoded, bytes.clone())
    }

    /// Checks everything but encoding and signature. `bytes` is what `encoded` borrows from.
    fn checked(encoded: &Encoded<'_>, bytes: Bytes) -> Result<Self, BlockError> {
        let author = <[u8; 32]>::try_from(encoded.by.0).map_err(|_| BlockError::BadSignature)?;
        if encoded.parents.len() > PARENTS_MAX {
            return Err(BlockError::TooManyParents(encoded.parents.len()));
        }
        let parents: Vec<BlockId> = encoded
            .parents
            .iter()
            .map(|cid| BlockId::try_from(cid).map_err(|_| BlockError::NotABlock("parents")))
            .collect::<Result<_, _>>()?;
        if !parents.is_sorted_by(|a, b| a < b) {
            return Err(BlockError::UnsortedParents);
        }
        let id = BlockId::of(&bytes);
        let chain = match (&encoded.chain, parents.is_empty(), encoded.height) {
            (None, true, 0) => ChainId::of_genesis(id),
            (Some(chain), false, 1..) => {
                ChainId::of_genesis(BlockId::try_from(chain).map_err(|_| BlockError::NotABlock("chain"))?)
            }
            _ => return Err(BlockError::Lineage),
        };
        check_topics(encoded.topics.iter().copied())?;
        let body = match (encoded.body, encoded.cid, encoded.size) {
            (Some(Raw(body)), None, None) if body.len() <= BLOCK_BODY_BYTES_MAX => {
                Body::Inline(bytes.slice_ref(body))
            }
            (None, Some(cid), Some(size)) if cid.encoded_len() <= CID_BYTES_MAX => Body::Linked { cid, size },
            _ => return Err(BlockError::BadBody),
        };
        Ok(Self {
            id,
            chain,
            parents,
            height: encoded.height,
            time: Timestamp::from_millis(encoded.at),
            author: Author::from_bytes(author),
            topics: encoded.topics.iter().map(|&topic| topic.to_owned()).collect(),
            body,
            bytes,
        })
    }

    /// The id: hash of the bytes.
    pub const fn id(&self) -> BlockId {
        self.id
    }

    /// The chain it belongs to; for a genesis block the chain that it begins.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// Whether it begins a chain.
    pub fn is_genesis(&self) -> bool {
        self.chain.genesis() == self.id
    }

    /// At most 16 parents, strictly ascending; none only in a genesis block.
    pub fn parents(&self) -> &[BlockId] {
        &self.parents
    }

    /// What it says is one more than its highest parent; 0 only in a genesis block.
    pub const fn height(&self) -> u64 {
        self.height
    }

    /// When the author says it was made.
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// Who signed it.
    pub const fn author(&self) -> Author {
        self.author
    }

    /// At most 16 topics in the author's order.
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// What it says.
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// The canonical encoding.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

// === impl Draft ===

impl Draft {
    /// Signs the block, after checking all bounds.
    pub fn sign(self, signer: &Signer) -> Result<Block, DraftError> {
        let reserved = self
            .topics
            .iter()
            .find(|topic| topic.starts_with(RESERVED_TOPIC_PREFIX));
        if let Some(topic) = reserved {
            return Err(DraftError::ReservedTopic(
                topic.chars().take(BLOCK_TOPIC_BYTES_MAX).collect(),
            ));
        }
        Ok(self.sign_any_topic(signer)?)
    }

    /// Signs a block that may have topics of the protocol.
    fn sign_any_topic(mut self, signer: &Signer) -> Result<Block, BlockError> {
        self.parents.sort_unstable();
        let author = signer.author();
        let (body, cid, size) = match &self.body {
            Body::Inline(body) => (Some(Raw(body)), None, None),
            Body::Linked { cid, size } => (None, Some(*cid), Some(*size)),
        };
        if body.is_some_and(|body| body.0.len() > BLOCK_BODY_BYTES_MAX) {
            return Err(BlockError::BadBody);
        }
        check_topics(self.topics.iter().map(String::as_str))?;
        let unsigned = Encoded {
            v: BLOCK_VERSION,
            at: self.time.as_millis(),
            by: Raw(author.as_bytes()),
            cid,
            sig: None,
            body,
            size,
            chain: self.chain.map(|chain| chain.cid()),
            height: self.height,
            topics: self.topics.iter().map(String::as_str).collect(),
            parents: self.parents.iter().map(BlockId::cid).collect(),
        };
        let signature = signer.sign(DOMAIN, &[&encoding::write(&unsigned, Vec::new())]);
        let sig = Some(Raw(&signature));
        let bytes = Bytes::from(encoding::write(&Encoded { sig, ..unsigned }, Vec::new()));
        // Reading it back applies the same bounds as on any other node, and makes the body a slice of the bytes.
        Block::decode_trusted(bytes)
    }
}

/// Reads the map within the size bound.
fn parse(bytes: &[u8]) -> Result<Encoded<'_>, BlockError> {
    if bytes.len() > BLOCK_BYTES_MAX {
        return Err(BlockError::TooLong(bytes.len()));
    }
    let other_version = || {
        let version = encoding::read::<VersionOnly>(bytes).ok()?.v;
        (version != BLOCK_VERSION).then_some(BlockError::Version(version))
    };
    match encoding::read::<Encoded<'_>>(bytes) {
        Ok(encoded) if encoded.v == BLOCK_VERSION => Ok(encoded),
        Ok(encoded) => Err(BlockError::Version(encoded.v)),
        Err(error) => Err(other_version().unwrap_or(BlockError::Malformed(error))),
    }
}

fn check_topics<'a>(topics: impl ExactSizeIterator<Item = &'a str>) -> Result<(), BlockError> {
    if topics.len() > BLOCK_TOPICS_MAX {
        return Err(BlockError::TooManyTopics(topics.len()));
    }
    let is_good = |topic: &str| {
        (1..=BLOCK_TOPIC_BYTES_MAX).contains(&topic.len()) && !topic.chars().any(char::is_control)
    };
    for topic in topics {
        if !is_good(topic) {
            return Err(BlockError::BadTopic);
        }
    }
    Ok(())
}

/// The same allocation, emptied: a block is encoded twice, and may have 256 KiB.
fn canonical_buffer(mut used: Vec<u8>) -> Vec<u8> {
    used.clear();
    used
}

#[cfg(test)]
mod tests;
