//! Does the machine of a chain keep its promises, whatever arrives in whatever order?

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rustle_store::{Batch, Direction, Durability, MemoryStore, Store as _};
use rustle_types::limits::{BLOCK_BODY_BYTES_MAX, ORPHANS_PER_PEER_MAX};
use rustle_types::{BlockId, Timestamp};

use super::*;
use crate::testing::{block_of, no_chain, peer, signer};
use crate::{create, reader};

mod appends;
mod order;
mod own;
mod quiet;
mod topic;

/// A chain, its store, and a disk that commits when it is told to.
struct Node {
    store: Arc<MemoryStore>,
    chain: Chain,
    now: Now,
    disk: VecDeque<(u64, Batch)>,
    is_slow: bool,
    next_message: u64,
    seen: Vec<Output>,
}

impl Node {
    fn new() -> Self {
        Self::with(Config::default(), 1)
    }

    /// All nodes have the same chain, made by author 1.
    fn with(config: Config, seed: u64) -> Self {
        let store = Arc::new(MemoryStore::new());
        let (id, batch) = create(&signer(1), "test", Timestamp::default(), [0; 16]).unwrap();
        store.commit(batch, Durability::Synced).unwrap();
        let chain = Chain::open(id, store.clone(), signer(seed as u8), config, seed).unwrap();
        let now = Now {
            uptime: Uptime::from_secs(1),
            wall: Timestamp::from_millis(1_700_000_000_000),
        };
        let (disk, seen) = (VecDeque::new(), Vec::new());
        Self {
            store,
            chain,
            now,
            disk,
            is_slow: false,
            next_message: 1,
            seen,
        }
    }

    fn id(&self) -> ChainId {
        self.chain.id()
    }

    fn genesis(&self) -> BlockId {
        self.id().genesis()
    }

    fn block(&self, parents: &[BlockId], height: u64, body: &[u8]) -> Block {
        block_of(self.id(), &signer(7), parents, height, body)
    }

    fn drain(&mut self) {
        while let Some(output) = self.chain.poll_output() {
            match output {
                Output::Commit { ticket, batch } => {
                    self.disk.push_back((ticket, batch));
                    if !self.is_slow {
                        self.commit();
                    }
                }
                other => self.seen.push(other),
            }
        }
    }

    /// Commits the oldest batch.
    fn commit(&mut self) {
        if let Some((ticket, batch)) = self.disk.pop_front() {
            self.store.commit(batch, Durability::Synced).unwrap();
            self.chain.handle(self.now, Input::Committed { ticket });
            self.drain();
        }
    }

    /// Gives a fact, and takes what has been decided since the last.
    fn tell(&mut self, input: Input) -> Vec<Output> {
        self.chain.handle(self.now, input);
        self.drain();
        std::mem::take(&mut self.seen)
    }

    /// Lets time pass from deadline to deadline.
    fn wait(&mut self, time: Duration) -> Vec<Output> {
        let end = self.now.uptime + time;
        while let Some(due) = self.chain.next_deadline().filter(|due| *due <= end) {
            assert!(
                self.now.uptime < due || due == self.now.uptime,
                "a deadline lies ahead"
            );
            self.now.uptime = due;
            self.chain.on_deadline(self.now);
            assert!(
                self.chain.next_deadline().is_none_or(|next| due < next),
                "no deadline stays"
            );
            self.drain();
        }
        self.now.uptime = end;
        std::mem::take(&mut self.seen)
    }

    fn append(&mut self, text: &str) -> Vec<Output> {
        let body = Body::Inline(Bytes::copy_from_slice(text.as_bytes()));
        self.tell(Input::Append {
            request: 77,
            topics: Vec::new(),
            body,
        })
    }

    fn hear(&mut self, from: u8, announcement: &Announcement) -> Vec<Output> {
        self.hear_bytes(from, announcement.encode())
    }

    fn hear_bytes(&mut self, from: u8, payload: Bytes) -> Vec<Output> {
        let message = self.next_message;
        self.next_message += 1;
        self.tell(Input::Announced {
            message,
            from: peer(from),
            payload,
        })
    }

    fn hear_block(&mut self, from: u8, block: &Block) -> Vec<Output> {
        self.hear(
            from,
            &Announcement::NewBlock {
                id: block.id(),
                block: Some(block.bytes().clone()),
            },
        )
    }

    fn pulled(&mut self, from: u8, blocks: Vec<Block>) -> Vec<Output> {
        self.tell(Input::Synced {
            from: peer(from),
            blocks,
        })
    }

    /// A peer from which everything was pulled already.
    fn befriend(&mut self, n: u8) {
        assert_eq!(
            self.tell(Input::PeerJoined { peer: peer(n) }),
            [Output::Sync { peer: peer(n) }]
        );
        assert_eq!(self.ended(n, SyncOutcome::Complete), []);
    }

    fn ended(&mut self, n: u8, outcome: SyncOutcome) -> Vec<Output> {
        self.tell(Input::SyncEnded {
            peer: peer(n),
            outcome,
        })
    }

    fn order(&self) -> Vec<Position> {
        reader::log(&*self.store, &self.id(), None, Direction::Forward, usize::MAX).unwrap()
    }

    fn arrival(&self) -> Vec<BlockId> {
        let all = reader::sequence(&*self.store, &self.id(), 0, usize::MAX).unwrap();
        assert!(
            all.iter()
                .enumerate()
                .all(|(n, (sequence, _))| n as u64 == *sequence),
            "dense from 0"
        );
        all.into_iter().map(|(_, id)| id).collect()
    }
}

fn verdicts(outputs: &[Output]) -> Vec<Verdict> {
    let judged = outputs.iter().filter_map(|output| match output {
        Output::Judge { verdict, .. } => Some(*verdict),
        _ => None,
    });
    judged.collect()
}

fn faults(outputs: &[Output]) -> Vec<&Fault> {
    let faults = outputs.iter().filter_map(|output| match output {
        Output::Fault { fault, .. } => Some(fault),
        _ => None,
    });
    faults.collect()
}

fn published(outputs: &[Output]) -> Vec<Announcement> {
    let published = outputs.iter().filter_map(|output| match output {
        Output::Publish { payload } => Some(Announcement::decode(payload.clone()).unwrap()),
        _ => None,
    });
    published.collect()
}

fn pulls(outputs: &[Output]) -> usize {
    outputs
        .iter()
        .filter(|output| matches!(output, Output::Sync { .. }))
        .count()
}
