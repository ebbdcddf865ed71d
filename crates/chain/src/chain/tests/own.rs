//! Blocks of this node: acknowledged when they are durable, refused with a reason.

use super::*;

#[test]
fn an_append_is_told_only_when_it_is_durable() {
    let mut node = Node::new();
    node.is_slow = true;
    assert_eq!(node.append("hello"), []);
    node.commit();
    let outputs = std::mem::take(&mut node.seen);

    let leaf = reader::leaves(&*node.store, &node.id()).unwrap()[0];
    let block = reader::block(&*node.store, &node.id(), &leaf.id)
        .unwrap()
        .unwrap();
    assert_eq!(block.block.parents(), [node.genesis()]);
    assert_eq!(block.block.time(), node.now.wall);
    let whole = Announcement::NewBlock {
        id: leaf.id,
        block: Some(block.block.bytes().clone()),
    };
    let expected = [
        Output::Appended {
            request: 77,
            id: leaf.id,
            height: 1,
        },
        Output::Publish {
            payload: whole.encode(),
        },
        Output::Delivered { next_sequence: 2 },
    ];
    assert_eq!(outputs, expected);
}

#[test]
fn appends_that_wait_for_the_disk_build_on_each_other() {
    let mut node = Node::new();
    node.is_slow = true;
    (0..5).for_each(|n| drop(node.append(&n.to_string())));
    assert_eq!((node.chain.status().blocks, node.chain.status().durable), (6, 1));

    let last = node.disk.len() as u64;
    while let Some((_, batch)) = node.disk.pop_front() {
        node.store.commit(batch, Durability::Synced).unwrap();
    }
    let outputs = node.tell(Input::Committed { ticket: last });

    assert_eq!(
        outputs
            .iter()
            .filter(|output| matches!(output, Output::Appended { .. }))
            .count(),
        5
    );
    assert_eq!(outputs.last(), Some(&Output::Delivered { next_sequence: 6 }));
    assert_eq!(
        node.order()
            .iter()
            .map(|position| position.height)
            .collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!(node.chain.status().pending_bytes, 0);
}

#[test]
fn bad_appends_are_refused_with_the_reason() {
    let mut node = Node::new();
    let mut refused = |topics: &[&str], body: Vec<u8>| {
        let topics = topics.iter().map(|&topic| topic.to_owned()).collect();
        match &node.tell(Input::Append {
            request: 5,
            topics,
            body: Body::Inline(body.into()),
        })[..]
        {
            [
                Output::Refused {
                    request: 5,
                    error: AppendError::Draft(error),
                },
            ] => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(refused(&[], vec![0; BLOCK_BODY_BYTES_MAX + 1]).contains("body"));
    assert!(refused(&["rustle/x"], Vec::new()).contains("reserved"));
    assert!(refused(&[""; 1], Vec::new()).contains("topic"));
    assert_eq!(node.chain.status().blocks, 1);
}

#[test]
fn a_large_block_is_announced_by_its_id() {
    let mut node = Node::new();
    let outputs = node.append(&"x".repeat(20_000));
    assert!(matches!(
        published(&outputs)[..],
        [Announcement::NewBlock { block: None, .. }]
    ));
}

#[test]
fn a_slow_disk_refuses_more_than_its_bound() {
    let mut node = Node::with(
        Config {
            pending_bytes_max: 1000,
            ..Config::default()
        },
        1,
    );
    node.is_slow = true;
    node.befriend(2);
    node.append(&"x".repeat(1000));
    let busy = Output::Refused {
        request: 77,
        error: AppendError::Busy,
    };
    assert_eq!(node.append("more"), [busy]);

    let block = node.block(&[node.genesis()], 1, b"theirs");
    let heard = node.hear_block(2, &block);
    assert_eq!(
        (verdicts(&heard), pulls(&heard)),
        (vec![Verdict::Ignore], 1),
        "it is pulled later"
    );
    assert_eq!(node.pulled(2, vec![block.clone()]), [], "no `Continue` yet");
    assert_eq!(node.chain.status().blocks, 2);

    node.commit();
    assert!(std::mem::take(&mut node.seen).contains(&Output::Continue { peer: peer(2) }));
    assert_eq!(
        node.ended(2, SyncOutcome::Complete),
        [],
        "what we dropped is not the peer's fault"
    );
    assert_eq!(
        pulls(&node.wait(Duration::from_secs(1))),
        1,
        "but it is asked again"
    );
    node.is_slow = false;
    assert_eq!(node.pulled(2, vec![block]).len(), 2, "Delivered and Continue");
}

#[test]
fn after_a_failed_commit_the_chain_stops() {
    let mut node = Node::new();
    node.is_slow = true;
    node.befriend(2);
    (0..3).for_each(|n| drop(node.append(&n.to_string())));
    node.commit();
    node.seen.clear();

    let error = StoreError::Full("no room".to_owned());
    let outputs = node.tell(Input::CommitFailed {
        ticket: 2,
        error: error.clone(),
    });
    let stopped = Output::Refused {
        request: 77,
        error: AppendError::Stopped(error.clone()),
    };
    assert_eq!(outputs[..2], [stopped.clone(), stopped.clone()]);
    assert_eq!(node.append("later"), [stopped]);
    let block = node.block(&[node.genesis()], 1, b"theirs");
    assert_eq!(verdicts(&node.hear_block(2, &block)), [Verdict::Ignore]);
    assert_eq!(node.pulled(2, vec![block]), [Output::Continue { peer: peer(2) }]);
    assert_eq!(node.wait(Duration::from_secs(1000)), [], "and says nothing");

    let again = Chain::open(node.id(), node.store.clone(), signer(1), Config::default(), 1).unwrap();
    assert_eq!(again.status().blocks, 2, "what was acknowledged is there");
}

#[test]
fn an_unknown_chain_cannot_be_opened() {
    let opened = Chain::open(
        no_chain(),
        Arc::new(MemoryStore::new()),
        signer(1),
        Config::default(),
        1,
    );
    assert_eq!(opened.err(), Some(OpenError::UnknownChain(no_chain())));
}
