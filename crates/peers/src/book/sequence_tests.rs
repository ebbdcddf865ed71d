//! What holds after any sequence of events.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use rustle_types::Direction;

use super::record_tests::{reopened, seats, write};
use super::tests::{anyone, at, book, check, in_group, peer};
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Learn(u16, u16, u8, SourceKind),
    Need(u16, Option<u16>, Need),
    Release(u16, Need),
    Dial(u16),
    Connected(u16, bool),
    Reached(u16, u16),
    Seen(u16),
    Failed(u16),
    Lost(u16, u64),
    Refused(u16),
    Incompatible(u16),
    Foreign(u16),
    Met(u16, u16),
    WrongPeer(u16, u16),
    Own(u16),
    Pick,
    Feeler,
    Remove(u16),
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    // Few peers at few places, so that all that can collide does.
    let (one, place) = (0u16..40, 0u16..12);
    let need = prop::sample::select(vec![Need::Member, Need::Static, Need::Boot]);
    let kind = prop::sample::select(SourceKind::ALL.to_vec());
    prop_oneof![
        4 => (one.clone(), place.clone(), 0u8..4, kind)
            .prop_map(|(one, place, from, kind)| Step::Learn(one, place, from, kind)),
        1 => (one.clone(), prop::option::of(place.clone()), need.clone())
            .prop_map(|(one, place, need)| Step::Need(one, place, need)),
        1 => (one.clone(), need).prop_map(|(one, need)| Step::Release(one, need)),
        2 => one.clone().prop_map(Step::Dial),
        2 => (one.clone(), any::<bool>()).prop_map(|(one, ours)| Step::Connected(one, ours)),
        4 => (one.clone(), place.clone()).prop_map(|(one, place)| Step::Reached(one, place)),
        1 => one.clone().prop_map(Step::Seen),
        2 => one.clone().prop_map(Step::Failed),
        3 => (one.clone(), 0u64..20).prop_map(|(one, lasted)| Step::Lost(one, lasted)),
        1 => one.clone().prop_map(Step::Refused),
        1 => one.clone().prop_map(Step::Incompatible),
        1 => one.clone().prop_map(Step::Foreign),
        2 => (one.clone(), place.clone()).prop_map(|(one, place)| Step::Met(one, place)),
        1 => (one.clone(), place.clone()).prop_map(|(one, place)| Step::WrongPeer(one, place)),
        1 => place.prop_map(Step::Own),
        2 => Just(Step::Pick),
        2 => Just(Step::Feeler),
        1 => one.prop_map(Step::Remove),
        1 => Just(Step::Restart),
    ]
}

fn apply(book: &mut Book, rng: &mut StdRng, now: Now, step: &Step, disk: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    let at_place = |place: u16| in_group(place % 4, place);
    match *step {
        Step::Learn(one, place, from, kind) => {
            let source = Source::at(kind, &in_group(from.into(), 1));
            book.learn(now, peer(one), [at_place(place)], source);
        }
        Step::Need(one, place, need) => {
            let source = Source::of_kind(SourceKind::Invitation);
            book.need(now, peer(one), place.map(at_place), source, need);
        }
        Step::Release(one, need) => book.release(now.wall, &peer(one), need),
        Step::Dial(one) => drop(book.start_dial(now, &peer(one))),
        Step::Connected(one, true) => book.on_connected(&peer(one), Direction::Outbound),
        Step::Connected(one, false) => book.on_connected(&peer(one), Direction::Inbound),
        Step::Reached(one, place) => book.on_reached(now, &peer(one), &at_place(place)),
        Step::Seen(one) => book.on_seen(now, &peer(one)),
        Step::Failed(one) => book.on_failed(now, &peer(one), rng),
        Step::Lost(one, lasted) => book.on_lost(now, &peer(one), Duration::from_secs(lasted), rng),
        Step::Refused(one) => book.on_refused(now, &peer(one), rng),
        Step::Incompatible(one) => book.on_incompatible(now.uptime, &peer(one)),
        Step::Foreign(one) => book.on_foreign(now, &peer(one)),
        Step::Met(one, place) => book.on_met(now, &peer(one), &at_place(place)),
        Step::WrongPeer(one, place) => book.on_wrong_peer(now, &peer(one), &at_place(place), rng),
        Step::Own(place) => book.on_self(now.wall, in_group(50 + place, 1)),
        Step::Pick => {
            if let Some(picked) = book.pick(now, &anyone(), rng) {
                let entry = &book.entries[&picked];
                assert!(entry.is_ready(now.uptime) && !entry.is_needed());
                book.start_dial(now, &picked);
            }
        }
        Step::Feeler => {
            if let Some(picked) = book.feeler(now, &|_| false, rng) {
                assert!(book.entries[&picked].is_idle());
                book.start_dial(now, &picked);
            }
        }
        Step::Remove(one) => book.remove(&peer(one)),
        Step::Restart => {
            write(book, disk);
            let again = reopened(disk);
            let kept = |book: &Book| {
                let mut seats = seats(book);
                // Needs other than membership come from the settings of each run.
                seats.retain(|peer, _| !book.entries[peer].is_needed());
                seats
            };
            let lost: Vec<_> = kept(book)
                .into_iter()
                .filter(|(peer, seat)| kept(&again).get(peer) != Some(seat))
                .collect();
            assert!(lost.is_empty(), "{lost:?}");
            let anchors = |book: &Book| book.anchors().collect::<Vec<_>>();
            assert_eq!(anchors(&again), anchors(book));
            check(&again, now);
        }
    }
}

proptest! {
    #[test]
    fn any_sequence_of_events_keeps_every_bound(steps in prop::collection::vec((0u64..2_000, any_step()), 0..200)) {
        let (mut book, mut rng) = book();
        let (mut clock, mut disk) = (0, BTreeMap::new());
        for (wait, step) in steps {
            clock += wait;
            apply(&mut book, &mut rng, at(clock), &step, &mut disk);
            check(&book, at(clock));
        }
    }
}
