//! What strangers can make this node do, and for how long.

use rustle_types::Direction;

use super::tests::{ALICE, BOB, at, config, drain, hello_of, stranger};
use super::*;

/// A connection to a peer at an address.
pub(super) fn come(manager: &mut Manager, now: Now, number: u64, peer: PeerId, place: &str) {
    let connected = Input::Connected {
        connection: ConnectionId(number),
        peer,
        direction: Direction::Inbound,
        address: place.parse().unwrap(),
        request: None,
        age: Duration::ZERO,
    };
    manager.handle(now, connected);
}

/// The same, and the peer says Hello and where it lives.
pub(super) fn come_and_greet(manager: &mut Manager, now: Now, number: u64, place: &str, lives: &[&str]) {
    let peer = stranger(number);
    come(manager, now, number, peer, place);
    let mut hello = hello_of(&Manager::new(config(BOB), 2));
    hello.listen_addresses = lives.iter().map(|text| text.parse().unwrap()).collect();
    let message = Control::Hello(hello);
    let connection = ConnectionId(number);
    manager.handle(now, Input::Control { connection, message });
}

/// Everything that is dialled in the minutes after all connections are gone.
fn dialled(manager: &mut Manager, from: u64) -> Vec<String> {
    let ids: Vec<ConnectionId> = manager.views().map(|view| view.connection).collect();
    for connection in ids {
        manager.handle(at(from), Input::Disconnected { connection });
    }
    drain(manager);
    let mut all = Vec::new();
    for second in 1..600 {
        manager.on_deadline(at(from + second * 1_000));
        for output in drain(manager) {
            if let Output::Dial { addresses, .. } = output {
                all.extend(addresses.iter().map(ToString::to_string));
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

#[test]
fn a_stranger_points_nobody_at_private_places_or_names() {
    let lives = [
        "/ip4/192.168.1.1/tcp/80",
        "/ip4/127.0.0.1/tcp/22",
        "/dns4/victim.example/tcp/25",
        "/ip4/20.1.1.1/tcp/4001",
    ];
    let mut alice = Manager::new(config(ALICE), 1);
    come_and_greet(&mut alice, at(0), 1, "/ip4/8.8.8.8/tcp/5555", &lives);
    assert!(alice.is_up(&stranger(1)));
    assert_eq!(dialled(&mut alice, 1), ["/ip4/20.1.1.1/tcp/4001"]);

    let mut alice = Manager::new(config(ALICE), 1);
    come_and_greet(&mut alice, at(0), 1, "/ip4/192.168.1.9/tcp/5555", &lives[..1]);
    assert_eq!(dialled(&mut alice, 1), ["/ip4/192.168.1.1/tcp/80"], "a neighbour");
}

#[test]
fn a_relay_next_door_makes_nobody_a_neighbour() {
    let mut alice = Manager::new(config(ALICE), 1);
    let place = format!("/ip4/192.168.1.2/tcp/4001/p2p/{BOB}/p2p-circuit");
    let lives = ["/ip4/192.168.1.1/tcp/80"];
    come_and_greet(&mut alice, at(0), 1, &place, &lives);
    assert!(alice.is_up(&stranger(1)));
    assert_eq!(dialled(&mut alice, 1), [""; 0]);
}

#[test]
fn what_a_peer_says_of_itself_is_heard_of_not_reached() {
    let mut alice = Manager::new(config(ALICE), 1);
    come_and_greet(
        &mut alice,
        at(0),
        1,
        "/ip4/8.8.8.8/tcp/5555",
        &["/ip4/20.1.1.1/tcp/4001"],
    );
    let known = alice.info(at(0), &stranger(1)).unwrap().book.unwrap();
    assert_eq!(known.table, crate::book::TableKind::New);
    assert!(known.addresses.iter().all(|known| !known.is_verified()));
}

#[test]
fn whoever_comes_back_each_second_gets_and_tells_no_more() {
    // By itself, and with a new name each time.
    for is_renamed in [false, true] {
        let mut alice = Manager::new(config(ALICE), 1);
        let (mut taken, mut answered) = (0, 0);
        for number in 1..=40u64 {
            let (now, peer) = (at(number * 1_000), stranger(if is_renamed { number } else { 1 }));
            let connection = ConnectionId(number);
            come(&mut alice, now, number, peer, "/ip4/8.8.8.8/tcp/5555");
            let message = Control::Hello(hello_of(&Manager::new(config(BOB), 2)));
            alice.handle(now, Input::Control { connection, message });
            if drain(&mut alice)
                .iter()
                .any(|one| matches!(one, Output::AskPeers { .. }))
            {
                let entries = (0..128u64).map(|other| rustle_wire::PeerEntry {
                    peer: stranger(1_000 + number * 128 + other),
                    addresses: vec![format!("/ip4/20.{number}.{other}.1/tcp/1").parse().unwrap()],
                    services: rustle_wire::Services::INBOUND,
                    days_ago: 0,
                });
                let entries = entries.collect();
                let list = rustle_wire::PeersList { entries };
                let before = alice.counters().addresses_learned;
                alice.handle(now, Input::PeersHeard { peer, list });
                taken += alice.counters().addresses_learned - before;
            }
            let (request, asked) = (number, rustle_wire::PeersRequest::default());
            alice.handle(now, Input::PeersAsked { request, peer, asked });
            let outputs = drain(&mut alice);
            let is_answer = |one: &&Output| matches!(one, Output::AnswerPeers { list: Some(_), .. });
            answered += outputs.iter().filter(is_answer).count();
            alice.handle(now, Input::Disconnected { connection });
            drain(&mut alice);
        }
        assert!(taken <= 132, "{taken} addresses of one host");
        assert!(answered <= if is_renamed { 9 } else { 1 }, "{answered} lists");
        assert!(0 < taken && 0 < answered);
    }
}
