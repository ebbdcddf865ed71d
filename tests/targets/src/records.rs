//! What comes back from the disk, where a fault or another version may have written anything.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustle_peers::book::{BOOK_MAX, Source, SourceKind};
use rustle_peers::{Book, Origin, Reason, Rule, RuleKind, Rules, Target as RuleTarget};
use rustle_store::{Batch, Op};
use rustle_types::{Now, PeerId, Timestamp};

use crate::Target;
use crate::control::address;
use crate::input::Input;
use crate::streams::PEER;

/// The first byte says whose records; each has a length of key and value before them.
pub(crate) const TARGET: Target = Target {
    name: "records",
    run,
    seeds,
    bytes_max: 2048,
};

type Record = (Vec<u8>, Vec<u8>);

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => rules(&records(&mut input)),
        1 => book(&records(&mut input)),
        _ => target(&String::from_utf8_lossy(input.rest())),
    }
}

fn records(input: &mut Input<'_>) -> Vec<Record> {
    let mut records = Vec::new();
    while !input.is_empty() {
        let (key, value) = (usize::from(input.byte()), usize::from(input.byte()));
        records.push((input.take(key).to_vec(), input.take(value).to_vec()));
    }
    records
}

fn rules(records: &[Record]) {
    let mut read = Vec::new();
    for (key, value) in records {
        if let Ok(rule) = Rule::from_record(key, value) {
            let (own_key, own_value) = rule.to_record();
            assert_eq!(Rule::from_record(&own_key, &own_value), Ok(rule.clone()));
            assert_eq!(own_key, *key, "two keys for {rule:?}");
            read.push(rule);
        }
    }
    let count = read.len();
    let rules = Rules::restore(read);
    assert!(rules.len() <= count);
    let peer = PeerId::from_bytes(&PEER).expect("the peer id of a key");
    // Only that nothing fails: who is banned by any records is a matter of those.
    let _ = rules.check_peer(Timestamp::from_millis(1), &peer);
}

fn book(records: &[Record]) {
    let local = PeerId::from_bytes(&PEER).expect("the peer id of a key");
    let mut rng = StdRng::seed_from_u64(7);
    let mut book = Book::new(local, &mut rng);

    book.restore(records.iter().map(|(key, value)| (key, value)));

    assert!(book.len() <= BOOK_MAX.min(records.len()));
    assert!(!book.contains(&local), "the node knows itself");
    let mut kept = Vec::new();
    while book.has_changes() {
        kept.extend(put(&book.take_changes()));
    }
    let mut again = Book::new(local, &mut rng);
    again.restore(kept.iter().map(|(key, value)| (key, value)));
    assert!(again.len() <= kept.len(), "more than was written");
}

/// The records that a batch writes.
fn put(batch: &Batch) -> Vec<Record> {
    let puts = batch.ops().iter().filter_map(|op| match op {
        Op::Put(_, key, value) => Some((key.clone(), value.clone())),
        Op::PutBlock(..) | Op::DeleteBlock(_) | Op::Delete(..) => None,
    });
    puts.collect()
}

fn target(text: &str) {
    if let Ok(target) = text.parse::<RuleTarget>() {
        assert_eq!(target.to_string().parse(), Ok(target), "another after a round");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let targets = ["203.0.113.0/24", "2001:db8::/32", "::ffff:203.0.113.9"];
    let mut seeds: Vec<Vec<u8>> = targets
        .iter()
        .map(|text| [b"\x02", text.as_bytes()].concat())
        .collect();
    let rules = targets.iter().filter_map(|text| text.parse().ok()).map(|target| {
        let rule = Rule {
            target,
            kind: RuleKind::Ban,
            until: Some(Timestamp::from_millis(9)),
            reason: Reason::new("why"),
            origin: Origin::Operator,
            since: Timestamp::from_millis(1),
        };
        rule.to_record()
    });
    seeds.push(input_of(0, rules));
    let mut rng = StdRng::seed_from_u64(7);
    let other: [u8; 38] = std::array::from_fn(|index| PEER[index] ^ u8::from(index == 37));
    let peer = PeerId::from_bytes(&PEER).expect("the peer id of a key");
    if let Ok(local) = PeerId::from_bytes(&other) {
        let mut book = Book::new(local, &mut rng);
        book.learn(
            Now::default(),
            peer,
            vec![address("/ip4/203.0.113.7/tcp/4747")],
            Source::of_kind(SourceKind::Invitation),
        );
        seeds.push(input_of(1, put(&book.take_changes())));
    }
    seeds
}

fn input_of(kind: u8, records: impl IntoIterator<Item = Record>) -> Vec<u8> {
    let mut input = vec![kind];
    for (key, value) in records {
        let lengths = [key.len(), value.len()].map(|length| u8::try_from(length).unwrap_or(u8::MAX));
        input.extend(lengths);
        input.extend(key);
        input.extend(value);
    }
    input
}
