//! May a peer that was reached take the place of another in the tried table?
//!
//! Only after the holder of the place was dialled and did not answer. Else an attacker who can be reached at many addresses
//! would push out honest peers one by one. A holder that could not be dialled for a whole [`TRIAL_WINDOW`] loses its place
//! too, as in Bitcoin Core: else ten such cases would end all further ones.

use std::time::Duration;

use rustle_types::{Now, PeerId, Uptime};

use super::entry::{Entry, Seat, elapsed};
use super::table::Place;
use super::{Book, tried_home};

/// Collisions that wait for a test at once; others must be reached again later.
pub const TRIALS_MAX: usize = 10;
/// A holder that could not be tested within this time loses its place.
pub const TRIAL_WINDOW: Duration = Duration::from_secs(40 * 60);
/// A holder that was reached within this time keeps its place untested; one whose dial failed within it loses it.
pub const FRESH: Duration = Duration::from_secs(4 * 3600);

/// A peer that was reached and whose place in the tried table is taken.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) challenger: PeerId,
    since: Uptime,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The test has not been made.
    Open,
    /// The holder lives, or there is no case any more.
    Dismissed,
    /// The challenger takes the place.
    Won(Place),
}

impl Book {
    /// Moves a peer of the new table that was reached to the tried table, or notes the collision there.
    pub(super) fn promote_or_test(&mut self, now: Now, peer: PeerId) {
        let Some(home) = self.entries.get(&peer).and_then(tried_home) else {
            return;
        };
        if self.tried.at(self.salt.tried_place(&peer, &home)).is_none() {
            if let Some(entry) = self.take_out(&peer) {
                self.trials.retain(|trial| trial.challenger != peer);
                self.put(now.wall, peer, entry);
            }
            return;
        }
        let is_noted = self.trials.iter().any(|trial| trial.challenger == peer);
        if self.trials.len() < TRIALS_MAX && !is_noted {
            self.trials.push(Trial {
                challenger: peer,
                since: now.uptime,
            });
        }
    }

    /// Decides the tests of which the outcome is known.
    pub fn resolve(&mut self, now: Now) {
        let mut index = 0;
        while let Some(trial) = self.trials.get(index) {
            match self.verdict(trial, now) {
                Verdict::Open => index += 1,
                Verdict::Dismissed => {
                    self.trials.swap_remove(index);
                }
                Verdict::Won(place) => {
                    let challenger = self.trials.swap_remove(index).challenger;
                    self.replace(now, place, challenger);
                    // The loser's fall may have forgotten another challenger.
                    index = 0;
                }
            }
        }
    }

    fn verdict(&self, trial: &Trial, now: Now) -> Verdict {
        let challenger = self.entries.get(&trial.challenger);
        let Some(challenger) = challenger.filter(|entry| matches!(entry.seat, Seat::New(_))) else {
            return Verdict::Dismissed;
        };
        let Some(home) = tried_home(challenger) else {
            return Verdict::Dismissed;
        };
        let place = self.salt.tried_place(&trial.challenger, &home);
        let Some(holder) = self.tried.at(place).and_then(|holder| self.entries.get(&holder)) else {
            return Verdict::Won(place);
        };
        if holder.connected || elapsed(holder.reached, now.wall) < FRESH {
            return Verdict::Dismissed;
        }
        let has_failed = holder.counted.is_some_and(|counted| now.uptime - counted < FRESH);
        let is_late = TRIAL_WINDOW < now.uptime - trial.since;
        if !holder.dialling && (has_failed || is_late) {
            return Verdict::Won(place);
        }
        Verdict::Open
    }

    fn replace(&mut self, now: Now, place: Place, challenger: PeerId) {
        let loser = self.tried.at(place);
        let loser = loser.and_then(|loser| Some((loser, self.take_out(&loser)?)));
        if let Some(entry) = self.take_out(&challenger) {
            self.put(now.wall, challenger, entry);
        }
        if let Some((loser, entry)) = loser {
            self.put_new(now.wall, loser, entry);
        }
    }

    /// The holders that wait for a test and may be dialled, whatever their back-off says.
    pub(super) fn holders_to_test(&self) -> Vec<PeerId> {
        let holder = |trial: &Trial| {
            let home = self.entries.get(&trial.challenger).and_then(tried_home)?;
            self.tried.at(self.salt.tried_place(&trial.challenger, &home))
        };
        let holders = self.trials.iter().filter_map(holder);
        let is_idle = |peer: &PeerId| self.entries.get(peer).is_some_and(Entry::is_idle);
        holders.filter(is_idle).collect()
    }
}
