//! What is to be told to the DHTs again, and when?
//!
//! A record that nobody of a DHT took is told again by itself, each time after twice the pause, as long as somebody of that
//! DHT is known; else when somebody is. Only where more are missed than are noted here a whole round is done early, and
//! such rounds keep growing pauses, too: a DHT whose nodes are all gone costs little.

use std::collections::HashMap;
use std::time::Duration;

use rustle_net::{Asked, Dht};
use rustle_types::Cid;
use tokio::time::Instant;

/// Records that are noted as missed; about 150 bytes of memory each.
const MISSED_MAX: usize = 16 * 1024;
/// Before what was missed is told again for the first time, and after a round before one that comes early.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest pause before what was missed is told again.
const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);
/// The same before a round that comes early for what was missed: where there is much of it, a round takes hours.
const ROUND_PAUSE_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// From the first node of a DHT to what it missed, as it is seldom alone.
pub(super) const JOIN_DELAY: Duration = Duration::from_secs(1);
/// Missed records that are told together.
const TOGETHER_MAX: usize = 64;

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Tell of all there is.
    Round,
    /// Tell of these again.
    Again(Vec<Cid>),
}

/// What is to be told again.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// DHTs of which some node is known.
    joined: Vec<Dht>,
    missed: HashMap<Cid, Vec<Miss>>,
    /// DHTs that missed more than is noted in `missed`.
    overflowed: Vec<Dht>,
    /// Something was not told for want of room.
    is_behind: bool,
    /// Rounds that came early after another.
    early: u32,
    /// When the last round ended.
    ended: Option<Instant>,
}

/// A DHT in which nobody was told of some record.
#[derive(Debug)]
struct Miss {
    dht: Dht,
    /// How often that was so although some node of it was known.
    attempts: u32,
    due: Instant,
}

// === impl Agenda ===

impl Agenda {
    pub(super) fn on_joined(&mut self, dht: Dht) {
        if !self.joined.contains(&dht) {
            self.joined.push(dht);
        }
    }

    pub(super) fn on_left(&mut self, dht: Dht) {
        self.joined.retain(|joined| *joined != dht);
    }

    /// Some content could not wait here to be told of.
    pub(super) fn on_lost(&mut self) {
        self.is_behind = true;
    }

    /// Notes who was told of a record; nothing where there were too many searches. Gives whether something was missed.
    pub(super) fn on_told(&mut self, cid: Cid, told: &[Asked], now: Instant) -> bool {
        let missed_by: Vec<Dht> = match told {
            [] if self.joined.is_empty() => vec![Dht::Own],
            [] => self.joined.clone(),
            told => told
                .iter()
                .filter(|asked| asked.nodes == 0)
                .map(|asked| asked.dht)
                .collect(),
        };
        let before = self.missed.remove(&cid).unwrap_or_default();
        if missed_by.is_empty() {
            return false;
        }
        if MISSED_MAX <= self.missed.len() {
            for dht in missed_by {
                if !self.overflowed.contains(&dht) {
                    self.overflowed.push(dht);
                }
            }
            return true;
        }
        let misses = missed_by.into_iter().map(|dht| {
            let attempts = before.iter().find(|miss| miss.dht == dht);
            let attempts = attempts.map_or(0, |miss| miss.attempts);
            match self.joined.contains(&dht) {
                true => Miss {
                    dht,
                    attempts: attempts.saturating_add(1),
                    due: now + pause(attempts, PAUSE_MAX),
                },
                false => Miss {
                    dht,
                    attempts,
                    due: now + JOIN_DELAY,
                },
            }
        });
        let misses = misses.collect();
        self.missed.insert(cid, misses);
        true
    }

    /// The content is no longer here.
    pub(super) fn forget(&mut self, cid: &Cid) {
        self.missed.remove(cid);
    }

    /// What to do now, or until when there is nothing to do. Without asking for it, a round is due in `round_in`.
    pub(super) fn next(&mut self, round_in: Duration, now: Instant) -> Result<Job, Option<Instant>> {
        if self.joined.is_empty() {
            return Err(None);
        }
        let after = |max| self.ended.map_or(now, |ended| ended + pause(self.early, max));
        let mut round_at = (now + round_in).max(after(PAUSE_MAX));
        if self.is_round_wanted() {
            round_at = round_at.min(after(ROUND_PAUSE_MAX).max(now));
        }
        if round_at <= now {
            return Ok(Job::Round);
        }
        let mut again = Vec::new();
        let mut at = round_at;
        for (cid, misses) in &mut self.missed {
            let joined = |miss: &&Miss| self.joined.contains(&miss.dht);
            let Some(due) = misses.iter().filter(joined).map(|miss| miss.due).min() else {
                continue;
            };
            if now < due || again.len() == TOGETHER_MAX {
                at = at.min(due);
                continue;
            }
            // Whatever comes of it, it is not done twice at once.
            misses.iter_mut().for_each(|miss| miss.due = now + PAUSE);
            again.push(*cid);
        }
        match again.is_empty() {
            true => Err(Some(at)),
            false => Ok(Job::Again(again)),
        }
    }

    fn is_round_wanted(&self) -> bool {
        self.is_behind || self.overflowed.iter().any(|dht| self.joined.contains(dht))
    }

    /// Everything is about to be told.
    pub(super) fn begin_round(&mut self, now: Instant) {
        self.early = match self.ended {
            Some(ended) if now.saturating_duration_since(ended) < 2 * ROUND_PAUSE_MAX => {
                self.early.saturating_add(1)
            }
            _ => 0,
        };
        self.is_behind = false;
        self.overflowed.clear();
    }

    pub(super) fn end_round(&mut self, now: Instant) {
        self.ended = Some(now);
    }
}

fn pause(attempts: u32, max: Duration) -> Duration {
    PAUSE.saturating_mul(2_u32.saturating_pow(attempts)).min(max)
}

#[cfg(test)]
mod tests {
    use rustle_types::BlockId;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn cid(number: usize) -> Cid {
        BlockId::of(&number.to_be_bytes()).cid()
    }

    fn told(nodes: &[(Dht, u32)]) -> Vec<Asked> {
        let asked = |(dht, nodes): &(Dht, u32)| Asked {
            dht: *dht,
            nodes: *nodes,
        };
        nodes.iter().map(asked).collect()
    }

    /// What is done in `time`, where every record that is told again finds `answer`.
    fn play(agenda: &mut Agenda, start: Instant, time: Duration, answer: &[Asked]) -> (usize, usize) {
        let (mut now, mut rounds, mut told) = (start, 0, 0);
        while now < start + time {
            match agenda.next(DAY.saturating_sub(now - start), now) {
                Ok(Job::Round) => {
                    rounds += 1;
                    agenda.begin_round(now);
                    agenda.end_round(now);
                }
                Ok(Job::Again(cids)) => {
                    told += cids.len();
                    for cid in cids {
                        agenda.on_told(cid, answer, now);
                    }
                }
                Err(Some(at)) => {
                    assert!(now < at, "nothing to do, but at once");
                    now = at;
                }
                Err(None) => break,
            }
        }
        (rounds, told)
    }

    #[test]
    fn what_nobody_takes_is_told_again_ever_more_seldom_and_nothing_else_with_it() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.on_joined(Dht::Own);
        agenda.on_joined(Dht::Ipfs);
        let dead = told(&[(Dht::Own, 3), (Dht::Ipfs, 0)]);
        for number in 0..10_000 {
            let answer = if number == 7 {
                &dead
            } else {
                &told(&[(Dht::Own, 3), (Dht::Ipfs, 9)])
            };
            agenda.on_told(cid(number), answer, now);
        }
        let (rounds, again) = play(&mut agenda, now, DAY / 2, &dead);
        assert_eq!(rounds, 0);
        // 10 s, 20 s, … 42 min are nine within the first two hours; then one each hour.
        assert!((15..=22).contains(&again), "{again}");
    }

    #[test]
    fn whoever_is_taken_at_last_is_told_no_more() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.on_joined(Dht::Own);
        assert!(agenda.on_told(cid(1), &told(&[(Dht::Own, 0)]), now));
        let done = play(&mut agenda, now, DAY / 2, &told(&[(Dht::Own, 1)]));
        assert_eq!(done, (0, 1));
    }

    #[test]
    fn a_dht_without_nodes_waits_until_it_is_joined_and_no_longer_counts_when_it_is_left() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.on_joined(Dht::Own);
        let answer = told(&[(Dht::Own, 1), (Dht::Ipfs, 0)]);
        agenda.on_told(cid(1), &answer, now);
        assert_eq!(play(&mut agenda, now, DAY / 2, &answer), (0, 0));
        agenda.on_joined(Dht::Ipfs);
        let later = now + 2 * JOIN_DELAY;
        assert_eq!(agenda.next(DAY, later), Ok(Job::Again(vec![cid(1)])));
        agenda.on_told(cid(1), &answer, later);
        agenda.on_left(Dht::Ipfs);
        assert_eq!(play(&mut agenda, later, DAY / 2, &answer), (0, 0));
        agenda.on_left(Dht::Own);
        assert_eq!(agenda.next(Duration::ZERO, later), Err(None), "nobody is there");
    }

    #[test]
    fn a_record_that_found_too_many_searches_is_told_later() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.on_joined(Dht::Own);
        assert!(agenda.on_told(cid(1), &[], now));
        let Err(Some(at)) = agenda.next(DAY, now) else {
            panic!("at once");
        };
        assert_eq!(at, now + PAUSE);
        assert_eq!(agenda.next(DAY, at), Ok(Job::Again(vec![cid(1)])));
        agenda.forget(&cid(1));
        assert_eq!(agenda.next(DAY, at + PAUSE), Err(Some(at + PAUSE + DAY)));
    }

    #[test]
    fn rounds_that_are_asked_for_again_and_again_become_seldom() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.on_joined(Dht::Own);
        let (mut rounds, mut now, end) = (0, now, now + DAY / 2);
        agenda.end_round(now);
        while now < end {
            agenda.on_lost();
            match agenda.next(DAY, now) {
                Ok(_) => {
                    rounds += 1;
                    agenda.begin_round(now);
                    agenda.end_round(now);
                }
                Err(at) => now = at.unwrap(),
            }
        }
        // 10 s, 20 s, … 6 h.
        assert!((10..=14).contains(&rounds), "{rounds}");
    }

    #[test]
    fn the_room_for_what_was_missed_is_bounded() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.on_joined(Dht::Own);
        for number in 0..MISSED_MAX + 10 {
            agenda.on_told(cid(number), &told(&[(Dht::Own, 0)]), now);
        }
        assert_eq!(agenda.missed.len(), MISSED_MAX);
        assert_eq!(agenda.next(DAY, now), Ok(Job::Round), "for the rest");
    }
}
