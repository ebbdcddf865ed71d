//! Scenarios: one manager against scripted peers, and two managers against each other.

use std::time::Duration;

use proptest::prelude::*;
use rustle_types::{NetworkName, Timestamp};

use super::*;
use crate::{Class, DialFailure, Targets};

/// Places of foreign peers.
const FOREIGN: usize = 32;
use rustle_types::Direction;

pub(super) const ALICE: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
pub(super) const BOB: &str = "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu";

pub(super) fn id(text: &str) -> PeerId {
    text.parse().unwrap()
}

pub(super) fn config(local: &str) -> Config {
    Config::new(id(local))
}

pub(super) fn at(millis: u64) -> Now {
    Now {
        uptime: Uptime::from_millis(millis),
        wall: Timestamp::from_millis(1_000_000 + millis),
    }
}

pub(super) fn address(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
}

/// All that was decided but the search for more peers, which goes on in all of these scenarios.
pub(super) fn drain(manager: &mut Manager) -> Vec<Output> {
    let decided = std::iter::from_fn(|| manager.poll_output());
    decided.filter(|output| !matches!(output, Output::Seek)).collect()
}

pub(super) fn connected(number: u64, peer: &str, direction: Direction, request: Option<u64>) -> Input {
    let connection = ConnectionId(number);
    Input::Connected {
        connection,
        peer: id(peer),
        direction,
        address: address(4001),
        request,
        age: Duration::ZERO,
    }
}

pub(super) fn hello_of(manager: &Manager) -> Hello {
    manager.hello(at(0), &address(1))
}

/// A manager with one handshaken inbound connection (number 1) to Bob.
pub(super) fn greeted(config: Config) -> (Manager, Manager) {
    let mut alice = Manager::new(config, 1);
    let bob = Manager::new(
        Config {
            network: alice.config.network.clone(),
            ..Config::new(id(BOB))
        },
        2,
    );
    alice.handle(at(0), connected(1, BOB, Direction::Inbound, None));
    let message = Control::Hello(hello_of(&bob));
    alice.handle(
        at(0),
        Input::Control {
            connection: ConnectionId(1),
            message,
        },
    );
    assert!(alice.is_up(&id(BOB)));
    drain(&mut alice);
    (alice, bob)
}

pub(super) fn sent(outputs: &[Output]) -> Vec<&Control> {
    let messages = outputs.iter().filter_map(|output| match output {
        Output::Send { message, .. } => Some(message),
        _ => None,
    });
    messages.collect()
}

pub(super) fn closed(outputs: &[Output]) -> Option<Option<DisconnectReason>> {
    outputs.iter().find_map(|output| match output {
        Output::Close { goodbye, .. } => Some(goodbye.as_ref().map(|goodbye| goodbye.reason)),
        _ => None,
    })
}

pub(super) fn connect_result(outputs: &[Output]) -> Option<Result<PeerId, ConnectError>> {
    outputs.iter().find_map(|output| match output {
        Output::Connect { result, .. } => Some(result.clone()),
        _ => None,
    })
}

#[test]
fn the_dialer_speaks_first_and_both_admit() {
    let (mut alice, mut bob) = (Manager::new(config(ALICE), 1), Manager::new(config(BOB), 2));
    alice.handle(at(0), connected(1, BOB, Direction::Outbound, None));
    bob.handle(at(0), connected(1, ALICE, Direction::Inbound, None));
    assert!(drain(&mut bob).is_empty(), "the acceptor waits");

    alice.handle(
        at(1),
        Input::ControlOpened {
            connection: ConnectionId(1),
        },
    );
    let hello = sent(&drain(&mut alice))[0].clone();
    bob.handle(
        at(2),
        Input::Control {
            connection: ConnectionId(1),
            message: hello,
        },
    );
    let outputs = drain(&mut bob);
    assert!(
        matches!(
            outputs[..2],
            [
                Output::Admit { .. },
                Output::Send {
                    message: Control::HelloAck(_),
                    ..
                }
            ]
        ),
        "the dialer may open streams as soon as it has the answer"
    );

    alice.handle(
        at(3),
        Input::Control {
            connection: ConnectionId(1),
            message: sent(&outputs)[0].clone(),
        },
    );
    assert!(alice.is_up(&id(BOB)) && bob.is_up(&id(ALICE)));
}

#[test]
fn another_network_is_refused_and_the_dialer_learns_why() {
    let mut alice = Manager::new(config(ALICE), 1);
    let other: NetworkName = "other".parse().unwrap();
    let mut bob = Manager::new(
        Config {
            network: other.clone(),
            ..config(BOB)
        },
        2,
    );

    alice.handle(
        at(0),
        Input::Connect {
            request: 9,
            address: address(4001),
        },
    );
    let Output::Dial { request, .. } = drain(&mut alice)[0] else {
        panic!("no dial")
    };
    alice.handle(at(0), connected(1, BOB, Direction::Outbound, Some(request)));
    alice.handle(
        at(0),
        Input::ControlOpened {
            connection: ConnectionId(1),
        },
    );
    let hello = sent(&drain(&mut alice))[0].clone();

    bob.handle(at(0), connected(1, ALICE, Direction::Inbound, None));
    bob.handle(
        at(0),
        Input::Control {
            connection: ConnectionId(1),
            message: hello,
        },
    );
    let outputs = drain(&mut bob);
    assert_eq!(closed(&outputs), Some(Some(DisconnectReason::Network)));
    assert!(
        sent(&outputs).is_empty(),
        "no acknowledgement to the wrong network"
    );
    let Some(Output::Close {
        goodbye: Some(goodbye),
        ..
    }) = outputs.first()
    else {
        panic!()
    };

    let message = Control::Disconnect(goodbye.clone());
    alice.handle(
        at(1),
        Input::Control {
            connection: ConnectionId(1),
            message,
        },
    );
    let result = connect_result(&drain(&mut alice)).unwrap();
    assert_eq!(
        result,
        Err(ConnectError::OtherNetwork {
            theirs: other,
            ours: NetworkName::default()
        })
    );
}

#[test]
fn a_connection_to_ourselves_is_recognised() {
    let mut alice = Manager::new(config(ALICE), 1);
    let message = Control::Hello(hello_of(&alice));
    alice.handle(at(0), connected(1, BOB, Direction::Inbound, None));
    alice.handle(
        at(0),
        Input::Control {
            connection: ConnectionId(1),
            message,
        },
    );
    assert_eq!(
        closed(&drain(&mut alice)),
        Some(Some(DisconnectReason::SelfConnection))
    );
}

#[test]
fn messages_before_hello_and_second_hellos_close() {
    let mut alice = Manager::new(config(ALICE), 1);
    alice.handle(at(0), connected(1, BOB, Direction::Inbound, None));
    let message = Control::PingRequest { nonce: 1 };
    alice.handle(
        at(0),
        Input::Control {
            connection: ConnectionId(1),
            message,
        },
    );
    assert_eq!(closed(&drain(&mut alice)), Some(Some(DisconnectReason::Protocol)));

    let (mut alice, bob) = greeted(config(ALICE));
    let message = Control::Hello(hello_of(&bob));
    alice.handle(
        at(1),
        Input::Control {
            connection: ConnectionId(1),
            message,
        },
    );
    let outputs = drain(&mut alice);
    assert_eq!(closed(&outputs), Some(Some(DisconnectReason::Protocol)));
    assert!(outputs.iter().any(|output| matches!(output, Output::Down { .. })));
}

#[test]
fn a_handshake_that_does_not_come_closes_after_five_seconds() {
    let mut alice = Manager::new(config(ALICE), 1);
    alice.handle(at(0), connected(1, BOB, Direction::Inbound, None));
    assert!(alice.next_deadline() <= Some(Uptime::from_secs(5)));
    alice.on_deadline(at(4_999));
    assert_eq!(closed(&drain(&mut alice)), None);
    alice.on_deadline(at(5_000));
    assert_eq!(closed(&drain(&mut alice)), Some(Some(DisconnectReason::Timeout)));
}

#[test]
fn whoever_came_in_before_the_gate_knew_of_the_ban_is_sent_away() {
    for target in ["127.0.0.0/24", BOB] {
        let mut manager = Manager::new(config(ALICE), 1);
        let rule = crate::Rule {
            target: target.parse().unwrap(),
            kind: crate::RuleKind::Ban,
            until: None,
            reason: "test".into(),
            origin: crate::Origin::Operator,
            since: Timestamp::default(),
        };
        manager.add_rule(at(0), rule).unwrap();
        drain(&mut manager);

        manager.handle(at(1), connected(1, BOB, Direction::Inbound, None));

        let outputs = drain(&mut manager);
        assert_eq!(closed(&outputs), Some(Some(DisconnectReason::Banned)), "{target}");
    }
}

#[test]
fn a_needed_peer_is_dialled_even_with_many_peers() {
    let mut alice = Manager::new(
        Config {
            targets: Targets {
                lower: 0,
                outbound: 0,
                ..Targets::default()
            },
            ..config(ALICE)
        },
        1,
    );
    let learned = |is_needed| Input::Learned {
        peer: id(BOB),
        addresses: vec![address(7)],
        source: if is_needed {
            SourceKind::Invitation
        } else {
            SourceKind::Exchange
        },
    };
    alice.handle(at(0), learned(false));
    assert!(
        !drain(&mut alice)
            .iter()
            .any(|output| matches!(output, Output::Dial { .. }))
    );
    alice.handle(at(0), learned(true));
    let outputs = drain(&mut alice);
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Dial { peer: Some(peer), .. } if *peer == id(BOB)))
    );
    assert!(outputs.iter().any(|output| matches!(output, Output::Persist(_))));
}

#[test]
fn an_unreachable_address_is_told_to_whoever_asked() {
    let mut alice = Manager::new(config(ALICE), 1);
    alice.handle(
        at(0),
        Input::Connect {
            request: 5,
            address: address(1),
        },
    );
    let Output::Dial { request, .. } = drain(&mut alice)[0] else {
        panic!()
    };
    alice.handle(
        at(1),
        Input::DialFailed {
            request,
            why: DialFailure::Unreachable,
            error: "refused".into(),
        },
    );
    let result = connect_result(&drain(&mut alice)).unwrap();
    assert!(matches!(result, Err(ConnectError::Unreachable { .. })));
}

#[test]
fn waiting_requests_are_bounded_and_end() {
    let mut alice = Manager::new(config(ALICE), 1);
    for request in 0..=CONNECTS_MAX as u64 {
        alice.handle(
            at(0),
            Input::Connect {
                request,
                address: address(1),
            },
        );
    }
    assert_eq!(connect_result(&drain(&mut alice)), Some(Err(ConnectError::Busy)));
    alice.on_deadline(at(25_000));
    assert_eq!(drain(&mut alice).len(), CONNECTS_MAX);
    assert!(alice.connects.is_empty());
}

#[test]
fn a_peer_without_our_protocol_is_foreign() {
    let mut alice = Manager::new(config(ALICE), 1);
    alice.handle(at(0), connected(1, BOB, Direction::Inbound, None));
    alice.handle(
        at(0),
        Input::ControlUnsupported {
            connection: ConnectionId(1),
        },
    );
    assert!(matches!(
        drain(&mut alice)[..2],
        [
            Output::Admit {
                class: Class::Foreign,
                ..
            },
            Output::Foreign { .. }
        ]
    ));
    alice.on_deadline(at(600_000));
    assert_eq!(closed(&drain(&mut alice)), None, "foreign peers are not pinged");
    assert_eq!(alice.views().next().unwrap().class, Class::Foreign);
}

/// One of many peers.
pub(super) fn stranger(number: u64) -> PeerId {
    let [.., a, b] = number.to_be_bytes();
    PeerId::from_bytes(&[0, 2, a, b]).unwrap()
}

/// Boot, requests, and peers of the book together.
const DIALS_BOUND: usize = 1 + CONNECTS_MAX + 8 + 16 + 1;

fn any_input() -> impl Strategy<Value = Input> {
    let connection = (1u64..6).prop_map(ConnectionId);
    let peer = prop::sample::select(vec![ALICE, BOB]).prop_map(id);
    prop_oneof![
        (connection.clone(), peer, any::<bool>(), prop::option::of(1u64..9)).prop_map(
            |(connection, peer, inbound, request)| Input::Connected {
                connection,
                peer,
                direction: if inbound {
                    Direction::Inbound
                } else {
                    Direction::Outbound
                },
                address: address(1),
                request,
                age: Duration::ZERO,
            }
        ),
        connection
            .clone()
            .prop_map(|connection| Input::ControlOpened { connection }),
        connection
            .clone()
            .prop_map(|connection| Input::ControlUnsupported { connection }),
        connection.clone().prop_map(|connection| Input::ControlBroken {
            connection,
            is_garbage: false
        }),
        connection
            .clone()
            .prop_map(|connection| Input::Disconnected { connection }),
        (connection.clone(), 0u64..100).prop_map(|(connection, seconds)| Input::Activity {
            connection,
            idle: Duration::from_secs(seconds),
        }),
        (connection.clone(), any::<u64>()).prop_map(|(connection, nonce)| Input::Control {
            connection,
            message: Control::PingResponse { nonce }
        }),
        (connection, 0u8..2).prop_map(|(connection, kind)| {
            let hello = hello_of(&Manager::new(config(BOB), 3));
            let message = if kind == 0 {
                Control::Hello(hello)
            } else {
                Control::HelloAck(hello)
            };
            Input::Control { connection, message }
        }),
        (1u64..9).prop_map(|request| Input::DialFailed {
            request,
            why: DialFailure::Unreachable,
            error: String::new()
        }),
        (any::<bool>(), any::<bool>()).prop_map(|(is_bob, is_needed)| Input::Learned {
            peer: id(if is_bob { BOB } else { ALICE }),
            addresses: vec![address(4)],
            source: if is_needed {
                SourceKind::Invitation
            } else {
                SourceKind::Exchange
            },
        }),
        prop::sample::select(Fault::ALL.to_vec()).prop_map(|fault| Input::Fault { peer: id(BOB), fault }),
        (0u64..9).prop_map(|request| Input::Connect {
            request,
            address: address(2)
        }),
    ]
}

proptest! {
    #[test]
    fn any_sequence_of_facts_keeps_ups_and_downs_in_turn(steps in prop::collection::vec((0u64..20_000, any_input()), 0..60)) {
        let mut manager = Manager::new(Config { bootstrap: vec![address(3)], ..config(ALICE) }, 4);
        let mut up = BTreeSet::new();
        let mut clock = 0;
        let mut seen = BTreeSet::new();
        for (wait, input) in steps {
            clock += wait;
            manager.on_deadline(at(clock));
            // The network never reuses the number of a connection.
            if let Input::Connected { connection, .. } = &input
                && !seen.insert(*connection) { continue; }
            manager.handle(at(clock), input);
            for output in drain(&mut manager) {
                match output {
                    Output::Up { peer, .. } => prop_assert!(up.insert(peer)),
                    Output::Down { peer } => prop_assert!(up.remove(&peer)),
                    _ => {}
                }
            }
            for peer in &up {
                prop_assert!(manager.is_up(peer));
            }
            prop_assert_eq!(manager.peers_up(), up.len());
            for view in manager.address_views(None, None) {
                // Whoever is connected does not wait for a dial.
                prop_assert!(!manager.is_connected(&view.peer) || view.next_dial.is_none());
            }
            prop_assert!(manager.dials.len() <= DIALS_BOUND && manager.connects.len() <= CONNECTS_MAX);
            prop_assert!(manager.counts().foreign <= FOREIGN + CONNECTS_MAX);
            if let Some(deadline) = manager.next_deadline() {
                manager.on_deadline(Now { uptime: deadline, ..at(clock) });
                for output in drain(&mut manager) {
                    if let Output::Down { peer } = output {
                        prop_assert!(up.remove(&peer));
                    }
                }
                clock = clock.max(deadline.since_start().as_millis() as u64);
            }
        }
    }
}
