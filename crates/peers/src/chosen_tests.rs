//! Connections that another part of the node dials have the standing of those that dial in.

use rustle_types::Direction;

use super::tests::{ALICE, BOB, at, closed, config, drain, hello_of, id, stranger};
use super::*;
use crate::Targets;

/// A manager that wants two outbound connections and takes four others.
fn alice() -> Manager {
    let targets = Targets {
        lower: 0,
        target: 5,
        upper: 6,
        outbound: 2,
    };
    Manager::new(
        Config {
            targets,
            ..config(ALICE)
        },
        1,
    )
}

fn place(number: u64) -> Multiaddr {
    format!("/ip4/8.{number}.0.1/tcp/4001").parse().unwrap()
}

/// A connection that stands and is greeted, whoever dialled.
fn greet(alice: &mut Manager, number: u64, direction: Direction, request: Option<u64>) -> Vec<Output> {
    greet_at(
        alice,
        at(number),
        number,
        number,
        place(number),
        direction,
        request,
    )
}

fn greet_at(
    alice: &mut Manager,
    now: Now,
    number: u64,
    peer: u64,
    address: Multiaddr,
    direction: Direction,
    request: Option<u64>,
) -> Vec<Output> {
    let connection = ConnectionId(number);
    let connected = Input::Connected {
        connection,
        peer: stranger(peer),
        direction,
        address,
        request,
        age: Duration::ZERO,
    };
    alice.handle(now, connected);
    let hello = hello_of(&Manager::new(config(BOB), 100 + peer));
    let message = match direction {
        Direction::Outbound => {
            alice.handle(now, Input::ControlOpened { connection });
            Control::HelloAck(hello)
        }
        Direction::Inbound => Control::Hello(hello),
    };
    alice.handle(now, Input::Control { connection, message });
    drain(alice)
}

/// Makes the manager dial a peer by itself, and answers.
fn choose(alice: &mut Manager, number: u64) {
    let learned = Input::Learned {
        peer: stranger(number),
        addresses: vec![place(number)],
        source: SourceKind::Exchange,
    };
    alice.handle(at(number), learned);
    let dialled = drain(alice).into_iter().find_map(|output| match output {
        Output::Dial { request, .. } => Some(request),
        _ => None,
    });
    let request = dialled.expect("a place is free");
    greet(alice, number, Direction::Outbound, Some(request));
}

#[test]
fn what_the_dht_dials_takes_no_outbound_place() {
    let mut alice = alice();
    for number in 1..=3 {
        greet(&mut alice, number, Direction::Outbound, None);
    }
    let counts = alice.counts();
    assert_eq!((counts.outbound, counts.inbound), (0, 3));
    let views: Vec<_> = alice.views().map(|view| view.direction).collect();
    assert_eq!(views, [Direction::Outbound; 3], "people see who dialled");
    choose(&mut alice, 10);
    choose(&mut alice, 11);
    assert_eq!(alice.counts().outbound, 2, "both places are filled by choice");
}

#[test]
fn what_the_dht_dials_is_refused_where_those_that_dial_in_are() {
    let mut alice = alice();
    for number in 1..=4 {
        let direction = if number % 2 == 0 {
            Direction::Outbound
        } else {
            Direction::Inbound
        };
        assert_eq!(closed(&greet(&mut alice, number, direction, None)), None);
    }
    let outputs = greet(&mut alice, 5, Direction::Outbound, None);
    assert_eq!(closed(&outputs), Some(Some(DisconnectReason::Full)));
    choose(&mut alice, 10);
    assert_eq!(alice.counts().outbound, 1, "there is room for what is chosen");
}

#[test]
fn what_the_dht_dials_goes_before_what_was_chosen() {
    let mut alice = alice();
    alice.config.targets.target = 20;
    alice.config.targets.upper = 40;
    choose(&mut alice, 10);
    choose(&mut alice, 11);
    for number in 20..50 {
        greet(&mut alice, number, Direction::Outbound, None);
    }
    let mut dropped = Vec::new();
    for round in 1..=20 {
        alice.on_deadline(at(round * 10_000));
        for output in drain(&mut alice) {
            if let Output::Close { connection, .. } = output {
                dropped.push(connection.0);
                alice.handle(at(round * 10_000), Input::Disconnected { connection });
            }
        }
    }
    assert!(!dropped.is_empty(), "thirty are more than the target");
    assert!(dropped.iter().all(|number| 20 <= *number), "{dropped:?}");
    assert_eq!(alice.counts().outbound, 2);
}

#[test]
fn a_needed_peer_that_the_dht_dialled_is_not_protected() {
    let mut alice = alice();
    let source = Source::of_kind(SourceKind::Invitation);
    alice
        .book
        .need(at(0), stranger(1), vec![place(1)], source, Need::Member);
    assert!(alice.is_protected(at(0), &stranger(1), Why::Needed));
    assert!(!alice.is_protected(at(0), &stranger(1), Why::Other));
}

#[test]
fn the_way_around_a_relay_is_chosen_as_the_relayed_one_was() {
    let mut alice = alice();
    let relayed: Multiaddr = format!("/ip4/8.8.8.8/tcp/1/p2p/{}/p2p-circuit", id(BOB))
        .parse()
        .unwrap();
    let learned = Input::Learned {
        peer: stranger(1),
        addresses: vec![relayed.clone()],
        source: SourceKind::Exchange,
    };
    alice.handle(at(0), learned);
    let outputs = drain(&mut alice);
    let Some(Output::Dial { request, .. }) = outputs
        .iter()
        .find(|output| matches!(output, Output::Dial { .. }))
    else {
        panic!("no dial: {outputs:?}")
    };
    greet_at(
        &mut alice,
        at(1),
        1,
        1,
        relayed,
        Direction::Outbound,
        Some(*request),
    );
    assert_eq!(alice.counts().outbound, 1);
    let outputs = greet_at(&mut alice, at(2), 2, 1, place(1), Direction::Outbound, None);
    assert_eq!(closed(&outputs), Some(Some(DisconnectReason::Duplicate)));
    let connection = ConnectionId(1);
    alice.handle(at(3), Input::Disconnected { connection });
    assert_eq!(alice.counts().outbound, 1, "the direct connection has the place");
}

#[test]
fn what_the_dht_dials_becomes_no_anchor() {
    let mut alice = alice();
    greet(&mut alice, 1, Direction::Outbound, None);
    choose(&mut alice, 10);
    let anchors: Vec<PeerId> = alice.book.anchors().collect();
    assert_eq!(anchors, [stranger(10)]);
    assert!(
        alice.book.contains(&stranger(1)),
        "its address is good all the same"
    );
}

#[test]
fn whom_we_chose_does_not_free_his_place_by_dialling_back() {
    let mut alice = alice();
    choose(&mut alice, 10);
    let since = at(60_000);
    greet_at(&mut alice, since, 20, 10, place(10), Direction::Inbound, None);
    let connection = ConnectionId(10);
    alice.handle(since, Input::Disconnected { connection });
    let views: Vec<_> = alice.views().map(|view| view.direction).collect();
    assert_eq!(views, [Direction::Inbound], "people see who dialled");
    let counts = alice.counts();
    assert_eq!((counts.outbound, counts.inbound), (1, 0));
}
