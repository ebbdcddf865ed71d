//! How much of the book, and of the next dials, does an attacker get who talks without end, or answers without end?
//!
//! The figures are printed; `cargo test -p rustle-peers flood -- --nocapture` shows them.

use rand::RngExt as _;
use rustle_types::Direction;

use super::tests::{anyone, at, book, check, exchange, in_group};
use super::*;

/// Addresses that the attacker names.
const FORGED: u32 = 100_000;
const PICKS: u32 = 1_000;
const HONEST_NEW: u32 = 300;
const HONEST_TRIED: u32 = 200;
/// Honest source groups are below, those of the attacker are from here on.
const ATTACKER: u16 = 5_000;

fn honest(number: u32) -> PeerId {
    PeerId::from_bytes(&[&[0x00, 0x05, 0], &number.to_be_bytes()[..]].concat()).unwrap()
}

fn forged(number: u32) -> PeerId {
    PeerId::from_bytes(&[&[0x00, 0x05, 1], &number.to_be_bytes()[..]].concat()).unwrap()
}

fn is_forged(peer: &PeerId) -> bool {
    peer.to_bytes()[2] == 1
}

/// Makes a dial to the peer succeed.
fn answer(book: &mut Book, rng: &mut StdRng, seconds: u64, peer: &PeerId, address: &Multiaddr) {
    book.start_dial(at(seconds), peer);
    book.on_connected(peer, Direction::Outbound);
    book.on_reached(at(seconds), peer, address);
    book.on_lost(at(seconds + STEADY.as_secs()), peer, STEADY, rng);
}

/// Five hundred honest peers in as many groups, told by fifty groups; two hundred of them have been reached.
fn honest_book() -> (Book, StdRng) {
    let (mut book, mut rng) = book();
    let (mut reached, mut heard) = (0, 0);
    let mut number = 0;
    while reached < HONEST_TRIED || heard < HONEST_NEW {
        number += 1;
        let home = in_group(number as u16, 1);
        let learned = book.learn(
            at(0),
            honest(number),
            [home.clone()],
            exchange(number as u16 % 50),
        );
        if learned != Learned::Added {
            continue;
        }
        if reached < HONEST_TRIED {
            answer(&mut book, &mut rng, 0, &honest(number), &home);
            let is_tried = book.view(&honest(number)).unwrap().table == TableKind::Tried;
            if !is_tried {
                book.remove(&honest(number));
            }
            reached += u32::from(is_tried);
        } else {
            heard += 1;
        }
    }
    assert_eq!(book.stats().tried, HONEST_TRIED as usize);
    assert_eq!(book.stats().new, HONEST_NEW as usize);
    (book, rng)
}

struct Shares {
    new: usize,
    tried: usize,
    picks: u32,
}

/// What the attacker has, printed as well.
fn shares(what: &str, book: &mut Book, rng: &mut StdRng, seconds: u64) -> Shares {
    check(book, at(seconds));
    let of = |book: &Book, table| {
        let views = book.views().filter(|view| view.table == table);
        views.filter(|view| is_forged(&view.peer)).count()
    };
    let (new, tried) = (of(book, TableKind::New), of(book, TableKind::Tried));
    let picked = (0..PICKS).filter_map(|_| book.pick(at(seconds), &anyone(), rng));
    let picks = picked.filter(is_forged).count() as u32;
    let stats = book.stats();
    let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    println!(
        "{what}: {new} of {} in new ({:.1} %), {tried} of {} in tried ({:.1} %), {picks} of {PICKS} next picks ({:.1} %)",
        stats.new,
        share(new, stats.new),
        stats.tried,
        share(tried, stats.tried),
        share(picks as usize, PICKS as usize),
    );
    let honest = book.views().filter(|view| !is_forged(&view.peer)).count();
    assert_eq!(
        honest as u32,
        HONEST_NEW + HONEST_TRIED,
        "nobody honest was pushed out"
    );
    Shares { new, tried, picks }
}

/// Names a hundred thousand peers at random addresses all over the internet, from so many source groups.
fn flood(sources: u16) -> Shares {
    let (mut book, mut rng) = honest_book();
    for number in 0..FORGED {
        let source = exchange(ATTACKER + (number % u32::from(sources)) as u16);
        let place = in_group(rng.random_range(0..50_000), rng.random());
        book.learn(at(100), forged(number), [place], source);
    }
    let what = format!("{FORGED} forged addresses from {sources} source groups");
    shares(&what, &mut book, &mut rng, 10_000)
}

#[test]
fn a_flood_from_one_source_group_gets_a_few_buckets() {
    let got = flood(1);
    // The buckets of one source, and no more.
    assert!(got.new <= usize::from(NEW_BUCKETS_PER_SOURCE) * usize::from(BUCKET_SIZE));
    assert_eq!(got.tried, 0, "nobody answered");
    // Half of the picks are from new, where 16 of about 150 buckets in use are the attacker's.
    assert!(got.picks <= PICKS * 8 / 100, "{}", got.picks);
}

#[test]
fn a_flood_from_many_source_groups_gets_no_more_than_the_draws_from_new() {
    let got = flood(32);
    assert!(got.new <= usize::from(NEW_BUCKETS) * usize::from(BUCKET_SIZE) - HONEST_NEW as usize);
    assert_eq!(got.tried, 0, "nobody answered");
    // Half of all picks are from tried; three sigma of a fair coin above the other half.
    assert!(got.picks <= PICKS / 2 + 48, "{}", got.picks);
}

/// Names peers in so many groups of the attacker, all of which answer whenever they are dialled. Honest holders answer
/// their tests.
fn answering(groups: u16) -> Shares {
    let (mut book, mut rng) = honest_book();
    let mut seconds = 100 + FRESH.as_secs();
    for number in 0..10_000u32 {
        seconds += 120;
        let place = in_group(ATTACKER + (number % u32::from(groups)) as u16, number as u16);
        book.learn(at(seconds), forged(number), [place.clone()], exchange(ATTACKER));
        if book.contains(&forged(number)) {
            answer(&mut book, &mut rng, seconds, &forged(number), &place);
        }
        if let Some(feeler) = book.feeler(at(seconds), &|_| false, &mut rng) {
            let home = book.addresses(&feeler)[0].clone();
            if book.view(&feeler).unwrap().table == TableKind::Tried {
                answer(&mut book, &mut rng, seconds, &feeler, &home);
            }
        }
    }
    let what = format!("10000 answering addresses in {groups} groups, told by one");
    shares(&what, &mut book, &mut rng, seconds + 10_000)
}

#[test]
fn a_flood_of_peers_that_answer_takes_the_buckets_of_their_group_and_no_honest_place() {
    let got = answering(1);
    let of_group = usize::from(TRIED_BUCKETS_PER_GROUP) * usize::from(BUCKET_SIZE);
    assert!(got.tried <= of_group, "{}", got.tried);
    // At most 8 of 64 buckets in tried and one in new, each half of the picks.
    assert!(got.picks <= PICKS * 12 / 100, "{}", got.picks);

    let got = answering(32);
    let free = usize::from(TRIED_BUCKETS) * usize::from(BUCKET_SIZE) - HONEST_TRIED as usize;
    assert!(got.tried <= free, "{}", got.tried);
}
