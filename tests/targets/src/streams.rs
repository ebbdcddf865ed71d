//! Joining and syncing: requests and replies on streams of their own.

use std::fmt::Debug;

use bytes::Bytes;
use rustle_types::{Author, BlockId, ChainId, PeerId, Timestamp};
use rustle_wire::{
    JoinAccepted, JoinRefusal, JoinReply, JoinRequest, Member, SyncRefusal, SyncReply, SyncRequest, WireError,
};

use crate::Target;
use crate::control::address;
use crate::input::Input;

/// The first byte says which message it is.
pub(crate) const TARGET: Target = Target {
    name: "streams",
    run,
    seeds,
    bytes_max: 4096,
};

/// The peer id of an Ed25519 key: a multihash of what is too short to be hashed.
pub(crate) const PEER: [u8; 38] = {
    let mut bytes = [7; 38];
    (bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]) = (0, 36, 8, 1, 18, 32);
    bytes
};

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.below(4);
    let frame = Bytes::copy_from_slice(input.rest());
    match kind {
        0 => stable(frame, JoinRequest::decode, JoinRequest::encode),
        1 => stable(frame, JoinReply::decode, JoinReply::encode),
        2 => stable(frame, SyncRequest::decode, SyncRequest::encode),
        _ => stable(frame, SyncReply::decode, SyncReply::encode),
    }
}

/// What is read can be written, and is then read as the same.
pub(crate) fn stable<T: PartialEq + Debug>(
    frame: Bytes,
    decode: impl Fn(Bytes) -> Result<T, WireError>,
    encode: impl Fn(&T) -> Bytes,
) {
    if let Ok(read) = decode(frame) {
        let again = decode(encode(&read)).expect("what we write, we read");
        assert_eq!(again, read);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let id = BlockId::of(b"block");
    let chain = ChainId::of_genesis(id);
    let author = Author::from_bytes([7; 32]);
    let ask = JoinRequest {
        chain,
        inviter: author,
        capability: author,
        expires: Some(Timestamp::from_millis(1)),
        uses: Some(1),
        certificate: [1; 64],
        proof: [2; 64],
    };
    let welcome = JoinReply::Accepted(JoinAccepted {
        genesis: Bytes::from_static(b"genesis"),
        members: vec![Member {
            peer: PeerId::from_bytes(&PEER).expect("the peer id of a key"),
            addresses: vec![address("/ip4/203.0.113.7/tcp/4747")],
        }],
    });
    let blocks = vec![Bytes::from_static(b"block"); 2];
    [
        (0, ask.encode()),
        (1, welcome.encode()),
        (1, JoinReply::Refused(JoinRefusal::Expired).encode()),
        (
            2,
            SyncRequest {
                chain,
                have: vec![id; 3],
            }
            .encode(),
        ),
        (3, SyncReply::Batch(blocks).encode()),
        (3, SyncReply::End { blocks: 2 }.encode()),
        (3, SyncReply::Refused(SyncRefusal::Busy).encode()),
    ]
    .map(|(kind, frame)| [&[kind][..], &frame].concat())
    .to_vec()
}
