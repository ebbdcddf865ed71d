//! The JSON that `--json` prints. Programs rely on it: fields are never renamed or removed.

mod content;
mod peers;
mod routing;
mod store;

use data_encoding::{BASE64, HEXLOWER};
use rustle_admin::views::{
    Appended, BlockKind, BlockView, ChainDigest, ChainView, Delivery, NodeIdentity, NodeStatus,
};
use serde::Serialize;

pub(crate) use self::content::{
    AddedTree, Counted, ExportedCar, ImportedCar, Listed, Removed, SavedFile, SavedTree, Stat, StoredBlock,
    kind, text,
};
pub(crate) use self::peers::{Book, Connected, Ended, Peer, PeerInfo, Peers, Rule, Rules, class, direction};
pub(crate) use self::routing::{ClosedTunnels, Provided, Provider, Tunnel, Tunnels};
pub(crate) use self::store::{
    DamagedBlock, Garbage, PinText, PinnedText, Pins, StoreState, Verified, pin_kind,
};

#[derive(Serialize)]
pub(crate) struct Id {
    peer_id: String,
    addresses: Vec<String>,
    network: String,
    agent: String,
    version: String,
}

#[derive(Serialize)]
pub(crate) struct Status {
    ready: bool,
    health: String,
    uptime_ms: u64,
    network: String,
    version: String,
    listen_addresses: Vec<String>,
    peers: Counts,
    chains: u64,
    store_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Counts {
    rustle: u64,
    foreign: u64,
    pending: u64,
}

#[derive(Serialize)]
pub(crate) struct NamedChain {
    pub(crate) chain: String,
    pub(crate) name: String,
}

#[derive(Serialize)]
pub(crate) struct Chains {
    pub(crate) chains: Vec<Chain>,
}

#[derive(Serialize)]
pub(crate) struct Chain {
    chain: String,
    name: String,
    blocks: u64,
    height: u64,
    leaves: u64,
}

#[derive(Serialize)]
pub(crate) struct Invitation {
    pub(crate) invitation: String,
}

#[derive(Serialize)]
pub(crate) struct AppendedBlock {
    block: String,
    height: u64,
}

#[derive(Serialize)]
pub(crate) struct Block {
    block: String,
    height: u64,
    time_ms: u64,
    author: String,
    parents: Vec<String>,
    topics: Vec<String>,
    kind: &'static str,
    text: Option<String>,
    body_base64: String,
}

#[derive(Serialize)]
pub(crate) struct DeliveredBlock {
    sequence: u64,
    #[serde(flatten)]
    block: Block,
}

#[derive(Serialize)]
pub(crate) struct Leaves {
    pub(crate) blocks: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct Digest {
    hash: String,
    blocks: u64,
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl From<&NodeIdentity> for Id {
    fn from(view: &NodeIdentity) -> Self {
        Self {
            peer_id: view.peer.to_string(),
            addresses: texts(&view.addresses),
            network: view.network.to_string(),
            agent: view.agent.clone(),
            version: view.version.clone(),
        }
    }
}

impl From<&NodeStatus> for Status {
    fn from(view: &NodeStatus) -> Self {
        let peers = view.peers;
        Self {
            ready: view.ready,
            health: view.health.clone(),
            uptime_ms: millis(view.uptime),
            network: view.network.to_string(),
            version: view.version.clone(),
            listen_addresses: texts(&view.listen_addresses),
            peers: Counts {
                rustle: peers.rustle,
                foreign: peers.foreign,
                pending: peers.pending,
            },
            chains: view.chains,
            store_bytes: view.store_bytes,
        }
    }
}

impl From<&ChainView> for Chain {
    fn from(view: &ChainView) -> Self {
        Self {
            chain: view.chain.to_string(),
            name: view.name.clone(),
            blocks: view.blocks,
            height: view.height,
            leaves: view.leaves,
        }
    }
}

impl From<&Appended> for AppendedBlock {
    fn from(view: &Appended) -> Self {
        Self {
            block: view.block.to_string(),
            height: view.height,
        }
    }
}

impl From<&BlockView> for Block {
    fn from(view: &BlockView) -> Self {
        Self {
            block: view.block.to_string(),
            height: view.height,
            time_ms: view.time.as_millis(),
            author: view.author.to_string(),
            parents: texts(&view.parents),
            topics: view.topics.clone(),
            kind: match view.kind {
                BlockKind::Genesis => "genesis",
                BlockKind::Data => "data",
                BlockKind::Other => "other",
            },
            text: std::str::from_utf8(&view.body).ok().map(str::to_owned),
            body_base64: BASE64.encode(&view.body),
        }
    }
}

impl From<&Delivery> for DeliveredBlock {
    fn from(view: &Delivery) -> Self {
        Self {
            sequence: view.sequence,
            block: (&view.block).into(),
        }
    }
}

impl Digest {
    /// The hash as 64 hexadecimal digits.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }
}

impl From<&ChainDigest> for Digest {
    fn from(view: &ChainDigest) -> Self {
        Self {
            hash: HEXLOWER.encode(&view.hash),
            blocks: view.blocks,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rustle_types::{BlockId, Timestamp};

    use super::*;

    #[test]
    fn a_block_keeps_its_fields() {
        let delivery = |body: &'static [u8]| Delivery {
            sequence: 7,
            block: BlockView {
                block: BlockId::of(b"block"),
                height: 3,
                time: Timestamp::from_millis(1),
                author: "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
                    .parse()
                    .unwrap(),
                parents: vec![BlockId::of(b"parent")],
                topics: vec!["t".to_owned()],
                body: Bytes::from_static(body),
                kind: BlockKind::Data,
            },
        };
        let json = |body| serde_json::to_value(DeliveredBlock::from(&delivery(body))).unwrap();

        let text = json(b"hi");
        let mut fields: Vec<&String> = text.as_object().unwrap().keys().collect();
        fields.sort();
        let expected = [
            "author",
            "block",
            "body_base64",
            "height",
            "kind",
            "parents",
            "sequence",
            "text",
            "time_ms",
            "topics",
        ];
        assert_eq!(fields, expected);
        assert_eq!(
            (&text["text"], &text["body_base64"]),
            (&"hi".into(), &"aGk=".into())
        );
        let binary = json(&[0xff, 0x00]);
        assert_eq!(
            (&binary["text"], &binary["body_base64"]),
            (&serde_json::Value::Null, &"/wA=".into())
        );
    }
}
