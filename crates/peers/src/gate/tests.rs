//! Claims about single decisions of the gate.

use proptest::prelude::*;
use rustle_types::Timestamp;

use super::*;
use crate::{Origin, Rule, RuleKind};

const RELAY: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

fn at(millis: u64) -> Now {
    Now {
        uptime: Uptime::from_millis(millis),
        wall: Timestamp::from_millis(millis),
    }
}

fn from(ip: &str) -> Multiaddr {
    let family = if ip.contains(':') { "ip6" } else { "ip4" };
    format!("/{family}/{ip}/tcp/4001").parse().unwrap()
}

fn rules(list: &[(RuleKind, &str)]) -> Rules {
    Rules::restore(list.iter().map(|(kind, target)| Rule {
        target: target.parse().unwrap(),
        kind: *kind,
        until: None,
        reason: "test".into(),
        origin: Origin::Operator,
        since: Timestamp::default(),
    }))
}

fn gate(limits: GateLimits) -> Gate {
    Gate::new(limits)
}

/// Fills all places for handshakes from different groups, at times 0, 1, 2 …
fn crowded() -> Gate {
    let mut gate = gate(GateLimits::default());
    for number in 0..32 {
        assert_eq!(
            gate.admit(at(number), number, &from(&format!("10.{number}.0.1"))),
            Ok(None)
        );
    }
    gate
}

#[test]
fn one_host_has_eight_places_in_whatever_clothes() {
    let mut gate = gate(GateLimits::default());
    for token in 0..8 {
        let ip = ["192.0.2.7", "::ffff:192.0.2.7"][token as usize % 2];
        assert_eq!(gate.admit(at(0), token, &from(ip)), Ok(None));
        gate.established(token);
    }
    assert_eq!(gate.admit(at(900), 8, &from("192.0.2.7")), Err(Refusal::Host));
    assert_eq!(gate.admit(at(900), 9, &from("192.0.2.8")), Ok(None));
    for token in 10..18 {
        assert_eq!(
            gate.admit(at(900), token, &from(&format!("2001:db8::{token}"))),
            Ok(None)
        );
    }
    assert_eq!(
        gate.admit(at(900), 18, &from("2001:db8::ffff")),
        Err(Refusal::Host)
    );
    gate.ended(0);
    assert_eq!(gate.admit(at(900), 19, &from("192.0.2.7")), Ok(None));
    assert_eq!(gate.counts().refused(Refusal::Host), 2);
}

#[test]
fn one_group_has_its_places() {
    let mut gate = gate(GateLimits::default());
    for token in 0..64 {
        assert_eq!(
            gate.admit(at(token), token, &from(&format!("10.0.{token}.1"))),
            Ok(None)
        );
        gate.established(token);
    }
    assert_eq!(gate.admit(at(900), 64, &from("10.0.99.1")), Err(Refusal::Group));
    assert_eq!(gate.admit(at(900), 65, &from("10.1.99.1")), Ok(None));
}

#[test]
fn the_oldest_of_the_most_crowded_place_makes_room() {
    let mut gate = crowded();
    gate.ended(5);
    assert_eq!(gate.admit(at(40), 40, &from("10.3.0.2")), Ok(None));

    // A second one from its group makes an attempt yield without grace.
    assert_eq!(gate.admit(at(41), 41, &from("10.99.0.1")), Ok(Some(3)));
    // Among equals, nobody yields who is younger than the grace, and the oldest yields then.
    assert_eq!(gate.admit(at(42), 42, &from("10.98.0.1")), Err(Refusal::Pending));
    assert_eq!(gate.admit(at(250), 43, &from("10.98.0.1")), Ok(Some(0)));
    // Nobody yields to one from a place that is more crowded than its own.
    assert_eq!(gate.admit(at(250), 44, &from("10.31.0.2")), Err(Refusal::Pending));
    assert_eq!(gate.pending(), 32);
}

#[test]
fn who_completed_the_cipher_yields_last() {
    let mut gate = crowded();
    for token in 0..31 {
        gate.proved(token);
    }
    assert_eq!(gate.admit(at(900), 99, &from("10.99.0.1")), Ok(Some(31)));
}

#[test]
fn a_full_host_cuts_off_its_own_oldest() {
    let mut gate = gate(GateLimits::default());
    for token in 0..8 {
        assert_eq!(gate.admit(at(token), token, &from("192.0.2.7")), Ok(None));
    }
    assert_eq!(gate.admit(at(100), 8, &from("192.0.2.7")), Err(Refusal::Host));
    assert_eq!(gate.admit(at(300), 9, &from("192.0.2.7")), Ok(Some(0)));
}

#[test]
fn who_is_always_welcome_passes_all_but_the_last_bounds() {
    let mut gate = gate(GateLimits {
        accept_per_second: 1,
        accept_burst: 1,
        memory_bytes: Some(1_000),
        established_inbound: 50,
        ..GateLimits::default()
    });
    gate.set_rules(
        at(0),
        rules(&[(RuleKind::Allow, "192.0.2.7"), (RuleKind::Ban, "192.0.2.0/24")]),
    );
    for token in 0..50 {
        assert_eq!(gate.admit(at(0), token, &from("192.0.2.7")), Ok(None));
        gate.established(token);
    }
    assert_eq!(gate.admit(at(0), 50, &from("192.0.2.7")), Err(Refusal::Full));
    gate.ended(0);
    gate.set_memory(1_000);
    assert_eq!(gate.admit(at(0), 51, &from("192.0.2.7")), Err(Refusal::Memory));
    assert_eq!(gate.admit(at(0), 52, &from("192.0.2.8")), Err(Refusal::Banned));
}

#[test]
fn who_is_always_welcome_takes_a_place_at_once_and_keeps_it() {
    let mut gate = crowded();
    gate.set_rules(at(0), rules(&[(RuleKind::Allow, "192.0.2.7")]));
    for token in 100..132 {
        assert!(gate.admit(at(40), token, &from("192.0.2.7")).unwrap().is_some());
    }
    assert_eq!(
        gate.admit(at(900), 200, &from("192.0.2.7")),
        Err(Refusal::Pending)
    );
    assert_eq!(
        gate.admit(at(900), 201, &from("192.0.2.8")),
        Err(Refusal::Pending)
    );
}

#[test]
fn who_is_no_longer_welcome_is_counted_again() {
    let mut gate = gate(GateLimits::default());
    gate.set_rules(at(0), rules(&[(RuleKind::Allow, "192.0.2.7")]));
    for token in 0..12 {
        assert_eq!(gate.admit(at(0), token, &from("192.0.2.7")), Ok(None));
        gate.established(token);
    }

    gate.set_rules(at(1), rules(&[]));
    assert_eq!(gate.admit(at(900), 20, &from("192.0.2.7")), Err(Refusal::Host));
    for token in 0..5 {
        gate.ended(token);
    }
    assert_eq!(gate.admit(at(900), 21, &from("192.0.2.7")), Ok(None));

    gate.set_rules(at(1), rules(&[(RuleKind::Allow, "192.0.2.7")]));
    for token in 5..12 {
        gate.ended(token);
    }
    gate.ended(21);
    assert!(gate.machines.is_empty() && gate.neighbourhoods.is_empty());
}

#[test]
fn our_own_dials_count_towards_the_connections_in_all() {
    let mut gate = gate(GateLimits::default());
    gate.set_outbound(256);
    assert_eq!(gate.admit(at(0), 0, &from("192.0.2.7")), Err(Refusal::Full));
}

#[test]
fn what_comes_through_a_relay_counts_for_the_relay() {
    let mut gate = gate(GateLimits::default());
    let through: Multiaddr = format!("/ip4/192.0.2.7/tcp/1/p2p/{RELAY}/p2p-circuit")
        .parse()
        .unwrap();
    for token in 0..8 {
        assert_eq!(gate.admit(at(0), token, &through), Ok(None));
    }
    assert_eq!(gate.admit(at(0), 8, &through), Err(Refusal::Host));
    assert_eq!(
        gate.admit(at(0), 9, &from("192.0.2.7")),
        Ok(None),
        "not for its address"
    );

    gate.set_rules(at(0), rules(&[(RuleKind::Ban, RELAY)]));
    assert_eq!(gate.admit(at(900), 10, &through), Err(Refusal::Banned));
    gate.set_rules(at(0), rules(&[(RuleKind::Allow, "192.0.2.7")]));
    assert_eq!(
        gate.admit(at(100), 11, &through),
        Err(Refusal::Host),
        "the relay is welcome, not its guests"
    );
}

#[test]
fn those_who_took_much_leave_the_rest_of_the_rate_to_others() {
    let mut gate = gate(GateLimits::default());
    let mut accepted = 0;
    for token in 0..10_000 {
        // Two hosts, as fast as they can: a quarter of a second in all.
        let host = from(["192.0.2.7", "198.51.100.7"][token as usize % 2]);
        accepted += u32::from(gate.admit(at(token / 40), token, &host).is_ok());
        gate.ended(token);
    }
    assert!(
        (128..160).contains(&accepted),
        "one burst and a little: {accepted}"
    );
    for number in 0..200 {
        gate.ended(20_000 + number);
        let newcomer = from(&format!("10.{number}.0.1"));
        let decision = gate.admit(at(250), 20_001 + number, &newcomer);
        assert!(decision.is_ok(), "newcomer {number}: {decision:?}");
    }
}

#[test]
fn the_rate_holds_over_time_whoever_comes() {
    let mut gate = gate(GateLimits::default());
    let mut accepted = 0u32;
    for millis in 0..60_000u64 {
        for number in 0..4 {
            // A host that never came before.
            let token = millis * 4 + number;
            let ip = format!("2001:{:x}:{:x}:{number}::1", token >> 16, token & 0xffff);
            accepted += u32::from(gate.admit(at(millis), token, &from(&ip)).is_ok());
            gate.ended(token);
        }
    }
    assert!(accepted <= 4 * 128 + 60 * 64 + 1, "{accepted}");
}

#[derive(Debug, Clone)]
enum Step {
    Admit(u64, u8, u8),
    Proved(u64),
    Established(u64),
    Ended(u64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let token = 0u64..60;
    prop_oneof![
        6 => (token.clone(), 0u8..4, 0u8..12).prop_map(|(token, group, host)| Step::Admit(token, group, host)),
        1 => token.clone().prop_map(Step::Proved),
        2 => token.clone().prop_map(Step::Established),
        1 => token.prop_map(Step::Ended),
        2 => (0u64..400).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn any_steps_keep_every_bound(steps in prop::collection::vec(step(), 0..300)) {
        let limits = GateLimits { pending: 6, per_host: 3, per_group: 9, established_inbound: 14, ..GateLimits::default() };
        let mut gate = gate(limits);
        gate.set_rules(at(0), rules(&[(RuleKind::Allow, "10.0.0.1"), (RuleKind::Ban, "10.0.0.2")]));
        let (mut millis, mut asked) = (0, 0);
        for step in steps {
            match step {
                Step::Admit(token, group, host) => {
                    asked += 1;
                    let before = gate.pending();
                    match gate.admit(at(millis), token, &from(&format!("10.{group}.0.{host}"))) {
                        Ok(victim) => {
                            prop_assert!(gate.pending.contains_key(&token));
                            prop_assert!(victim.is_none_or(|victim| !gate.pending.contains_key(&victim)));
                        }
                        Err(_) => prop_assert!(gate.pending() <= before),
                    }
                }
                Step::Proved(token) => gate.proved(token),
                Step::Established(token) => gate.established(token),
                Step::Ended(token) => gate.ended(token),
                Step::Wait(more) => millis += more,
            }
            prop_assert!(gate.pending() <= limits.pending);
            prop_assert!(gate.established_inbound() <= limits.established_inbound + limits.pending);
            prop_assert!(gate.machines.values().all(|count| *count <= limits.per_host));
            prop_assert!(gate.neighbourhoods.values().all(|count| *count <= limits.per_group));
            let seats = gate.pending.values().map(|attempt| &attempt.place).chain(gate.established.values());
            let counted = seats.filter(|place| !place.is_allowed).count();
            prop_assert_eq!(gate.machines.values().sum::<usize>(), counted);
            prop_assert_eq!(gate.neighbourhoods.values().sum::<usize>(), counted);
        }
        let counts = gate.counts();
        prop_assert_eq!(counts.admitted + Refusal::ALL.into_iter().map(|refusal| counts.refused(refusal)).sum::<u64>(), asked);
    }
}
