//! Among peers that lie, stay silent, are slow or go away, what an honest one has is found; all in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::client::dispatch::END_GAME_WANTS_MAX;

const BLOCKS: u32 = 60;
const BLOCK_BYTES: u64 = 50_000;
/// By then all must be there, however the others behave: some searches for providers with their pauses.
const DEADLINE_MILLIS: u64 = 600_000;
/// Answers of an honest peer take at most so long.
const HONEST_MILLIS: u64 = 300;

/// How a peer treats wants.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// Has every block whose number it divides without a rest, and says so when it has not.
    Honest { of: u32, millis: u64 },
    /// Says that it has everything, and sends blocks that nobody wants.
    Lying,
    /// Says nothing at all.
    Silent,
    /// Has everything, and takes so long for a block.
    Slow { millis: u64 },
    /// Is honest, has everything, and comes and goes.
    Flighty { millis: u64 },
}

fn any_manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        (1u32..4, 1u64..HONEST_MILLIS).prop_map(|(of, millis)| Manner::Honest { of, millis }),
        Just(Manner::Lying),
        Just(Manner::Silent),
        (500u64..20_000).prop_map(|millis| Manner::Slow { millis }),
        (200u64..3_000).prop_map(|millis| Manner::Flighty { millis }),
    ]
}

/// What happens at a time.
#[derive(Debug)]
enum Due {
    Answer { from: u8, visit: u32, input: Input },
    Gone(u8),
    Back(u8),
}

struct Crowd {
    client: Client,
    peers: Vec<Manner>,
    /// Of each peer, how often it has come.
    visits: Vec<u32>,
    agenda: BTreeMap<(u64, u64), Due>,
    number: u64,
    time: u64,
    got: BTreeSet<Cid>,
}

// === impl Crowd ===

impl Crowd {
    fn new(peers: Vec<Manner>) -> Self {
        let mut crowd = Self {
            client: Client::new(),
            visits: vec![0; peers.len()],
            peers,
            agenda: BTreeMap::new(),
            number: 0,
            time: 0,
            got: BTreeSet::new(),
        };
        for from in 0..crowd.peers.len() as u8 {
            crowd.plan(0, Due::Back(from));
        }
        crowd
    }

    fn plan(&mut self, millis: u64, due: Due) {
        self.number += 1;
        self.agenda.insert((self.time + millis, self.number), due);
    }

    fn tell(&mut self, input: Input) {
        self.client.handle(at(self.time), input);
        self.drain();
    }

    fn drain(&mut self) {
        check(&self.client);
        let open = self.client.wanted();
        for want in self.client.wants.values() {
            assert!(
                want.flights.len() <= 1 || open <= END_GAME_WANTS_MAX,
                "asked twice with {open} blocks to come"
            );
        }
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Send { peer, wants } => self.on_sent(peer.to_bytes()[5], &wants),
                Output::Got { cid, .. } => assert!(self.got.insert(cid), "told twice"),
                Output::Unwanted { .. } | Output::FindProviders { .. } => {}
                Output::Refused { .. } => panic!("far below the bound"),
            }
        }
    }

    fn on_sent(&mut self, to: u8, wants: &[Want]) {
        let visit = self.visits[usize::from(to)];
        for want in wants.iter().filter(|want| !want.cancel) {
            let number = (0..BLOCKS)
                .find(|number| cid(*number) == want.cid)
                .expect("only these are wanted");
            let (millis, input) = match self.peers[usize::from(to)] {
                Manner::Silent => continue,
                Manner::Lying if want.kind == WantKind::Have => (5, haves(to, &[number])),
                Manner::Lying => (5, blocks(to, &[number + 1000])),
                Manner::Honest { of, millis } if !number.is_multiple_of(of) => {
                    (millis, dont_haves(to, &[number]))
                }
                Manner::Honest { millis, .. } | Manner::Slow { millis } | Manner::Flighty { millis } => {
                    let input = if want.kind == WantKind::Have {
                        haves(to, &[number])
                    } else {
                        let blocks = vec![(want.cid, BLOCK_BYTES)];
                        Input::Received {
                            peer: peer(to),
                            blocks,
                            haves: vec![],
                            dont_haves: vec![],
                        }
                    };
                    (millis, input)
                }
            };
            let from = to;
            self.plan(millis, Due::Answer { from, visit, input });
        }
    }

    /// Lets the next thing happen.
    fn step(&mut self) {
        let deadline = self.client.next_deadline();
        let deadline = deadline.map(|due| due.since_start().as_micros().div_ceil(1000) as u64);
        let next = self.agenda.first_key_value().map(|(key, _)| *key);
        if next.is_none_or(|(millis, _)| deadline.is_some_and(|due| due < millis)) {
            self.time = self.time.max(deadline.expect("something is still wanted"));
            self.client.on_deadline(at(self.time));
            return self.drain();
        }
        let Some(((millis, _), due)) = self.agenda.pop_first() else {
            return;
        };
        self.time = self.time.max(millis);
        match due {
            Due::Answer { from, visit, input } if self.visits[usize::from(from)] == visit => self.tell(input),
            Due::Answer { .. } => {}
            Due::Gone(from) => {
                self.visits[usize::from(from)] += 1;
                self.tell(Input::PeerDisconnected(peer(from)));
                self.plan(700, Due::Back(from));
            }
            Due::Back(from) => {
                self.tell(Input::PeerConnected(peer(from), Version::V1_2));
                if let Manner::Flighty { millis } = self.peers[usize::from(from)] {
                    self.plan(3 * millis, Due::Gone(from));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_an_honest_peer_has_always_arrives(
        others in prop::collection::vec(any_manner(), 0..9),
        place in any::<prop::sample::Index>(),
        millis in 1..HONEST_MILLIS,
    ) {
        let mut peers = others;
        peers.insert(place.index(peers.len() + 1), Manner::Honest { of: 1, millis });
        let mut crowd = Crowd::new(peers);
        crowd.tell(want(0..BLOCKS));
        while 0 < crowd.client.wanted() {
            crowd.step();
            prop_assert!(
                crowd.time < DEADLINE_MILLIS,
                "{} blocks are missing among {:?}",
                crowd.client.wanted(),
                crowd.peers
            );
        }
        prop_assert_eq!(crowd.got.len(), BLOCKS as usize);
    }
}
