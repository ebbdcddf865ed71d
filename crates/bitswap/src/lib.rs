//! How do IPFS nodes exchange blocks, and how does ours do it fast, fairly and within bounds?
//!
//! * [`message`]: the protocol's messages, 1.0 to 1.2, read and written without copying a block.
//! * [`client::Client`]: a machine that decides which block is asked of which peer.
//! * [`server::Server`]: decides who is sent which block next.
//!
//! Payloads pass neither of the two. The caller reads a message, hashes its blocks where it likes, tells the client
//! their CIDs, and stores those that come back as [`client::Output::Got`]; for the server it loads what a
//! [`server::Task`] names. Versions differ only in [`message::Message::frame`].
//!
//! # What a byte costs
//!
//! Of a large file that one node fetches from another over TCP and Noise, both on one machine with SHA extensions and AVX2,
//! sampled with `perf` beside other work, so that the shares are rough: about 8 ns of processor time for each byte, on both
//! sides together. Two cores allow 250 MB/s by that, which was not reached yet.
//!
//! | ns | what | where |
//! |---|---|---|
//! | 1.0 | SHA-256 | both: on reading from the disk, and on arrival |
//! | 0.7 | ChaCha20-Poly1305 | both |
//! | 2.6 | the disk: page cache 1.8, CRC-32C of RocksDB 0.5, its memory table 0.3 | mostly the fetching side |
//! | 0.4 | sockets | both |
//! | 0.7 | copies and zeroed buffers: Noise, Yamux, gRPC to the reader | both |
//! | 0.8 | switches between threads and their wakes | both |
//! | 1.8 | everything else: runtime, multiplexer, allocator, this crate | both |
//!
//! What was worse and is gone: the write-ahead log for what can be fetched again (3 ns), and waiting: for the disk before
//! the next message was read, and for the stream before the next one was loaded.
//!
//! ```
//! use rustle_bitswap::client::{Client, Input, Output, RequestId};
//! use rustle_bitswap::message::{Message, RawBlock, Version};
//! use rustle_bitswap::server::Server;
//! use rustle_store::{Batch, ContentStore, Durability, MemoryStore, Store};
//! use rustle_types::{Cid, Machine, Now, PeerId};
//!
//! let (near, far) = (PeerId::from_bytes(&[0, 1, 1])?, PeerId::from_bytes(&[0, 1, 2])?);
//! let cid: Cid = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e".parse()?;
//! let store = MemoryStore::new();
//! let mut batch = Batch::new();
//! batch.put_block(cid, "hello world".into());
//! store.commit(batch, Durability::Buffered)?;
//!
//! let mut client = Client::new();
//! client.handle(Now::default(), Input::PeerConnected(far, Version::V1_2));
//! client.handle(Now::default(), Input::Want { request: RequestId(1), cids: vec![cid] });
//! let Some(Output::Send { wants, .. }) = client.poll_output() else { panic!("the only peer is asked") };
//!
//! let mut server = Server::new(|_: &PeerId, _: &Cid| true);
//! server.on_wants(&store, near, &wants, false);
//! let task = server.next_task().expect("the block is there");
//! let bytes = store.get_verified(&task.blocks[0])?.expect("it was there just now");
//! let answer = Message { blocks: vec![RawBlock::new(&cid, bytes)], ..Message::default() };
//!
//! let hashed = answer.blocks.iter().map(|block| Ok((block.hash()?, block.data.len() as u64)));
//! let hashed = hashed.collect::<Result<_, rustle_bitswap::message::HashError>>()?;
//! client.handle(Now::default(), Input::received(far, &answer, hashed));
//! assert_eq!(client.poll_output(), Some(Output::Got { request: RequestId(1), cid, from: far }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod client;
/// The messages of `proto/ipfs/bitswap/v1`.
#[allow(clippy::all, unreachable_pub, missing_docs, reason = "generated")]
mod generated {
    include!("generated/ipfs.bitswap.v1.rs");
}
pub mod message;
pub mod server;
#[cfg(test)]
mod testing;
