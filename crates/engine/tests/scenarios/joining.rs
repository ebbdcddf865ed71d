//! Who gets in with an invitation, and what a newcomer has soon after.

use std::time::Duration;

use rustle_chain::{Invitation, InvitationError};
use rustle_engine::{Ask, AskError};
use rustle_types::Author;
use rustle_wire::{JoinRefusal, JoinReply};

use crate::world::{JoinFailure, World};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn three_nodes_that_join_and_append_at_the_same_time_have_the_same_blocks() {
    let mut world = World::with_nodes(1, 3);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, None);
    for joiner in [1, 2] {
        assert_eq!(world.join(joiner, &text), Ok(chain));
    }

    for n in 0..100 {
        for node in 0..3 {
            world.append(node, chain, format!("{node}: {n}"));
        }
        world.run(Duration::from_millis(7));
    }

    assert!(world.run_until(MINUTE, |world| {
        world.nodes.iter().all(|node| node.blocks(&chain) == 301)
    }));
    assert!(world.agree(&[0, 1, 2], chain));
    for node in &world.nodes {
        assert_eq!(node.acknowledged.len(), 100);
        assert_eq!(node.delivered[&chain], 301);
        assert_eq!(node.faults, Vec::<String>::new());
        assert_eq!(node.router.unjudged(), 0);
    }
}

#[test]
fn a_newcomer_has_a_long_chain_soon() {
    let mut world = World::with_nodes(2, 2);
    let chain = world.create(0, "notes");
    for n in 0..1000 {
        world.append(0, chain, n.to_string());
        world.run(Duration::from_millis(3));
    }
    let text = world.invite(0, chain, None, None);

    world.join(1, &text).unwrap();

    assert!(world.converge(&[0, 1], chain, MINUTE));
    assert_eq!(world.nodes[1].blocks(&chain), 1001);
    assert_eq!(world.nodes[1].delivered[&chain], 1001);
}

#[test]
fn an_expired_invitation_is_refused() {
    let mut world = World::with_nodes(3, 2);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, Some(Duration::from_secs(30)), None);

    world.run(Duration::from_secs(31));

    assert_eq!(
        world.join(1, &text),
        Err(JoinFailure::Refused(JoinRefusal::Expired))
    );
}

#[test]
fn a_used_up_invitation_is_refused_except_to_whom_it_let_in() {
    let mut world = World::with_nodes(4, 3);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, Some(1));

    assert_eq!(world.join(1, &text), Ok(chain));
    assert_eq!(
        world.join(2, &text),
        Err(JoinFailure::Refused(JoinRefusal::Exhausted))
    );

    // Whoever was let in may ask again: the answer may have been lost. It has the chain, though.
    assert_eq!(
        world.join(1, &text),
        Err(JoinFailure::Adopt(AskError::KnownChain(chain)))
    );
}

#[test]
fn uses_are_counted_over_a_restart() {
    let mut world = World::with_nodes(5, 3);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, Some(1));
    world.join(1, &text).unwrap();

    world.crash(0);
    world.start(0);

    assert_eq!(
        world.join(2, &text),
        Err(JoinFailure::Refused(JoinRefusal::Exhausted))
    );
}

#[test]
fn an_altered_text_is_no_invitation() {
    let mut world = World::with_nodes(6, 2);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, None);
    let middle = text.len() / 2;
    let other = if text.as_bytes()[middle] == b'a' { "b" } else { "a" };
    let altered = format!("{}{other}{}", &text[..middle], &text[middle + 1..]);

    let expected = Err(JoinFailure::Invitation(InvitationError::Altered));
    assert_eq!(world.join(1, &altered), expected);
    assert_eq!(world.join(1, &text[..middle]), expected);
}

#[test]
fn an_altered_request_is_refused() {
    let mut world = World::with_nodes(7, 3);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, Some(MINUTE), Some(2));
    let invitation: Invitation = text.parse().unwrap();
    for joiner in [1, 2] {
        world.connect(joiner, 0).unwrap();
    }
    let [member, joiner, other] = [0, 1, 2].map(|node| world.nodes[node].peer);
    let good = invitation.to_request(joiner, member);

    let altered = [
        (
            "more uses",
            JoinRefusal::Invalid,
            rustle_wire::JoinRequest {
                uses: Some(9),
                ..good.clone()
            },
        ),
        (
            "no end",
            JoinRefusal::Invalid,
            rustle_wire::JoinRequest {
                expires: None,
                ..good.clone()
            },
        ),
        (
            "the proof of another",
            JoinRefusal::Invalid,
            invitation.to_request(other, member),
        ),
        (
            "a proof for another",
            JoinRefusal::Invalid,
            invitation.to_request(joiner, other),
        ),
        (
            "another inviter",
            JoinRefusal::Invalid,
            rustle_wire::JoinRequest {
                inviter: Author::from_bytes([7; 32]),
                ..good.clone()
            },
        ),
    ];
    for (what, refusal, request) in altered {
        let knock = world.knock_with(1, 0, &request);
        assert_eq!(world.knock_reply(0, knock), JoinReply::Refused(refusal), "{what}");
    }

    let knock = world.knock_with(1, 0, &good);
    assert!(matches!(world.knock_reply(0, knock), JoinReply::Accepted(_)));
}

#[test]
fn a_member_that_did_not_found_the_chain_invites_for_itself_only() {
    let mut world = World::with_nodes(8, 3);
    let chain = world.create(0, "notes");
    let text = world.invite(0, chain, None, None);
    world.join(1, &text).unwrap();
    let by_member: Invitation = world.invite(1, chain, None, None).parse().unwrap();
    let names = |invitation: &Invitation| {
        invitation
            .members()
            .iter()
            .map(|member| member.peer)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&by_member),
        [world.nodes[1].peer],
        "the others would refuse it"
    );
    let by_founder: Invitation = world.invite(0, chain, None, None).parse().unwrap();
    assert_eq!(names(&by_founder), [world.nodes[0].peer, world.nodes[1].peer]);
    world.connect(2, 0).unwrap();
    world.connect(2, 1).unwrap();

    let at_founder = world.knock(2, 0, &by_member);
    let at_member = world.knock(2, 1, &by_member);

    assert_eq!(
        world.knock_reply(0, at_founder),
        JoinReply::Refused(JoinRefusal::Inviter)
    );
    assert!(matches!(world.knock_reply(1, at_member), JoinReply::Accepted(_)));
}

#[test]
fn of_two_that_race_on_a_one_use_invitation_one_gets_in() {
    let mut world = World::with_nodes(9, 3);
    let chain = world.create(0, "notes");
    let invitation: Invitation = world.invite(0, chain, None, Some(1)).parse().unwrap();
    world.connect(1, 0).unwrap();
    world.connect(2, 0).unwrap();

    let first = world.knock(1, 0, &invitation);
    let second = world.knock(2, 0, &invitation);

    assert!(matches!(world.knock_reply(0, first), JoinReply::Accepted(_)));
    assert_eq!(
        world.knock_reply(0, second),
        JoinReply::Refused(JoinRefusal::Exhausted)
    );
    let again = world.knock(2, 0, &invitation);
    assert_eq!(
        world.knock_reply(0, again),
        JoinReply::Refused(JoinRefusal::Exhausted)
    );
}

#[test]
fn of_two_that_race_on_a_two_use_invitation_both_get_in() {
    let mut world = World::with_nodes(10, 3);
    let chain = world.create(0, "notes");
    let invitation: Invitation = world.invite(0, chain, None, Some(2)).parse().unwrap();
    world.connect(1, 0).unwrap();
    world.connect(2, 0).unwrap();

    let knocks = [world.knock(1, 0, &invitation), world.knock(2, 0, &invitation)];

    for knock in knocks {
        assert!(matches!(world.knock_reply(0, knock), JoinReply::Accepted(_)));
    }
}

#[test]
fn too_many_that_race_on_an_invitation_are_told_to_come_again() {
    let mut world = World::with_nodes(14, 2);
    let chain = world.create(0, "notes");
    let invitation: Invitation = world.invite(0, chain, None, Some(1)).parse().unwrap();
    world.connect(1, 0).unwrap();

    let knocks: Vec<u64> = (0..70).map(|_| world.knock(1, 0, &invitation)).collect();

    let busy = JoinReply::Refused(JoinRefusal::Busy);
    let replies: Vec<JoinReply> = knocks
        .into_iter()
        .map(|knock| world.knock_reply(0, knock))
        .collect();
    assert_eq!(replies.iter().filter(|reply| **reply == busy).count(), 5);
    let accepted = replies
        .iter()
        .filter(|reply| matches!(reply, JoinReply::Accepted(_)));
    assert_eq!(accepted.count(), 65, "the same joiner may come again");
}

#[test]
fn a_joiner_is_not_let_in_before_the_use_is_durable() {
    let mut world = World::with_nodes(11, 3);
    let chain = world.create(0, "notes");
    let invitation: Invitation = world.invite(0, chain, None, Some(1)).parse().unwrap();
    world.connect(1, 0).unwrap();
    world.nodes[0].disk.delay = Duration::from_secs(5);

    let knock = world.knock(1, 0, &invitation);
    world.run(Duration::from_secs(4));
    assert!(!world.nodes[0].join_replies.contains_key(&knock));
    world.crash(0);
    world.nodes[0].disk.delay = Duration::from_millis(2);
    world.start(0);

    // Nobody was told that it got in, so the use is still there.
    world.connect(2, 0).unwrap();
    let knock = world.knock(2, 0, &invitation);
    assert!(matches!(world.knock_reply(0, knock), JoinReply::Accepted(_)));
}

#[test]
fn a_chain_is_joined_once() {
    let mut world = World::with_nodes(12, 2);
    let chain = world.create(0, "notes");
    let invitation: Invitation = world.invite(0, chain, None, None).parse().unwrap();
    world.connect(1, 0).unwrap();
    let knock = world.knock(1, 0, &invitation);
    let JoinReply::Accepted(accepted) = world.knock_reply(0, knock) else {
        panic!("refused")
    };
    let adopt = || Ask::AdoptChain {
        chain,
        genesis: accepted.genesis.clone(),
        members: accepted.members.clone(),
    };

    let first = world.ask(1, adopt());
    let second = world.ask(1, adopt());
    world.run(Duration::from_secs(1));

    assert!(world.take_reply(1, first).unwrap().is_ok());
    assert_eq!(
        world.take_reply(1, second).unwrap().unwrap_err(),
        AskError::KnownChain(chain)
    );
}

#[test]
fn a_node_without_an_address_cannot_invite() {
    let mut world = World::new(13);
    let node = world.add(crate::world::Setup {
        listens: false,
        ..Default::default()
    });
    let chain = world.create(node, "notes");

    let ask = Ask::Invite {
        chain,
        expires_in: None,
        uses: None,
    };

    assert_eq!(world.answer(node, ask).unwrap_err(), AskError::NoAddress);
}

#[test]
fn a_hidden_member_is_named_to_joiners_without_its_addresses() {
    for is_hidden in [false, true] {
        let mut world = World::new(14);
        let member = world.add(crate::world::Setup {
            is_hidden,
            ..Default::default()
        });
        let joiner = world.add(crate::world::Setup::default());
        let chain = world.create(member, "notes");
        // Whom the operator gives the invitation is to find the node.
        let invitation: Invitation = world.invite(member, chain, None, None).parse().unwrap();
        assert!(!invitation.members()[0].addresses.is_empty());
        world.connect(joiner, member).unwrap();

        let knock = world.knock(joiner, member, &invitation);
        let JoinReply::Accepted(accepted) = world.knock_reply(member, knock) else {
            panic!("not let in");
        };

        assert_eq!(accepted.members[0].peer, world.nodes[member].peer);
        assert_eq!(accepted.members[0].addresses.is_empty(), is_hidden);
    }
}
