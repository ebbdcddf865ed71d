//! The peer manager: any sequence of events keeps every bound, and every decision can be carried out.
//!
//! The input chooses what happens next in a small world of a few peers; the world plays the network, and checks each
//! decision against what it has seen. It knows nothing of the rules inside: only that a connection is closed once, that a
//! question is answered once, that who is up was let in, and that time always goes on.

mod world;

use std::time::Duration;

use rustle_peers::{DialFailure, Input as Event, Use};
use rustle_types::Multiaddr;
use rustle_wire::{
    Control, Disconnect, DisconnectReason, Hello, PeersList, PeersRequest, Services, Versions,
};

use crate::Target;
use crate::control::hello;
use crate::input::Input;
use world::{PEERS, World};

/// Each byte that is read for a step says what happens, those behind it to whom.
pub(crate) const TARGET: Target = Target {
    name: "manager",
    run,
    seeds,
    bytes_max: 512,
};

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new(input.byte());
    while !input.is_empty() {
        step(&mut world, &mut input);
        world.check();
    }
    world.end();
}

fn step(world: &mut World, input: &mut Input<'_>) {
    match input.below(20) {
        0 => world.wait(Duration::from_millis(u64::from(input.short()))),
        1 => world.wait(Duration::from_secs(input.byte().into())),
        2 => {
            let (expected, age) = (
                !input.byte().is_multiple_of(8),
                Duration::from_millis(input.byte().into()),
            );
            world.on_dialled(input.below(PEERS), expected, age);
        }
        3 => {
            let why = match input.below(4) {
                0 => DialFailure::Unreachable,
                1 => DialFailure::WrongPeer,
                2 => DialFailure::Myself,
                _ => DialFailure::Unsupported,
            };
            world.on_dial_failed(why);
        }
        4 | 5 => {
            let age = Duration::from_millis(u64::from(input.byte()) * 20);
            world.come(input.below(PEERS), age);
        }
        6 => on_link(world, input, |connection, _| Event::ControlOpened { connection }),
        7 => on_link(world, input, |connection, _| Event::ControlUnsupported {
            connection,
        }),
        8 | 9 => greet(world, input),
        10 => say(world, input),
        11 => on_link(world, input, |connection, input| Event::ControlBroken {
            connection,
            is_garbage: input.below(2) == 0,
        }),
        12 => on_link(world, input, |connection, input| Event::Activity {
            connection,
            idle: Duration::from_secs(input.byte().into()),
        }),
        13 => world.hang_up(input.below(64)),
        14 => {
            let peer = input.below(PEERS + 1);
            world.ask_for(peer, input.below(2) == 0);
        }
        15 => {
            let (peer, host) = (input.below(PEERS + 1), input.below(4));
            world.learn(peer, host, input.below(7));
        }
        16 => exchange(world, input),
        17 => fault_or_use(world, input),
        18 => relay(world, input),
        _ => command(world, input),
    }
}

/// Something happens on one of the connections, if there is one.
fn on_link(
    world: &mut World,
    input: &mut Input<'_>,
    event: impl FnOnce(rustle_types::ConnectionId, &mut Input<'_>) -> Event,
) {
    if let Some(connection) = world.link(input.below(64)) {
        let event = event(connection, input);
        world.handle(event);
    }
}

/// The peer greets, as it should or not.
fn greet(world: &mut World, input: &mut Input<'_>) {
    let flags = input.byte();
    let said = Hello {
        network: if flags & 15 == 0 { "other" } else { "main" }
            .parse()
            .expect("a name"),
        versions: match flags >> 4 {
            0 => Versions::new(7, 9).expect("in order"),
            _ => Versions::ours(),
        },
        services: Services(input.byte().into()),
        nonce: if flags & 48 == 48 {
            world.nonce()
        } else {
            flags.into()
        },
        listen_addresses: (0..input.below(9))
            .map(|host| World::address(input.below(PEERS), host))
            .collect(),
        ..hello()
    };
    let Some(connection) = world.link(input.below(64)) else {
        return;
    };
    let is_ours = world.is_outbound(connection) != (flags & 192 == 192);
    let message = if is_ours {
        Control::HelloAck(said)
    } else {
        Control::Hello(said)
    };
    world.handle(Event::Control { connection, message });
}

fn say(world: &mut World, input: &mut Input<'_>) {
    let reasons = [
        DisconnectReason::Unspecified,
        DisconnectReason::Network,
        DisconnectReason::Version,
        DisconnectReason::SelfConnection,
        DisconnectReason::Full,
        DisconnectReason::Shutdown,
    ];
    let Some(connection) = world.link(input.below(64)) else {
        return;
    };
    let message = match input.below(6) {
        0 | 1 => Control::PingResponse {
            nonce: world.last_ping(connection),
        },
        2 => Control::PingResponse { nonce: 7 },
        3 => Control::PingRequest { nonce: 7 },
        4 => Control::Disconnect(Disconnect::because(reasons[input.below(reasons.len())])),
        // Whatever a decoder lets through.
        _ => match Control::decode(input.take(64)) {
            Ok(message) => message,
            Err(_) => return,
        },
    };
    world.handle(Event::Control { connection, message });
}

fn exchange(world: &mut World, input: &mut Input<'_>) {
    let peer = World::peer(input.below(PEERS));
    match input.below(3) {
        0 => world.ask_peers(
            peer,
            PeersRequest {
                limit: input.byte().into(),
            },
        ),
        1 => {
            let entries = (0..input.below(130)).map(|number| World::entry(number, input.below(4)));
            let list = PeersList {
                entries: entries.collect(),
            };
            world.handle(Event::PeersHeard { peer, list });
        }
        _ => world.handle(Event::PeersUnheard { peer }),
    }
}

fn fault_or_use(world: &mut World, input: &mut Input<'_>) {
    let peer = World::peer(input.below(PEERS));
    let faults = rustle_peers::Fault::ALL;
    let event = match input.below(3) {
        0 => Event::Useful {
            peer,
            what: Use::Content,
        },
        1 => Event::Useful {
            peer,
            what: Use::Gossip,
        },
        _ => Event::Fault {
            peer,
            fault: faults[input.below(faults.len())],
        },
    };
    world.handle(event);
}

fn relay(world: &mut World, input: &mut Input<'_>) {
    let relay = World::peer(input.below(PEERS));
    let event = match input.below(5) {
        0 => Event::Reachability { reachable: None },
        1 => Event::Reachability {
            reachable: Some(true),
        },
        2 => Event::Reachability {
            reachable: Some(false),
        },
        3 => Event::Reserved { relay },
        _ => Event::ReservationLost { relay },
    };
    world.handle(event);
}

fn command(world: &mut World, input: &mut Input<'_>) {
    let peer = input.below(PEERS);
    match input.below(4) {
        0 => world.disconnect(peer),
        1 => world.ban(peer, Duration::from_secs(input.byte().into())),
        2 => world.unban(peer),
        _ => {
            let addresses: Vec<Multiaddr> = (0..input.below(9))
                .map(|host| World::address(PEERS, host))
                .collect();
            world.handle(Event::Listening { addresses });
        }
    }
}

/// Days of a node's life in a few bytes each.
fn seeds() -> Vec<Vec<u8>> {
    let inbound = |peer| [4, 1, peer, 8, 255, 31, 1, 1, peer, 0];
    let crowd: Vec<u8> = (0..20).flat_map(inbound).collect();
    let learned: Vec<u8> = (0..20).flat_map(|peer| [15, peer, 1, 0]).collect();
    vec![
        [&[0][..], &crowd, &[1, 255, 255, 1, 255, 255, 13, 0, 13, 1]].concat(),
        [
            &[1][..],
            &learned,
            &[2, 0, 1, 1, 6, 0, 8, 15, 31, 0, 0, 1, 0, 64, 3, 0, 0, 100],
        ]
        .concat(),
        vec![
            0, 14, 3, 0, 2, 3, 1, 1, 6, 0, 8, 15, 31, 0, 0, 10, 0, 3, 19, 3, 0, 13, 0,
        ],
    ]
}
