//! Lists: how much of them is taken and given, and when.

use rand::SeedableRng as _;
use rustle_wire::Services;

use super::*;

fn peer(number: usize) -> PeerId {
    let [.., a, b] = number.to_be_bytes();
    PeerId::from_bytes(&[0, 2, a, b]).unwrap()
}

fn entry(number: usize) -> PeerEntry {
    PeerEntry {
        peer: peer(number),
        addresses: vec![
            format!("/ip4/20.{}.{}.1/tcp/1", number / 256, number % 256)
                .parse()
                .unwrap(),
        ],
        services: Services::INBOUND,
        days_ago: 0,
    }
}

fn list(range: std::ops::Range<usize>) -> PeersList {
    PeersList {
        entries: range.map(entry).collect(),
    }
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn at(seconds: u64) -> Uptime {
    Uptime::from_secs(seconds)
}

#[test]
fn the_first_list_is_taken_whole_and_then_one_address_in_ten_seconds() {
    let (mut hearings, mut rng) = (Hearings::default(), rng());
    hearings.on_up(at(0), peer(9), None);
    assert_eq!(hearings.take_due(at(0)), Some(peer(9)));
    let heard = hearings
        .hear(at(1), peer(9), list(0..128), false, &mut rng)
        .unwrap();
    assert_eq!(heard.entries.len(), 128);
    assert_eq!(hearings.take_due(at(200)), None);
    let next = hearings.next_ask().unwrap();
    assert!(at(271) <= next && next <= at(331), "{next:?}");
    assert_eq!(hearings.take_due(next), Some(peer(9)));
    let heard = hearings
        .hear(at(301), peer(9), list(200..300), false, &mut rng)
        .unwrap();
    assert_eq!(
        (heard.entries.len(), heard.surplus),
        (30, 70),
        "0.1 a second for 301 seconds"
    );
    assert_eq!(hearings.take_due(at(700)), Some(peer(9)));
    hearings.on_unheard(at(700), peer(9), &mut rng);
    assert_eq!(hearings.take_due(at(1_100)), Some(peer(9)));
    let heard = hearings
        .hear(at(9_999), peer(9), list(300..400), false, &mut rng)
        .unwrap();
    assert_eq!(heard.entries.len(), 32, "what is saved up has a bound");
}

#[test]
fn a_list_that_nobody_asked_for_is_a_fault() {
    let (mut hearings, mut rng) = (Hearings::default(), rng());
    let unasked = hearings.hear(at(0), peer(9), list(0..1), false, &mut rng);
    assert!(matches!(unasked, Err(Fault::UnaskedList)));
    hearings.on_up(at(0), peer(9), None);
    assert!(
        hearings
            .hear(at(0), peer(9), list(0..1), false, &mut rng)
            .is_err(),
        "not asked yet"
    );
    hearings.take_due(at(0));
    assert!(hearings.hear(at(0), peer(9), list(0..1), false, &mut rng).is_ok());
    assert!(
        hearings
            .hear(at(0), peer(9), list(0..1), false, &mut rng)
            .is_err(),
        "once"
    );
    hearings.on_gone(at(1), &peer(9));
    assert_eq!(hearings.next_ask(), None);
}

#[test]
fn the_book_cannot_be_read_by_asking_often() {
    let (mut answers, mut rng) = (Answers::default(), rng());
    let pool = |_: &mut StdRng| (0..1_000).map(entry).collect::<Vec<_>>();
    let mut seen = BTreeSet::new();
    for asker in 2_000..2_100 {
        let list = answers.list(at(60), &peer(asker), 0, false, &mut rng, pool);
        assert!(list.entries.len() <= PEERS_LISTED_MAX);
        seen.extend(list.entries.iter().map(|entry| entry.peer));
    }
    assert_eq!(seen.len(), PEERS_LISTED_MAX, "a hundred askers get one list");
    let later = answers.list(at(60 + 4_000), &peer(1), 5, false, &mut rng, pool);
    assert_eq!(later.entries.len(), 5);
}

#[test]
fn a_short_list_is_not_kept_and_never_names_the_asker() {
    let (mut answers, mut rng) = (Answers::default(), rng());
    let two = |_: &mut StdRng| vec![entry(1), entry(2)];
    assert_eq!(
        answers.list(at(0), &peer(1), 0, false, &mut rng, two).entries,
        [entry(2)]
    );
    let three = |_: &mut StdRng| vec![entry(1), entry(2), entry(3)];
    assert_eq!(
        answers
            .list(at(1), &peer(9), 0, false, &mut rng, three)
            .entries
            .len(),
        3
    );
}

#[test]
fn a_peer_has_one_list_in_four_minutes() {
    let mut answers = Answers::default();
    let mut ask = |seconds| answers.may_ask(at(seconds), peer(1), None);
    assert!(ask(0).is_ok());
    assert!(matches!(ask(239), Err(Some(Fault::ListFlood))));
    assert!(ask(240).is_ok());
}

#[test]
fn whoever_leaves_and_comes_back_has_no_list_more() {
    let mut answers = Answers::default();
    let mut given = 0;
    for seconds in 0..=960 {
        match answers.may_ask(at(seconds), peer(1), None) {
            Ok(()) => given += 1,
            Err(fault) => assert!(fault.is_none(), "it may have been started anew"),
        }
        answers.on_gone(&peer(1));
    }
    assert_eq!(given, 5, "one in four minutes");
}

#[test]
fn new_names_on_one_host_share_its_lists() {
    let mut answers = Answers::default();
    let host = Host::of_ip([20, 1, 1, 1].into());
    let given = (0..=240).filter(|seconds| {
        let asker = usize::try_from(*seconds).unwrap();
        answers.may_ask(at(*seconds), peer(asker), Some(host)).is_ok()
    });
    let given = given.count();
    assert!(
        (15..=16).contains(&given),
        "{given}: eight at once, and eight more in four minutes"
    );
    for asker in 0..2 * ASKED_MAX {
        let other =
            Host::of_ip(std::net::Ipv4Addr::from_bits(0x2100_0000 + u32::try_from(asker).unwrap()).into());
        answers.may_ask(at(241), peer(300 + asker), Some(other)).unwrap();
        assert!(answers.asked.len() <= ASKED_MAX);
    }
}

/// Comes, tells 128 addresses where it is asked, and goes; gives how many were taken.
fn come_tell_and_go(hearings: &mut Hearings, now: Uptime, teller: PeerId, host: Option<Host>) -> usize {
    hearings.on_up(now, teller, host);
    let mut taken = 0;
    while let Some(peer) = hearings.take_due(now) {
        let heard = hearings.hear(now, peer, list(0..128), false, &mut rng()).unwrap();
        taken += heard.entries.len();
    }
    hearings.on_gone(now, &teller);
    taken
}

#[test]
fn whoever_leaves_and_comes_back_tells_no_more() {
    let mut hearings = Hearings::default();
    let told = (0..2_000).map(|seconds| come_tell_and_go(&mut hearings, at(seconds), peer(9), None));
    let told: usize = told.sum();
    assert!(
        (128..=128 + 200).contains(&told),
        "{told}: a first list, and 0.1 a second"
    );
    assert_eq!((hearings.next_ask(), hearings.tellers.len()), (None, 1));
    hearings.on_up(at(9_999), peer(8), None);
    assert_eq!(
        hearings.tellers.len(),
        1,
        "it has earned all back, and is forgotten"
    );
}

#[test]
fn new_names_on_one_host_share_what_it_may_tell() {
    let mut hearings = Hearings::default();
    let host = Some(Host::of_ip([20, 1, 1, 1].into()));
    let told = (0..2_000).map(|seconds| {
        let teller = peer(usize::try_from(seconds).unwrap());
        come_tell_and_go(&mut hearings, at(seconds), teller, host)
    });
    let told: usize = told.sum();
    assert!(
        (128..=128 + 200).contains(&told),
        "{told}: a first list, and 0.1 a second"
    );
    assert!(hearings.gone.len() <= GONE_MAX && hearings.tellers.len() == hearings.gone.len());
}

#[test]
fn a_list_that_comes_after_its_connection_ended_is_no_fault() {
    let mut hearings = Hearings::default();
    hearings.on_up(at(0), peer(9), None);
    hearings.take_due(at(0));
    hearings.on_gone(at(1), &peer(9));
    hearings.on_up(at(2), peer(9), None);
    assert!(
        hearings
            .hear(at(3), peer(9), list(0..1), false, &mut rng())
            .is_ok()
    );
    let again = hearings.hear(at(3), peer(9), list(0..1), false, &mut rng());
    assert!(matches!(again, Err(Fault::UnaskedList)));
    assert_eq!(hearings.next_ask(), Some(at(301)));
}
