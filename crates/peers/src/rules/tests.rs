//! Claims about bans and permissions.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use proptest::prelude::*;
use rustle_store::Op;

use super::*;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rule(kind: RuleKind, target: &str) -> Rule {
    Rule {
        target: target.parse().unwrap(),
        kind,
        until: None,
        reason: "spam".into(),
        origin: Origin::Operator,
        since: START,
    }
}

fn by_score(target: &str, since: u64, seconds: u64) -> Rule {
    let since = START.plus(Duration::from_secs(since));
    Rule {
        origin: Origin::Score,
        since,
        until: Some(since.plus(Duration::from_secs(seconds))),
        ..rule(RuleKind::Ban, target)
    }
}

fn rules(list: impl IntoIterator<Item = Rule>) -> Rules {
    let mut rules = Rules::default();
    for rule in list {
        rules.add(START, rule).unwrap();
    }
    rules
}

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes(&[0x00, 0x01, number]).unwrap()
}

#[test]
fn the_longest_prefix_decides_and_a_permission_before_a_ban() {
    use RuleKind::{Allow, Ban};
    let rules = rules([
        rule(Ban, "10.0.0.0/8"),
        rule(Allow, "10.1.0.0/16"),
        rule(Ban, "10.1.1.0/24"),
        rule(Ban, "10.1.1.1"),
        rule(Allow, "10.1.1.1"),
    ]);
    let cases = [
        ("10.2.0.1", true, false),
        ("10.1.0.1", false, true),
        ("10.1.1.2", true, false),
        ("10.1.1.1", false, true),
        ("::ffff:10.1.1.2", true, false),
        ("11.0.0.1", false, false),
    ];
    for (text, banned, allowed) in cases {
        assert_eq!(rules.check_ip(START, ip(text)).is_err(), banned, "{text}");
        assert_eq!(rules.is_allowed(START, ip(text)), allowed, "{text}");
    }
}

#[test]
fn a_banned_host_does_not_come_back_from_its_other_addresses() {
    let rules = rules([rule(RuleKind::Ban, "2001:db8:1:1::7")]);
    assert!(rules.check_ip(START, ip("2001:db8:1:1:ffff::")).is_err());
    assert!(rules.check_ip(START, ip("2001:db8:1:2::7")).is_ok());
}

#[test]
fn what_is_said_of_a_peer_counts_more_than_what_is_said_of_its_address() {
    let mut rules = rules([rule(RuleKind::Ban, "10.0.0.0/8")]);
    let friend = Rule {
        target: peer(1).into(),
        ..rule(RuleKind::Allow, "0.0.0.0/0")
    };
    rules.add(START, friend).unwrap();

    let at = Some(ip("10.0.0.1"));
    assert!(rules.check(START, &peer(1), at).is_ok());
    assert!(rules.is_peer_allowed(START, &peer(1), at));
    assert!(rules.check(START, &peer(2), at).is_err());
    assert!(rules.check(START, &peer(2), None).is_ok());
}

#[test]
fn a_rule_that_is_over_says_nothing_and_is_dropped() {
    let mut rules = rules([by_score("10.0.0.1", 0, 60), rule(RuleKind::Ban, "10.0.0.0/8")]);
    let end = START.plus(Duration::from_secs(60));
    assert_eq!(rules.next_expiry(), Some(end));
    let reason = |rules: &Rules, now| rules.check_ip(now, ip("10.0.0.1")).unwrap_err().origin;

    assert_eq!(reason(&rules, START), Origin::Score);
    assert_eq!(
        reason(&rules, end),
        Origin::Operator,
        "the wider rule still holds"
    );
    let (dropped, batch) = rules.expire(end);

    assert_eq!(dropped.len(), 1);
    assert_eq!(batch.ops(), [Op::Delete(Table::Rules, dropped[0].key())]);
    assert_eq!((rules.len(), rules.next_expiry()), (1, None));
}

#[test]
fn a_ban_by_score_changes_nothing_that_an_operator_said() {
    let mut rules = rules([
        rule(RuleKind::Allow, "10.0.0.0/8"),
        rule(RuleKind::Ban, "11.0.0.1"),
    ]);

    let welcome = rules.add(START, by_score("10.0.0.1", 0, 60));
    let banned = rules.add(START, by_score("11.0.0.1", 0, 60)).unwrap();

    assert_eq!(welcome, Err(RulesError::Allowed));
    assert!(banned.is_empty());
    assert_eq!(rules.check_ip(START, ip("11.0.0.1")).unwrap_err().until, None);
}

#[test]
fn a_later_ban_by_score_never_shortens_an_earlier_one() {
    let mut rules = rules([by_score("10.0.0.1", 0, 600)]);
    assert!(rules.add(START, by_score("10.0.0.1", 1, 60)).unwrap().is_empty());
    assert!(
        !rules
            .add(START, by_score("10.0.0.1", 1, 6_000))
            .unwrap()
            .is_empty()
    );
    assert_eq!(rules.len(), 1);
    assert_eq!(rules.expire(START.plus(Duration::from_secs(600))).0, []);
}

#[test]
fn full_rules_lose_the_oldest_ban_by_score_and_never_an_operators() {
    let numbered = |number: usize| Ipv4Addr::from_bits(u32::try_from(number).unwrap()).to_string();
    let mut rules = rules((1..RULES_MAX).map(|number| rule(RuleKind::Ban, &numbered(number))));
    rules.add(START, by_score("10.0.0.1", 5, 60)).unwrap();

    let batch = rules.add(START, by_score("10.0.0.2", 6, 60)).unwrap();
    assert_eq!(batch.ops().len(), 2, "one goes, one comes");
    assert!(rules.check_ip(START, ip("10.0.0.1")).is_ok());

    rules.add(START, rule(RuleKind::Ban, "10.0.0.3")).unwrap();
    assert!(rules.check_ip(START, ip("10.0.0.2")).is_ok());
    for further in [rule(RuleKind::Ban, "10.0.0.4"), by_score("10.0.0.4", 7, 60)] {
        assert_eq!(rules.add(START, further), Err(RulesError::Full));
    }
    assert_eq!(rules.len(), RULES_MAX);
}

#[test]
fn a_snapshot_does_not_change() {
    let mut rules = rules([rule(RuleKind::Ban, "10.0.0.1")]);
    let snapshot = rules.clone();
    rules.remove(RuleKind::Ban, &"10.0.0.1".parse().unwrap()).unwrap();
    assert!(snapshot.check_ip(START, ip("10.0.0.1")).is_err());
    assert!(rules.check_ip(START, ip("10.0.0.1")).is_ok());
}

#[test]
fn reasons_are_bounded_and_plain() {
    let reason = Reason::new(&format!("\u{1b}[31m{}", "ä".repeat(100)));
    assert!(reason.as_str().len() <= REASON_BYTES_MAX);
    assert!(reason.as_str().starts_with("[31mä"));
    assert!(!reason.as_str().chars().any(char::is_control));
}

fn any_rule() -> impl Strategy<Value = Rule> {
    // Few first bytes, so that prefixes hold each other.
    let v4 = (0u8..2, 0u8..3, any::<u8>(), 0u8..=32)
        .prop_map(|(a, b, c, bits)| (Ipv4Addr::new(a, b, 0, c).into(), bits));
    let v6 =
        (any::<u128>(), 0u8..=128).prop_map(|(ip, bits)| (Ipv6Addr::from_bits(ip & 0x3 << 64).into(), bits));
    let prefix = prop_oneof![v4, v6]
        .prop_map(|(ip, bits): (IpAddr, u8)| Target::Prefix(Prefix::new(ip, bits).unwrap()));
    let target = prop_oneof![4 => prefix, 1 => any::<u8>().prop_map(|number| Target::Peer(peer(number)))];
    (
        target,
        any::<bool>(),
        any::<bool>(),
        prop::option::of(1u64..100),
        0u64..50,
        "[^\\p{Cc}]{0,20}",
    )
        .prop_map(|(target, ban, score, until, since, reason)| Rule {
            target,
            kind: if ban { RuleKind::Ban } else { RuleKind::Allow },
            until: until.map(Timestamp::from_millis),
            reason: Reason::new(&reason),
            origin: if score { Origin::Score } else { Origin::Operator },
            since: Timestamp::from_millis(since),
        })
}

proptest! {
    #[test]
    fn records_survive_and_damage_never_panics(rule in any_rule(), cut in 0usize..18, noise in prop::collection::vec(any::<u8>(), 0..40)) {
        let (key, value) = rule.to_record();
        prop_assert_eq!(Rule::from_record(&key, &value), Ok(rule));
        prop_assert_eq!(Rule::from_record(&key, &value[..cut]), Err(RuleRecordError));
        let _ = Rule::from_record(&noise, &value);
        let _ = Rule::from_record(&key, &noise);
    }

    #[test]
    fn the_quick_look_up_agrees_with_the_slow_one(list in prop::collection::vec(any_rule(), 0..40), asked in any_rule(), now in 0u64..110) {
        let now = Timestamp::from_millis(now);
        let rules = Rules::restore(list);
        let Target::Prefix(asked) = asked.target else { return Ok(()) };
        let ip = asked.ip();
        let slow = rules
            .iter()
            .filter(|rule| !rule.is_over(now))
            .filter_map(|rule| match rule.target {
                Target::Prefix(prefix) if prefix.contains(ip) => Some((prefix.bits(), rule.kind)),
                _ => None,
            })
            .max();
        prop_assert_eq!(rules.is_allowed(now, ip), slow.is_some_and(|(_, kind)| kind == RuleKind::Allow));
        prop_assert_eq!(rules.check_ip(now, ip).is_err(), slow.is_some_and(|(_, kind)| kind == RuleKind::Ban));
    }

    #[test]
    fn the_indexes_follow_any_changes(list in prop::collection::vec((any_rule(), any::<bool>(), 0u64..110), 0..60)) {
        let mut rules = Rules::default();
        for (rule, add, now) in list {
            let now = Timestamp::from_millis(now);
            if add {
                let _ = rules.add(now, rule);
            } else {
                rules.remove(rule.kind, &rule.target);
                rules.expire(now);
                prop_assert!(rules.iter().all(|rule| !rule.is_over(now)));
            }
            let again = Rules::restore(rules.iter().cloned());
            prop_assert_eq!(&again.0.ending, &rules.0.ending);
            prop_assert_eq!(&again.0.by_score, &rules.0.by_score);
            prop_assert_eq!(rules.next_expiry(), rules.iter().filter_map(|rule| rule.until).min());
        }
    }
}
