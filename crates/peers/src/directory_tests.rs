//! Does the directory keep its bounds, and what it was told?

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

const TTL: Option<Duration> = Some(Duration::from_secs(600));

fn peer(number: u32) -> PeerId {
    let [a, b, c, d] = number.to_be_bytes();
    PeerId::from_bytes(&[0, 4, a, b, c, d]).unwrap()
}

fn group(number: u16) -> Group {
    let [a, b] = number.to_be_bytes();
    Group::of_ip(IpAddr::V4(Ipv4Addr::new(a, b, 1, 1)))
}

fn name(text: &str) -> Namespace {
    Namespace::new(text).unwrap()
}

/// A peer with a group for every thousand of them.
fn applicant(number: u32) -> Applicant {
    Applicant {
        peer: peer(number),
        group: group((number / 1000) as u16),
        record: number.to_be_bytes().to_vec().into(),
        is_legacy: false,
    }
}

fn records(page: &Page) -> Vec<u32> {
    let number = |one: &Registration| u32::from_be_bytes(one.record[..].try_into().unwrap());
    page.registrations.iter().map(number).collect()
}

fn ask(directory: &mut Directory, now: Uptime, namespace: &str, cookie: &[u8]) -> Page {
    directory
        .discover(now, &peer(u32::MAX), Some(&name(namespace)), None, cookie)
        .unwrap()
}

#[test]
fn a_registration_is_told_until_it_ends() {
    let mut directory = Directory::new(1);
    let now = Uptime::from_secs(100);
    let held = directory.register(now, applicant(1), name("a"), TTL);
    assert_eq!(held, Ok(Duration::from_secs(600)));
    directory
        .register(now + Duration::from_secs(10), applicant(2), name("a"), None)
        .unwrap();
    directory.register(now, applicant(3), name("other"), TTL).unwrap();

    let page = ask(&mut directory, now + Duration::from_secs(100), "a", b"");
    assert_eq!(records(&page), [1, 2]);
    assert_eq!(page.registrations[0].ttl, Some(500));
    assert_eq!(page.registrations[0].namespace, name("a"));
    let all = directory.discover(now, &peer(9), None, None, b"").unwrap();
    assert_eq!(records(&all), [1, 2, 3]);

    let late = now + Duration::from_secs(600);
    assert_eq!(records(&ask(&mut directory, late, "a", b"")), [2]);
    directory.unregister(&peer(2), &name("a"));
    directory.unregister(&peer(2), &name("never there"));
    assert_eq!(records(&ask(&mut directory, late, "a", b"")), Vec::<u32>::new());
    assert!(directory.is_empty());
    let empty = (
        &directory.peers.len(),
        &directory.namespaces.len(),
        &directory.groups.len(),
        &directory.ends.len(),
    );
    assert_eq!(empty, (&0, &0, &0, &0), "nothing is left behind");
}

#[test]
fn times_have_their_bounds() {
    let mut directory = Directory::new(1);
    let mut try_for = |ttl| directory.register(Uptime::ZERO, applicant(1), name("a"), ttl);
    assert_eq!(try_for(None), Ok(TTL_DEFAULT));
    for (ttl, is_taken) in [
        (TTL_MIN, true),
        (TTL_MAX, true),
        (TTL_MIN - Duration::from_secs(1), false),
        (TTL_MAX + Duration::from_secs(1), false),
        (Duration::from_secs(u64::MAX), false),
    ] {
        let held = try_for(Some(ttl));
        assert_eq!(held, is_taken.then_some(ttl).ok_or(Refusal::Ttl));
    }
}

#[test]
fn registering_again_and_again_keeps_one_registration_and_one_end() {
    let mut directory = Directory::new(1);
    for second in 0..100_000 {
        let now = Uptime::from_millis(second);
        directory.register(now, applicant(1), name("a"), TTL).unwrap();
    }
    assert_eq!(
        (
            directory.len(),
            directory.ends.len(),
            directory.namespaces[&name("a")].len()
        ),
        (1, 1, 1)
    );
}

#[test]
fn a_peer_with_all_its_registrations_can_renew_them_and_have_no_more() {
    let mut directory = Directory::new(1);
    let mut register =
        |number: usize| directory.register(Uptime::ZERO, applicant(1), name(&number.to_string()), TTL);
    for number in 0..REGISTRATIONS_PER_PEER_MAX {
        register(number).unwrap();
    }
    assert_eq!(register(REGISTRATIONS_PER_PEER_MAX), Err(Refusal::Unavailable));
    assert!(register(0).is_ok(), "a renewal takes no room");
}

#[test]
fn no_network_takes_more_than_its_share_and_all_together_have_a_bound() {
    let mut directory = Directory::new(1);
    let crowd = |number: u32| Applicant {
        group: group(7),
        ..applicant(number)
    };
    let taken = (0..3000)
        .filter(|number| {
            directory
                .register(Uptime::ZERO, crowd(*number), name("a"), TTL)
                .is_ok()
        })
        .count();
    assert_eq!(taken, REGISTRATIONS_PER_GROUP_MAX);

    for number in 10_000..30_000 {
        // Those beyond the bound are refused.
        let _ = directory.register(Uptime::ZERO, applicant(number), name("a"), TTL);
    }
    assert_eq!(directory.len(), REGISTRATIONS_MAX);
    let late = Uptime::ZERO + Duration::from_secs(600);
    assert!(
        directory
            .register(late, applicant(99_999), name("a"), TTL)
            .is_ok()
    );
    assert_eq!(directory.len(), 1);
}

#[test]
fn pages_follow_each_other_by_their_cookies() {
    let mut directory = Directory::new(1);
    for number in 0..300 {
        directory
            .register(Uptime::ZERO, applicant(number), name("a"), TTL)
            .unwrap();
        directory
            .register(Uptime::ZERO, applicant(number), name("b"), TTL)
            .unwrap();
    }
    let mut cookie = Bytes::new();
    let mut all = Vec::new();
    for expected in [PAGE_MAX, PAGE_MAX, 300 - 2 * PAGE_MAX, 0] {
        let page = ask(&mut directory, Uptime::ZERO, "a", &cookie);
        assert_eq!(page.registrations.len(), expected);
        all.extend(records(&page));
        cookie = page.cookie;
    }
    assert_eq!(all, (0..300).collect::<Vec<_>>());

    directory
        .register(Uptime::ZERO, applicant(5), name("a"), TTL)
        .unwrap();
    let page = ask(&mut directory, Uptime::ZERO, "a", &cookie);
    assert_eq!(records(&page), [5], "what was renewed is told again");
    let few = directory.discover(Uptime::ZERO, &peer(1), None, Some(3), b"");
    assert_eq!(few.unwrap().registrations.len(), 3);
    let none = directory.discover(Uptime::ZERO, &peer(1), None, Some(0), b"");
    assert!(none.unwrap().registrations.is_empty());
}

#[test]
fn a_cookie_serves_its_namespace_and_its_directory() {
    let mut directory = Directory::new(1);
    directory
        .register(Uptime::ZERO, applicant(1), name("a"), TTL)
        .unwrap();
    let cookie = ask(&mut directory, Uptime::ZERO, "a", b"").cookie;
    assert_eq!(&cookie[8..], b"a");
    let mut with = |namespace: Option<&str>, cookie: &[u8]| {
        let namespace = namespace.map(name);
        directory.discover(Uptime::ZERO, &peer(2), namespace.as_ref(), None, cookie)
    };
    assert_eq!(with(Some("b"), &cookie), Err(Refusal::Cookie));
    assert_eq!(with(None, &cookie), Err(Refusal::Cookie));
    assert_eq!(with(Some("a"), b"short"), Err(Refusal::Cookie));
    assert!(with(Some("a"), &cookie).unwrap().registrations.is_empty());

    let mut reborn = Directory::new(2);
    reborn
        .register(Uptime::ZERO, applicant(1), name("a"), TTL)
        .unwrap();
    assert_eq!(records(&ask(&mut reborn, Uptime::ZERO, "a", &cookie)), [1]);
}

#[test]
fn whoever_signs_in_the_old_way_reads_only_the_old_way() {
    let mut directory = Directory::new(1);
    let old = Applicant {
        is_legacy: true,
        ..applicant(1)
    };
    directory.register(Uptime::ZERO, old, name("a"), TTL).unwrap();
    directory
        .register(Uptime::ZERO, applicant(2), name("a"), TTL)
        .unwrap();
    let seen_by = |directory: &mut Directory, number| {
        records(
            &directory
                .discover(Uptime::ZERO, &peer(number), Some(&name("a")), None, b"")
                .unwrap(),
        )
    };
    assert_eq!(seen_by(&mut directory, 1), [1]);
    assert_eq!(seen_by(&mut directory, 2), [1, 2]);
    assert_eq!(seen_by(&mut directory, 3), [1, 2]);
}

#[derive(Debug, Clone)]
enum Step {
    Register(u32, u8, u64),
    Unregister(u32, u8),
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40_u32, 0..40_u8, 60..2000_u64).prop_map(|(peer, name, ttl)| Step::Register(peer, name, ttl)),
        1 => (0..40_u32, 0..40_u8).prop_map(|(peer, name)| Step::Unregister(peer, name)),
        1 => (0..500_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Against a plain list of what holds.
    #[test]
    fn it_holds_what_was_registered_last_and_has_not_ended(steps in prop::collection::vec(any_step(), 1..400)) {
        let mut directory = Directory::new(3);
        let mut model = BTreeMap::<(u32, u8), Uptime>::new();
        let mut now = Uptime::ZERO;
        for step in steps {
            match step {
                Step::Register(who, what, ttl) => {
                    let ttl = Duration::from_secs(ttl);
                    let held = directory.register(now, applicant(who), name(&what.to_string()), Some(ttl));
                    model.retain(|_, end| now < *end);
                    let own = model.keys().filter(|(of, _)| *of == who).count();
                    let fits = own < REGISTRATIONS_PER_PEER_MAX || model.contains_key(&(who, what));
                    prop_assert_eq!(held.is_ok(), fits);
                    if fits {
                        model.insert((who, what), now + ttl);
                    }
                }
                Step::Unregister(who, what) => {
                    directory.unregister(&peer(who), &name(&what.to_string()));
                    model.remove(&(who, what));
                }
                Step::Pass(seconds) => now = now + Duration::from_secs(seconds),
            }
            model.retain(|_, end| now < *end);
        }
        for what in 0..40_u8 {
            let mut told = records(&ask(&mut directory, now, &what.to_string(), b""));
            told.sort_unstable();
            let held: Vec<u32> = model.keys().filter(|(_, of)| *of == what).map(|(who, _)| *who).collect();
            prop_assert_eq!(told, held);
        }
        prop_assert_eq!(directory.len(), model.len());
        prop_assert_eq!(directory.ends.len(), model.len());
        prop_assert_eq!(directory.groups.values().sum::<usize>(), model.len());
    }
}
