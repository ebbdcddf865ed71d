//! Scenarios of the book.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng as _;
use rustle_types::{Direction, Uptime};

use super::entry::elapsed;
use super::*;

pub(super) fn peer(number: u16) -> PeerId {
    // An identity multihash of two bytes is a valid peer id.
    PeerId::from_bytes(&[0x00, 0x02, (number >> 8) as u8, number as u8]).unwrap()
}

pub(super) fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// An address in the group 20 + a . b.
pub(super) fn in_group(group: u16, host: u16) -> Multiaddr {
    let ([a, b], [c, d]) = (group.to_be_bytes(), host.to_be_bytes());
    address(&format!("/ip4/{}.{b}.{c}.{d}/tcp/4001", 20 + a))
}

pub(super) fn at(seconds: u64) -> Now {
    Now {
        uptime: Uptime::from_secs(seconds),
        wall: Timestamp::from_millis(1_700_000_000_000 + 1_000 * seconds),
    }
}

pub(super) fn exchange(group: u16) -> Source {
    Source::at(SourceKind::Exchange, &in_group(group, 1))
}

pub(super) fn book() -> (Book, StdRng) {
    let mut rng = StdRng::seed_from_u64(7);
    (Book::new(peer(u16::MAX), &mut rng), rng)
}

pub(super) fn anyone() -> Wish<'static> {
    static NONE: BTreeSet<Group> = BTreeSet::new();
    Wish {
        reach: None,
        groups: &NONE,
        excluded: &|_| false,
    }
}

/// Everything that must hold between two events.
pub(super) fn check(book: &Book, now: Now) {
    let mut seats = BTreeMap::new();
    for (kind, table) in [("new", &book.new), ("tried", &book.tried)] {
        for one in table.iter() {
            assert!(seats.insert(one, kind).is_none(), "one peer at two places");
        }
    }
    assert_eq!(seats.len(), book.new.len() + book.tried.len());
    assert!(book.needed <= NEEDED_MAX && book.trials.len() <= TRIALS_MAX);
    assert!(book.anchors.len() <= ANCHORS_MAX && book.own.len() <= OWN_ADDRESSES_MAX);
    let mut due = BTreeSet::new();
    for (id, entry) in &book.entries {
        let (kind, place) = match entry.seat {
            Seat::New(place) => (Some("new"), Some((place, book.new.at(place)))),
            Seat::Tried(place) => (Some("tried"), Some((place, book.tried.at(place)))),
            Seat::Needed => (None, None),
        };
        assert_eq!(seats.remove(id), kind, "the table it says");
        if let Some((place, holder)) = place {
            assert_eq!(holder, Some(*id));
            let home = entry.addresses.home().unwrap();
            let right = match entry.seat {
                Seat::New(_) => book.salt.new_place(id, home, &entry.source),
                Seat::Tried(_) | Seat::Needed => book.salt.tried_place(id, home),
            };
            assert_eq!(place, right, "the place follows from what is kept");
        }
        assert_eq!(entry.needs.is_none(), kind.is_some());
        if kind == Some("tried") {
            assert!(entry.was_reached() && entry.addresses.iter().next().unwrap().is_verified());
        }
        assert!(entry.addresses.iter().count() <= ADDRESSES_MAX);
        assert_eq!(entry.connected, book.connected.contains(id));
        assert_eq!(entry.anchor, book.anchors.contains(id));
        assert!(!(entry.anchor && entry.is_needed()));
        if entry.is_ready(now.uptime) && entry.is_needed() {
            due.insert(*id);
        }
    }
    assert!(seats.is_empty(), "no place is held by nobody");
    assert_eq!(book.needed_ready(now.uptime).collect::<BTreeSet<_>>(), due);
    let ready = book
        .entries
        .values()
        .any(|entry| entry.is_ready(now.uptime) && !entry.is_needed());
    assert_eq!(book.index.is_any_ready(now.uptime, None), ready);
    let idle = book
        .entries
        .values()
        .filter(|entry| entry.is_idle() && !entry.addresses.is_empty());
    let waiting = idle.map(|entry| entry.ready).filter(|ready| now.uptime < *ready);
    assert_eq!(book.next_ready(now.uptime), waiting.min());
}

/// Makes the peer known and reached.
pub(super) fn reach(book: &mut Book, rng: &mut StdRng, now: Now, number: u16, address: &Multiaddr) {
    book.learn(now, peer(number), [address.clone()], exchange(900));
    book.start_dial(now, &peer(number));
    book.on_connected(&peer(number), Direction::Outbound);
    book.on_reached(now, &peer(number), address);
    book.on_lost(now, &peer(number), STEADY, rng);
}

pub(super) fn table_of(book: &Book, number: u16) -> Option<TableKind> {
    book.view(&peer(number)).map(|view| view.table)
}

/// Two peers whose places in the tried table are the same.
fn rivals(book: &Book) -> [(u16, Multiaddr); 2] {
    let mut seen = BTreeMap::new();
    for number in 1..=20_000 {
        let home = in_group(number % 500, number);
        let place = book.salt.tried_place(&peer(number), &home);
        if let Some(first) = seen.insert(place, (number, home.clone())) {
            return [first, (number, home)];
        }
    }
    panic!("no collision among twenty thousand");
}

#[test]
fn what_cannot_be_dialled_or_is_our_own_is_not_kept() {
    let (mut book, _) = book();
    let own = in_group(3, 3);
    book.set_listening(vec![own.clone()]);
    let refused = |book: &mut Book, number, text: &str| {
        let learned = book.learn(at(0), peer(number), [address(text)], exchange(1));
        assert_eq!(learned, Learned::Refused, "{text}");
    };
    refused(&mut book, 1, "/ip4/0.0.0.0/tcp/1");
    refused(&mut book, 1, "/ip4/8.8.8.8/tcp/0");
    refused(&mut book, 1, &own.to_string());
    refused(&mut book, 1, &format!("{own}/p2p/{}", peer(1)));
    refused(&mut book, 1, &format!("/ip4/8.8.8.8/tcp/1/p2p/{}", peer(2)));
    refused(&mut book, 1, &format!("/dns4/{}/tcp/1", "a".repeat(100)));
    refused(&mut book, u16::MAX, "/ip4/8.8.8.8/tcp/1");

    let named = address(&format!("/ip4/8.8.8.8/tcp/1/p2p/{}", peer(1)));
    assert_eq!(book.learn(at(0), peer(1), [named], exchange(1)), Learned::Added);
    assert_eq!(book.addresses(&peer(1)), [address("/ip4/8.8.8.8/tcp/1")]);
    check(&book, at(0));
}

#[test]
fn a_reached_peer_is_tried_and_hearsay_does_not_touch_its_addresses() {
    let (mut book, mut rng) = book();
    let home = in_group(1, 1);
    reach(&mut book, &mut rng, at(0), 1, &home);
    assert_eq!(table_of(&book, 1), Some(TableKind::Tried));

    for host in 2..100 {
        book.learn(at(1), peer(1), [in_group(66, host)], exchange(66));
    }
    let addresses = book.addresses(&peer(1));
    assert_eq!(addresses[0], home);
    assert_eq!(addresses.len(), 1 + HEARSAY_MAX);
    check(&book, at(1));
}

#[test]
fn a_heard_peer_gives_way_only_when_it_is_terrible() {
    let (mut book, mut rng) = book();
    let source = exchange(9);
    let mut seen = BTreeMap::new();
    let (first, second) = (1..60_000)
        .find_map(|number| {
            let place = book.salt.new_place(&peer(number), &in_group(5, number), &source);
            seen.insert(place, number).map(|first| (first, number))
        })
        .unwrap();
    let learn = |book: &mut Book, now, number| {
        let learned = book.learn(now, peer(number), [in_group(5, number)], source);
        check(book, now);
        learned
    };
    // Another peer of that network is reached now and then, so failures prove something.
    assert_eq!(learn(&mut book, at(0), first), Learned::Added);
    assert_eq!(learn(&mut book, at(0), second), Learned::Refused);
    for round in 0..NEVER_REACHED_FAILURES_MAX {
        let now = at(1_000 * u64::from(round + 1));
        assert_eq!(learn(&mut book, now, second), Learned::Refused);
        reach(&mut book, &mut rng, now, 60_001, &in_group(7, 7));
        book.start_dial(now, &peer(first));
        book.on_failed(now, &peer(first), &mut rng);
    }
    assert_eq!(
        learn(&mut book, at(3_030), second),
        Learned::Refused,
        "just dialled"
    );
    assert_eq!(learn(&mut book, at(3_100), second), Learned::Added);
    assert!(!book.contains(&peer(first)));
}

#[test]
fn a_node_without_a_network_forgets_nobody() {
    let (mut book, mut rng) = book();
    reach(&mut book, &mut rng, at(0), 1, &in_group(1, 1));
    book.learn(at(0), peer(2), [in_group(2, 2)], exchange(1));
    for hour in 1..100 {
        let now = at(3_600 * hour);
        for number in [1, 2] {
            book.start_dial(now, &peer(number));
            book.on_failed(now, &peer(number), &mut rng);
        }
    }
    assert!(book.entries[&peer(2)].failures <= 1);
    assert!(!book.entries[&peer(2)].is_terrible(at(3_600 * 100).wall));
    assert_eq!(table_of(&book, 1), Some(TableKind::Tried));
}

#[test]
fn a_place_in_tried_is_won_only_when_its_holder_does_not_answer() {
    let (mut book, mut rng) = book();
    let [(holder, home), (challenger, other)] = rivals(&book);
    let later = FRESH.as_secs() + 10;
    reach(&mut book, &mut rng, at(0), holder, &home);
    reach(&mut book, &mut rng, at(5), challenger, &other);
    assert_eq!(book.stats().pending_tests, 1);
    let fresh = book.feeler(at(6), &|_| false, &mut rng);
    assert_eq!(book.stats().pending_tests, 0, "it was reached just now");
    assert_ne!(fresh, Some(peer(holder)));

    reach(&mut book, &mut rng, at(later), challenger, &other);
    assert_eq!(
        book.feeler(at(later), &|_| false, &mut rng),
        Some(peer(holder)),
        "the test comes first"
    );
    book.start_dial(at(later), &peer(holder));
    book.on_connected(&peer(holder), Direction::Outbound);
    book.on_reached(at(later + 1), &peer(holder), &home);
    book.on_lost(at(later + 20), &peer(holder), STEADY, &mut rng);
    book.resolve(at(later + 21));
    assert_eq!(book.stats().pending_tests, 0);
    assert_eq!(table_of(&book, holder), Some(TableKind::Tried), "it answered");
    assert_eq!(table_of(&book, challenger), Some(TableKind::New));

    let last = 3 * later;
    reach(&mut book, &mut rng, at(last), challenger, &other);
    book.start_dial(at(last + 1), &peer(holder));
    book.on_failed(at(last + 2), &peer(holder), &mut rng);
    assert_eq!(table_of(&book, challenger), Some(TableKind::Tried));
    assert_eq!(
        table_of(&book, holder),
        Some(TableKind::New),
        "it is not forgotten"
    );
    check(&book, at(last + 2));
}

#[test]
fn a_holder_that_cannot_be_tested_loses_after_the_window() {
    let (mut book, mut rng) = book();
    let [(holder, home), (challenger, other)] = rivals(&book);
    reach(&mut book, &mut rng, at(0), holder, &home);
    let start = FRESH.as_secs() + 10;
    reach(&mut book, &mut rng, at(start), challenger, &other);
    book.resolve(at(start + TRIAL_WINDOW.as_secs()));
    assert_eq!(table_of(&book, holder), Some(TableKind::Tried));
    book.resolve(at(start + TRIAL_WINDOW.as_secs() + 1));
    assert_eq!(table_of(&book, challenger), Some(TableKind::Tried));
    check(&book, at(start));
}

#[test]
fn needed_peers_wait_at_most_a_minute_and_others_an_hour() {
    let (mut book, mut rng) = book();
    let source = Source::of_kind(SourceKind::Invitation);
    book.need(at(0), peer(1), [in_group(1, 1)], source, Need::Member);
    book.learn(at(0), peer(2), [in_group(2, 2)], exchange(1));
    for (number, first, longest) in [
        (1, BACK_OFF_NEEDED_FIRST, BACK_OFF_NEEDED_MAX),
        (2, BACK_OFF_FIRST, BACK_OFF_MAX),
    ] {
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..20 {
            book.start_dial(now, &peer(number));
            book.on_failed(now, &peer(number), &mut rng);
            let ready = book.view(&peer(number)).unwrap().next_dial.unwrap();
            waits.push(ready - now.uptime);
            now.uptime = ready;
        }
        assert!(first / 2 <= waits[0] && waits[0] <= first, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= longest), "{waits:?}");
        assert!(longest / 2 <= waits[19], "{waits:?}");
        for (doublings, wait) in waits.iter().enumerate() {
            let whole = first.saturating_mul(1 << doublings).min(longest);
            assert!(whole / 2 <= *wait && *wait <= whole, "{doublings}: {wait:?}");
        }
    }
}

#[test]
fn a_peer_that_accepts_and_drops_us_is_asked_ever_more_rarely() {
    let (mut book, mut rng) = book();
    let home = in_group(1, 1);
    book.learn(at(0), peer(1), [home.clone()], exchange(1));
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..12 {
        book.start_dial(now, &peer(1));
        book.on_connected(&peer(1), Direction::Outbound);
        book.on_reached(now, &peer(1), &home);
        book.on_lost(now, &peer(1), STEADY / 2, &mut rng);
        let ready = book.view(&peer(1)).unwrap().next_dial.unwrap();
        waits.push(ready - now.uptime);
        now.uptime = ready;
    }
    assert!(
        waits[0] <= BACK_OFF_FIRST && BACK_OFF_MAX / 2 <= waits[11],
        "{waits:?}"
    );
    assert_eq!(book.entries[&peer(1)].failures, 0);
    reach(&mut book, &mut rng, now, 1, &home);
    let ready = book.view(&peer(1)).unwrap().next_dial.unwrap();
    assert!(ready - now.uptime <= BACK_OFF_FIRST, "it has lasted");
}

#[test]
fn incompatible_and_full_peers_are_left_alone_and_not_forgotten() {
    let (mut book, mut rng) = book();
    reach(&mut book, &mut rng, at(0), 9, &in_group(9, 9));
    for number in [1, 2] {
        book.learn(at(0), peer(number), [in_group(number, 1)], exchange(1));
        book.start_dial(at(1), &peer(number));
        book.on_connected(&peer(number), Direction::Outbound);
    }
    book.on_incompatible(at(1).uptime, &peer(1));
    book.on_refused(at(1), &peer(2), &mut rng);
    for number in [1, 2] {
        book.on_lost(at(2), &peer(number), Duration::from_secs(1), &mut rng);
        assert_eq!(book.view(&peer(number)).unwrap().failures, 0);
        check(&book, at(2));
    }
    let next = |number| book.view(&peer(number)).unwrap().next_dial.unwrap();
    assert_eq!(next(1), at(1).uptime + BACK_OFF_INCOMPATIBLE);
    assert!(at(2).uptime < next(2) && next(2) <= at(1).uptime + BACK_OFF_FIRST);
}

#[test]
fn foreign_peers_are_left_alone_after_their_connection_and_give_way() {
    let (mut book, mut rng) = book();
    let meet = |book: &mut Book, millis| {
        book.start_dial(at(millis), &peer(1));
        book.on_connected(&peer(1), Direction::Outbound);
        book.on_foreign(at(millis), &peer(1));
        check(book, at(millis));
    };
    book.learn(at(0), peer(1), [in_group(1, 1)], exchange(1));
    meet(&mut book, 1);
    let hour = Duration::from_secs(3600);
    book.on_lost(at(3_600_001), &peer(1), hour, &mut rng);
    let view = book.view(&peer(1)).unwrap();
    assert_eq!((view.failures, book.contains(&peer(1))), (0, true));
    assert_eq!(
        view.next_dial,
        Some(at(3_600_001).uptime + BACK_OFF_INCOMPATIBLE),
        "it counts from the end of the connection"
    );
    let later = at(3_700_000);
    assert!(
        book.entries[&peer(1)].is_terrible(later.wall),
        "any other is of more use"
    );
    // Somebody has put a node of ours there.
    book.start_dial(later, &peer(1));
    book.on_connected(&peer(1), Direction::Outbound);
    book.on_reached(later, &peer(1), &in_group(1, 1));
    book.on_lost(at(3_720_000), &peer(1), STEADY, &mut rng);
    assert!(!book.entries[&peer(1)].is_terrible(at(3_800_000).wall));
    check(&book, later);
}

#[test]
fn wrong_places_and_our_own_are_forgotten() {
    let (mut book, mut rng) = book();
    let (right, wrong) = (in_group(1, 1), in_group(2, 2));
    book.learn(at(0), peer(1), [wrong.clone(), right.clone()], exchange(1));
    book.learn(at(0), peer(2), [wrong.clone()], exchange(1));
    book.on_wrong_peer(at(1), &peer(1), &wrong, &mut rng);
    assert_eq!(book.addresses(&peer(1)).first(), Some(&right));
    check(&book, at(1));

    reach(&mut book, &mut rng, at(2), 1, &right);
    book.on_self(at(3).wall, address(&format!("{right}/p2p/{}", peer(u16::MAX))));
    assert!(!book.contains(&peer(1)), "it had no other address");
    assert_eq!(book.learn(at(4), peer(5), [right], exchange(1)), Learned::Refused);
    check(&book, at(4));
}

#[test]
fn needed_peers_are_bounded_and_those_that_never_answered_give_way() {
    let (mut book, mut rng) = book();
    let source = Source::of_kind(SourceKind::Invitation);
    let need = |book: &mut Book, number: u16| {
        let addresses = [in_group(number, number)];
        book.need(at(0), peer(number), addresses, source, Need::Member)
    };
    for number in 0..=NEEDED_MAX as u16 {
        need(&mut book, number);
    }
    assert_eq!(book.stats().needed, NEEDED_MAX);
    assert_eq!(
        table_of(&book, NEEDED_MAX as u16),
        Some(TableKind::New),
        "like any other"
    );

    reach(&mut book, &mut rng, at(0), 2_000, &in_group(2_000, 1));
    book.start_dial(at(1), &peer(5));
    book.on_failed(at(1), &peer(5), &mut rng);
    need(&mut book, NEEDED_MAX as u16);
    assert_eq!(table_of(&book, NEEDED_MAX as u16), Some(TableKind::Needed));
    assert!(!book.contains(&peer(5)));

    book.release(at(2).wall, &peer(6), Need::Member);
    assert_eq!(table_of(&book, 6), Some(TableKind::New));
    check(&book, at(2));
}

#[test]
fn draws_spare_groups_in_use_and_keep_to_one_network() {
    let (mut book, mut rng) = book();
    let onion = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234";
    book.learn(at(0), peer(1), [in_group(1, 1)], exchange(1));
    book.learn(at(0), peer(2), [in_group(2, 1)], exchange(1));
    book.learn(at(0), peer(3), [address(onion)], exchange(1));
    book.learn(at(0), peer(4), [address("/ip4/127.0.0.1/tcp/1")], exchange(1));
    let groups = [1, 2].map(|group| Group::of(&in_group(group, 1)));
    let local = Group::of(&address("/ip4/127.0.0.1/tcp/9"));
    let groups = BTreeSet::from([groups[0], groups[1], local]);
    let wish = Wish {
        groups: &groups,
        ..anyone()
    };
    for _ in 0..50 {
        let picked = book.pick(at(1), &wish, &mut rng).unwrap();
        assert!(picked == peer(3) || picked == peer(4));
        let tor = Wish {
            reach: Some(Reach::Tor),
            ..anyone()
        };
        assert_eq!(book.pick(at(1), &tor, &mut rng), Some(peer(3)));
        let i2p = Wish {
            reach: Some(Reach::I2p),
            ..anyone()
        };
        assert_eq!(book.pick(at(1), &i2p, &mut rng), None);
    }
}

#[test]
fn the_only_peer_that_can_be_dialled_is_found_among_thousands() {
    let (mut book, mut rng) = book();
    for number in 0..30_000 {
        book.learn(
            at(0),
            peer(number),
            [in_group(number, number)],
            exchange(number % 600),
        );
    }
    let only = *book.entries.keys().nth(1_234).unwrap();
    assert!(2_000 < book.len(), "{}", book.len());
    let wish = Wish {
        excluded: &|peer| *peer != only,
        ..anyone()
    };
    let calls = book.len() / 128 + 1;
    assert!((0..calls).any(|_| book.pick(at(1), &wish, &mut rng) == Some(only)));
}

#[test]
fn only_peers_that_answered_are_named_to_others() {
    let (mut book, mut rng) = book();
    for number in 1..=50 {
        reach(&mut book, &mut rng, at(0), number, &in_group(number, 1));
        book.learn(at(0), peer(number), [in_group(666, number)], exchange(666));
        book.learn(at(0), peer(100 + number), [in_group(number, 2)], exchange(1));
    }
    reach(&mut book, &mut rng, at(0), 51, &address("/ip4/192.168.1.1/tcp/1"));
    book.set_accepts_inbound(&peer(1), false);

    let clear = |reach| reach == Reach::Clear;
    let named = book.sample(at(100).wall, 1_000, &clear, &mut rng);

    assert!((40..=49).contains(&named.len()), "{}", named.len());
    for (named, addresses) in &named {
        assert!(*named != peer(1) && *named <= peer(50));
        assert_eq!(addresses.len(), 1, "hearsay is not passed on");
    }
    assert_eq!(book.sample(at(100).wall, 7, &clear, &mut rng).len(), 7);
    let month = at(HORIZON.as_secs() + 100).wall;
    assert!(book.sample(month, 7, &clear, &mut rng).is_empty());
}

#[test]
fn a_clock_that_was_set_back_makes_nobody_terrible() {
    assert_eq!(elapsed(at(10).wall, at(5).wall), Duration::ZERO);
}
