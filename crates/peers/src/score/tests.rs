//! Claims about penalties and bans.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rustle_types::Timestamp;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> Now {
    Now {
        uptime: Uptime::from_secs(seconds),
        wall: Timestamp::from_millis(seconds * 1_000),
    }
}

fn peer(number: u32) -> PeerId {
    let number = number.to_be_bytes();
    PeerId::from_bytes(&[&[0x00, 0x04][..], &number].concat()).unwrap()
}

fn host(ip: &str) -> Option<Host> {
    Some(Host::of_ip(ip.parse().unwrap()))
}

/// Faults until the verdict is a ban.
fn banned(
    scores: &mut Scores,
    seconds: u64,
    number: u32,
    from: Option<Host>,
) -> (Duration, Option<Duration>) {
    for fault in [
        Fault::InvalidBlock,
        Fault::BadContent,
        Fault::InvalidBlock,
        Fault::BadContent,
    ] {
        if let (Verdict::Ban(wait), host) = scores.add(at(seconds), peer(number), from, fault) {
            return (wait, host);
        }
    }
    panic!("not banned");
}

#[test]
fn the_table_is_in_order() {
    let names: BTreeSet<&str> = Fault::ALL.into_iter().map(Fault::name).collect();
    assert_eq!(names.len(), Fault::ALL.len(), "names differ");
    for (index, fault) in Fault::ALL.into_iter().enumerate() {
        assert_eq!(fault as usize, index);
        assert!((1.0..=-DISCONNECT_SCORE).contains(&fault.penalty()), "{fault}");
    }
    for (index, subsystem) in Subsystem::ALL.into_iter().enumerate() {
        assert_eq!(subsystem as usize, index);
    }
}

#[test]
fn faults_add_up_and_time_forgives() {
    let mut scores = Scores::default();
    assert_eq!(
        scores.add(at(0), peer(1), None, Fault::PingFlood).0,
        Verdict::Tolerate
    );
    assert_eq!(
        scores.add(at(0), peer(1), None, Fault::Garbage).0,
        Verdict::Tolerate
    );
    assert_eq!(
        scores.add(at(0), peer(1), None, Fault::ListFlood).0,
        Verdict::Disconnect
    );
    assert!(!scores.tolerates(at(0).uptime, &peer(1)));

    assert!((scores.score(at(600).uptime, &peer(1)) + 10.0).abs() < 1e-9);
    assert!(scores.tolerates(at(600).uptime, &peer(1)));
    assert_eq!(scores.score(at(0).uptime, &peer(2)), 0.0);

    let view = scores.view(at(600).uptime, &peer(1)).unwrap();
    assert_eq!(
        view.shares,
        [(Subsystem::Control, -7.5), (Subsystem::Exchange, -2.5)]
    );
    assert_eq!(view.faults[0].fault, "list-flood");
}

#[test]
fn a_second_offence_is_banned_twice_as_long_up_to_a_day() {
    let mut scores = Scores::default();
    let mut seconds = 0;
    for hours in [1, 2, 4, 8, 16, 24, 24] {
        let (wait, _) = banned(&mut scores, seconds, 1, None);
        assert_eq!(wait, HOUR * hours);
        // What comes in while the connection is being closed makes it no worse.
        assert_eq!(
            scores.add(at(seconds), peer(1), None, Fault::Equivocation).0,
            Verdict::Disconnect
        );
        seconds += wait.as_secs();
    }
    // A day after its end a ban is forgotten.
    assert_eq!(banned(&mut scores, seconds + 24 * 3600, 1, None).0, HOUR);
}

#[test]
fn a_host_with_three_banned_peers_is_banned() {
    let mut scores = Scores::default();
    assert_eq!(banned(&mut scores, 0, 1, host("192.0.2.7")).1, None);
    assert_eq!(banned(&mut scores, 0, 2, host("192.0.2.7")).1, None);
    assert_eq!(banned(&mut scores, 0, 3, host("192.0.2.8")).1, None);
    assert_eq!(banned(&mut scores, 0, 4, host("::ffff:192.0.2.7")).1, Some(HOUR));
    // It comes back under a new name.
    assert_eq!(banned(&mut scores, 3_600, 5, host("192.0.2.7")).1, Some(HOUR * 2));
    assert_eq!(
        banned(&mut scores, 4 * 24 * 3600, 6, host("192.0.2.7")).1,
        None,
        "all is forgotten"
    );
}

#[test]
fn neither_relays_nor_proxies_of_this_machine_are_banned_for_others() {
    let mut scores = Scores::default();
    for number in 0..6 {
        assert_eq!(banned(&mut scores, 0, number, None).1, None);
        assert_eq!(banned(&mut scores, 0, 10 + number, host("127.0.0.1")).1, None);
        assert_eq!(banned(&mut scores, 0, 20 + number, host("::1")).1, None);
    }
}

#[test]
fn an_unbanned_peer_begins_anew() {
    let mut scores = Scores::default();
    banned(&mut scores, 0, 1, None);
    scores.forgive(&peer(1));
    assert!(scores.is_empty());
    assert_eq!(banned(&mut scores, 0, 1, None).0, HOUR);
}

#[test]
fn a_flood_of_small_faults_washes_no_bad_peer_away() {
    let mut scores = Scores::default();
    let bad = 100;
    for number in 0..bad {
        banned(&mut scores, 0, number, None);
    }
    for number in 0..u32::try_from(SCORES_MAX).unwrap() + 500 {
        scores.add(at(1), peer(1_000 + number), None, Fault::WrongPong);
        assert!(scores.len() <= SCORES_MAX);
    }
    assert!((0..bad).all(|number| scores.view(at(1).uptime, &peer(number)).is_some()));
    // The small ones are forgotten, the bans are not.
    scores.add(at(3_600), peer(1), None, Fault::WrongPong);
    scores.add(at(3_600), peer(99_999), None, Fault::WrongPong);
    assert_eq!(scores.len(), bad as usize + 1);
}

fn faults(subsystem: Option<Subsystem>) -> impl Strategy<Value = Vec<(Fault, u64)>> {
    let all = Fault::ALL.into_iter();
    let kinds: Vec<Fault> = all
        .filter(|fault| subsystem.is_none_or(|one| fault.subsystem() == one))
        .collect();
    prop::collection::vec((prop::sample::select(kinds), 0u64..2_000), 1..200)
}

proptest! {
    #[test]
    fn no_subsystem_bans_alone(list in prop::sample::select(Subsystem::ALL.to_vec()).prop_flat_map(|subsystem| faults(Some(subsystem)))) {
        let (mut scores, mut seconds) = (Scores::default(), 0);
        for (fault, wait) in list {
            // Many at once, and some later.
            seconds += if wait < 1_000 { 0 } else { wait };
            let (verdict, host) = scores.add(at(seconds), peer(1), host("192.0.2.7"), fault);
            prop_assert!(!matches!(verdict, Verdict::Ban(_)));
            prop_assert_eq!(host, None);
            prop_assert!(SUBSYSTEM_SCORE_MIN <= scores.score(at(seconds).uptime, &peer(1)));
        }
    }

    #[test]
    fn the_score_is_bounded_and_only_time_mends_it(list in faults(None)) {
        let (mut scores, mut seconds) = (Scores::default(), 0);
        for (fault, wait) in list {
            let before = scores.score(at(seconds).uptime, &peer(1));
            let (verdict, _) = scores.add(at(seconds), peer(1), None, fault);
            let after = scores.score(at(seconds).uptime, &peer(1));
            prop_assert!(after <= before && -240.0 <= after);
            prop_assert_eq!(verdict == Verdict::Tolerate, DISCONNECT_SCORE < after);
            let view = scores.view(at(seconds).uptime, &peer(1)).unwrap();
            prop_assert!(view.shares.iter().all(|(_, share)| (SUBSYSTEM_SCORE_MIN..0.0).contains(share)));
            prop_assert!(view.faults.len() <= Fault::ALL.len());
            prop_assert_eq!(view.faults[0].fault, fault.name());
            seconds += wait;
            let later = scores.score(at(seconds).uptime, &peer(1));
            prop_assert!(after <= later && later <= 0.0);
        }
    }
}
