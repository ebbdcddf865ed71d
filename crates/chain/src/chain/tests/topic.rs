//! What comes over the topic: judged, held, pulled and bounded.

use super::*;

#[test]
fn a_good_block_is_accepted_before_the_disk_has_it() {
    let mut node = Node::new();
    node.is_slow = true;
    let block = node.block(&[node.genesis()], 1, b"theirs");

    assert_eq!(verdicts(&node.hear_block(2, &block)), [Verdict::Accept]);
    assert_eq!(
        verdicts(&node.hear_block(3, &block)),
        [Verdict::Ignore],
        "known already"
    );
    let child = node.block(&[block.id()], 2, b"child");
    assert_eq!(
        verdicts(&node.hear_block(2, &child)),
        [Verdict::Accept],
        "its parent waits for the disk"
    );
    node.commit();
    let outputs = std::mem::take(&mut node.seen);
    assert_eq!(
        outputs,
        [Output::Delivered { next_sequence: 2 }],
        "others' blocks are not published again"
    );
}

#[test]
fn what_no_honest_peer_says_is_rejected_with_the_reason() {
    let mut node = Node::new();
    let good = node.block(&[node.genesis()], 1, b"good");
    let mut forged = good.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Bytes::from(forged);
    let foreign = block_of(no_chain(), &signer(7), &[no_chain().genesis()], 1, b"foreign");
    let other_genesis = create(&signer(2), "other", Timestamp::default(), [9; 16])
        .unwrap()
        .0
        .genesis();
    let wrong_height = node.block(&[node.genesis()], 2, b"too high");
    let new_block = |id, bytes: &Bytes| {
        Announcement::NewBlock {
            id,
            block: Some(bytes.clone()),
        }
        .encode()
    };

    let cases = [
        (Bytes::from_static(b"\xff\xff"), "no announcement"),
        (
            Announcement::Leaves(vec![good.id(); 65]).encode().slice(..40),
            "no announcement",
        ),
        (new_block(BlockId::of(&forged), &forged), "invalid block"),
        (new_block(other_genesis, good.bytes()), "which it is not"),
        (new_block(foreign.id(), foreign.bytes()), "another chain"),
        (
            new_block(wrong_height.id(), wrong_height.bytes()),
            "height 2 where 1 is right",
        ),
    ];
    for (payload, reason) in cases {
        let outputs = node.hear_bytes(2, payload);
        assert_eq!(verdicts(&outputs), [Verdict::Reject], "{reason}");
        assert!(faults(&outputs)[0].to_string().contains(reason), "{outputs:?}");
    }
    assert_eq!(node.chain.status().blocks, 1);

    let outputs = node.pulled(2, vec![foreign, wrong_height, good]);
    assert_eq!(faults(&outputs).len(), 2, "the same by a pull");
    assert_eq!(node.chain.status().blocks, 2);
}

#[test]
fn an_orphan_is_judged_when_its_ancestors_come() {
    let mut node = Node::new();
    node.befriend(2);
    let first = node.block(&[node.genesis()], 1, b"1");
    let second = node.block(&[first.id()], 2, b"2");
    let third = node.block(&[second.id()], 3, b"3");

    let outputs = node.hear_block(2, &third);
    assert_eq!(
        (verdicts(&outputs), pulls(&outputs)),
        (vec![], 1),
        "pulled from who sent it"
    );
    assert_eq!(
        verdicts(&node.hear_block(3, &third)),
        [Verdict::Ignore],
        "it is here already"
    );
    let outputs = node.pulled(2, vec![first, second]);

    assert_eq!(verdicts(&outputs), [Verdict::Accept]);
    assert_eq!((node.chain.status().blocks, node.chain.status().orphans), (4, 0));
    node.ended(2, SyncOutcome::Complete);
    assert_eq!(pulls(&node.wait(Duration::from_secs(1))), 0, "nothing is missing");
}

#[test]
fn an_orphan_nobody_helps_is_ignored_in_time_and_forgotten_later() {
    let mut node = Node::new();
    let orphan = node.block(&[BlockId::of(b"nowhere")], 9, b"orphan");
    node.hear_block(2, &orphan);

    assert_eq!(verdicts(&node.wait(Duration::from_secs(3))), [Verdict::Ignore]);
    assert_eq!(node.chain.status().orphans, 1);
    node.wait(Duration::from_secs(600));
    assert_eq!(node.chain.status().orphans, 0);
    assert_eq!(node.chain.next_deadline(), None);
}

#[test]
fn an_orphan_with_a_wrong_height_is_held_against_its_sender() {
    let mut node = Node::new();
    let parent = node.block(&[node.genesis()], 1, b"parent");
    let bad = node.block(&[parent.id()], 5, b"bad");
    let worse = node.block(&[bad.id()], 6, b"on the bad one");
    node.hear_block(2, &bad);
    node.hear_block(3, &worse);

    let outputs = node.hear_block(4, &parent);

    let fault = Fault::WrongHeight {
        id: bad.id(),
        height: 5,
        expected: 2,
    };
    assert!(outputs.contains(&Output::Fault { peer: peer(2), fault }));
    assert_eq!(
        verdicts(&outputs),
        [Verdict::Reject, Verdict::Ignore, Verdict::Accept]
    );
    assert_eq!(node.chain.status().orphans, 0, "what builds on it goes with it");
}

#[test]
fn a_flood_of_orphans_is_bounded() {
    let mut node = Node::new();
    for n in 0..ORPHANS_PER_PEER_MAX as u32 + 50 {
        let parent = BlockId::of(&n.to_be_bytes());
        let orphan = node.block(&[parent], 2, &n.to_be_bytes());
        node.hear_block(2, &orphan);
    }
    assert_eq!(node.chain.status().orphans, ORPHANS_PER_PEER_MAX);
}

#[test]
fn ids_without_blocks_are_pulled_and_judged_when_they_come() {
    let mut node = Node::new();
    node.befriend(2);
    let (a, b) = (
        node.block(&[node.genesis()], 1, b"a"),
        node.block(&[node.genesis()], 1, b"b"),
    );
    let known = Announcement::Leaves(vec![node.genesis()]);
    assert_eq!(verdicts(&node.hear(2, &known)), [Verdict::Accept]);

    let outputs = node.hear(2, &Announcement::Leaves(vec![a.id(), node.genesis(), b.id()]));
    assert_eq!((verdicts(&outputs), pulls(&outputs)), (vec![], 1));
    assert_eq!(verdicts(&node.pulled(2, vec![b])), [], "one is still missing");
    assert_eq!(verdicts(&node.pulled(2, vec![a])), [Verdict::Accept]);
    assert_eq!(node.ended(2, SyncOutcome::Complete), []);

    let outputs = node.hear(
        2,
        &Announcement::NewBlock {
            id: BlockId::of(b"never"),
            block: None,
        },
    );
    assert_eq!(pulls(&outputs), 1);
    node.ended(2, SyncOutcome::Complete);
    assert_eq!(verdicts(&node.wait(Duration::from_secs(3))), [Verdict::Ignore]);
}

#[test]
fn a_failed_pull_is_followed_by_another_peer() {
    let mut node = Node::new();
    (2..5).for_each(|n| node.befriend(n));
    let orphan = node.block(&[BlockId::of(b"parent")], 2, b"orphan");
    let mut asked = Vec::new();
    let mut outputs = node.hear_block(3, &orphan);
    for _ in 0..3 {
        let Some(Output::Sync { peer }) = outputs
            .iter()
            .find(|output| matches!(output, Output::Sync { .. }))
        else {
            break;
        };
        let peer = *peer;
        asked.push(peer);
        outputs = node.tell(Input::SyncEnded {
            peer,
            outcome: SyncOutcome::Refused,
        });
    }
    assert_eq!(
        (asked.len(), asked[0]),
        (3, peer(3)),
        "who sent it first, then the others: {asked:?}"
    );

    let mut later = Vec::new();
    for _ in 0..60 {
        let mut outputs = VecDeque::from(node.wait(Duration::from_millis(500)));
        while let Some(output) = outputs.pop_front() {
            if let Output::Sync { peer } = output {
                later.push(peer);
                outputs.extend(node.tell(Input::SyncEnded {
                    peer,
                    outcome: SyncOutcome::Refused,
                }));
            }
        }
    }
    assert!((2..5).all(|n| later.contains(&peer(n))), "{later:?}");
}
