//! Fairness, bounds and answers of the server.

use std::sync::LazyLock;

use bytes::Bytes;
use proptest::prelude::*;
use rustle_store::{Batch, Durability, MemoryStore, Store};

use super::*;
use crate::testing::{block, cid, peer};

fn everyone(_: &PeerId, _: &Cid) -> bool {
    true
}

fn server() -> Server<fn(&PeerId, &Cid) -> bool> {
    Server::new(everyone)
}

/// A store with blocks of these sizes, numbered from 0.
fn store_of(sizes: &[usize]) -> (MemoryStore, Vec<Cid>) {
    let store = MemoryStore::new();
    let cids = sizes
        .iter()
        .enumerate()
        .map(|(number, size)| put(&store, number as u32, *size))
        .collect();
    (store, cids)
}

fn put(store: &MemoryStore, number: u32, size: usize) -> Cid {
    let (cid, bytes) = block(number, size);
    let mut batch = Batch::new();
    batch.put_block(cid, bytes);
    store.commit(batch, Durability::Buffered).unwrap();
    cid
}

#[test]
fn answers_by_kind_and_size() {
    let (store, cids) = store_of(&[2000, 2000, 100]);
    let mut server = server();
    let mut silent = Want::block(cid(91), 1);
    silent.send_dont_have = false;
    let wants = [
        Want::block(cids[0], 1),
        Want::have(cids[1], 1),
        Want::have(cids[2], 1),
        Want::block(cid(90), 1),
        silent,
    ];

    let taken = server.on_wants(&store, peer(1), &wants, false);

    assert_eq!(taken, Taken { kept: 5, dropped: 0 });
    let task = server.next_task().unwrap();
    assert_eq!(task.blocks, [cids[0], cids[2]]);
    assert_eq!(
        task.presences,
        [(cids[1], Presence::Have), (cid(90), Presence::DontHave)]
    );
    assert_eq!((task.bytes, task.pending_bytes), (2100 + 2 * PRESENCE_BYTES, 0));
    assert_eq!(server.next_task(), None);
    assert_eq!(
        server.wants_of(&peer(1)),
        2,
        "only what is not here is remembered"
    );
}

#[test]
fn a_block_that_comes_later_answers_those_who_wait() {
    let (store, _) = store_of(&[]);
    let mut server = server();
    let (late, _) = block(7, 5000);
    server.on_wants(&store, peer(1), &[Want::block(late, 1)], false);
    server.on_wants(&store, peer(2), &[Want::have(late, 1)], false);
    while server.next_task().is_some() {}

    put(&store, 7, 5000);
    server.on_stored(&store, &[late]);

    let first = server.next_task().unwrap();
    assert_eq!((first.peer, first.blocks), (peer(1), vec![late]));
    assert_eq!(server.next_task().unwrap().presences, [(late, Presence::Have)]);
    assert!(server.waiting.is_empty());
}

#[test]
fn urgent_blocks_go_first_and_cancelled_ones_not_at_all() {
    let (store, cids) = store_of(&[10, 11, 12]);
    let mut server = server();
    let wants = [
        Want::block(cids[0], 1),
        Want::block(cids[1], 9),
        Want::block(cids[2], 5),
    ];
    server.on_wants(&store, peer(1), &wants, false);
    server.on_wants(&store, peer(1), &[Want::cancel(cids[2])], false);

    assert_eq!(server.next_task().unwrap().blocks, [cids[1], cids[0]]);
    assert_eq!(server.next_task(), None);
}

#[test]
fn peers_take_turns_and_a_slow_one_stops() {
    let (store, cids) = store_of(&[1 << 20; 20]);
    let mut server = server();
    let wants: Vec<Want> = cids.iter().map(|cid| Want::block(*cid, 1)).collect();
    server.on_wants(&store, peer(1), &wants, false);
    server.on_wants(&store, peer(2), &wants, false);

    let order: Vec<PeerId> = std::iter::from_fn(|| server.next_task())
        .map(|task| task.peer)
        .collect();
    assert_eq!(order.len(), 16, "eight MiB each are on their way");
    assert!(order.chunks(2).all(|pair| pair == [peer(1), peer(2)]));

    server.on_sent(&peer(2), 1 << 20);
    let task = server.next_task().unwrap();
    assert_eq!((task.peer, task.pending_bytes), (peer(2), 11 << 20));
    assert_eq!(server.next_task(), None);
}

#[test]
fn wants_over_the_bound_are_dropped_with_full_too() {
    let (store, _) = store_of(&[]);
    let mut server = server();
    let wants: Vec<Want> = (0..1500).map(|number| Want::block(cid(number), 1)).collect();

    let taken = server.on_wants(&store, peer(1), &wants, true);
    assert_eq!(
        taken,
        Taken {
            kept: 1024,
            dropped: 476
        }
    );
    assert_eq!(
        server.on_wants(&store, peer(1), &wants[..2], false).dropped,
        0,
        "known ones are updated"
    );

    assert_eq!(server.on_wants(&store, peer(1), &wants[1400..], true).kept, 100);
    assert_eq!(server.wants_of(&peer(1)), 100);
    assert_eq!(server.waiting.len(), 100);
    server.on_disconnected(&peer(1));
    assert_eq!(
        (server.peers(), server.waiting.len(), server.next_task()),
        (0, 0, None)
    );
}

#[test]
fn what_the_policy_forbids_looks_absent() {
    let (store, cids) = store_of(&[10]);
    let mut server = Server::new(|to: &PeerId, _: &Cid| *to == peer(1));
    for number in 1..3 {
        server.on_wants(&store, peer(number), &[Want::block(cids[0], 1)], false);
    }

    assert_eq!(server.next_task().unwrap().blocks, cids);
    assert_eq!(
        server.next_task().unwrap().presences,
        [(cids[0], Presence::DontHave)]
    );
    server.on_stored(&store, &cids);
    assert_eq!(server.next_task(), None);
}

/// Forty blocks of 400,000 bytes, hashed once.
static LARGE: LazyLock<Vec<(Cid, Bytes)>> =
    LazyLock::new(|| (0..40).map(|number| block(number, 400_000)).collect());

#[derive(Debug, Clone)]
enum Step {
    Wants(u8, Vec<(u32, bool, bool)>, bool),
    Stored(u32),
    Sent(u8),
    Gone(u8),
    Task,
}

fn any_step() -> impl Strategy<Value = Step> {
    let wants = prop::collection::vec((0u32..40, any::<bool>(), any::<bool>()), 0..40);
    prop_oneof![
        4 => (0u8..4, wants, any::<bool>()).prop_map(|(peer, wants, full)| Step::Wants(peer, wants, full)),
        2 => (0u32..40).prop_map(Step::Stored),
        2 => (0u8..4).prop_map(Step::Sent),
        1 => (0u8..4).prop_map(Step::Gone),
        3 => Just(Step::Task),
    ]
}

#[test]
fn who_asks_again_and_again_and_takes_no_answer_is_answered_so_often() {
    let (store, mut server) = (MemoryStore::new(), server());
    let wants: Vec<Want> = (0..PEER_WANTS_MAX as u32)
        .map(|number| Want::have(cid(number), 1))
        .collect();
    let mut told = 0;
    for _ in 0..200 {
        server.on_wants(&store, peer(1), &wants, true);
        while let Some(task) = server.next_task() {
            told += task.presences.len() as u64;
        }
    }
    assert_eq!(told, PEER_OUTSTANDING_BYTES_MAX / PRESENCE_BYTES);

    server.on_sent(&peer(1), 1000 * PRESENCE_BYTES);
    let task = server.next_task().unwrap();
    assert_eq!(task.presences.len(), 1000, "as many as were taken");
}

proptest! {
    #[test]
    fn any_sequence_keeps_the_books(steps in prop::collection::vec(any_step(), 0..80)) {
        let store = MemoryStore::new();
        let mut server = server();
        for step in steps {
            match step {
                Step::Wants(number, wants, full) => {
                    let wants: Vec<Want> = wants
                        .into_iter()
                        .map(|(number, have, cancel)| {
                            let of = LARGE[number as usize].0;
                            let want = if have { Want::have(of, 1) } else { Want::block(of, number as i32) };
                            Want { cancel, ..want }
                        })
                        .collect();
                    server.on_wants(&store, peer(number), &wants, full);
                }
                Step::Stored(number) => {
                    let (cid, bytes) = LARGE[number as usize].clone();
                    let mut batch = Batch::new();
                    batch.put_block(cid, bytes);
                    store.commit(batch, Durability::Buffered).unwrap();
                    server.on_stored(&store, &[cid]);
                }
                Step::Sent(number) => server.on_sent(&peer(number), 400_000),
                Step::Gone(number) => server.on_disconnected(&peer(number)),
                Step::Task => {
                    if let Some(task) = server.next_task() {
                        let presences = task.presences.len() as u64 * PRESENCE_BYTES;
                        prop_assert!(task.bytes <= TASK_BYTES + presences);
                        for cid in &task.blocks {
                            prop_assert!(store.has(cid).unwrap(), "only what is here is promised");
                        }
                    }
                }
            }
            for (peer, ledger) in &server.peers {
                prop_assert!(ledger.len() <= PEER_WANTS_MAX);
                prop_assert!(ledger.outstanding < PEER_OUTSTANDING_BYTES_MAX + TASK_BYTES);
                prop_assert_eq!(ledger.in_turn, server.turns.contains(peer));
            }
            for (hash, peers) in &server.waiting {
                prop_assert!(!peers.is_empty());
                for peer in peers {
                    prop_assert!(server.peers[peer].entry(hash).is_some_and(|entry| entry.absent));
                }
            }
        }
    }
}
