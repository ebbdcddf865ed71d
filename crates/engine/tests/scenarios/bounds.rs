//! What a node refuses because it does not know it, or has no room for it.

use std::time::Duration;

use rustle_chain::Body;
use rustle_engine::{Ask, AskError, Input};
use rustle_types::limits::CHAINS_MAX;
use rustle_types::{BlockId, ChainId, ConnectionId, Direction, PeerId};

use crate::world::World;

#[test]
fn asks_about_an_unknown_chain_say_so() {
    let mut world = World::with_nodes(1, 1);
    let chain = ChainId::of_genesis(BlockId::of(b"nowhere"));

    for ask in [
        Ask::Append {
            chain,
            topics: Vec::new(),
            body: Body::Inline("x".into()),
        },
        Ask::Invite {
            chain,
            expires_in: None,
            uses: None,
        },
    ] {
        assert_eq!(world.answer(0, ask).unwrap_err(), AskError::UnknownChain(chain));
    }
}

#[test]
fn malformed_asks_say_what_is_wrong() {
    let mut world = World::with_nodes(2, 1);
    let chain = world.create(0, "notes");
    let body = Body::Inline(vec![0; rustle_types::limits::BLOCK_BODY_BYTES_MAX + 1].into());

    for ask in [
        Ask::CreateChain { name: String::new() },
        Ask::Append {
            chain,
            topics: Vec::new(),
            body,
        },
        Ask::Append {
            chain,
            topics: vec![String::new()],
            body: Body::Inline("x".into()),
        },
        Ask::Invite {
            chain,
            expires_in: None,
            uses: Some(0),
        },
        Ask::AdoptChain {
            chain: ChainId::of_genesis(BlockId::of(b"elsewhere")),
            genesis: "garbage".into(),
            members: Vec::new(),
        },
    ] {
        let what = format!("{ask:?}");
        assert!(
            matches!(world.answer(0, ask), Err(AskError::Invalid(_))),
            "{what}"
        );
    }
}

#[test]
fn the_number_of_chains_is_bounded_and_those_that_are_being_written_count() {
    let mut world = World::with_nodes(3, 1);
    world.nodes[0].disk.delay = Duration::ZERO;
    let create = || Ask::CreateChain {
        name: "one of many".to_owned(),
    };
    let requests: Vec<u64> = (0..CHAINS_MAX).map(|_| world.ask(0, create())).collect();
    let full = || Some(AskError::TooManyChains(CHAINS_MAX));

    let beyond = world.ask(0, create());
    assert_eq!(world.take_reply(0, beyond).and_then(Result::err), full());
    assert_eq!(world.nodes[0].engine.as_ref().unwrap().chains_open(), 0);

    world.run(Duration::from_secs(60));
    assert!(
        requests
            .iter()
            .all(|request| world.nodes[0].replies[request].is_ok())
    );
    assert_eq!(world.answer(0, create()).err(), full());
    let chain = ChainId::of_genesis(BlockId::of(b"elsewhere"));
    let adopt = Ask::AdoptChain {
        chain,
        genesis: "never looked at".into(),
        members: Vec::new(),
    };
    assert_eq!(world.answer(0, adopt).err(), full());
}

#[test]
fn subscribers_that_are_gone_leave_room_for_others() {
    let mut world = World::with_nodes(4, 2);
    let chain = world.create(0, "notes");
    let topic = world.nodes[0].setup.network.chain_topic(&chain);
    for number in 0..2000u16 {
        // An identity multihash of two bytes is a valid peer id.
        let [high, low] = number.to_be_bytes();
        let peer = PeerId::from_bytes(&[0x00, 0x02, high, low]).unwrap();
        let connection = ConnectionId(1_000_000 + u64::from(number));
        let connected = rustle_peers::Input::Connected {
            connection,
            peer,
            direction: Direction::Inbound,
            address: "/ip4/10.9.9.9/tcp/50000".parse().unwrap(),
            request: None,
            age: Duration::ZERO,
        };
        world.feed(0, Input::Peers(connected));
        world.feed(
            0,
            Input::Subscribed {
                peer,
                topic: topic.clone(),
            },
        );
        world.feed(0, Input::Peers(rustle_peers::Input::Disconnected { connection }));
    }
    let text = world.invite(0, chain, None, None);

    world.join(1, &text).unwrap();
    world.run(Duration::from_secs(1));

    assert_eq!(world.pulls_started(), 2, "each asks the other once");
}
