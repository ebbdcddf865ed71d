//! Is the right peer asked at the right time?

use super::*;
use crate::testing::peer;

fn at(seconds: u64) -> Uptime {
    Uptime::from_secs(seconds)
}

fn pulls_with(peers: std::ops::Range<u8>) -> Pulls {
    let mut pulls = Pulls::new(3, Duration::from_secs(2));
    peers.for_each(|n| pulls.on_joined(peer(n)));
    pulls
}

/// Each new peer is pulled from once.
fn settle(pulls: &mut Pulls, now: Uptime) {
    while let Some(id) = pulls.start_next(now, false) {
        assert_eq!(pulls.on_ended(now, &id, SyncOutcome::Complete), None);
    }
}

fn id(n: u8) -> BlockId {
    BlockId::of(&[n])
}

#[test]
fn new_peers_are_pulled_from_one_after_the_other() {
    let mut pulls = pulls_with(1..4);
    let mut asked = BTreeSet::new();
    for _ in 0..3 {
        let id = pulls.start_next(at(0), false).unwrap();
        assert_eq!(pulls.start_next(at(0), false), None, "one at a time");
        pulls.on_ended(at(0), &id, SyncOutcome::Complete);
        asked.insert(id);
    }
    assert_eq!(asked.len(), 3);
    assert_eq!(
        (pulls.start_next(at(99), false), pulls.deadline(false)),
        (None, None),
        "nothing is left to ask"
    );
}

#[test]
fn a_stalled_pull_gets_company_up_to_the_bound() {
    let mut pulls = pulls_with(1..9);
    let first = pulls.start_next(at(0), false).unwrap();
    pulls.on_progress(at(5), &first);

    assert_eq!(pulls.deadline(false), Some(at(7)));
    assert_eq!(pulls.start_next(at(6), false), None);
    assert!(pulls.start_next(at(7), false).is_some());
    assert_eq!(pulls.start_next(at(8), false), None, "the second has just begun");
    assert!(pulls.start_next(at(9), false).is_some());
    assert_eq!(pulls.active(), 3);
    assert_eq!(
        (pulls.start_next(at(99), false), pulls.deadline(false)),
        (None, None),
        "three at most"
    );
}

#[test]
fn a_peer_that_fails_is_asked_ever_later() {
    let mut pulls = pulls_with(1..2);
    let mut now = at(0);
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        let id = pulls.start_next(now, false).unwrap();
        pulls.on_ended(now, &id, SyncOutcome::Failed);
        now = now + Duration::from_secs(wait);
        assert_eq!(pulls.deadline(false), Some(now));
        assert!(pulls.start_next(now, false).is_some());
        pulls.peers.get_mut(&peer(1)).unwrap().progress = None;
    }
}

#[test]
fn missing_ancestors_are_asked_of_all_in_turn_and_then_again_later() {
    let mut pulls = pulls_with(1..4);
    settle(&mut pulls, at(0));
    pulls.on_orphan(&peer(2));
    let mut asked = Vec::new();

    for _ in 0..3 {
        let id = pulls.start_next(at(1), true).unwrap();
        pulls.on_ended(at(1), &id, SyncOutcome::Complete);
        asked.push(id);
    }

    assert_eq!(asked, [peer(2), asked[1], asked[2]], "who sent the orphan first");
    assert_eq!(pulls.start_next(at(1), true), None);
    assert_eq!(pulls.deadline(true), Some(at(2)), "a new round");
    assert!(pulls.start_next(at(2), true).is_some());
    assert_eq!(pulls.deadline(false), None, "nothing is missing any more");
}

#[test]
fn hopeless_orphans_are_given_up() {
    let mut pulls = pulls_with(1..2);
    settle(&mut pulls, at(0));
    let mut now = at(0);
    let mut asked = 0;
    while !pulls.take_hopeless() {
        while let Some(id) = pulls.start_next(now, true) {
            asked += 1;
            pulls.on_ended(now, &id, SyncOutcome::Complete);
        }
        now = pulls.deadline(true).unwrap();
    }
    assert!((5..=9).contains(&asked), "{asked}");
}

#[test]
fn an_announced_block_is_pulled_from_who_announced_it() {
    let mut pulls = pulls_with(1..6);
    settle(&mut pulls, at(0));
    pulls.on_announced(&peer(4), [id(1), id(2)]);

    assert_eq!(pulls.start_next(at(1), false), Some(peer(4)));
    pulls.on_attached(&id(1));
    pulls.on_attached(&id(2));
    assert_eq!(pulls.on_ended(at(1), &peer(4), SyncOutcome::Complete), None);
    assert_eq!(pulls.deadline(false), None);
}

#[test]
fn withholding_what_was_announced_is_a_fault_in_the_end() {
    let mut pulls = pulls_with(1..2);
    settle(&mut pulls, at(0));
    pulls.on_announced(&peer(1), (0..=255).chain(0..100).map(id));
    let mut faults = Vec::new();
    let mut now = at(0);
    for _ in 0..WITHHELD_MAX {
        let id = pulls.start_next(now, false).unwrap();
        faults.push(pulls.on_ended(now, &id, SyncOutcome::Complete));
        now = now + BACKOFF_MAX;
    }
    assert_eq!(faults, [None, None, None, Some(ANNOUNCED_MAX)]);
    assert!(pulls.peers[&peer(1)].announced.is_empty());
}

#[test]
fn a_peer_that_leaves_while_pulling_is_forgotten_at_the_end() {
    let mut pulls = pulls_with(1..2);
    let id = pulls.start_next(at(0), false).unwrap();
    pulls.on_left(&id);
    assert_eq!((pulls.peers(), pulls.active()), (0, 1));
    pulls.on_ended(at(0), &id, SyncOutcome::Failed);
    assert_eq!((pulls.active(), pulls.deadline(true)), (0, None));
}
