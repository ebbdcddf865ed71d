//! Messages of the protocols around ours, written by hand: fields of protobuf, one after the other.

use libp2p::identity::PublicKey;
use rustle_types::{PeerId, Timestamp};
use rustle_wire::{Hello, Services, Versions};

/// The protocol by which libp2p peers introduce themselves.
pub const IDENTIFY: &str = "/ipfs/id/1.0.0";
/// Gossipsub, in the version that all speak.
pub const MESHSUB: &str = "/meshsub/1.1.0";
/// The number of the request for the nodes nearest to a key, in Kademlia.
pub const FIND_NODE: u64 = 4;

const LENGTH_DELIMITED: u64 = 2;

/// A hello that a node of this network accepts; panics where the name is none.
pub fn hello(network: &str) -> Hello {
    Hello {
        versions: Versions::ours(),
        network: network.parse().expect("the name of a network"),
        services: Services::default(),
        user_agent: "adversary/1".to_owned(),
        software_version: "1".to_owned(),
        time: Timestamp::default(),
        nonce: 0x0bad_c0de,
        listen_addresses: Vec::new(),
        observed_address: None,
    }
}

/// What identify is answered with by a node that speaks these protocols, in its frame.
pub fn identify(key: &PublicKey, protocols: &[&str]) -> Vec<u8> {
    let mut message = field(1, &key.encode_protobuf());
    for protocol in protocols {
        message.extend(field(3, protocol.as_bytes()));
    }
    message.extend(field(5, b"rustle/1"));
    message.extend(field(6, b"adversary/1"));
    framed(&message)
}

/// The transmission of gossipsub that subscribes to a topic, in its frame.
pub fn subscribe(topic: &str) -> Vec<u8> {
    let mut subscription = number(1, 1);
    subscription.extend(field(2, topic.as_bytes()));
    framed(&field(1, &subscription))
}

/// A transmission of gossipsub with an unsigned message, in its frame.
pub fn publish(topic: &str, from: PeerId, data: &[u8]) -> Vec<u8> {
    let mut message = field(1, &from.to_bytes());
    message.extend(field(2, data));
    message.extend(field(3, &1_u64.to_be_bytes()));
    message.extend(field(4, topic.as_bytes()));
    framed(&field(2, &message))
}

/// Kademlia's request for the nodes nearest to a key, in its frame.
pub fn find_node(key: &[u8]) -> Vec<u8> {
    let mut message = number(1, FIND_NODE);
    message.extend(field(2, key));
    framed(&message)
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = varint(message.len() as u64);
    frame.extend_from_slice(message);
    frame
}

pub(crate) fn field(tag: u64, bytes: &[u8]) -> Vec<u8> {
    let mut field = varint(tag << 3 | LENGTH_DELIMITED);
    field.extend(framed(bytes));
    field
}

pub(crate) fn number(tag: u64, value: u64) -> Vec<u8> {
    let mut field = varint(tag << 3);
    field.extend(varint(value));
    field
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = value as u8 & 0x7f;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
