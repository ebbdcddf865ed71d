//! Places of those that do not speak our protocol.

use rustle_types::Direction;

use super::stranger_tests::come;
use super::tests::{ALICE, BOB, address, at, closed, config, connect_result, connected, drain, id, stranger};
use super::*;
use crate::{Class, FOREIGN_SILENCE_MAX};

const PLACES: u64 = 32;

/// A foreign peer dials in from a group of its own; what follows from it.
fn foreign(manager: &mut Manager, millis: u64, number: u64) -> Vec<Output> {
    let place = format!("/ip4/20.{number}.1.1/tcp/5555");
    foreign_at(manager, millis, number, &place)
}

fn foreign_at(manager: &mut Manager, millis: u64, number: u64, place: &str) -> Vec<Output> {
    come(manager, at(millis), number, stranger(number), place);
    let connection = ConnectionId(number);
    manager.handle(at(millis), Input::ControlUnsupported { connection });
    let outputs = drain(manager);
    carry_out(manager, millis, outputs)
}

/// Ends what was closed.
fn carry_out(manager: &mut Manager, millis: u64, outputs: Vec<Output>) -> Vec<Output> {
    for output in &outputs {
        if let Output::Close { connection, .. } = output {
            let connection = *connection;
            manager.handle(at(millis), Input::Disconnected { connection });
        }
    }
    outputs
}

/// Lets time pass; the network says of these connections that they were used just now, of others that they never were.
fn pass(manager: &mut Manager, from: u64, to: u64, is_used: impl Fn(u64) -> bool) {
    for millis in (from..=to).step_by(10_000) {
        manager.on_deadline(at(millis));
        let outputs = drain(manager);
        for output in carry_out(manager, millis, outputs) {
            if let Output::Probe { connection } = output {
                let idle = if is_used(connection.0) {
                    Duration::ZERO
                } else {
                    Duration::from_millis(millis)
                };
                manager.handle(at(millis), Input::Activity { connection, idle });
                let outputs = drain(manager);
                carry_out(manager, millis, outputs);
            }
        }
    }
}

fn is_there(manager: &Manager, number: u64) -> bool {
    let mut views = manager.views();
    views.any(|view| view.peer == stranger(number) && view.class == Class::Foreign)
}

#[test]
fn a_full_house_of_silent_foreign_peers_is_no_house_for_ever() {
    let mut alice = Manager::new(config(ALICE), 1);
    for number in 0..PLACES {
        foreign(&mut alice, 0, number);
    }
    assert_eq!(alice.counts().foreign, 32);
    let silence = u64::try_from(FOREIGN_SILENCE_MAX.as_millis()).unwrap();
    pass(&mut alice, 10_000, silence - 10_000, |_| false);
    assert_eq!(alice.counts().foreign, 32);
    pass(&mut alice, silence, 24 * 3_600_000, |number| number < 3);
    assert_eq!(alice.counts().foreign, 3, "those that are used stay");
    assert_eq!(closed(&foreign(&mut alice, 24 * 3_600_000, 40)), None);
}

#[test]
fn a_foreign_newcomer_takes_the_place_of_the_least_useful() {
    let mut alice = Manager::new(config(ALICE), 1);
    for number in 0..12 {
        foreign(&mut alice, number, number);
        let peer = stranger(number);
        let what = if number % 2 == 0 {
            Use::Content
        } else {
            Use::Gossip
        };
        if 4 <= number {
            alice.handle(at(number), Input::Useful { peer, what });
        }
    }
    for number in 12..PLACES + 200 {
        let place = format!("/ip4/66.6.{number}.1/tcp/5555");
        let outputs = foreign_at(&mut alice, number, number, &place);
        assert!(is_there(&alice, number), "{outputs:?}");
        assert!(alice.counts().foreign <= 32);
    }
    let stayed = (0..12).filter(|number| is_there(&alice, *number)).count();
    assert_eq!(stayed, 12, "a flood from one group makes room for itself");
}

#[test]
fn without_places_for_foreign_peers_none_comes() {
    for places in [0, 2] {
        let mut settings = config(ALICE);
        settings.foreign.places = places;
        let mut alice = Manager::new(settings, 1);
        for number in 0..20 {
            foreign(&mut alice, number, number);
            assert!(alice.counts().foreign <= places);
        }
    }
}

#[test]
fn a_foreign_peer_that_was_asked_for_is_let_in_and_stays() {
    let mut alice = Manager::new(config(ALICE), 1);
    for number in 0..PLACES {
        foreign(&mut alice, 0, number);
    }
    let address = address(4001);
    alice.handle(at(0), Input::Connect { request: 5, address });
    let Some(Output::Dial { request, .. }) = alice.poll_output() else {
        panic!("no dial")
    };
    let connection = ConnectionId(99);
    alice.handle(at(0), connected(99, BOB, Direction::Outbound, Some(request)));
    alice.handle(at(0), Input::ControlUnsupported { connection });
    let outputs = drain(&mut alice);
    assert_eq!(closed(&outputs), None);
    assert_eq!(connect_result(&outputs), Some(Ok(id(BOB))));
    pass(&mut alice, 10_000, 3_600_000, |_| false);
    for number in 100..140 {
        foreign(&mut alice, 3_600_000, number);
    }
    assert!(alice.views().any(|view| view.peer == id(BOB)));
}
