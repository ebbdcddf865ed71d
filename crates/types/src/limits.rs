//! Every bound that a remote, a file or a user can press against, with its unit in its name.

/// Longest network name.
pub const NETWORK_NAME_BYTES_MAX: usize = 32;
/// Longest topic name.
pub const TOPIC_NAME_BYTES_MAX: usize = 256;
/// Longest name of the topic of a chain: `/rustle/<network>/chain/1/<id of 59 characters>`.
pub const CHAIN_TOPIC_BYTES_MAX: usize = "/rustle/".len() + NETWORK_NAME_BYTES_MAX + "/chain/1/".len() + 59;

/// Largest content block, as bitswap 1.2 allows (2 MiB).
pub const CONTENT_BLOCK_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Longest CID on the wire: 4 varints of 10 bytes and a digest of 128 (boxo's bound).
pub const CID_BYTES_MAX: usize = 168;

/// Largest control frame (hello, ping, disconnect), before and after the handshake.
pub const CONTROL_FRAME_BYTES_MAX: usize = 1024;
/// Largest frame of a join stream.
pub const JOIN_FRAME_BYTES_MAX: usize = 512 * 1024;
/// Largest frame of a sync stream: one batch of blocks.
pub const SYNC_FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Largest bitswap message (boxo's bound).
pub const BITSWAP_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest gossip message that we send or take.
pub const GOSSIP_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Largest frame of a peer exchange stream.
pub const PEERS_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Peers in one list of peers, and addresses in all of its entries together.
pub const PEERS_LISTED_MAX: usize = 128;
/// Addresses of each of them.
pub const PEER_ADDRESSES_LISTED_MAX: usize = 8;

/// Addresses told in one Hello.
pub const HELLO_ADDRESSES_MAX: usize = 8;
/// Longest address in bytes.
pub const ADDRESS_BYTES_MAX: usize = 96;
/// Longest user agent.
pub const USER_AGENT_BYTES_MAX: usize = 64;

/// Parents of one block of a chain.
pub const PARENTS_MAX: usize = 16;
/// Topics of one block of a chain.
pub const BLOCK_TOPICS_MAX: usize = 16;
/// Longest topic of a block.
pub const BLOCK_TOPIC_BYTES_MAX: usize = 64;
/// Largest body kept inside a block.
pub const BLOCK_BODY_BYTES_MAX: usize = 256 * 1024;
/// Largest encoded block: the body and every other field at its bound.
pub const BLOCK_BYTES_MAX: usize = BLOCK_BODY_BYTES_MAX + 4 * 1024;
/// A block up to this size travels inside its announcement.
pub const ANNOUNCED_BLOCK_BYTES_MAX: usize = 16 * 1024;
/// Longest name of a chain.
pub const CHAIN_NAME_BYTES_MAX: usize = 64;
/// Chains on one node. A node tells each new neighbour the topics of all of them in one message.
pub const CHAINS_MAX: usize = 4096;
/// Leaves named in one announcement.
pub const ANNOUNCED_LEAVES_MAX: usize = 64;
/// Blocks of one chain that wait for missing ancestors.
pub const ORPHANS_PER_CHAIN_MAX: usize = 1024;
/// Bytes of those blocks.
pub const ORPHAN_BYTES_PER_CHAIN_MAX: usize = 16 * 1024 * 1024;
/// Blocks of one chain from one peer that wait for missing ancestors.
pub const ORPHANS_PER_PEER_MAX: usize = 256;

/// Members named in one invitation.
pub const INVITATION_PEERS_MAX: usize = 8;
/// Addresses of each of them.
pub const INVITATION_ADDRESSES_MAX: usize = 4;
/// Longest invitation text.
pub const INVITATION_CHARS_MAX: usize = 4096;

const _: () = assert!(
    BLOCK_BYTES_MAX <= CONTENT_BLOCK_BYTES_MAX,
    "a chain's block is a content block"
);
const _: () = assert!(
    BLOCK_BYTES_MAX < SYNC_FRAME_BYTES_MAX,
    "each block fits a sync frame"
);
const _: () = assert!(
    BLOCK_BYTES_MAX < JOIN_FRAME_BYTES_MAX,
    "the genesis block fits a join frame"
);
const _: () = assert!(
    ANNOUNCED_BLOCK_BYTES_MAX + 4096 < GOSSIP_MESSAGE_BYTES_MAX,
    "an announcement fits a message"
);
const _: () = assert!(
    CHAIN_TOPIC_BYTES_MAX <= TOPIC_NAME_BYTES_MAX,
    "the topic of a chain is a topic"
);
const _: () = assert!(
    CONTENT_BLOCK_BYTES_MAX < BITSWAP_MESSAGE_BYTES_MAX,
    "each content block fits a message"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlockId, ChainId, NetworkName};

    #[test]
    fn the_longest_topic_of_a_chain_has_its_bound() {
        let network: NetworkName = "n".repeat(NETWORK_NAME_BYTES_MAX).parse().unwrap();
        let chain = ChainId::of_genesis(BlockId::of(b"genesis"));
        assert_eq!(network.chain_topic(&chain).as_str().len(), CHAIN_TOPIC_BYTES_MAX);
    }
}
