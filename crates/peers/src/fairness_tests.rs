//! What our own decisions do to what we think of others.

use rustle_types::{Direction, Reach, Timestamp};

use super::stranger_tests::{come, come_and_greet};
use super::tests::{ALICE, BOB, address, at, config, drain, hello_of, id, stranger};
use super::*;
use crate::book::SourceKind;
use crate::{Origin, Reason, RuleKind, Target, Targets, Verdict};

fn ban(target: Target, until: Option<u64>) -> Rule {
    Rule {
        target,
        kind: RuleKind::Ban,
        until: until.map(|millis| at(millis).wall),
        reason: Reason::new("a test"),
        origin: Origin::Operator,
        since: Timestamp::default(),
    }
}

/// Whom the manager dials from one time to another, each five seconds.
fn dialled(manager: &mut Manager, from: u64, to: u64) -> Vec<PeerId> {
    let mut all = Vec::new();
    for millis in (from..=to).step_by(5_000) {
        manager.on_deadline(at(millis));
        for output in drain(manager) {
            if let Output::Dial { request, peer, .. } = output {
                all.extend(peer);
                let (why, error) = (crate::DialFailure::Unreachable, String::new());
                manager.handle(at(millis), Input::DialFailed { request, why, error });
            }
        }
    }
    all
}

/// The first of many dials to a peer that the manager knows succeeds.
fn meet(manager: &mut Manager, now: Now, number: u64, place: &str) {
    let learned = Input::Learned {
        peer: stranger(number),
        addresses: vec![place.parse().unwrap()],
        source: SourceKind::Dht,
    };
    manager.handle(now, learned);
    let outputs = drain(manager);
    let request = outputs.iter().find_map(|output| match output {
        Output::Dial { request, .. } => Some(*request),
        _ => None,
    });
    answer_dial(manager, now, number, place, request.expect("a dial"));
}

fn answer_dial(manager: &mut Manager, now: Now, number: u64, place: &str, request: u64) {
    let connection = ConnectionId(number);
    let connected = Input::Connected {
        connection,
        peer: stranger(number),
        direction: Direction::Outbound,
        address: place.parse().unwrap(),
        request: Some(request),
        age: Duration::ZERO,
    };
    manager.handle(now, connected);
    manager.handle(now, Input::ControlOpened { connection });
    let message = Control::HelloAck(hello_of(&Manager::new(config(BOB), 2)));
    manager.handle(now, Input::Control { connection, message });
}

#[test]
fn a_ban_of_our_own_says_nothing_against_a_peer() {
    const DAY: u64 = 24 * 3_600_000;
    let targets = [
        Target::Peer(stranger(1)),
        Target::host("20.1.1.1".parse().unwrap()),
    ];
    for target in targets {
        let mut alice = Manager::new(config(ALICE), 1);
        meet(&mut alice, at(0), 1, "/ip4/20.1.1.1/tcp/1");
        // Others show that the network works, so that failures count.
        come_and_greet(&mut alice, at(0), 9, "/ip4/30.1.1.1/tcp/1", &[]);
        assert!(alice.info(at(0), &stranger(1)).unwrap().book.unwrap().anchor);
        alice.add_rule(at(1_000), ban(target, Some(DAY))).unwrap();
        let book = alice.info(at(1_000), &stranger(1)).unwrap().book.unwrap();
        assert!(!book.anchor, "a banned anchor");
        let connection = ConnectionId(1);
        alice.handle(at(2_000), Input::Disconnected { connection });
        drain(&mut alice);
        let dialled_at = alice.info(at(2_000), &stranger(1)).unwrap().book.unwrap().tried;

        assert_eq!(dialled(&mut alice, 2_000, DAY - 5_000), []);
        let book = alice.info(at(DAY), &stranger(1)).unwrap().book.unwrap();
        assert_eq!((book.failures, book.anchor), (0, false));
        assert_eq!(book.tried, dialled_at, "it was not tried");
        let after = dialled(&mut alice, DAY, DAY + 120_000);
        assert!(after.contains(&stranger(1)), "the ban is over");
    }
}

#[test]
fn whom_a_new_ban_meets_on_the_way_has_not_failed() {
    let mut alice = Manager::new(config(ALICE), 1);
    let learned = Input::Learned {
        peer: stranger(1),
        addresses: vec!["/ip4/20.1.1.1/tcp/1".parse().unwrap()],
        source: SourceKind::Dht,
    };
    alice.handle(at(0), learned);
    let outputs = drain(&mut alice);
    let Some(Output::Dial { request, .. }) = outputs.iter().find(|one| matches!(one, Output::Dial { .. }))
    else {
        panic!("no dial")
    };
    alice
        .add_rule(at(1), ban(Target::Peer(stranger(1)), None))
        .unwrap();
    answer_dial(&mut alice, at(2), 1, "/ip4/20.1.1.1/tcp/1", *request);
    let connection = ConnectionId(1);
    alice.handle(at(3), Input::Disconnected { connection });
    assert_eq!(alice.info(at(3), &stranger(1)).unwrap().book.unwrap().failures, 0);
}

/// Whether so many faults that a peer is banned get its host banned, too.
fn misbehave(manager: &mut Manager, millis: u64, number: u64) -> bool {
    let peer = stranger(number);
    come(manager, at(millis), number, peer, "/ip4/20.1.1.1/tcp/5555");
    for fault in Fault::ALL.iter().cycle().take(400) {
        manager.handle(at(millis), Input::Fault { peer, fault: *fault });
        let outputs = drain(manager);
        let is_ban = |one: &Output| {
            matches!(
                one,
                Output::Fault {
                    verdict: Verdict::Ban(_),
                    ..
                }
            )
        };
        if outputs.iter().any(is_ban) {
            break;
        }
    }
    assert!(manager.rules().check_peer(at(millis).wall, &peer).is_err());
    let is_banned = manager
        .rules()
        .check_ip(at(millis).wall, "20.1.1.1".parse().unwrap());
    is_banned.is_err()
}

#[test]
fn whoever_lifts_the_ban_of_a_host_starts_its_count_anew() {
    for prefix in ["20.1.1.1", "20.1.0.0/16"] {
        let mut alice = Manager::new(config(ALICE), 1);
        let bans: Vec<bool> = (1..=3).map(|number| misbehave(&mut alice, 0, number)).collect();
        assert_eq!(bans, [false, false, true]);
        let host = Target::host("20.1.1.1".parse().unwrap());
        assert!(alice.remove_rule(at(1), RuleKind::Ban, &host).is_some());
        let wider: Target = prefix.parse().unwrap();
        if wider != host {
            alice.add_rule(at(1), ban(wider, None)).unwrap();
            assert!(alice.remove_rule(at(1), RuleKind::Ban, &wider).is_some());
        }
        let bans: Vec<bool> = (4..=6).map(|number| misbehave(&mut alice, 2, number)).collect();
        assert_eq!(bans, [false, false, true]);
    }
}

#[test]
fn a_network_that_nobody_is_reached_through_has_a_place_in_a_crowd() {
    let settings = Config {
        reaches: vec![Reach::Local, Reach::Clear, Reach::Yggdrasil],
        targets: Targets {
            lower: 2,
            target: 18,
            upper: 20,
            outbound: 0,
        },
        ..config(ALICE)
    };
    let mut alice = Manager::new(settings, 1);
    for number in 1..=20 {
        come_and_greet(
            &mut alice,
            at(0),
            number,
            &format!("/ip4/66.{number}.1.1/tcp/1"),
            &[],
        );
    }
    assert_eq!(alice.counts().up(), 20);
    let place = "/ip6/200:1::1/tcp/1";
    let learned = Input::Learned {
        peer: stranger(50),
        addresses: vec![place.parse().unwrap()],
        source: SourceKind::Dht,
    };
    alice.handle(at(1), learned);
    drain(&mut alice);
    // Before the crowd is trimmed, and at the time when each network gets its place.
    alice.grow(at(2));
    let outputs = drain(&mut alice);
    let Some(Output::Dial { request, .. }) = outputs.iter().find(|one| matches!(one, Output::Dial { .. }))
    else {
        panic!("no dial: {outputs:?}")
    };
    answer_dial(&mut alice, at(3), 50, place, *request);
    assert!(alice.is_up(&stranger(50)));
    assert_eq!((alice.counts().up(), alice.counts().outbound), (20, 1));

    // One place: a second of that network must wait for its turn.
    alice.grow(at(4));
    let is_dial = |one: &Output| matches!(one, Output::Dial { .. });
    assert!(!drain(&mut alice).iter().any(is_dial));
}

#[test]
fn a_dial_that_was_asked_for_is_shown_as_tried() {
    let mut alice = Manager::new(config(ALICE), 1);
    let request = 5;
    alice.handle(
        at(7),
        Input::Connect {
            request,
            address: address(4001),
        },
    );
    let Some(Output::Dial { request, .. }) = alice.poll_output() else {
        panic!("no dial")
    };
    answer_dial(&mut alice, at(8), 1, "/ip4/127.0.0.1/tcp/4001", request);
    let book = alice.info(at(9), &stranger(1)).unwrap().book.unwrap();
    assert_eq!(book.tried, book.reached);
    assert!(Timestamp::default() < book.tried);

    let known = Input::Learned {
        peer: id(BOB),
        addresses: vec![address(4002)],
        source: SourceKind::Rendezvous,
    };
    let mut alice = Manager::new(config(ALICE), 1);
    alice.handle(at(1), known);
    let named = format!("/ip4/127.0.0.1/tcp/4003/p2p/{BOB}").parse().unwrap();
    let asked = Input::Connect {
        request: 6,
        address: named,
    };
    alice.handle(at(77), asked);
    let book = alice.info(at(78), &id(BOB)).unwrap().book.unwrap();
    assert_eq!(book.tried, at(77).wall);
}
