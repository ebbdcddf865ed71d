//! Which topic of which network?
//!
//! Networks and topics end up in libp2p protocol and topic names, which travel as text: plain ASCII only.

use std::fmt;
use std::str::FromStr;

use crate::ChainId;
use crate::limits::{NETWORK_NAME_BYTES_MAX, TOPIC_NAME_BYTES_MAX};

/// The name of a network: 1 to 32 of `a-z`, `0-9` and `-`. Nodes of different networks do not talk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

/// The name of a gossip topic: 1 to 256 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// A network name with a wrong length or character.
    #[error("`{0}` is not a network name: 1 to 32 of a-z, 0-9 and -")]
    BadNetwork(String),
    /// A topic name with a wrong length or character.
    #[error("`{0}` is not a topic name: 1 to 256 printable ASCII characters")]
    BadTopic(String),
}

// === impl NetworkName ===

impl NetworkName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of one of our own stream protocols on this network: `/rustle/<network>/<protocol>/<version>`.
    pub fn protocol(&self, protocol: &str, version: u32) -> String {
        format!("/rustle/{}/{protocol}/{version}", self.0)
    }

    /// The topic on which the members of a chain announce blocks and leaves.
    pub fn chain_topic(&self, chain: &ChainId) -> TopicName {
        TopicName(format!("/rustle/{}/chain/1/{chain}", self.0))
    }
}

impl Default for NetworkName {
    fn default() -> Self {
        Self("main".to_owned())
    }
}

impl FromStr for NetworkName {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let fits = (1..=NETWORK_NAME_BYTES_MAX).contains(&text.len());
        if fits
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(TopicError::BadNetwork(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl TopicName ===

impl TopicName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TopicName {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let fits = (1..=TOPIC_NAME_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            Ok(Self(text.to_owned()))
        } else {
            Err(TopicError::BadTopic(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlockId;

    #[test]
    fn network_names_are_short_and_plain() {
        for good in ["main", "test-2", "a"] {
            assert_eq!(good.parse::<NetworkName>().unwrap().as_str(), good);
        }
        for bad in ["", "Main", "a/b", "ä", &"x".repeat(33)] {
            assert!(bad.parse::<NetworkName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn topics_of_two_networks_differ() {
        let chain = ChainId::of_genesis(BlockId::of(b"genesis"));
        let other: NetworkName = "other".parse().unwrap();
        assert_ne!(
            NetworkName::default().chain_topic(&chain),
            other.chain_topic(&chain)
        );
    }
}
