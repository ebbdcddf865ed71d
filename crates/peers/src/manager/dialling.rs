//! Whom to dial, and what to tell whoever asked for it.
//!
//! Four kinds of dials: addresses that the operator gave (boot and static), peers that the node needs (members of its
//! chains), peers of the book while there are too few, and feelers, which only find out whether an address is good.

use std::time::Duration;

use rand::RngExt as _;
use rustle_types::{ConnectionId, Multiaddr, Now, PeerId, Reach, Uptime, address};

use super::{CONNECT_TIMEOUT, Manager};
use crate::book::{Learned, Need, STEADY, Source, SourceKind, Wish, back_off};
use crate::connection::Connection;
use crate::{ConnectError, DialFailure, Output, Why};

/// Requests for a connection that may wait at once.
pub const CONNECTS_MAX: usize = 64;
/// Dials to peers of the book that may be under way at once.
const DIALS_MAX: usize = 8;
/// Dials to peers that the node needs that may be under way at once.
const NEEDED_DIALS_MAX: usize = 16;
/// Peers of the book that are looked at, for these dials, at one time; and how long to wait where that did not suffice.
const PICKS_MAX: usize = 32;
const PICK_PAUSE: Duration = Duration::from_secs(1);
/// First and longest back-off of an address that the operator gave.
const BOOT_BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BOOT_BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// How often one more peer is dialled while there are enough, but fewer than the target.
pub(super) const GROW_EVERY: Duration = Duration::from_secs(30);

/// Why a dial was started.
#[derive(Debug)]
pub(super) enum Dial {
    Connect(u64),
    Boot(usize),
    Known { peer: PeerId, why: Why },
}

#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) address: Multiaddr,
    pub(super) deadline: Uptime,
}

/// An address that the operator gave: dialled whenever the peer that lives there is not connected, whichever of the two
/// dialled. A boot address is left alone while there are enough peers, a static one never.
#[derive(Debug)]
pub(super) struct Boot {
    address: Multiaddr,
    pub(super) is_static: bool,
    /// It leads to this node itself.
    pub(super) is_own: bool,
    /// Who lives there: what the address says, else who answered there last.
    pub(super) peer: Option<PeerId>,
    failures: u32,
    ready: Uptime,
    /// Dialling, or connected through this connection.
    busy: bool,
    pub(super) connection: Option<ConnectionId>,
}

// === impl Boot ===

impl Boot {
    pub(super) fn new(address: &Multiaddr, is_static: bool) -> Self {
        Self {
            address: address.clone(),
            is_static,
            is_own: false,
            peer: address::peer(address),
            failures: 0,
            ready: Uptime::ZERO,
            busy: false,
            connection: None,
        }
    }
}

// === impl Manager ===

impl Manager {
    fn dial(&mut self, why: Dial, peer: Option<PeerId>, addresses: Vec<Multiaddr>) {
        let request = self.next_dial;
        self.next_dial += 1;
        self.counters.on_dial(match &why {
            Dial::Connect(_) => Why::Asked,
            Dial::Boot(index) if self.boot.get(*index).is_some_and(|boot| boot.is_static) => Why::Static,
            Dial::Boot(_) => Why::Boot,
            Dial::Known { why, .. } => *why,
        });
        self.dials.insert(request, why);
        self.outbox.push(Output::Dial {
            request,
            peer,
            addresses,
        });
    }

    pub(super) fn on_connect(&mut self, now: Now, request: u64, address: Multiaddr) {
        let peer = address::peer(&address);
        let refused = if CONNECTS_MAX <= self.connects.len() {
            Some(Err(ConnectError::Busy))
        } else if let Some(peer) = peer.filter(|peer| self.is_up(peer)) {
            Some(Ok(peer))
        } else if peer == Some(self.config.local) || self.listening.contains(&address) {
            Some(Err(ConnectError::SelfConnection {
                address: address.clone(),
            }))
        } else {
            self.banned_at(now, &address, peer)
                .map(|banned| Err(ConnectError::Banned(banned)))
        };
        if let Some(result) = refused {
            self.outbox.push(Output::Connect { request, result });
            return;
        }
        let deadline = now.uptime + CONNECT_TIMEOUT;
        let wanted = Wanted {
            address: address.clone(),
            deadline,
        };
        self.connects.insert(request, wanted);
        if let Some(peer) = peer {
            self.book.on_asked(now.wall, &peer);
        }
        self.dial(Dial::Connect(request), peer, vec![address]);
    }

    pub(super) fn on_dial_failed(&mut self, now: Now, request: u64, why: DialFailure, error: String) {
        let dial = self.dials.remove(&request);
        if dial.is_some() {
            self.counters.on_dial_failed(why.name());
        }
        match dial {
            Some(Dial::Connect(connect)) => self.answer(connect, |address| match why {
                DialFailure::Myself => Err(ConnectError::SelfConnection { address }),
                _ => Err(ConnectError::Unreachable { address, error }),
            }),
            Some(Dial::Boot(index)) => {
                if let Some(boot) = self.boot.get_mut(index) {
                    boot.is_own |= why == DialFailure::Myself;
                }
                self.on_boot_lost(now, index);
            }
            Some(Dial::Known { peer, .. }) => self.book.on_failed(now, &peer, &mut self.rng),
            None => {}
        }
        self.persist_book();
    }

    fn on_boot_lost(&mut self, now: Now, index: usize) {
        if let Some(boot) = self.boot.get_mut(index) {
            boot.busy = false;
            boot.connection = None;
            let wait = back_off(BOOT_BACK_OFF_MIN, boot.failures, BOOT_BACK_OFF_MAX, &mut self.rng);
            boot.ready = now.uptime + wait;
            boot.failures = boot.failures.saturating_add(1);
        }
    }

    /// A boot address whose connection was the lesser of two is still served by the other; only when the peer is gone
    /// altogether it is dialled again. The waits grow until a connection has lasted.
    pub(super) fn on_boot_disconnected(&mut self, now: Now, id: ConnectionId, connection: &Connection) {
        let is_gone = !self.is_connected(&connection.peer);
        let has_lasted = STEADY <= now.uptime - connection.since;
        for index in 0..self.boot.len() {
            let boot = &mut self.boot[index];
            let is_own = boot.connection == Some(id);
            let was_served = !boot.busy && boot.peer == Some(connection.peer);
            if is_own {
                boot.busy = false;
                boot.connection = None;
            }
            if is_gone && (is_own || was_served) {
                if has_lasted {
                    boot.failures = 0;
                }
                self.on_boot_lost(now, index);
            }
        }
    }

    /// A boot node of another network is not asked again every second.
    pub(super) fn back_off_boot(&mut self, now: Now, id: ConnectionId) {
        if let Some(boot) = self.boot.iter_mut().find(|boot| boot.connection == Some(id)) {
            boot.failures = 10;
            boot.ready = now.uptime + BOOT_BACK_OFF_MAX;
        }
    }

    /// Dials first whom it trusted before a restart; then addresses of the operator that are not connected, peers that the
    /// node needs, and while it has few peers any it knows.
    pub(super) fn fill(&mut self, now: Now) {
        self.fill_anchors(now);
        let mut wake = self.fill_boot(now);
        wake = earliest(wake, self.fill_needed(now));
        wake = earliest(wake, self.fill_known(now));
        self.wake = wake;
    }

    /// How many peers are missing: to the lower bound, and to the places that this node fills itself.
    fn missing(&self) -> usize {
        let (counts, targets) = (self.links.counts(), self.config.targets);
        let dials = self.dials.values();
        let on_the_way = dials.filter(|dial| dial.is_for_a_chosen_place()).count() + counts.greeting_outbound;
        let to_lower = targets.lower.saturating_sub(counts.up() + on_the_way);
        let to_outbound = targets.outbound.saturating_sub(counts.outbound + on_the_way);
        to_lower.max(to_outbound)
    }

    /// Peers that were trusted before the restart are dialled whatever else there is, until each was there once; after that
    /// they come first where a place is missing.
    fn fill_anchors(&mut self, now: Now) {
        let is_room = self.links.counts().up() < self.config.targets.upper;
        for peer in self.book.anchors_ready(now.uptime) {
            let is_awaited = self.awaited.contains(&peer) && is_room;
            if (is_awaited || 0 < self.missing()) && !self.links.is_connected(&peer) {
                self.dial_known(now, peer, Why::Anchor);
            }
        }
    }

    /// Gives when the next of them may be dialled.
    fn fill_boot(&mut self, now: Now) -> Option<Uptime> {
        let is_short = self.is_short();
        let mut wake = None;
        for index in 0..self.boot.len() {
            let boot = &self.boot[index];
            let is_served = boot
                .peer
                .is_some_and(|peer| peer == self.config.local || self.is_connected(&peer));
            if boot.is_own || boot.busy || is_served || !(is_short || boot.is_static) {
                continue;
            }
            if now.uptime < boot.ready {
                wake = earliest(wake, Some(boot.ready));
                continue;
            }
            let address = boot.address.clone();
            if self.banned_at(now, &address, address::peer(&address)).is_some() {
                // Until the rule ends.
                self.boot[index].ready = now.uptime + BOOT_BACK_OFF_MAX;
                wake = earliest(wake, Some(now.uptime + BOOT_BACK_OFF_MAX));
                continue;
            }
            self.boot[index].busy = true;
            // Without a name in the address, whoever lives there now is welcome.
            self.dial(Dial::Boot(index), address::peer(&address), vec![address]);
        }
        wake
    }

    fn fill_needed(&mut self, now: Now) -> Option<Uptime> {
        let under_way = self
            .dials
            .values()
            .filter(|dial| matches!(dial, Dial::Known { why: Why::Needed, .. }))
            .count();
        let room = self
            .config
            .targets
            .upper
            .saturating_sub(self.links.counts().up() + under_way);
        let room = room.min(NEEDED_DIALS_MAX.saturating_sub(under_way));
        let ready = self
            .book
            .needed_ready(now.uptime)
            .filter(|peer| !self.links.is_connected(peer));
        let ready: Vec<PeerId> = ready.take(room).collect();
        for peer in ready {
            self.dial_known(now, peer, Why::Needed);
        }
        self.book.next_needed_ready(now.uptime)
    }

    /// A search in vain is not made again at each event: whoever is due later is dialled when he is, whoever is heard of at
    /// once, and whoever else becomes free a second later.
    fn fill_known(&mut self, now: Now) -> Option<Uptime> {
        let mut room = self
            .missing()
            .min(DIALS_MAX.saturating_sub(self.dials_under_way()));
        if room == 0 {
            return None;
        }
        if let Some(barren) = self.barren.filter(|until| now.uptime < *until) {
            let is_due = self.book.is_anybody_due(now.uptime);
            return earliest(self.book.next_ready(now.uptime), is_due.then_some(barren));
        }
        self.barren = None;
        for _ in 0..PICKS_MAX {
            if room == 0 {
                return None;
            }
            let Some(peer) = self.pick(now, None) else {
                break;
            };
            room -= usize::from(self.dial_known(now, peer, Why::Known));
        }
        let (next, pause) = (self.book.next_ready(now.uptime), now.uptime + PICK_PAUSE);
        self.barren = earliest(next, Some(pause));
        let is_due = self.book.is_anybody_due(now.uptime);
        earliest(next, is_due.then_some(pause))
    }

    /// A peer of the book that may be dialled now, in a group of the public internet that no other outbound connection
    /// leads into, where there is one.
    fn pick(&mut self, now: Now, reach: Option<Reach>) -> Option<PeerId> {
        let Self { book, links, rng, .. } = self;
        let excluded = |peer: &PeerId| links.is_connected(peer);
        let wish = Wish {
            reach,
            groups: links.groups(),
            excluded: &excluded,
        };
        let found = book.pick(now, &wish, rng);
        // A small network may live in one group.
        let groups = std::collections::BTreeSet::new();
        found.or_else(|| {
            book.pick(
                now,
                &Wish {
                    groups: &groups,
                    ..wish
                },
                rng,
            )
        })
    }

    /// Dials a peer of the book; whether there was anything to dial.
    fn dial_known(&mut self, now: Now, peer: PeerId, why: Why) -> bool {
        if self.is_shut_out(now, &peer) {
            self.book.on_banned(now.uptime, &peer);
            return false;
        }
        let addresses = self.book.start_dial(now, &peer).unwrap_or_default();
        let here = |address: &Multiaddr| {
            let class = Reach::of(address);
            class.is_some_and(|class| self.config.reaches.contains(&class))
                && !self.listening.contains(address)
                && self.banned_at(now, address, Some(peer)).is_none()
        };
        let addresses: Vec<Multiaddr> = addresses.into_iter().filter(here).collect();
        if addresses.is_empty() {
            self.book.on_failed(now, &peer, &mut self.rng);
            return false;
        }
        self.dial(Dial::Known { peer, why }, Some(peer), addresses);
        true
    }

    /// Whether a ban of ours covers all addresses of a peer, which says nothing of how it would answer.
    pub(super) fn is_shut_out(&self, now: Now, peer: &PeerId) -> bool {
        let addresses = self.book.addresses(peer);
        let is_banned = |address: &Multiaddr| self.banned_at(now, address, Some(*peer)).is_some();
        !addresses.is_empty() && addresses.iter().all(is_banned)
    }

    pub(super) fn dials_under_way(&self) -> usize {
        self.dials.values().filter(|dial| dial.is_for_a_place()).count()
    }

    /// One more peer while there are fewer than the target, and one for each network that none is reached through, however
    /// many there are: one of those that dialled in gives way to it.
    pub(super) fn grow(&mut self, now: Now) {
        let (counts, targets) = (self.links.counts(), self.config.targets);
        for reach in self.config.reaches.clone() {
            if reach == Reach::Local || self.links.reaches(reach) {
                continue;
            }
            if let Some(peer) = self.pick(now, Some(reach)) {
                self.dial_known(now, peer, Why::Known);
            }
        }
        let is_wanted = targets.lower <= counts.up()
            && counts.up() < targets.target
            && counts.outbound < (targets.target / 2).max(targets.outbound);
        if is_wanted
            && self.dials_under_way() == 0
            && let Some(peer) = self.pick(now, None)
        {
            self.dial_known(now, peer, Why::Known);
        }
    }

    /// Tests one address that was only heard of, or whose place another wants.
    pub(super) fn feel(&mut self, now: Now) {
        let is_feeling = |dial: &Dial| matches!(dial, Dial::Known { why: Why::Feeler, .. });
        if self.dials.values().any(is_feeling) {
            return;
        }
        let (links, rng) = (&self.links, &mut self.rng);
        if let Some(peer) = self.book.feeler(now, &|peer| links.is_connected(peer), rng) {
            self.dial_known(now, peer, Why::Feeler);
        }
    }

    /// An exponentially distributed wait, so that nobody can foresee when an address is tested.
    pub(super) fn feeler_wait(&mut self) -> Duration {
        let uniform: f64 = self.rng.random_range(1e-9..1.0);
        self.config
            .feeler_every
            .mul_f64((-uniform.ln()).clamp(0.01, 10.0))
    }

    pub(super) fn on_learned(&mut self, now: Now, peer: PeerId, addresses: Vec<Multiaddr>, kind: SourceKind) {
        let source = Source::of_kind(kind);
        if kind == SourceKind::Invitation {
            self.book.need(now, peer, addresses, source, Need::Member);
        } else if self.book.learn(now, peer, addresses, source) == Learned::Added {
            self.barren = None;
        }
        self.persist_book();
    }

    /// Enters what was heard of a peer; `teller` is where it was heard from.
    pub(super) fn learn(
        &mut self,
        now: Now,
        peer: PeerId,
        addresses: &[Multiaddr],
        kind: SourceKind,
        teller: &Multiaddr,
    ) -> Learned {
        let source = Source::at(kind, teller);
        let learned = self.book.learn(now, peer, addresses.iter().cloned(), source);
        if learned == Learned::Added {
            self.barren = None;
        }
        learned
    }

    pub(super) fn persist_book(&mut self) {
        while self.book.has_changes() {
            let changes = self.book.take_changes();
            self.outbox.push(Output::Persist(changes));
        }
    }

    /// Answers a request for a connection, if it still waits.
    pub(super) fn answer(
        &mut self,
        request: u64,
        result: impl FnOnce(Multiaddr) -> Result<PeerId, ConnectError>,
    ) {
        if let Some(wanted) = self.connects.remove(&request) {
            self.outbox.push(Output::Connect {
                request,
                result: result(wanted.address),
            });
        }
    }

    /// Answers the request that led to a connection.
    pub(super) fn answer_for(
        &mut self,
        id: ConnectionId,
        result: impl FnOnce(Multiaddr) -> Result<PeerId, ConnectError>,
    ) {
        let request = self
            .links
            .get_mut(id)
            .and_then(|connection| connection.request.take());
        if let Some(request) = request {
            self.answer(request, result);
        }
    }
}

// === impl Dial ===

impl Dial {
    /// Whether it may fill one of the places for peers.
    const fn is_for_a_place(&self) -> bool {
        match self {
            Self::Boot(_) => true,
            Self::Known { why, .. } => !matches!(why, Why::Feeler),
            Self::Connect(_) => false,
        }
    }

    const fn is_for_a_chosen_place(&self) -> bool {
        self.is_for_a_place() && !matches!(self, Self::Known { why: Why::Needed, .. })
    }
}

fn earliest(one: Option<Uptime>, other: Option<Uptime>) -> Option<Uptime> {
    one.into_iter().chain(other).min()
}
