//! Where do more peers come from, and who is not one of them?

use rustle_types::Direction;

use super::tests::{ALICE, BOB, address, at, config, drain, hello_of, id, stranger};
use super::*;
use crate::Targets;

fn alice(lower: usize) -> Manager {
    let targets = Targets {
        lower,
        outbound: 0,
        ..Targets::default()
    };
    Manager::new(
        Config {
            targets,
            ..config(ALICE)
        },
        1,
    )
}

/// When the manager asked for more peers until then, in milliseconds.
fn searches(alice: &mut Manager, from: u64, until: u64) -> Vec<u64> {
    let mut searches = Vec::new();
    let mut millis = from;
    loop {
        while let Some(output) = alice.poll_output() {
            if matches!(output, Output::Seek) {
                searches.push(millis);
            }
        }
        let due = alice.next_deadline().expect("chores never end").since_start();
        millis = millis.max(u64::try_from(due.as_millis()).unwrap() + 1);
        if until <= millis {
            return searches;
        }
        alice.on_deadline(at(millis));
    }
}

fn greet(alice: &mut Manager, millis: u64) {
    let connection = ConnectionId(1);
    let connected = Input::Connected {
        connection,
        peer: id(BOB),
        direction: Direction::Inbound,
        address: address(4001),
        request: None,
        age: Duration::ZERO,
    };
    alice.handle(at(millis), connected);
    let message = Control::Hello(hello_of(&Manager::new(config(BOB), 2)));
    alice.handle(at(millis), Input::Control { connection, message });
}

#[test]
fn too_few_peers_make_it_ask_at_once_and_then_ever_more_rarely() {
    const HOUR: u64 = 3_600_000;
    let mut alice = alice(1);
    let asked = searches(&mut alice, 0, 4 * HOUR);
    assert!(asked[0] < 10, "at once: {asked:?}");
    let waits: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().all(|wait| 60_000 <= *wait), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 20 * 60_000 + 1_000), "{waits:?}");
    assert!(*waits.last().unwrap() > 9 * 60_000, "{waits:?}");
    assert!((10..30).contains(&asked.len()), "{asked:?}");
}

#[test]
fn with_enough_peers_nobody_is_asked_and_their_loss_does_not_shorten_the_wait() {
    let mut alice = alice(1);
    assert_eq!(searches(&mut alice, 0, 10_000).len(), 1);
    greet(&mut alice, 10_000);
    assert_eq!(searches(&mut alice, 10_000, 30_000), [], "there is a peer");
    let connection = ConnectionId(1);
    alice.handle(at(30_000), Input::Disconnected { connection });
    let asked = searches(&mut alice, 30_000, 200_000);
    assert!(60_000 <= asked[0] && asked[0] <= 121_000, "{asked:?}");

    let mut content = self::alice(0);
    assert_eq!(searches(&mut content, 0, 3_600_000), []);
}

/// A manager that dials what it hears of.
fn eager() -> Manager {
    Manager::new(config(ALICE), 1)
}

fn dialled(outputs: &[Output]) -> Option<u64> {
    outputs.iter().find_map(|output| match output {
        Output::Dial { request, .. } => Some(*request),
        _ => None,
    })
}

#[test]
fn a_foreign_peer_that_was_heard_of_is_dialled_every_ten_minutes_at_most() {
    let mut alice = eager();
    let mut dials = Vec::new();
    let mut number = 0;
    for second in 0..3_600 {
        // As mDNS does.
        let heard = Input::Learned {
            peer: id(BOB),
            addresses: vec![address(4001)],
            source: SourceKind::Mdns,
        };
        let now = at(second * 1_000);
        alice.handle(now, heard);
        alice.on_deadline(now);
        let Some(request) = dialled(&drain(&mut alice)) else {
            continue;
        };
        dials.push(second);
        number += 1;
        let connection = ConnectionId(number);
        let connected = Input::Connected {
            connection,
            peer: id(BOB),
            direction: Direction::Outbound,
            address: address(4001),
            request: Some(request),
            age: Duration::ZERO,
        };
        alice.handle(now, connected);
        alice.handle(now, Input::ControlUnsupported { connection });
        // It hangs up, for want of anything to say.
        alice.handle(at(second * 1_000 + 500), Input::Disconnected { connection });
        drain(&mut alice);
    }
    assert!(dials.windows(2).all(|pair| 600 <= pair[1] - pair[0]), "{dials:?}");
    assert!(2 <= dials.len(), "it may have become one of ours: {dials:?}");
}

#[test]
fn a_foreign_peer_that_the_operator_wants_is_dialled_as_any_other() {
    let mut alice = Manager::new(
        Config {
            statics: vec![address(4001)],
            ..config(ALICE)
        },
        1,
    );
    let mut dials = 0;
    for second in 0..600 {
        let now = at(second * 1_000);
        alice.on_deadline(now);
        let Some(request) = dialled(&drain(&mut alice)) else {
            continue;
        };
        dials += 1;
        let connection = ConnectionId(dials);
        let connected = Input::Connected {
            connection,
            peer: id(BOB),
            direction: Direction::Outbound,
            address: address(4001),
            request: Some(request),
            age: Duration::ZERO,
        };
        alice.handle(now, connected);
        alice.handle(now, Input::ControlUnsupported { connection });
        alice.handle(now, Input::Disconnected { connection });
    }
    assert!(10 <= dials, "{dials} dials in ten minutes");
}

#[test]
fn a_search_of_the_book_that_was_in_vain_is_not_made_again_at_each_event() {
    let mut alice = eager();
    alice.config.targets.outbound = 8;
    // Nobody of these can be dialled from here.
    alice.config.reaches.clear();
    for number in 0..200 {
        let addresses = vec![format!("/ip4/9.{number}.0.1/tcp/1").parse().unwrap()];
        alice.book.learn(
            at(0),
            stranger(number),
            addresses,
            Source::at(
                SourceKind::Exchange,
                &format!("/ip4/7.{number}.0.1/tcp/1").parse().unwrap(),
            ),
        );
    }
    let looked_at = |alice: &Manager, now: u64| {
        let later = |time: Uptime| at(now).uptime < time;
        alice
            .address_views(None, None)
            .filter(|view| view.next_dial.is_some_and(later))
            .count()
    };
    for event in 0..100 {
        let listening = Input::Listening {
            addresses: vec![address(event)],
        };
        alice.handle(at(1), listening);
        assert_eq!(looked_at(&alice, 1), 32, "after event {event}");
    }
    assert!(alice.next_deadline() <= Some(Uptime::from_millis(1_001)));
    alice.on_deadline(at(1_001));
    assert_eq!(looked_at(&alice, 1_001), 64, "the next ones have their turn");
}

#[test]
fn whoever_is_heard_of_or_due_is_dialled_at_once_after_a_search_in_vain() {
    let mut alice = eager();
    alice.on_deadline(at(0));
    assert_eq!(dialled(&drain(&mut alice)), None);
    let heard = |number: u64| Input::Learned {
        peer: stranger(number),
        addresses: vec![format!("/ip4/9.{number}.0.1/tcp/1").parse().unwrap()],
        source: SourceKind::Exchange,
    };
    alice.handle(at(10), heard(1));
    let request = dialled(&drain(&mut alice)).expect("somebody new");
    let failed = Input::DialFailed {
        request,
        why: crate::DialFailure::Unreachable,
        error: String::new(),
    };
    alice.handle(at(20), failed);
    assert_eq!(dialled(&drain(&mut alice)), None, "not at once");
    let due = alice.address_views(None, None).next().unwrap().next_dial.unwrap();
    let millis = u64::try_from(due.since_start().as_millis()).unwrap() + 1;
    assert!(alice.next_deadline() <= Some(due));
    alice.on_deadline(at(millis));
    assert!(dialled(&drain(&mut alice)).is_some(), "when it is due");
}
