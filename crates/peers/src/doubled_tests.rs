//! Of several connections to one peer one stays, and both ends keep the same.

use rustle_types::Direction;

use super::tests::{ALICE, BOB, at, closed, config, connected, drain, greeted, hello_of, id};
use super::*;

#[test]
fn of_two_connections_both_ends_keep_the_same() {
    for (local, remote) in [(ALICE, BOB), (BOB, ALICE)] {
        let mut manager = Manager::new(config(local), 1);
        let other = Manager::new(config(remote), 2);
        manager.handle(at(0), connected(1, remote, Direction::Inbound, None));
        manager.handle(at(0), connected(2, remote, Direction::Outbound, None));
        manager.handle(
            at(0),
            Input::ControlOpened {
                connection: ConnectionId(2),
            },
        );
        let hello = hello_of(&other);
        let message = Control::Hello(hello.clone());
        manager.handle(
            at(0),
            Input::Control {
                connection: ConnectionId(1),
                message,
            },
        );
        let message = Control::HelloAck(hello);
        manager.handle(
            at(0),
            Input::Control {
                connection: ConnectionId(2),
                message,
            },
        );
        let outputs = drain(&mut manager);
        let dropped: Vec<u64> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Close { connection, .. } => Some(connection.0),
                _ => None,
            })
            .collect();
        let dialled_by_lower = if id(local) < id(remote) { 2 } else { 1 };
        assert_eq!(dropped, [3 - dialled_by_lower]);
        assert!(!outputs.iter().any(|output| matches!(output, Output::Down { .. })));
    }
}

#[test]
fn a_dialer_that_keeps_several_connections_is_left_with_the_newest() {
    let (mut manager, bob) = greeted(config(ALICE));
    for number in [2, 3] {
        manager.handle(at(number), connected(number, BOB, Direction::Inbound, None));
        let message = Control::Hello(hello_of(&bob));
        manager.handle(
            at(number),
            Input::Control {
                connection: ConnectionId(number),
                message,
            },
        );
    }
    assert_eq!(closed(&drain(&mut manager)), None, "it may still choose");

    manager.on_deadline(at(3_002));
    assert_eq!(closed(&drain(&mut manager)), None, "not before its time is over");
    manager.on_deadline(at(3_003));
    let outputs = drain(&mut manager);
    let dropped: Vec<u64> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Close { connection, goodbye } => {
                let reason = goodbye.as_ref().map(|goodbye| goodbye.reason);
                assert_eq!(reason, Some(DisconnectReason::Duplicate));
                Some(connection.0)
            }
            _ => None,
        })
        .collect();
    assert_eq!(dropped, [1, 2]);
    assert!(manager.is_up(&id(BOB)));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Down { .. })));
}
