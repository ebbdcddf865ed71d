//! Which messages still wait for a judgement?
//!
//! A message about a block that is not here can only be judged once the block is. gossipsub keeps a message for about five
//! heartbeats of a second, so waiting longer than that would be in vain.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rustle_types::{BlockId, Uptime};

/// Messages that wait, per chain; beyond, they are ignored at once.
pub(crate) const HELD_MAX: usize = 1024;
/// How long a message waits.
pub(crate) const HOLD: Duration = Duration::from_secs(3);

/// Messages by the block they wait for, one for each.
#[derive(Debug, Default)]
pub(crate) struct Held {
    messages: BTreeMap<BlockId, Message>,
    /// In the order of their deadlines; may name messages that are judged by now.
    deadlines: VecDeque<(Uptime, BlockId)>,
}

#[derive(Debug)]
struct Message {
    message: u64,
    rest: Vec<BlockId>,
    until: Uptime,
}

// === impl Held ===

impl Held {
    /// Holds a message until `id` is here, and then `rest`; false where there is no room or another waits for `id`.
    pub(crate) fn hold(&mut self, now: Uptime, message: u64, id: BlockId, rest: Vec<BlockId>) -> bool {
        if self.messages.contains_key(&id) || HELD_MAX <= self.deadlines.len() {
            return false;
        }
        let until = now + HOLD;
        self.messages.insert(id, Message { message, rest, until });
        self.deadlines.push_back((until, id));
        true
    }

    /// Takes the message that waits for `id`, and what it waits for next.
    pub(crate) fn take(&mut self, id: &BlockId) -> Option<(u64, Vec<BlockId>)> {
        self.messages.remove(id).map(|held| (held.message, held.rest))
    }

    /// Takes a message that has waited too long.
    pub(crate) fn take_expired(&mut self, now: Uptime) -> Option<u64> {
        while let Some((until, id)) = self.deadlines.front().copied().filter(|(until, _)| *until <= now) {
            self.deadlines.pop_front();
            if self.messages.get(&id).is_some_and(|held| held.until == until) {
                return self.take(&id).map(|(message, _)| message);
            }
        }
        None
    }

    pub(crate) fn deadline(&self) -> Option<Uptime> {
        self.deadlines.front().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_and_expire() {
        let mut held = Held::default();
        let id = |n: usize| BlockId::of(&n.to_be_bytes());
        for n in 0..HELD_MAX {
            assert!(held.hold(Uptime::ZERO, n as u64, id(n), Vec::new()));
        }
        assert!(!held.hold(Uptime::ZERO, 0, id(HELD_MAX), Vec::new()), "no room");
        assert_eq!(held.take(&id(0)), Some((0, Vec::new())));

        assert_eq!(held.take_expired(Uptime::from_millis(2999)), None);
        let mut expired = 0;
        while held.take_expired(Uptime::from_secs(3)).is_some() {
            expired += 1;
        }
        assert_eq!(expired, HELD_MAX - 1);
        assert!(
            held.hold(Uptime::from_secs(3), 0, id(0), Vec::new()),
            "room again"
        );
    }
}
