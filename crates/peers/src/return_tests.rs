//! After a restart, and against those who want the places of others.

use std::collections::BTreeMap;

use rustle_store::{Op, Table};
use rustle_types::Direction;

use super::tests::{ALICE, BOB, at, config, hello_of, stranger};
use super::*;
use crate::{RuleKind, Target};

/// Through this relay others come.
const RELAY: &str =
    "/ip4/198.51.100.7/tcp/4001/p2p/12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu/p2p-circuit";

fn place(number: u64) -> Multiaddr {
    format!("/ip4/{}.{}.1.1/tcp/4001", 20 + number / 200, number % 200)
        .parse()
        .unwrap()
}

fn hello(number: u64) -> Hello {
    Hello {
        nonce: 7_000 + number,
        listen_addresses: vec![place(number)],
        ..hello_of(&Manager::new(config(BOB), 2))
    }
}

/// A network in which everybody answers.
#[derive(Default)]
struct Net {
    last: u64,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    dialled: Vec<(PeerId, Why)>,
}

impl Net {
    /// Carries out what was decided.
    fn serve(&mut self, manager: &mut Manager, now: Now) {
        while let Some(output) = manager.poll_output() {
            match output {
                Output::Persist(batch) => self.keep(&batch),
                Output::Dial {
                    request,
                    peer: Some(peer),
                    addresses,
                } => {
                    let why = match manager.dials.get(&request) {
                        Some(Dial::Known { why, .. }) => *why,
                        _ => Why::Other,
                    };
                    self.dialled.push((peer, why));
                    let number = (0..2_000).find(|number| stranger(*number) == peer).unwrap();
                    let address = addresses[0].clone();
                    self.meet(manager, now, number, address, Direction::Outbound, Some(request));
                }
                Output::Close { connection, .. } => manager.handle(now, Input::Disconnected { connection }),
                Output::AskPeers { peer, .. } => manager.handle(now, Input::PeersUnheard { peer }),
                Output::Probe { connection } => {
                    let idle = Duration::ZERO;
                    manager.handle(now, Input::Activity { connection, idle });
                }
                _ => {}
            }
        }
    }

    fn keep(&mut self, batch: &rustle_store::Batch) {
        for op in batch.ops() {
            match op {
                Op::Put(Table::Peers, key, value) => drop(self.disk.insert(key.to_vec(), value.to_vec())),
                Op::Delete(Table::Peers, key) => drop(self.disk.remove(&key.to_vec())),
                _ => {}
            }
        }
    }

    /// A connection that stands and is greeted.
    fn meet(
        &mut self,
        manager: &mut Manager,
        now: Now,
        number: u64,
        address: Multiaddr,
        direction: Direction,
        request: Option<u64>,
    ) -> ConnectionId {
        self.last += 1;
        let connection = ConnectionId(self.last);
        let connected = Input::Connected {
            connection,
            peer: stranger(number),
            direction,
            address,
            request,
            age: Duration::ZERO,
        };
        manager.handle(now, connected);
        let message = match direction {
            Direction::Outbound => {
                manager.handle(now, Input::ControlOpened { connection });
                Control::HelloAck(hello(number))
            }
            Direction::Inbound => Control::Hello(hello(number)),
        };
        manager.handle(now, Input::Control { connection, message });
        connection
    }
}

/// What an hour of a node leaves on the disk: two anchors, a book, and so many peers that subscribed to what it follows.
fn an_hour(members: u64) -> (Net, Vec<PeerId>) {
    let (mut manager, mut net) = (Manager::new(config(ALICE), 1), Net::default());
    for number in 1_000..1_060 {
        let learned = Input::Learned {
            peer: stranger(number),
            addresses: vec![place(number)],
            source: SourceKind::Dht,
        };
        manager.handle(at(0), learned);
    }
    for second in 0..3_600 {
        manager.on_deadline(at(second * 1_000));
        net.serve(&mut manager, at(second * 1_000));
    }
    let now = at(3_600_000);
    for number in 0..members {
        net.meet(&mut manager, now, number, place(number), Direction::Inbound, None);
        let needed = Input::Learned {
            peer: stranger(number),
            addresses: Vec::new(),
            source: SourceKind::Invitation,
        };
        manager.handle(now, needed);
        net.serve(&mut manager, now);
    }
    let anchors: Vec<PeerId> = manager.book.anchors().collect();
    assert_eq!(anchors.len(), 2);
    net.dialled.clear();
    (net, anchors)
}

#[test]
fn anchors_are_dialled_first_and_subscribers_leave_room_for_peers_of_our_choice() {
    for members in [0, 4, 8, 16] {
        let (mut net, anchors) = an_hour(members);
        let mut manager = Manager::new(config(ALICE), 2);
        manager.restore_book(net.disk.clone());
        for number in 0..members {
            manager.restore_needed(stranger(number), vec![place(number)]);
        }
        manager.on_deadline(at(0));
        net.serve(&mut manager, at(0));
        let first: Vec<Why> = net.dialled.iter().take(2).map(|(_, why)| *why).collect();
        assert_eq!(first, [Why::Anchor; 2], "{members} members");

        for second in 1..60 {
            manager.on_deadline(at(second * 1_000));
            net.serve(&mut manager, at(second * 1_000));
        }
        assert!(
            anchors.iter().all(|anchor| manager.is_up(anchor)),
            "{members} members"
        );
        let counts = manager.counts();
        assert!(8 <= counts.outbound, "{members} members: {counts:?}");
        assert_eq!(counts.needed as u64, members);
    }
}

#[test]
fn a_relay_does_not_answer_for_those_who_come_through_it() {
    let (mut manager, mut net) = (Manager::new(config(ALICE), 1), Net::default());
    for number in 1..=3 {
        let address: Multiaddr = format!("{RELAY}/p2p/{}", stranger(number)).parse().unwrap();
        net.meet(
            &mut manager,
            at(number),
            number,
            address,
            Direction::Inbound,
            None,
        );
        let peer = stranger(number);
        assert!(manager.is_up(&peer));
        for fault in [Fault::InvalidBlock, Fault::InvalidBlock, Fault::GarbageList] {
            manager.handle(at(number), Input::Fault { peer, fault });
        }
    }
    let banned: Vec<&Target> = manager.rules().iter().map(|rule| &rule.target).collect();
    assert_eq!(banned.len(), 3);
    assert!(
        banned.iter().all(|target| matches!(target, Target::Peer(_))),
        "{banned:?}"
    );
}

#[test]
fn whoever_comes_through_a_welcome_relay_is_not_welcome_for_that() {
    let (mut manager, mut net) = (Manager::new(config(ALICE), 1), Net::default());
    let welcome = crate::Rule {
        target: "198.51.100.7".parse().unwrap(),
        kind: RuleKind::Allow,
        until: None,
        reason: "test".into(),
        origin: crate::Origin::Operator,
        since: at(0).wall,
    };
    manager.add_rule(at(0), welcome).unwrap();
    let peer = stranger(1);
    let address: Multiaddr = format!("{RELAY}/p2p/{peer}").parse().unwrap();
    net.meet(&mut manager, at(1), 1, address, Direction::Inbound, None);

    for fault in [Fault::InvalidBlock, Fault::InvalidBlock, Fault::GarbageList] {
        manager.handle(at(2), Input::Fault { peer, fault });
    }
    assert!(!manager.is_up(&peer));
}
