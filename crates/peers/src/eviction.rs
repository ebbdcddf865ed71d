//! Whom to drop when there are too many?
//!
//! No single measure is safe from an attacker, so several protect a few peers each, as in Bitcoin Core: network group,
//! round trip, usefulness and age. Somebody who wants all places would have to be better than honest peers in every one of
//! them. What is left loses its youngest member in the most crowded group.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use rustle_types::{ConnectionId, Group, Reach, Uptime};
use sha2::{Digest, Sha256};

/// Groups of which one peer each stays; which groups these are depends on a secret.
const BY_GROUP: usize = 4;
/// Peers that stay because they answer fastest.
const BY_ROUND_TRIP: usize = 8;
/// Peers that stay because they were the last to bring blocks, and as many for messages of topics.
const BY_USE: usize = 4;
/// Of the share that stays because it is oldest, at most so much is kept for each network other than the clear one.
const ELSEWHERE_SHARE: usize = 4;

/// A handshaken connection, as seen by this choice.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) connection: ConnectionId,
    pub(crate) group: Group,
    pub(crate) reach: Reach,
    /// Whether this node wanted the connection; all others count as dialled in.
    pub(crate) is_chosen: bool,
    pub(crate) since: Uptime,
    /// The shortest measured.
    pub(crate) round_trip: Option<Duration>,
    /// When it last brought blocks, and a message of a topic.
    pub(crate) content: Option<Uptime>,
    pub(crate) gossip: Option<Uptime>,
    /// Never dropped.
    pub(crate) is_protected: bool,
}

/// Of those that dialled in, and those that another part of this node dialled, the one to drop.
pub(crate) fn choose_inbound(candidates: &[Candidate], secret: u64) -> Option<ConnectionId> {
    let inbound = candidates
        .iter()
        .filter(|one| !one.is_chosen && !one.is_protected);
    let mut left: Vec<&Candidate> = inbound.collect();
    protect_groups(&mut left, secret);
    // Without a measurement there is nothing to protect.
    protect(
        &mut left,
        BY_ROUND_TRIP,
        |one| one.round_trip.is_some(),
        |one| one.round_trip,
    );
    protect(
        &mut left,
        BY_USE,
        |one| one.gossip.is_some(),
        |one| Reverse(one.gossip),
    );
    protect(
        &mut left,
        BY_USE,
        |one| one.content.is_some(),
        |one| Reverse(one.content),
    );
    protect_by_age(&mut left);
    youngest_of_largest_group(&left)
}

/// Of those that this node chose, the one to drop: useless longest, and of those the youngest. Whoever calls sees to it
/// that enough of them stay.
pub(crate) fn choose_outbound(candidates: &[Candidate]) -> Option<ConnectionId> {
    let outbound = candidates.iter().filter(|one| one.is_chosen && !one.is_protected);
    // The last of a network that is reached through nobody else stays.
    let mut classes: BTreeMap<Reach, usize> = BTreeMap::new();
    for one in candidates.iter().filter(|one| one.is_chosen) {
        *classes.entry(one.reach).or_default() += 1;
    }
    outbound
        .filter(|one| matches!(one.reach, Reach::Clear | Reach::Local) || 1 < classes[&one.reach])
        .min_by_key(|one| (one.content.max(one.gossip), Reverse(one.since), one.connection))
        .map(|one| one.connection)
}

/// Takes out one peer, the oldest, of each of some groups.
fn protect_groups(left: &mut Vec<&Candidate>, secret: u64) {
    let mut groups: Vec<(u64, Group)> = left
        .iter()
        .map(|one| (keyed(secret, &one.group), one.group))
        .collect();
    groups.sort_unstable();
    groups.dedup();
    for (_, group) in groups.into_iter().take(BY_GROUP) {
        let oldest = left
            .iter()
            .enumerate()
            .filter(|(_, one)| one.group == group)
            .min_by_key(|(_, one)| (one.since, one.connection))
            .map(|(index, _)| index);
        oldest.map(|index| left.swap_remove(index));
    }
}

/// A number for a group that nobody can foresee.
fn keyed(secret: u64, group: &Group) -> u64 {
    let digest = Sha256::new()
        .chain_update(secret.to_be_bytes())
        .chain_update(group.as_bytes())
        .finalize();
    let (head, _) = digest
        .split_first_chunk::<8>()
        .expect("a SHA-256 digest has 32 bytes");
    u64::from_be_bytes(*head)
}

/// Takes out the `count` that come first by `key`, of those that `counts`.
fn protect<K: Ord>(
    left: &mut Vec<&Candidate>,
    count: usize,
    counts: impl Fn(&Candidate) -> bool,
    key: impl Fn(&Candidate) -> K,
) {
    left.sort_by_key(|one| (!counts(one), key(one), one.since, one.connection));
    let count = left.iter().take_while(|one| counts(one)).count().min(count);
    left.drain(..count);
}

/// Takes out the older half; a part of it is for peers of other networks than the clear one, which are slower and fewer.
fn protect_by_age(left: &mut Vec<&Candidate>) {
    let half = left.len() / 2;
    let mut taken = 0;
    for reach in [Reach::Tor, Reach::I2p, Reach::Yggdrasil, Reach::Local] {
        let share = (half / ELSEWHERE_SHARE).min(half - taken);
        let before = left.len();
        protect(left, share, |one| one.reach == reach, |_| ());
        taken += before - left.len();
    }
    protect(left, half - taken, |_| true, |_| ());
}

fn youngest_of_largest_group(left: &[&Candidate]) -> Option<ConnectionId> {
    let mut groups: BTreeMap<Group, (usize, Uptime)> = BTreeMap::new();
    for one in left {
        let (count, newest) = groups.entry(one.group).or_insert((0, one.since));
        *count += 1;
        *newest = (*newest).max(one.since);
    }
    // Of groups of one size, the one with the newest member.
    let (group, _) = groups.into_iter().max_by_key(|(group, size)| (*size, *group))?;
    let members = left.iter().filter(|one| one.group == group);
    members
        .max_by_key(|one| (one.since, one.connection))
        .map(|one| one.connection)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(a: u8, b: u8) -> Group {
        Group::of_ip([a, b, 0, 1].into())
    }

    fn candidate(number: u64, group: Group) -> Candidate {
        Candidate {
            connection: ConnectionId(number),
            group,
            reach: Reach::Clear,
            is_chosen: false,
            since: Uptime::from_secs(number),
            round_trip: None,
            content: None,
            gossip: None,
            is_protected: false,
        }
    }

    /// Drops until nobody can be dropped or `count` are left.
    fn shrink(mut all: Vec<Candidate>, count: usize, secret: u64) -> Vec<Candidate> {
        while count < all.len() {
            let Some(victim) = choose_inbound(&all, secret) else {
                break;
            };
            all.retain(|one| one.connection != victim);
        }
        all
    }

    #[test]
    fn a_flood_from_one_group_goes_before_anybody_else() {
        let honest = (0..16u8).map(|number| candidate(number.into(), group(20 + number, 0)));
        let flood = (0..200).map(|number| candidate(100 + number, group(66, 6)));
        let left = shrink(honest.chain(flood).collect(), 32, 7);
        let stayed = left.iter().filter(|one| one.connection.0 < 16).count();
        assert!(15 <= stayed, "{stayed} of 16 honest peers stayed");
    }

    #[test]
    fn a_flood_from_everywhere_leaves_the_fast_the_useful_and_the_old() {
        let honest = (0..24u8).map(|number| {
            let mut one = candidate(number.into(), group(20 + number, 0));
            match number {
                0..8 => one.round_trip = Some(Duration::from_millis(number.into())),
                8..12 => one.content = Some(Uptime::from_secs(90)),
                12..16 => one.gossip = Some(Uptime::from_secs(90)),
                _ => {}
            }
            one
        });
        let flood = (0..=255u8).map(|number| {
            let mut one = candidate(1_000 + u64::from(number), group(100, number));
            one.round_trip = Some(Duration::from_millis(50));
            one
        });
        let left = shrink(honest.chain(flood).collect(), 40, 3);
        let stayed = left.iter().filter(|one| one.connection.0 < 24).count();
        println!(
            "{stayed} of 24 honest peers stayed among {} after a flood from 256 groups",
            left.len()
        );
        assert!(16 <= stayed, "{stayed}");
    }

    #[test]
    fn an_outbound_connection_that_was_of_use_stays() {
        let mut all: Vec<Candidate> = (1..4).map(|number| candidate(number, group(9, 1))).collect();
        all.iter_mut().for_each(|one| one.is_chosen = true);
        all[2].content = Some(Uptime::from_secs(50));
        assert_eq!(
            choose_outbound(&all),
            Some(ConnectionId(2)),
            "useless, and the youngest of these"
        );
        all[1].reach = Reach::Tor;
        assert_eq!(
            choose_outbound(&all),
            Some(ConnectionId(1)),
            "the only way into Tor stays"
        );
        assert_eq!(choose_inbound(&all, 1), None);
    }

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        let reach = prop::sample::select(Reach::ALL.to_vec());
        let time = || prop::option::of((0u64..100).prop_map(Uptime::from_secs));
        let flags = (any::<bool>(), prop::bool::weighted(0.2));
        (
            0u8..6,
            reach,
            0u64..100,
            prop::option::of(0u64..500),
            time(),
            time(),
            flags,
        )
            .prop_map(
                |(place, reach, since, round_trip, content, gossip, (is_chosen, is_protected))| Candidate {
                    reach,
                    is_chosen,
                    since: Uptime::from_secs(since),
                    round_trip: round_trip.map(Duration::from_millis),
                    content,
                    gossip,
                    is_protected,
                    ..candidate(0, group(50, place))
                },
            )
    }

    proptest! {
        #[test]
        fn the_choice_is_allowed_and_does_not_depend_on_the_order(
            mut all in prop::collection::vec(any_candidate(), 0..80), secret in any::<u64>(), turn in 0usize..80,
        ) {
            for (number, one) in (1..).zip(&mut all) {
                one.connection = ConnectionId(number);
            }
            let (inbound, outbound) = (choose_inbound(&all, secret), choose_outbound(&all));
            for (victim, is_chosen) in [(inbound, false), (outbound, true)] {
                if let Some(victim) = victim {
                    let one = all.iter().find(|one| one.connection == victim).unwrap();
                    prop_assert!(!one.is_protected && one.is_chosen == is_chosen);
                }
            }
            let middle = turn.min(all.len());
            all.rotate_left(middle);
            prop_assert_eq!((choose_inbound(&all, secret), choose_outbound(&all)), (inbound, outbound));
        }
    }
}
