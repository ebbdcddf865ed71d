//! The test of an address that was only heard of.

use rustle_types::Direction;

use super::tests::{ALICE, BOB, at, config, connected, drain, hello_of, stranger};
use super::*;
use crate::Targets;

#[test]
fn an_address_that_answers_is_good_however_full_the_node_is() {
    let targets = Targets {
        lower: 0,
        target: 1,
        upper: 1,
        outbound: 0,
    };
    let mut alice = Manager::new(
        Config {
            targets,
            ..config(ALICE)
        },
        1,
    );
    alice.handle(at(0), connected(1, BOB, Direction::Inbound, None));
    let message = Control::Hello(hello_of(&Manager::new(config(BOB), 2)));
    let connection = ConnectionId(1);
    alice.handle(at(0), Input::Control { connection, message });
    assert_eq!(alice.peers_up(), 1, "full");
    let (peer, address): (PeerId, Multiaddr) = (stranger(7), "/ip4/8.7.0.1/tcp/4001".parse().unwrap());
    let learned = Input::Learned {
        peer,
        addresses: vec![address.clone()],
        source: SourceKind::Exchange,
    };
    alice.handle(at(0), learned);
    drain(&mut alice);

    let dial = (1..3_600).find_map(|second| {
        alice.on_deadline(at(second * 1_000));
        drain(&mut alice).into_iter().find_map(|output| match output {
            Output::Dial { request, .. } => Some((second * 1_000, request)),
            _ => None,
        })
    });
    let (millis, request) = dial.expect("a test within an hour");
    let connection = ConnectionId(2);
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
    let message = Control::HelloAck(hello_of(&Manager::new(config(BOB), 3)));
    alice.handle(at(millis), Input::Control { connection, message });
    alice.handle(at(millis), Input::Disconnected { connection });

    let known = alice.info(at(millis), &peer).unwrap().book.unwrap();
    assert_eq!(known.failures, 0);
    assert_eq!(alice.book_stats().tried, 1);
}
