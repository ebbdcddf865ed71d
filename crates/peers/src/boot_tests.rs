//! Boot addresses in a small world: two managers, a network between them, and minutes that pass at once.

use std::collections::BTreeMap;

use rustle_types::Direction;

use super::tests::{ALICE, BOB, address, at, config, drain, id};
use super::*;
use crate::DialFailure;

/// Alice (0) and Bob (1), each listening at the port 4000 + index.
struct World {
    nodes: [Manager; 2],
    millis: u64,
    /// Every connection has the same number at both ends; here is who dialled it.
    connections: BTreeMap<ConnectionId, usize>,
    next: u64,
    dials: [u32; 2],
    /// Whether dials are answered.
    reachable: bool,
}

fn port(node: usize) -> Multiaddr {
    address(if node == 0 { 4000 } else { 4001 })
}

impl World {
    fn new(bootstrap: [Vec<Multiaddr>; 2]) -> Self {
        let [first, second] = bootstrap;
        let node = |local, bootstrap, seed| {
            let config = Config {
                bootstrap,
                ..config(local)
            };
            Manager::new(config, seed)
        };
        Self {
            nodes: [node(ALICE, first, 1), node(BOB, second, 2)],
            millis: 0,
            connections: BTreeMap::new(),
            next: 1,
            dials: [0; 2],
            reachable: true,
        }
    }

    /// Lets a millisecond pass at once, or what is left until the next deadline, `until` at most.
    fn run(&mut self, until: u64) {
        while self.millis < until {
            let next = self.nodes.iter().filter_map(Manager::next_deadline).min();
            let next = next.map_or(until, |next| {
                u64::try_from(next.since_start().as_millis()).unwrap() + 1
            });
            self.millis = next.clamp(self.millis + 1, until);
            for node in 0..2 {
                self.nodes[node].on_deadline(at(self.millis));
            }
            self.settle();
        }
    }

    /// Carries out all that was decided. The decisions of both nodes meet on the way: each round takes what both want.
    fn settle(&mut self) {
        loop {
            let decided: Vec<(usize, Output)> = (0..2)
                .flat_map(|node| {
                    let outputs: Vec<Output> =
                        std::iter::from_fn(|| self.nodes[node].poll_output()).collect();
                    outputs.into_iter().map(move |output| (node, output))
                })
                .collect();
            if decided.is_empty() {
                return;
            }
            for (node, output) in decided {
                self.carry_out(node, output);
            }
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        match output {
            Output::Dial { request, .. } => {
                self.dials[node] += 1;
                self.dial(node, request);
            }
            Output::Send { connection, message } if self.connections.contains_key(&connection) => {
                self.tell(1 - node, Input::Control { connection, message });
            }
            Output::Close { connection, goodbye } => {
                if let Some(goodbye) = goodbye.filter(|_| self.connections.contains_key(&connection)) {
                    let message = Control::Disconnect(goodbye);
                    self.tell(1 - node, Input::Control { connection, message });
                }
                self.cut(connection);
            }
            Output::Probe { connection } => {
                let idle = Duration::ZERO;
                self.tell(node, Input::Activity { connection, idle });
            }
            _ => {}
        }
    }

    fn dial(&mut self, node: usize, request: u64) {
        if !self.reachable {
            let error = "refused".to_owned();
            return self.tell(
                node,
                Input::DialFailed {
                    request,
                    why: DialFailure::Unreachable,
                    error,
                },
            );
        }
        let connection = ConnectionId(self.next);
        self.next += 1;
        self.connections.insert(connection, node);
        for (end, direction) in [(node, Direction::Outbound), (1 - node, Direction::Inbound)] {
            let connected = Input::Connected {
                age: Duration::ZERO,
                connection,
                peer: id(if end == 0 { BOB } else { ALICE }),
                direction,
                address: port(1 - end),
                request: (end == node).then_some(request),
            };
            self.tell(end, connected);
        }
        self.tell(node, Input::ControlOpened { connection });
    }

    fn cut(&mut self, connection: ConnectionId) {
        if self.connections.remove(&connection).is_some() {
            for node in 0..2 {
                self.tell(node, Input::Disconnected { connection });
            }
        }
    }

    fn cut_all(&mut self) {
        for connection in self.connections.keys().copied().collect::<Vec<_>>() {
            self.cut(connection);
        }
        self.settle();
    }

    fn tell(&mut self, node: usize, input: Input) {
        self.nodes[node].handle(at(self.millis), input);
    }

    fn are_up(&self) -> bool {
        self.nodes[0].is_up(&id(BOB)) && self.nodes[1].is_up(&id(ALICE))
    }
}

#[test]
fn two_nodes_that_boot_at_each_other_keep_one_connection() {
    // Both dial at once. The lesser of the two connections is closed, and its end must not lead to another dial.
    let mut world = World::new([vec![port(1)], vec![port(0)]]);
    world.run(5 * 60_000);
    assert!(world.are_up());
    assert_eq!(world.connections.len(), 1);
    assert_eq!(
        world.dials,
        [1, 1],
        "one dial of each, and no more in five minutes"
    );
}

#[test]
fn several_addresses_of_one_boot_node_are_one_node() {
    let mut world = World::new([vec![port(1), address(5001), address(6001)], vec![]]);
    world.run(5 * 60_000);
    assert!(world.are_up());
    assert_eq!((world.connections.len(), world.dials), (1, [3, 0]));
}

#[test]
fn a_boot_node_that_goes_down_is_dialled_again_with_back_off() {
    let mut world = World::new([vec![port(1)], vec![port(0)]]);
    world.run(60_000);
    world.cut_all();
    assert!(!world.are_up());
    assert_eq!(world.dials, [1, 1], "not at once");
    world.run(62_000);
    assert!(world.are_up(), "a second later");

    world.reachable = false;
    world.cut_all();
    let before = world.dials[0];
    world.run(62_000 + 10 * 60_000);
    let tries = world.dials[0] - before;
    // Both the boot address and the address book try; neither more often than every thirty seconds in the long run.
    assert!((10..=60).contains(&tries), "{tries} dials in ten minutes");
    world.reachable = true;
    world.run(62_000 + 11 * 60_000 + 1_000);
    assert!(world.are_up(), "a minute is the longest wait");
}

#[test]
fn a_boot_node_that_closes_at_once_is_asked_ever_more_rarely() {
    let mut world = World::new([vec![port(1)], vec![]]);
    for second in 1..=300 {
        world.run(second * 1_000);
        world.cut_all();
    }
    assert!(
        (5..=30).contains(&world.dials[0]),
        "{} dials in five minutes",
        world.dials[0]
    );
}

#[test]
fn a_boot_address_that_is_this_node_itself_is_left_alone() {
    let mut alice = Manager::new(
        Config {
            bootstrap: vec![port(0)],
            ..config(ALICE)
        },
        1,
    );
    alice.on_deadline(at(0));
    let Some(Output::Dial { request, .. }) = alice.poll_output() else {
        panic!("no dial")
    };
    let connection = ConnectionId(1);
    let connected = Input::Connected {
        age: Duration::ZERO,
        connection,
        peer: id(ALICE),
        direction: Direction::Outbound,
        address: port(0),
        request: Some(request),
    };
    alice.handle(at(1), connected);
    alice.handle(at(2), Input::Disconnected { connection });
    alice.on_deadline(at(600_000));
    let outputs: Vec<Output> = std::iter::from_fn(|| alice.poll_output()).collect();
    assert!(
        !outputs.iter().any(|output| matches!(output, Output::Dial { .. })),
        "{outputs:?}"
    );
}

#[test]
fn boot_addresses_are_dialled_again_with_back_off() {
    let mut alice = Manager::new(
        Config {
            bootstrap: vec![address(9)],
            ..config(ALICE)
        },
        1,
    );
    let mut now = at(0);
    let (mut waits, mut first) = (Vec::new(), true);
    for _ in 0..9 {
        let begin = now.uptime;
        let request = loop {
            alice.on_deadline(now);
            if let [Output::Dial { request, .. }] = drain(&mut alice)[..] {
                break request;
            }
            now = Now {
                uptime: alice.next_deadline().unwrap(),
                ..now
            };
        };
        if !first {
            waits.push(now.uptime - begin);
        }
        first = false;
        alice.handle(
            now,
            Input::DialFailed {
                request,
                why: DialFailure::Unreachable,
                error: "refused".into(),
            },
        );
    }
    assert!(
        Duration::from_millis(400) < waits[0] && waits[0] <= Duration::from_secs(1),
        "{waits:?}"
    );
    assert!(
        waits.iter().all(|wait| *wait <= Duration::from_secs(60)),
        "{waits:?}"
    );
    assert!(Duration::from_secs(20) < waits[7], "{waits:?}");
}
