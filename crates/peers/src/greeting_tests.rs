//! Handshakes of light clients, of feelers, and of connections that are not young when they are told.

use rustle_types::Direction;
use rustle_wire::Services;

use super::tests::{ALICE, BOB, address, at, closed, config, drain, hello_of, id, stranger};
use super::*;
use crate::Targets;

fn connect(manager: &mut Manager, now: Now, direction: Direction, request: Option<u64>, age: Duration) {
    let connected = Input::Connected {
        connection: ConnectionId(1),
        peer: id(BOB),
        direction,
        address: address(4001),
        request,
        age,
    };
    manager.handle(now, connected);
}

fn say(manager: &mut Manager, now: Now, message: Control) -> Vec<Output> {
    let connection = ConnectionId(1);
    manager.handle(now, Input::Control { connection, message });
    drain(manager)
}

fn hello() -> Hello {
    hello_of(&Manager::new(config(BOB), 2))
}

#[test]
fn the_deadline_of_the_handshake_counts_from_the_socket() {
    let mut alice = Manager::new(config(ALICE), 1);
    connect(
        &mut alice,
        at(10_000),
        Direction::Inbound,
        None,
        Duration::from_secs(3),
    );
    alice.on_deadline(at(11_999));
    assert_eq!(closed(&drain(&mut alice)), None);
    alice.on_deadline(at(12_000));
    assert_eq!(closed(&drain(&mut alice)), Some(Some(DisconnectReason::Timeout)));
}

#[test]
fn a_light_client_says_so_and_takes_nobody_in() {
    let light = Config {
        light: true,
        targets: Targets::LIGHT,
        ..config(ALICE)
    };
    let mut alice = Manager::new(light.clone(), 1);
    assert_eq!(hello_of(&alice).services, Services::LIGHT);
    connect(&mut alice, at(0), Direction::Inbound, None, Duration::ZERO);
    let outputs = say(&mut alice, at(1), Control::Hello(hello()));
    assert_eq!(closed(&outputs), Some(Some(DisconnectReason::Full)));
    assert_eq!(alice.counters().refusals.of("light"), 1);

    let mut alice = Manager::new(light, 1);
    connect(&mut alice, at(0), Direction::Outbound, None, Duration::ZERO);
    let connection = ConnectionId(1);
    alice.handle(at(0), Input::ControlOpened { connection });
    say(&mut alice, at(1), Control::HelloAck(hello()));
    assert!(
        alice.is_up(&id(BOB)),
        "what its own parts dial is no inbound connection"
    );
}

#[test]
fn addresses_that_were_only_heard_of_are_tested_every_two_minutes_and_let_go() {
    // It wants no peers, so that whatever it dials is a test.
    let targets = Targets {
        lower: 0,
        target: 0,
        outbound: 0,
        ..Targets::default()
    };
    let mut alice = Manager::new(
        Config {
            targets,
            ..config(ALICE)
        },
        1,
    );
    for number in 0..200 {
        let source = Source::at(
            SourceKind::Exchange,
            &format!("/ip4/7.{number}.0.1/tcp/1").parse().unwrap(),
        );
        let addresses = vec![format!("/ip4/10.{number}.0.1/tcp/1").parse().unwrap()];
        alice.book.learn(at(0), stranger(number), addresses, source);
    }
    let (mut tested, mut millis) = (0, 0);
    while millis < 6 * 3_600_000 {
        millis = u64::try_from(alice.next_deadline().unwrap().since_start().as_millis()).unwrap() + 1;
        alice.on_deadline(at(millis));
        let dialled = drain(&mut alice).into_iter().find_map(|output| match output {
            Output::Dial {
                request,
                peer,
                mut addresses,
            } => Some((request, peer.unwrap(), addresses.remove(0))),
            _ => None,
        });
        let Some((request, peer, address)) = dialled else {
            continue;
        };
        tested += 1;
        let connection = ConnectionId(1);
        let connected = Input::Connected {
            connection,
            peer,
            direction: Direction::Outbound,
            address,
            request: Some(request),
            age: Duration::ZERO,
        };
        alice.handle(at(millis), connected);
        alice.handle(at(millis), Input::ControlOpened { connection });
        let outputs = say(&mut alice, at(millis), Control::HelloAck(hello()));
        assert_eq!(closed(&outputs), Some(Some(DisconnectReason::NotNeeded)));
        alice.handle(at(millis), Input::Disconnected { connection });
    }
    assert!((120..=260).contains(&tested), "{tested} tests in six hours");
    assert_eq!(alice.counters().feelers_good, tested);
    assert!(0 < alice.book_stats().tried, "who answered is tried");
    assert_eq!(alice.peers_up(), 0);
}
