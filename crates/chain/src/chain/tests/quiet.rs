//! Quiet chains: who tells the leaves, and how often.

use super::*;

#[test]
fn a_quiet_chain_tells_its_leaves_within_ten_seconds() {
    let mut node = Node::new();
    assert_eq!(node.wait(Duration::from_secs(100)), [], "nobody is there");
    node.befriend(2);

    assert_eq!(published(&node.wait(Duration::from_secs(4))), []);
    let leaves = Announcement::Leaves(vec![node.genesis()]);
    assert_eq!(published(&node.wait(Duration::from_secs(6))), [leaves]);
    let minute = published(&node.wait(Duration::from_secs(60))).len();
    assert!((6..=12).contains(&minute), "{minute}");
}

#[test]
fn stays_silent_when_a_peer_speaks_first() {
    let mut node = Node::new();
    node.befriend(2);
    for _ in 0..20 {
        assert_eq!(node.wait(Duration::from_secs(4)), []);
        node.hear(2, &Announcement::Leaves(vec![node.genesis()]));
    }
    for n in 0..20_u64 {
        assert_eq!(published(&node.wait(Duration::from_secs(4))), []);
        let parent = node.chain.leaves().next().unwrap().id;
        let block = node.block(&[parent], n + 1, b"a block says what leaves would");
        node.hear_block(2, &block);
    }
    assert_eq!(published(&node.wait(Duration::from_secs(10))).len(), 1);
}

#[test]
fn at_most_64_leaves_are_told_the_highest() {
    let mut node = Node::new();
    let fork: Vec<Block> = (0..100_u8)
        .map(|n| node.block(&[node.genesis()], 1, &[n]))
        .collect();
    let high = node.block(&[fork[0].id()], 2, b"high");
    node.pulled(2, fork.into_iter().chain([high.clone()]).collect());
    node.befriend(2);

    let told = published(&node.wait(Duration::from_secs(10)));
    let [Announcement::Leaves(ids)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((ids.len(), ids[0]), (64, high.id()));
}

/// Two hundred nodes that hear each other say in a quiet period little more than two.
#[test]
fn the_number_of_broadcasts_hardly_grows_with_the_nodes() {
    let told_in_ten_minutes = |count: u64| {
        let mut nodes: Vec<Node> = (1..=count)
            .map(|seed| Node::with(Config::default(), seed))
            .collect();
        for node in &mut nodes {
            (1..count.min(200) as u8).for_each(|n| node.befriend(n));
        }
        let delay = Duration::from_millis(200);
        let mut told = 0;
        let mut in_flight: VecDeque<(Uptime, usize, Announcement)> = VecDeque::new();
        for _ in 0..6000 {
            for (at, node) in nodes.iter_mut().enumerate() {
                for said in published(&node.wait(Duration::from_millis(100))) {
                    told += 1;
                    in_flight.push_back((node.now.uptime + delay, at, said));
                }
            }
            let now = nodes[0].now.uptime;
            while in_flight.front().is_some_and(|(due, ..)| *due <= now) {
                let Some((_, from, said)) = in_flight.pop_front() else {
                    break;
                };
                let others = nodes.iter_mut().enumerate().filter(|(at, _)| *at != from);
                others.for_each(|(_, node)| drop(node.hear(1, &said)));
            }
        }
        told
    };
    let (few, many) = (told_in_ten_minutes(3), told_in_ten_minutes(200));
    assert!((50..130).contains(&few), "{few}");
    assert!((4..60).contains(&many), "{many}: more nodes say less");
}
