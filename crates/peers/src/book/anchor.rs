//! Whom to dial first after a restart?
//!
//! Whoever fills a book with his own peers waits for the restart of its node. So the two outbound connections that have
//! lasted longest are marked in their records, and are dialled before anything is drawn. The marks are on disk while the
//! connections stand and so survive a kill; Bitcoin Core writes its anchors only at the end.
//!
//! A mark outlives its connection, because at the end of a node all connections end. It moves only to another connection
//! that has proved steady, and falls when the peer turns out to be of another network. Needed peers get no mark: they are
//! dialled at every start anyway.

use std::time::Duration;

use rustle_types::{PeerId, Uptime};

use super::Book;
use super::entry::Entry;

/// Peers that are marked at once.
pub const ANCHORS_MAX: usize = 2;
/// A connection that lasted so long takes over the mark of one that ended.
pub const ANCHOR_STEADY: Duration = Duration::from_secs(600);

impl Book {
    /// The peers to be dialled first after a restart.
    pub fn anchors(&self) -> impl Iterator<Item = PeerId> {
        self.anchors.iter().copied()
    }

    /// The anchors that may be dialled now.
    pub fn anchors_ready(&self, now: Uptime) -> Vec<PeerId> {
        let is_ready = |peer: &PeerId| self.entries.get(peer).is_some_and(|entry| entry.is_ready(now));
        self.anchors().filter(is_ready).collect()
    }

    /// Marks the outbound connections that have lasted longest.
    pub(super) fn refresh_anchors(&mut self, now: Uptime) {
        let is_unfit = |entry: &Entry| entry.is_needed() || !entry.anchor;
        let unfit = |peer: &PeerId| self.entries.get(peer).is_none_or(is_unfit);
        self.anchors = self.anchors.iter().copied().filter(|peer| !unfit(peer)).collect();
        while self.anchors.len() < ANCHORS_MAX {
            let Some((_, peer)) = self.longest_unmarked() else {
                return;
            };
            self.mark(peer, true);
        }
        let is_lost = |peer: &PeerId| {
            self.entries
                .get(peer)
                .is_none_or(|entry| entry.outbound.is_none())
        };
        let lost: Vec<PeerId> = self.anchors().filter(is_lost).collect();
        for lost in lost {
            match self.longest_unmarked() {
                Some((since, peer)) if since + ANCHOR_STEADY <= now => {
                    self.mark(lost, false);
                    self.mark(peer, true);
                }
                _ => return,
            }
        }
    }

    fn longest_unmarked(&self) -> Option<(Uptime, PeerId)> {
        let is_unmarked = |peer: &PeerId| {
            self.entries
                .get(peer)
                .is_some_and(|entry| !entry.anchor && !entry.is_needed())
        };
        self.index.outbound().find(|(_, peer)| is_unmarked(peer))
    }

    pub(super) fn mark(&mut self, peer: PeerId, is_anchor: bool) {
        self.update(&peer, |entry| entry.anchor = is_anchor);
        self.touch(&peer);
        if is_anchor {
            self.anchors.insert(peer);
        } else {
            self.anchors.remove(&peer);
        }
    }
}
