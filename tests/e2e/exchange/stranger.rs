//! A peer that speaks bitswap by hand: it has blocks of its own, and the test says how it answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use rustle_adversary::{
    Adversary, ControlStream, Manners, Peer, Said, WireWant, answer, hear, hello, payload,
};
use rustle_tests::Daemon;
use rustle_tests::waiting::within;
use rustle_types::Cid;
use rustle_unixfs::{ImportProfile, Importer};
use tokio::sync::{Semaphore, mpsc};

use crate::SOON;

/// Messages of the node that wait for the test.
const SAID_MAX: usize = 1024;
/// Time in which the node says all that it has to say.
const QUIET: Duration = Duration::from_millis(50);
/// Streams that it opens at once; Yamux allows few more.
const STREAMS_MAX: usize = 400;
/// The network of the nodes under test.
const NETWORK: &str = "tests";

/// A file as blocks.
pub(super) struct File {
    pub(super) root: Cid,
    pub(super) bytes: Bytes,
    /// By the bytes of the CID.
    pub(super) blocks: HashMap<Vec<u8>, Block>,
}

/// A block as it goes over the wire.
#[derive(Clone)]
pub(super) struct Block {
    /// Of its CID.
    pub(super) prefix: Vec<u8>,
    pub(super) data: Bytes,
}

/// It has greeted the node, as one of ours does.
pub(super) struct Stranger {
    pub(super) peer: Peer,
    _control: ControlStream,
    /// What the node wants, and what it answers.
    heard: mpsc::Receiver<Said>,
    protocol: &'static str,
    /// For streams that it has open.
    places: Arc<Semaphore>,
}

// === impl File ===

impl File {
    /// Bytes of which no two blocks are equal, in blocks of `chunk_bytes`.
    pub(super) fn new(profile: ImportProfile, chunk_bytes: usize, chunks: usize) -> Self {
        let profile = profile.with_chunk_bytes(chunk_bytes).unwrap();
        let mut bytes = Vec::with_capacity(chunk_bytes * chunks);
        for chunk in 0..chunks as u64 {
            let start = bytes.len();
            bytes.extend_from_slice(&chunk.to_be_bytes());
            bytes.resize(start + chunk_bytes, chunk as u8);
        }
        let mut importer = Importer::new(profile);
        importer.push(&bytes);
        let root = importer.finish().root;
        let blocks = std::iter::from_fn(|| importer.poll_block())
            .map(|block| {
                let cid = block.cid;
                let digest = usize::from(cid.hash().size());
                let mut prefix = cid.to_bytes();
                prefix.truncate(prefix.len() - digest);
                if u64::from(cid.version()) == 0 {
                    prefix.splice(0..0, [0, 0x70]);
                }
                let data = block.bytes;
                (cid.to_bytes(), Block { prefix, data })
            })
            .collect();
        Self {
            root,
            bytes: bytes.into(),
            blocks,
        }
    }
}

// === impl Stranger ===

impl Stranger {
    /// Greets a node, and waits until the node has opened a stream of `protocol` and of nothing better.
    pub(super) async fn greet(node: &Daemon, protocol: &'static str) -> Self {
        Self::greet_as(Adversary::new(), node, protocol).await
    }

    /// The same, as this one.
    pub(super) async fn greet_as(adversary: Adversary, node: &Daemon, protocol: &'static str) -> Self {
        let adversary = adversary.manners(Manners::Silent);
        let (mut peer, control, _) = adversary.greet(node.address(), hello(NETWORK)).await.unwrap();
        let find = async {
            loop {
                let mut stream = peer.inbound().await.expect("the node stays");
                // Streams of other protocols fail here.
                if answer(&mut stream, |offered| offered == protocol).await.is_ok() {
                    return stream;
                }
            }
        };
        let mut stream = within("a stream of bitswap", SOON, find).await.unwrap();
        let (said, heard) = mpsc::channel(SAID_MAX);
        tokio::spawn(async move {
            while let Ok(Some(message)) = hear(&mut stream).await {
                if said.send(message).await.is_err() {
                    break;
                }
            }
        });
        Self {
            peer,
            _control: control,
            heard,
            protocol,
            places: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }

    /// What the node says next.
    pub(super) async fn hear(&mut self) -> Said {
        let heard = within("a message of bitswap", SOON, self.heard.recv()).await;
        heard.unwrap().expect("the node keeps its stream")
    }

    /// All that the node wants within so long and the quiet moment after; nothing where it is silent.
    pub(super) async fn hear_all_within(&mut self, limit: Duration) -> Vec<WireWant> {
        match tokio::time::timeout(limit, self.heard.recv()).await {
            Ok(Some(said)) => self.and_more(said.wants).await,
            _ => Vec::new(),
        }
    }

    /// All that the node wants until it is quiet for a moment.
    pub(super) async fn hear_all(&mut self) -> Vec<WireWant> {
        let wants = self.hear().await.wants;
        self.and_more(wants).await
    }

    async fn and_more(&mut self, mut wants: Vec<WireWant>) -> Vec<WireWant> {
        while let Ok(Some(said)) = tokio::time::timeout(QUIET, self.heard.recv()).await {
            wants.extend(said.wants);
        }
        wants
    }

    /// A stream of its own for each message, as Kubo has it: name and half of the message at once, the rest when all are
    /// open, then the end. No answer is read.
    pub(super) async fn say_each(&self, messages: &[Vec<u8>]) {
        let mut open = Vec::new();
        for message in messages {
            let place = Arc::clone(&self.places).acquire_owned().await.unwrap();
            let mut stream = self.peer.open_raw().await.unwrap();
            let (first, rest) = message.split_at(message.len() / 2);
            stream
                .write_all(&[&self.proposal()[..], first].concat())
                .await
                .unwrap();
            stream.flush().await.unwrap();
            open.push((stream, rest.to_vec(), place));
        }
        for (mut stream, rest, place) in open {
            stream.write_all(&rest).await.unwrap();
            stream.close().await.unwrap();
            tokio::spawn(async move {
                // Reset before the answer to the negotiation is read, it would be torn down.
                let _ = stream.read_to_end(&mut Vec::new()).await;
                drop(place);
            });
        }
    }

    /// Answers each want with a block on a stream of its own, for ever. `most` are the blocks that were under way at once.
    pub(super) async fn serve_each_on_its_own(mut self, file: &File, most: &AtomicUsize) {
        loop {
            let wants = self.hear_all().await;
            let messages: Vec<Vec<u8>> = wants
                .iter()
                .filter(|want| !want.cancel && !want.have)
                .filter_map(|want| file.blocks.get(&want.cid))
                .map(|block| payload(&block.prefix, &block.data))
                .collect();
            for some in messages.chunks(STREAMS_MAX / 2) {
                most.fetch_max(some.len(), Ordering::Relaxed);
                self.say_each(some).await;
            }
        }
    }

    fn proposal(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in ["/multistream/1.0.0", self.protocol] {
            bytes.push(line.len() as u8 + 1);
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        bytes
    }
}
