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

// --- own blocks

#[test]
fn an_append_is_told_only_when_it_is_durable() {
    let mut node = Node::new();
    node.is_slow = true;
    assert_eq!(node.append("hello"), []);
    node.commit();
    let outputs = std::mem::take(&mut node.seen);

    let leaf = reader::leaves(&*node.store, &node.id()).unwrap()[0];
    let block = reader::block(&*node.store, &node.id(), &leaf.id)
        .unwrap()
        .unwrap();
    assert_eq!(block.block.parents(), [node.genesis()]);
    assert_eq!(block.block.time(), node.now.wall);
    let whole = Announcement::NewBlock {
        id: leaf.id,
        block: Some(block.block.bytes().clone()),
    };
    let expected = [
        Output::Appended {
            request: 77,
            id: leaf.id,
            height: 1,
        },
        Output::Publish {
            payload: whole.encode(),
        },
        Output::Delivered { next_sequence: 2 },
    ];
    assert_eq!(outputs, expected);
}

#[test]
fn appends_that_wait_for_the_disk_build_on_each_other() {
    let mut node = Node::new();
    node.is_slow = true;
    (0..5).for_each(|n| drop(node.append(&n.to_string())));
    assert_eq!((node.chain.status().blocks, node.chain.status().durable), (6, 1));

    let last = node.disk.len() as u64;
    while let Some((_, batch)) = node.disk.pop_front() {
        node.store.commit(batch, Durability::Synced).unwrap();
    }
    let outputs = node.tell(Input::Committed { ticket: last });

    assert_eq!(
        outputs
            .iter()
            .filter(|output| matches!(output, Output::Appended { .. }))
            .count(),
        5
    );
    assert_eq!(outputs.last(), Some(&Output::Delivered { next_sequence: 6 }));
    assert_eq!(
        node.order()
            .iter()
            .map(|position| position.height)
            .collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!(node.chain.status().pending_bytes, 0);
}

#[test]
fn bad_appends_are_refused_with_the_reason() {
    let mut node = Node::new();
    let mut refused = |topics: &[&str], body: Vec<u8>| {
        let topics = topics.iter().map(|&topic| topic.to_owned()).collect();
        match &node.tell(Input::Append {
            request: 5,
            topics,
            body: Body::Inline(body.into()),
        })[..]
        {
            [
                Output::Refused {
                    request: 5,
                    error: AppendError::Draft(error),
                },
            ] => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(refused(&[], vec![0; BLOCK_BODY_BYTES_MAX + 1]).contains("body"));
    assert!(refused(&["rustle/x"], Vec::new()).contains("reserved"));
    assert!(refused(&[""; 1], Vec::new()).contains("topic"));
    assert_eq!(node.chain.status().blocks, 1);
}

#[test]
fn a_large_block_is_announced_by_its_id() {
    let mut node = Node::new();
    let outputs = node.append(&"x".repeat(20_000));
    assert!(matches!(
        published(&outputs)[..],
        [Announcement::NewBlock { block: None, .. }]
    ));
}

#[test]
fn a_slow_disk_refuses_more_than_its_bound() {
    let mut node = Node::with(
        Config {
            pending_bytes_max: 1000,
            ..Config::default()
        },
        1,
    );
    node.is_slow = true;
    node.befriend(2);
    node.append(&"x".repeat(1000));
    let busy = Output::Refused {
        request: 77,
        error: AppendError::Busy,
    };
    assert_eq!(node.append("more"), [busy]);

    let block = node.block(&[node.genesis()], 1, b"theirs");
    let heard = node.hear_block(2, &block);
    assert_eq!(
        (verdicts(&heard), pulls(&heard)),
        (vec![Verdict::Ignore], 1),
        "it is pulled later"
    );
    assert_eq!(node.pulled(2, vec![block.clone()]), [], "no `Continue` yet");
    assert_eq!(node.chain.status().blocks, 2);

    node.commit();
    assert!(std::mem::take(&mut node.seen).contains(&Output::Continue { peer: peer(2) }));
    assert_eq!(
        node.ended(2, SyncOutcome::Complete),
        [],
        "what we dropped is not the peer's fault"
    );
    assert_eq!(
        pulls(&node.wait(Duration::from_secs(1))),
        1,
        "but it is asked again"
    );
    node.is_slow = false;
    assert_eq!(node.pulled(2, vec![block]).len(), 2, "Delivered and Continue");
}

#[test]
fn after_a_failed_commit_the_chain_stops() {
    let mut node = Node::new();
    node.is_slow = true;
    node.befriend(2);
    (0..3).for_each(|n| drop(node.append(&n.to_string())));
    node.commit();
    node.seen.clear();

    let error = StoreError::Full("no room".to_owned());
    let outputs = node.tell(Input::CommitFailed {
        ticket: 2,
        error: error.clone(),
    });
    let stopped = Output::Refused {
        request: 77,
        error: AppendError::Stopped(error.clone()),
    };
    assert_eq!(outputs[..2], [stopped.clone(), stopped.clone()]);
    assert_eq!(node.append("later"), [stopped]);
    let block = node.block(&[node.genesis()], 1, b"theirs");
    assert_eq!(verdicts(&node.hear_block(2, &block)), [Verdict::Ignore]);
    assert_eq!(node.pulled(2, vec![block]), [Output::Continue { peer: peer(2) }]);
    assert_eq!(node.wait(Duration::from_secs(1000)), [], "and says nothing");

    let again = Chain::open(node.id(), node.store.clone(), signer(1), Config::default(), 1).unwrap();
    assert_eq!(again.status().blocks, 2, "what was acknowledged is there");
}

#[test]
fn an_unknown_chain_cannot_be_opened() {
    let opened = Chain::open(
        no_chain(),
        Arc::new(MemoryStore::new()),
        signer(1),
        Config::default(),
        1,
    );
    assert_eq!(opened.err(), Some(OpenError::UnknownChain(no_chain())));
}

// --- messages of the topic

#[test]
fn a_good_block_is_accepted_before_the_disk_has_it() {
    let mut node = Node::new();
    node.is_slow = true;
    let block = node.block(&[node.genesis()], 1, b"theirs");

    assert_eq!(verdicts(&node.hear_block(2, &block)), [Verdict::Accept]);
    assert_eq!(
        verdicts(&node.hear_block(3, &block)),
        [Verdict::Ignore],
        "known already"
    );
    let child = node.block(&[block.id()], 2, b"child");
    assert_eq!(
        verdicts(&node.hear_block(2, &child)),
        [Verdict::Accept],
        "its parent waits for the disk"
    );
    node.commit();
    let outputs = std::mem::take(&mut node.seen);
    assert_eq!(
        outputs,
        [Output::Delivered { next_sequence: 2 }],
        "others' blocks are not published again"
    );
}

#[test]
fn what_no_honest_peer_says_is_rejected_with_the_reason() {
    let mut node = Node::new();
    let good = node.block(&[node.genesis()], 1, b"good");
    let mut forged = good.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Bytes::from(forged);
    let foreign = block_of(no_chain(), &signer(7), &[no_chain().genesis()], 1, b"foreign");
    let other_genesis = create(&signer(2), "other", Timestamp::default(), [9; 16])
        .unwrap()
        .0
        .genesis();
    let wrong_height = node.block(&[node.genesis()], 2, b"too high");
    let new_block = |id, bytes: &Bytes| {
        Announcement::NewBlock {
            id,
            block: Some(bytes.clone()),
        }
        .encode()
    };

    let cases = [
        (Bytes::from_static(b"\xff\xff"), "no announcement"),
        (
            Announcement::Leaves(vec![good.id(); 65]).encode().slice(..40),
            "no announcement",
        ),
        (new_block(BlockId::of(&forged), &forged), "invalid block"),
        (new_block(other_genesis, good.bytes()), "which it is not"),
        (new_block(foreign.id(), foreign.bytes()), "another chain"),
        (
            new_block(wrong_height.id(), wrong_height.bytes()),
            "height 2 where 1 is right",
        ),
    ];
    for (payload, reason) in cases {
        let outputs = node.hear_bytes(2, payload);
        assert_eq!(verdicts(&outputs), [Verdict::Reject], "{reason}");
        assert!(faults(&outputs)[0].to_string().contains(reason), "{outputs:?}");
    }
    assert_eq!(node.chain.status().blocks, 1);

    let outputs = node.pulled(2, vec![foreign, wrong_height, good]);
    assert_eq!(faults(&outputs).len(), 2, "the same by a pull");
    assert_eq!(node.chain.status().blocks, 2);
}

#[test]
fn an_orphan_is_judged_when_its_ancestors_come() {
    let mut node = Node::new();
    node.befriend(2);
    let first = node.block(&[node.genesis()], 1, b"1");
    let second = node.block(&[first.id()], 2, b"2");
    let third = node.block(&[second.id()], 3, b"3");

    let outputs = node.hear_block(2, &third);
    assert_eq!(
        (verdicts(&outputs), pulls(&outputs)),
        (vec![], 1),
        "pulled from who sent it"
    );
    assert_eq!(
        verdicts(&node.hear_block(3, &third)),
        [Verdict::Ignore],
        "it is here already"
    );
    let outputs = node.pulled(2, vec![first, second]);

    assert_eq!(verdicts(&outputs), [Verdict::Accept]);
    assert_eq!((node.chain.status().blocks, node.chain.status().orphans), (4, 0));
    node.ended(2, SyncOutcome::Complete);
    assert_eq!(pulls(&node.wait(Duration::from_secs(1))), 0, "nothing is missing");
}

#[test]
fn an_orphan_nobody_helps_is_ignored_in_time_and_forgotten_later() {
    let mut node = Node::new();
    let orphan = node.block(&[BlockId::of(b"nowhere")], 9, b"orphan");
    node.hear_block(2, &orphan);

    assert_eq!(verdicts(&node.wait(Duration::from_secs(3))), [Verdict::Ignore]);
    assert_eq!(node.chain.status().orphans, 1);
    node.wait(Duration::from_secs(600));
    assert_eq!(node.chain.status().orphans, 0);
    assert_eq!(node.chain.next_deadline(), None);
}

#[test]
fn an_orphan_with_a_wrong_height_is_held_against_its_sender() {
    let mut node = Node::new();
    let parent = node.block(&[node.genesis()], 1, b"parent");
    let bad = node.block(&[parent.id()], 5, b"bad");
    let worse = node.block(&[bad.id()], 6, b"on the bad one");
    node.hear_block(2, &bad);
    node.hear_block(3, &worse);

    let outputs = node.hear_block(4, &parent);

    let fault = Fault::WrongHeight {
        id: bad.id(),
        height: 5,
        expected: 2,
    };
    assert!(outputs.contains(&Output::Fault { peer: peer(2), fault }));
    assert_eq!(
        verdicts(&outputs),
        [Verdict::Reject, Verdict::Ignore, Verdict::Accept]
    );
    assert_eq!(node.chain.status().orphans, 0, "what builds on it goes with it");
}

#[test]
fn a_flood_of_orphans_is_bounded() {
    let mut node = Node::new();
    for n in 0..ORPHANS_PER_PEER_MAX as u32 + 50 {
        let parent = BlockId::of(&n.to_be_bytes());
        let orphan = node.block(&[parent], 2, &n.to_be_bytes());
        node.hear_block(2, &orphan);
    }
    assert_eq!(node.chain.status().orphans, ORPHANS_PER_PEER_MAX);
}

#[test]
fn ids_without_blocks_are_pulled_and_judged_when_they_come() {
    let mut node = Node::new();
    node.befriend(2);
    let (a, b) = (
        node.block(&[node.genesis()], 1, b"a"),
        node.block(&[node.genesis()], 1, b"b"),
    );
    let known = Announcement::Leaves(vec![node.genesis()]);
    assert_eq!(verdicts(&node.hear(2, &known)), [Verdict::Accept]);

    let outputs = node.hear(2, &Announcement::Leaves(vec![a.id(), node.genesis(), b.id()]));
    assert_eq!((verdicts(&outputs), pulls(&outputs)), (vec![], 1));
    assert_eq!(verdicts(&node.pulled(2, vec![b])), [], "one is still missing");
    assert_eq!(verdicts(&node.pulled(2, vec![a])), [Verdict::Accept]);
    assert_eq!(node.ended(2, SyncOutcome::Complete), []);

    let outputs = node.hear(
        2,
        &Announcement::NewBlock {
            id: BlockId::of(b"never"),
            block: None,
        },
    );
    assert_eq!(pulls(&outputs), 1);
    node.ended(2, SyncOutcome::Complete);
    assert_eq!(verdicts(&node.wait(Duration::from_secs(3))), [Verdict::Ignore]);
}

#[test]
fn a_failed_pull_is_followed_by_another_peer() {
    let mut node = Node::new();
    (2..5).for_each(|n| node.befriend(n));
    let orphan = node.block(&[BlockId::of(b"parent")], 2, b"orphan");
    let mut asked = Vec::new();
    let mut outputs = node.hear_block(3, &orphan);
    for _ in 0..3 {
        let Some(Output::Sync { peer }) = outputs
            .iter()
            .find(|output| matches!(output, Output::Sync { .. }))
        else {
            break;
        };
        let peer = *peer;
        asked.push(peer);
        outputs = node.tell(Input::SyncEnded {
            peer,
            outcome: SyncOutcome::Refused,
        });
    }
    assert_eq!(
        (asked.len(), asked[0]),
        (3, peer(3)),
        "who sent it first, then the others: {asked:?}"
    );

    let mut later = Vec::new();
    for _ in 0..60 {
        let mut outputs = VecDeque::from(node.wait(Duration::from_millis(500)));
        while let Some(output) = outputs.pop_front() {
            if let Output::Sync { peer } = output {
                later.push(peer);
                outputs.extend(node.tell(Input::SyncEnded {
                    peer,
                    outcome: SyncOutcome::Refused,
                }));
            }
        }
    }
    assert!((2..5).all(|n| later.contains(&peer(n))), "{later:?}");
}

// --- quiet chains

#[test]
fn a_quiet_chain_tells_its_leaves_within_ten_seconds() {
    let mut node = Node::new();
    assert_eq!(node.wait(Duration::from_secs(100)), [], "nobody is there");
    node.befriend(2);

    assert_eq!(published(&node.wait(Duration::from_secs(4))), []);
    let leaves = Announcement::Leaves(vec![node.genesis()]);
    assert_eq!(published(&node.wait(Duration::from_secs(6))), [leaves]);
    let minute = published(&node.wait(Duration::from_secs(60))).len();
    assert!((6..=12).contains(&minute), "{minute}");
}

#[test]
fn stays_silent_when_a_peer_speaks_first() {
    let mut node = Node::new();
    node.befriend(2);
    for _ in 0..20 {
        assert_eq!(node.wait(Duration::from_secs(4)), []);
        node.hear(2, &Announcement::Leaves(vec![node.genesis()]));
    }
    for n in 0..20_u64 {
        assert_eq!(published(&node.wait(Duration::from_secs(4))), []);
        let parent = node.chain.leaves().next().unwrap().id;
        let block = node.block(&[parent], n + 1, b"a block says what leaves would");
        node.hear_block(2, &block);
    }
    assert_eq!(published(&node.wait(Duration::from_secs(10))).len(), 1);
}

#[test]
fn at_most_64_leaves_are_told_the_highest() {
    let mut node = Node::new();
    let fork: Vec<Block> = (0..100_u8)
        .map(|n| node.block(&[node.genesis()], 1, &[n]))
        .collect();
    let high = node.block(&[fork[0].id()], 2, b"high");
    node.pulled(2, fork.into_iter().chain([high.clone()]).collect());
    node.befriend(2);

    let told = published(&node.wait(Duration::from_secs(10)));
    let [Announcement::Leaves(ids)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((ids.len(), ids[0]), (64, high.id()));
}

/// Two hundred nodes that hear each other say in a quiet period little more than two.
#[test]
fn the_number_of_broadcasts_hardly_grows_with_the_nodes() {
    let told_in_ten_minutes = |count: u64| {
        let mut nodes: Vec<Node> = (1..=count)
            .map(|seed| Node::with(Config::default(), seed))
            .collect();
        for node in &mut nodes {
            (1..count.min(200) as u8).for_each(|n| node.befriend(n));
        }
        let delay = Duration::from_millis(200);
        let mut told = 0;
        let mut in_flight: VecDeque<(Uptime, usize, Announcement)> = VecDeque::new();
        for _ in 0..6000 {
            for (at, node) in nodes.iter_mut().enumerate() {
                for said in published(&node.wait(Duration::from_millis(100))) {
                    told += 1;
                    in_flight.push_back((node.now.uptime + delay, at, said));
                }
            }
            let now = nodes[0].now.uptime;
            while in_flight.front().is_some_and(|(due, ..)| *due <= now) {
                let Some((_, from, said)) = in_flight.pop_front() else {
                    break;
                };
                let others = nodes.iter_mut().enumerate().filter(|(at, _)| *at != from);
                others.for_each(|(_, node)| drop(node.hear(1, &said)));
            }
        }
        told
    };
    let (few, many) = (told_in_ten_minutes(3), told_in_ten_minutes(200));
    assert!((50..130).contains(&few), "{few}");
    assert!((4..60).contains(&many), "{many}: more nodes say less");
}

// --- any order gives the same chain

/// A random DAG: each block names up to three of those before it.
fn dag(picks: &[Vec<prop::sample::Index>]) -> Vec<Block> {
    let node = Node::new();
    let mut blocks: Vec<Block> = Vec::new();
    for (n, picks) in picks.iter().enumerate() {
        let mut parents: Vec<(BlockId, u64)> = Vec::new();
        for pick in picks {
            let parent = match pick.index(blocks.len() + 1).checked_sub(1) {
                Some(at) => (blocks[at].id(), blocks[at].height()),
                None => (node.genesis(), 0),
            };
            parents.push(parent);
        }
        parents.sort_unstable();
        parents.dedup();
        let height = 1 + parents.iter().map(|(_, height)| *height).max().unwrap_or(0);
        let parents: Vec<BlockId> = parents.into_iter().map(|(id, _)| id).collect();
        blocks.push(block_of(
            node.id(),
            &signer(n as u8 % 5),
            &parents,
            height,
            &n.to_be_bytes(),
        ));
    }
    blocks
}

fn dags() -> impl Strategy<Value = Vec<Block>> {
    let picks = prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    prop::collection::vec(picks, 1..40).prop_map(|picks| dag(&picks))
}

/// How the blocks come: a shuffled order, some twice, by gossip or pull, and when the disk gets a turn.
fn schedules() -> impl Strategy<Value = (Vec<Block>, Vec<Block>, Vec<(bool, bool)>)> {
    dags().prop_flat_map(|blocks| {
        let twice: Vec<Block> = blocks.iter().chain(blocks.iter().take(10)).cloned().collect();
        let length = twice.len();
        let ways = prop::collection::vec((any::<bool>(), any::<bool>()), length);
        (Just(blocks), Just(twice).prop_shuffle(), ways)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_order_of_arrival_gives_the_same_chain((blocks, shuffled, ways) in schedules()) {
        let mut straight = Node::new();
        straight.pulled(2, blocks.clone());

        let mut node = Node::with(Config::default(), 2);
        node.is_slow = true;
        let mut outputs = Vec::new();
        for (block, (by_gossip, disk_turns)) in shuffled.into_iter().zip(ways) {
            outputs.extend(if by_gossip { node.hear_block(2, &block) } else { node.pulled(3, vec![block]) });
            if disk_turns {
                node.commit();
            }
        }
        while !node.disk.is_empty() {
            node.commit();
        }
        outputs.extend(std::mem::take(&mut node.seen));

        prop_assert_eq!(faults(&outputs).len(), 0);
        prop_assert_eq!(node.order(), straight.order());
        prop_assert_eq!(node.chain.leaves().collect::<Vec<_>>(), straight.chain.leaves().collect::<Vec<_>>());
        let digest = |node: &Node| reader::digest(&*node.store, &node.id()).unwrap();
        prop_assert_eq!(digest(&node), digest(&straight));
        prop_assert_eq!(digest(&node).1, blocks.len() as u64 + 1);

        // Delivered once each, parents first.
        let arrival = node.arrival();
        prop_assert_eq!(arrival.len(), blocks.len() + 1);
        let place = |id: &BlockId| arrival.iter().position(|other| other == id);
        for block in &blocks {
            prop_assert!(block.parents().iter().all(|parent| place(parent) < place(&block.id())));
        }

        // Opened again, it is the same.
        let again = Chain::open(node.id(), node.store.clone(), signer(1), Config::default(), 9).unwrap();
        prop_assert_eq!(again.leaves().collect::<Vec<_>>(), node.chain.leaves().collect::<Vec<_>>());
        prop_assert_eq!(again.status().blocks, node.chain.status().blocks);
        let stored = reader::leaves(&*node.store, &node.id()).unwrap();
        prop_assert_eq!(stored, again.leaves().collect::<Vec<_>>());
    }
}
