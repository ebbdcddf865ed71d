//! The rules of the client one by one; `transfer` has whole transfers.

use proptest::prelude::*;
use rustle_types::Now;

use super::want::Stage;
use super::*;
use crate::message::WantKind;
use crate::testing::{at, block, cid, peer};

mod crowd;
mod transfer;

const ONE: RequestId = RequestId(1);

fn give(client: &mut Client, now: Now, input: Input) -> Vec<Output> {
    client.handle(now, input);
    check(client);
    std::iter::from_fn(|| client.poll_output()).collect()
}

fn wait(client: &mut Client, now: Now) -> Vec<Output> {
    client.on_deadline(now);
    check(client);
    std::iter::from_fn(|| client.poll_output()).collect()
}

fn connected(count: u8) -> Client {
    let mut client = Client::new();
    for number in 0..count {
        give(
            &mut client,
            at(0),
            Input::PeerConnected(peer(number), Version::V1_2),
        );
    }
    client
}

fn want(numbers: std::ops::Range<u32>) -> Input {
    Input::Want {
        request: ONE,
        cids: numbers.map(cid).collect(),
    }
}

fn blocks(from: u8, numbers: &[u32]) -> Input {
    let blocks = numbers.iter().map(|number| (cid(*number), 4)).collect();
    Input::Received {
        peer: peer(from),
        blocks,
        haves: vec![],
        dont_haves: vec![],
    }
}

fn haves(from: u8, numbers: &[u32]) -> Input {
    let haves = numbers.iter().map(|number| cid(*number)).collect();
    Input::Received {
        peer: peer(from),
        blocks: vec![],
        haves,
        dont_haves: vec![],
    }
}

fn dont_haves(from: u8, numbers: &[u32]) -> Input {
    let dont_haves = numbers.iter().map(|number| cid(*number)).collect();
    Input::Received {
        peer: peer(from),
        blocks: vec![],
        haves: vec![],
        dont_haves,
    }
}

/// Wants of one kind that were sent: to whom, for what.
fn sent(outputs: &[Output], kind: WantKind) -> Vec<(PeerId, Cid)> {
    all_sent(outputs)
        .filter(|(_, want)| !want.cancel && want.kind == kind)
        .map(|(to, want)| (to, want.cid))
        .collect()
}

fn cancelled(outputs: &[Output]) -> Vec<(PeerId, Cid)> {
    all_sent(outputs)
        .filter(|(_, want)| want.cancel)
        .map(|(to, want)| (to, want.cid))
        .collect()
}

fn all_sent(outputs: &[Output]) -> impl Iterator<Item = (PeerId, Want)> + '_ {
    outputs.iter().flat_map(|output| match output {
        Output::Send { peer, wants } => wants.iter().map(|want| (*peer, *want)).collect(),
        _ => vec![],
    })
}

/// All books of the client agree with each other, and every bound holds.
pub(super) fn check(client: &Client) {
    let flights = || {
        client
            .wants
            .iter()
            .flat_map(|(hash, want)| want.flights.iter().map(move |flight| (hash, flight)))
    };
    assert!(client.wants.len() <= WANTS_MAX);
    assert_eq!(
        client.flying_bytes,
        flights().map(|(_, flight)| flight.bytes).sum::<u64>()
    );
    let timed = client
        .timers
        .iter()
        .filter(|(_, timer)| matches!(timer, Timer::Flight(..)))
        .count();
    assert_eq!(timed, flights().count());
    for (hash, flight) in flights() {
        assert!(
            client
                .timers
                .contains(&(flight.due, Timer::Flight(*hash, flight.peer)))
        );
    }
    for (peer, link) in &client.links {
        assert!(link.open.len() <= PEER_WANTS_MAX);
        assert_eq!(
            link.flying,
            flights().filter(|(_, flight)| flight.peer == *peer).count()
        );
        assert!(
            link.open
                .iter()
                .all(|hash| client.wants[hash].asked.contains(peer))
        );
    }
    for (hash, want) in &client.wants {
        let home = &client.sessions[&want.home().expect("someone wants it")];
        assert!(
            want.claims
                .iter()
                .all(|(request, _)| client.sessions[request].open.contains(hash))
        );
        assert!(
            want.asked
                .iter()
                .all(|peer| client.links[peer].open.contains(hash))
        );
        assert!(want.flights.len() <= 2);
        assert_eq!(want.stage == Stage::Flying, !want.flights.is_empty());
        assert_eq!(want.stage == Stage::Parked, home.parked.contains(hash));
        assert!(want.stage != Stage::Ready || home.ready.contains(hash));
    }
    for (request, session) in &client.sessions {
        let mine = |want: &&WantState| want.home() == Some(*request) && want.stage == Stage::Flying;
        assert_eq!(session.flying, client.wants.values().filter(mine).count());
        assert!(session.open.iter().all(|hash| client.wants.contains_key(hash)));
        assert!(
            session.open.is_empty() || session.search.is_some(),
            "an open session looks for providers"
        );
    }
}

#[test]
fn a_stranger_is_asked_for_the_block_and_the_others_whether_they_have_it() {
    let mut client = connected(3);
    let outputs = give(&mut client, at(0), want(0..1));
    assert_eq!(sent(&outputs, WantKind::Block).len(), 1);
    assert_eq!(sent(&outputs, WantKind::Have).len(), 2);

    let outputs = give(&mut client, at(5), blocks(0, &[0]));
    assert!(outputs.contains(&Output::Got {
        request: ONE,
        cid: cid(0),
        from: peer(0)
    }));
    assert_eq!(
        cancelled(&outputs).len(),
        2,
        "those who did not deliver need not look further"
    );
    assert_eq!(client.wanted(), 0);
}

#[test]
fn who_delivered_is_asked_for_the_next_blocks_at_once() {
    let mut client = connected(3);
    give(&mut client, at(0), want(0..1));
    give(&mut client, at(5), blocks(0, &[0]));
    let outputs = give(&mut client, at(6), want(1..3));
    assert_eq!(
        sent(&outputs, WantKind::Block),
        [(peer(0), cid(1)), (peer(0), cid(2))]
    );
    assert!(sent(&outputs, WantKind::Have).is_empty());
}

#[test]
fn the_load_is_split_and_each_block_asked_of_one_peer() {
    let mut client = connected(3);
    give(&mut client, at(0), want(0..1));
    give(&mut client, at(1), haves(1, &[0]));
    give(&mut client, at(1), haves(2, &[0]));
    give(&mut client, at(5), blocks(0, &[0]));

    let outputs = give(&mut client, at(6), want(1..10));
    let asked = sent(&outputs, WantKind::Block);
    assert_eq!(asked.len(), 9);
    for number in 0..3 {
        assert_eq!(asked.iter().filter(|(to, _)| *to == peer(number)).count(), 3);
    }
}

#[test]
fn who_was_not_heard_when_the_session_began_shares_the_load_too() {
    let mut client = connected(3);
    give(&mut client, at(0), want(0..1));
    // The others said nothing before the block came.
    give(&mut client, at(5), blocks(0, &[0]));

    let outputs = give(&mut client, at(6), want(1..300));
    let probes = sent(&outputs, WantKind::Have);
    for other in [1, 2] {
        let mine = probes.iter().filter(|(to, _)| *to == peer(other));
        assert_eq!(mine.count(), 4, "a few questions");
    }
    let outputs = give(&mut client, at(7), haves(1, &[260]));
    assert!(
        sent(&outputs, WantKind::Block).is_empty(),
        "it was not asked that"
    );
    let number = (0..300)
        .find(|number| cid(*number) == probes.iter().find(|(to, _)| *to == peer(1)).unwrap().1)
        .unwrap();
    let outputs = give(&mut client, at(8), haves(1, &[number]));
    assert!(
        sent(&outputs, WantKind::Block)
            .iter()
            .all(|(to, _)| *to == peer(1))
    );
    assert!(!sent(&outputs, WantKind::Block).is_empty());
}

#[test]
fn a_refusal_or_a_lost_peer_sends_the_block_elsewhere() {
    let mut client = connected(3);
    give(&mut client, at(0), want(0..1));
    give(&mut client, at(1), haves(1, &[0]));
    let outputs = give(&mut client, at(2), dont_haves(0, &[0]));
    assert_eq!(sent(&outputs, WantKind::Block), [(peer(1), cid(0))]);

    give(&mut client, at(3), haves(2, &[0]));
    let outputs = give(&mut client, at(4), Input::PeerDisconnected(peer(1)));
    assert_eq!(sent(&outputs, WantKind::Block), [(peer(2), cid(0))]);
}

#[test]
fn silence_moves_the_block_on_after_five_seconds() {
    let mut client = connected(2);
    give(&mut client, at(0), want(0..20));
    give(&mut client, at(1), haves(1, &[0]));
    assert!(sent(&wait(&mut client, at(4_999)), WantKind::Block).is_empty());
    let outputs = wait(&mut client, at(5_000));
    assert!(cancelled(&outputs).contains(&(peer(0), cid(0))));
    assert!(sent(&outputs, WantKind::Block).contains(&(peer(1), cid(0))));
}

#[test]
fn near_the_end_a_slow_block_is_asked_twice_and_kept_once() {
    let mut client = connected(2);
    give(&mut client, at(0), want(0..1));
    give(&mut client, at(1), haves(1, &[0]));
    let outputs = wait(&mut client, at(2_500));
    assert_eq!(sent(&outputs, WantKind::Block), [(peer(1), cid(0))]);

    let outputs = give(&mut client, at(2_600), blocks(1, &[0]));
    assert_eq!(cancelled(&outputs), [(peer(0), cid(0))]);
    let outputs = give(&mut client, at(2_700), blocks(0, &[0]));
    assert_eq!(
        outputs,
        [Output::Unwanted {
            peer: peer(0),
            cid: cid(0),
            is_late: true
        }]
    );
}

#[test]
fn old_peers_get_plain_wants_once_the_others_have_said_no() {
    let mut client = connected(1);
    give(&mut client, at(0), Input::PeerConnected(peer(9), Version::V1_1));
    let outputs = give(&mut client, at(0), want(0..1));
    assert_eq!(sent(&outputs, WantKind::Block), [(peer(0), cid(0))]);
    assert!(sent(&outputs, WantKind::Have).is_empty());
    let outputs = give(&mut client, at(1), dont_haves(0, &[0]));
    assert_eq!(sent(&outputs, WantKind::Block), [(peer(9), cid(0))]);
}

#[test]
fn providers_are_sought_after_a_second_and_then_less_and_less() {
    let mut client = connected(1);
    give(&mut client, at(0), want(0..1));
    give(&mut client, at(1), dont_haves(0, &[0]));
    let mut searches = vec![];
    while let Some(due) = client.next_deadline().filter(|due| *due < Uptime::from_secs(20)) {
        let now = at(due.since_start().as_millis() as u64);
        if wait(&mut client, now).contains(&Output::FindProviders {
            request: ONE,
            cid: cid(0),
        }) {
            searches.push(now.uptime.since_start().as_secs());
        }
    }
    assert_eq!(searches, [1, 3, 7, 15]);

    let mut alone = Client::new();
    give(&mut alone, at(0), want(0..1));
    assert_eq!(
        alone.next_deadline(),
        Some(Uptime::ZERO),
        "without peers there is nothing to wait for"
    );
}

#[test]
fn a_new_peer_is_asked_for_what_nobody_had_and_probed_for_the_rest() {
    let mut client = connected(1);
    give(&mut client, at(0), want(0..1));
    give(&mut client, at(1), dont_haves(0, &[0]));
    let outputs = give(&mut client, at(2), Input::PeerConnected(peer(1), Version::V1_2));
    assert_eq!(sent(&outputs, WantKind::Block), [(peer(1), cid(0))]);
    give(&mut client, at(3), blocks(1, &[0]));

    give(&mut client, at(4), want(10..200));
    let outputs = give(&mut client, at(5), Input::PeerConnected(peer(2), Version::V1_2));
    let probes = sent(&outputs, WantKind::Have);
    assert!((1..=4).contains(&probes.len()) && probes.iter().all(|(to, _)| *to == peer(2)));
    let outputs = give(
        &mut client,
        at(6),
        Input::Received {
            peer: peer(2),
            blocks: vec![],
            haves: vec![probes[0].1],
            dont_haves: vec![],
        },
    );
    assert!(
        sent(&outputs, WantKind::Block)
            .iter()
            .any(|(to, _)| *to == peer(2)),
        "it shares the load"
    );
}

#[test]
fn two_requests_share_a_block_and_cancelling_one_keeps_it() {
    let mut client = connected(1);
    give(&mut client, at(0), want(0..3));
    let two = RequestId(2);
    let outputs = give(
        &mut client,
        at(0),
        Input::Want {
            request: two,
            cids: vec![cid(0)],
        },
    );
    assert!(outputs.is_empty(), "it is on its way");
    let outputs = give(&mut client, at(1), Input::Cancel(ONE));
    let mut ended = cancelled(&outputs);
    ended.sort();
    let mut expected = vec![(peer(0), cid(1)), (peer(0), cid(2))];
    expected.sort();
    assert_eq!(ended, expected);
    let outputs = give(&mut client, at(2), blocks(0, &[0]));
    assert_eq!(
        outputs,
        [Output::Got {
            request: two,
            cid: cid(0),
            from: peer(0)
        }]
    );
}

#[test]
fn the_bytes_in_flight_are_bounded_and_messages_are_short() {
    let mut client = connected(1);
    let outputs = give(&mut client, at(0), want(0..5_000));
    assert_eq!(
        sent(&outputs, WantKind::Block).len(),
        4,
        "a megabyte of blocks of unknown size"
    );
    for round in 0..200u32 {
        let numbers: Vec<u32> = client
            .wants
            .values()
            .filter(|want| want.stage == Stage::Flying)
            .filter_map(|want| (0..5_000).find(|number| cid(*number) == want.cid))
            .take(1)
            .collect();
        let outputs = give(&mut client, at(u64::from(round)), blocks(0, &numbers));
        for output in &outputs {
            assert!(!matches!(output, Output::Send { wants, .. } if MESSAGE_WANTS_MAX < wants.len()));
        }
    }
    let flying = client.peer_stats(&peer(0)).unwrap().flying;
    assert!(
        (64..=512).contains(&flying),
        "small blocks fly in swarms: {flying}"
    );
}

#[test]
fn wants_over_the_bound_are_refused() {
    let mut client = Client::new();
    client.handle(at(0), want(0..WANTS_MAX as u32 + 1));
    let outputs: Vec<Output> = std::iter::from_fn(|| client.poll_output()).collect();
    assert_eq!(
        outputs,
        [Output::Refused {
            request: ONE,
            cid: cid(WANTS_MAX as u32)
        }]
    );
}

#[test]
fn presences_nobody_asked_for_are_ignored() {
    let mut client = connected(2);
    give(&mut client, at(0), want(0..1));
    give(&mut client, at(0), Input::PeerDisconnected(peer(1)));
    assert!(give(&mut client, at(1), haves(1, &[0, 5])).is_empty());
    assert_eq!(
        give(&mut client, at(1), blocks(0, &[77])),
        [Output::Unwanted {
            peer: peer(0),
            cid: block(77, 4).0,
            is_late: false
        }]
    );
}

#[test]
fn a_want_that_follows_its_cancel_at_once_stands_alone() {
    let mut client = connected(1);
    give(&mut client, at(0), want(0..1));
    // Both are decided before anything is sent.
    client.send(peer(0), Want::cancel(cid(0)));
    client.send(peer(0), Want::have(cid(1), 1));
    client.send(peer(0), Want::block(cid(0), 1));
    client.flush();
    assert_eq!(
        client.poll_output(),
        Some(Output::Send {
            peer: peer(0),
            wants: vec![Want::have(cid(1), 1), Want::block(cid(0), 1)]
        })
    );
}

#[test]
fn who_was_asked_and_who_said_no_is_known_until_the_end() {
    let mut client = connected(3);
    give(&mut client, at(0), want(0..1));
    give(&mut client, at(1), dont_haves(1, &[0]));
    give(&mut client, at(2), Input::PeerDisconnected(peer(2)));

    let asked = client.asked(ONE).peers;
    assert_eq!(
        asked,
        [(peer(0), false), (peer(1), true), (peer(2), false)].into()
    );
    give(&mut client, at(3), Input::Cancel(ONE));
    assert_eq!(client.asked(ONE), Asked::default());
}

#[derive(Debug, Clone)]
enum Step {
    Want(u64, Vec<u32>),
    Cancel(u64),
    Connected(u8, bool),
    Gone(u8),
    Received(u8, Vec<u32>, Vec<u32>, Vec<u32>),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let some = || prop::collection::vec(0u32..30, 0..8);
    prop_oneof![
        (0u64..3, some()).prop_map(|(request, numbers)| Step::Want(request, numbers)),
        (0u64..3).prop_map(Step::Cancel),
        (0u8..4, any::<bool>()).prop_map(|(number, new)| Step::Connected(number, new)),
        (0u8..4).prop_map(Step::Gone),
        (0u8..4, some(), some(), some())
            .prop_map(|(number, blocks, haves, not)| Step::Received(number, blocks, haves, not)),
        (1u64..10_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn any_sequence_keeps_the_books(steps in prop::collection::vec(any_step(), 0..60)) {
        let (mut client, mut time) = (Client::new(), 0);
        let cids = |numbers: Vec<u32>| numbers.into_iter().map(cid).collect::<Vec<_>>();
        for step in steps {
            let input = match step {
                Step::Want(request, numbers) => Input::Want { request: RequestId(request), cids: cids(numbers) },
                Step::Cancel(request) => Input::Cancel(RequestId(request)),
                Step::Connected(number, new) => {
                    Input::PeerConnected(peer(number), if new { Version::V1_2 } else { Version::V1_0 })
                }
                Step::Gone(number) => Input::PeerDisconnected(peer(number)),
                Step::Received(number, blocks, haves, dont_haves) => Input::Received {
                    peer: peer(number),
                    blocks: cids(blocks).into_iter().map(|cid| (cid, 100_000)).collect(),
                    haves: cids(haves),
                    dont_haves: cids(dont_haves),
                },
                Step::Wait(millis) => {
                    time += millis;
                    wait(&mut client, at(time));
                    continue;
                }
            };
            give(&mut client, at(time), input);
        }
    }
}

#[test]
fn a_hundred_thousand_small_blocks() {
    let mut client = connected(3);
    let cids: Vec<Cid> = (0..100_000).map(cid).collect();
    let mut queue = std::collections::VecDeque::new();
    client.handle(at(0), Input::Want { request: ONE, cids });
    let mut got = 0;
    for time in 0u64.. {
        while let Some(output) = client.poll_output() {
            match output {
                Output::Send { peer, wants } => queue.push_back((peer, wants)),
                Output::Got { .. } => got += 1,
                _ => {}
            }
        }
        let Some((peer, wants)) = queue.pop_front() else {
            break;
        };
        let wants = wants.iter().filter(|want| !want.cancel);
        let blocks = wants
            .clone()
            .filter(|want| want.kind == WantKind::Block)
            .map(|want| (want.cid, 300))
            .collect();
        let haves = wants
            .filter(|want| want.kind == WantKind::Have)
            .map(|want| want.cid)
            .collect();
        client.handle(
            at(time / 10),
            Input::Received {
                peer,
                blocks,
                haves,
                dont_haves: vec![],
            },
        );
    }
    assert_eq!(got, 100_000);
}
