//! What the book keeps over a restart.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rustle_store::{Op, Table as Records};
use rustle_types::Direction;

use super::tests::{at, book, check, exchange, in_group, peer, reach, table_of};
use super::*;

/// Applies all changes to what is on disk.
pub(super) fn write(book: &mut Book, disk: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    while book.has_changes() {
        let batch = book.take_changes();
        assert!(batch.ops().len() <= CHANGES_MAX + 1);
        for op in batch.into_ops() {
            match op {
                Op::Put(Records::Peers, key, value) => {
                    disk.insert(key, value);
                }
                Op::Delete(Records::Peers, key) => {
                    disk.remove(&key).expect("only what is there is deleted");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(super) fn reopened(disk: &BTreeMap<Vec<u8>, Vec<u8>>) -> Book {
    let mut rng = StdRng::seed_from_u64(99);
    let mut book = Book::new(peer(u16::MAX), &mut rng);
    book.restore(disk);
    book
}

pub(super) fn seats(book: &Book) -> BTreeMap<PeerId, (Seat, Vec<KnownAddress>)> {
    let seats = book.entries.iter().map(|(peer, entry)| {
        let addresses = entry.addresses.iter().cloned().collect();
        (*peer, (entry.seat, addresses))
    });
    seats.collect()
}

#[test]
fn a_restart_keeps_every_place_and_the_anchors_come_first() {
    let (mut book, mut rng) = book();
    let mut disk = BTreeMap::new();
    for number in 1..=300 {
        book.learn(at(0), peer(number), [in_group(number, 1)], exchange(number % 40));
    }
    for number in 1..=60 {
        reach(&mut book, &mut rng, at(1), number, &in_group(number, 1));
    }
    let source = Source::of_kind(SourceKind::Invitation);
    book.need(at(1), peer(61), [in_group(61, 1)], source, Need::Member);
    for number in [10, 20, 30] {
        let now = at(100 + u64::from(number));
        book.on_connected(&peer(number), Direction::Outbound);
        book.on_reached(now, &peer(number), &in_group(number, 1));
    }
    book.feeler(at(200 + ANCHOR_STEADY.as_secs()), &|_| true, &mut rng);
    write(&mut book, &mut disk);

    // The node is killed here, and started again.
    let mut second = reopened(&disk);

    assert_eq!(seats(&second), seats(&book));
    assert_eq!(second.anchors().collect::<Vec<_>>(), [peer(10), peer(20)]);
    assert_eq!(second.anchors_ready(Uptime::ZERO), [peer(10), peer(20)]);
    assert!(!second.has_changes(), "nothing is written again");
    check(&second, at(0));

    // Others take over the marks only when they have lasted.
    second.on_connected(&peer(40), Direction::Outbound);
    second.on_reached(at(1), &peer(40), &in_group(40, 1));
    assert_eq!(second.anchors().collect::<Vec<_>>(), [peer(10), peer(20)]);
    second.feeler(at(1 + ANCHOR_STEADY.as_secs()), &|_| false, &mut rng);
    assert!(second.anchors().any(|anchor| anchor == peer(40)));
}

#[test]
fn damaged_records_and_other_versions_cost_themselves() {
    let (mut book, mut rng) = book();
    let mut disk = BTreeMap::new();
    for number in 1..=40 {
        book.learn(at(0), peer(number), [in_group(number, 1)], exchange(number));
    }
    reach(&mut book, &mut rng, at(0), 1, &in_group(1, 1));
    write(&mut book, &mut disk);
    let whole = disk[&peer(1).to_bytes()].clone();
    let before = seats(&book);
    for length in 0..whole.len() {
        let mut damaged = disk.clone();
        damaged.insert(peer(1).to_bytes(), whole[..length].to_vec());
        let mut reopened = reopened(&damaged);
        check(&reopened, at(0));
        assert!(before.len() - 1 <= reopened.len(), "{length}");
        write(&mut reopened, &mut damaged);
        assert_eq!(damaged.len(), reopened.len() + 1, "what is damaged is deleted");
    }
    // The first format had no version, and the next will have another.
    disk.insert(
        peer(2).to_bytes(),
        [&[1; 9], &[8][..], in_group(2, 1).as_ref()].concat(),
    );
    disk.insert(peer(3).to_bytes(), [&[3], &whole[1..]].concat());
    disk.insert(b"what is this".to_vec(), whole);
    let reopened_book = reopened(&disk);
    assert!(!reopened_book.contains(&peer(2)) && !reopened_book.contains(&peer(3)));

    // Without its salt the book finds other places for its peers.
    disk.remove(&[0][..]);
    let reopened = reopened(&disk);
    check(&reopened, at(0));
    assert!(30 < reopened.len(), "{}", reopened.len());
    assert_eq!(table_of(&reopened, 1), Some(TableKind::Tried));
}

proptest! {
    #[test]
    fn no_record_makes_the_start_fail(records in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..8)) {
        let (mut book, _) = book();
        book.restore(records);
        check(&book, at(0));
    }
}
