//! Announcements on the topic of a chain.

use bytes::Bytes;
use rustle_types::BlockId;
use rustle_types::limits::{ANNOUNCED_BLOCK_BYTES_MAX, ANNOUNCED_LEAVES_MAX};
use rustle_wire::Announcement;

use crate::Target;

/// The payload of one message.
pub(crate) const TARGET: Target = Target {
    name: "gossip",
    run,
    seeds,
    bytes_max: 4096,
};

fn run(bytes: &[u8]) {
    let Ok(read) = Announcement::decode(Bytes::copy_from_slice(bytes)) else {
        return;
    };
    match &read {
        Announcement::NewBlock { block, .. } => {
            let length = block.as_ref().map_or(0, Bytes::len);
            assert!(length <= ANNOUNCED_BLOCK_BYTES_MAX, "a block of {length} bytes");
        }
        Announcement::Leaves(leaves) => assert!(leaves.len() <= ANNOUNCED_LEAVES_MAX),
    }
    let again = Announcement::decode(read.encode()).expect("what we write, we read");
    assert_eq!(again, read);
}

fn seeds() -> Vec<Vec<u8>> {
    let id = BlockId::of(b"block");
    let messages = [
        Announcement::NewBlock { id, block: None },
        Announcement::NewBlock {
            id,
            block: Some(Bytes::from_static(b"block")),
        },
        Announcement::Leaves(vec![id; 3]),
        Announcement::Leaves(Vec::new()),
    ];
    messages.iter().map(|message| message.encode().to_vec()).collect()
}
