//! Peers, blocks and times for tests.

use bytes::Bytes;
use multihash_codetable::{Code, MultihashDigest};
use rustle_types::content::CODEC_RAW;
use rustle_types::{Cid, Now, PeerId, Timestamp, Uptime};

/// The peer with this number.
pub(crate) fn peer(number: u8) -> PeerId {
    PeerId::from_bytes(&[0, 4, 1, 2, 3, number]).expect("an identity multihash is a peer id")
}

/// A block of `length` bytes, another one for each number.
pub(crate) fn block(number: u32, length: usize) -> (Cid, Bytes) {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(length.max(4), 0);
    let cid = Cid::new_v1(CODEC_RAW, Code::Sha2_256.digest(&bytes));
    (cid, bytes.into())
}

/// The CID of a block of four bytes.
pub(crate) fn cid(number: u32) -> Cid {
    block(number, 4).0
}

/// So many milliseconds after the start.
pub(crate) fn at(millis: u64) -> Now {
    Now {
        uptime: Uptime::from_millis(millis),
        wall: Timestamp::from_millis(millis),
    }
}
