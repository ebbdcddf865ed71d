//! Who keeps a place for us when nobody can dial us?
//!
//! A node behind a NAT is reached through relays: peers that offer to relay keep a reservation for it, and the addresses
//! through them go into what it tells others. A direct connection takes over from there.

use std::collections::BTreeMap;
use std::time::Duration;

use rustle_types::{Multiaddr, Now, PeerId, Uptime};
use rustle_wire::Services;

use super::Manager;
use crate::Output;

/// Relays that keep a place for us at once: two, so that the loss of one is no silence.
const RELAYS_MAX: usize = 2;
/// A relay that would not have us is not asked again for so long.
const REFUSED_WAIT: Duration = Duration::from_secs(120);
/// Relays remembered as such.
const REFUSED_MAX: usize = 64;
/// How soon to look again where nobody offers to relay.
const SEEK_EVERY: Duration = Duration::from_secs(10);

/// What is known of our own reachability, and who relays for us.
#[derive(Debug, Default)]
pub(super) struct Relays {
    reachable: Option<bool>,
    /// Relays that were asked, and whether they have agreed.
    held: BTreeMap<PeerId, bool>,
    refused: BTreeMap<PeerId, Uptime>,
    next: Option<Uptime>,
}

// === impl Relays ===

impl Relays {
    pub(super) const fn next_try(&self) -> Option<Uptime> {
        self.next
    }

    /// How many relays keep a place for us.
    pub(super) fn held(&self) -> usize {
        self.held.values().filter(|agreed| **agreed).count()
    }
}

// === impl Manager ===

impl Manager {
    pub(super) fn on_listening(&mut self, now: Now, addresses: Vec<Multiaddr>) {
        self.book.set_listening(addresses.clone());
        self.listening = addresses;
        self.seek_relays(now);
    }

    pub(super) fn on_reachability(&mut self, now: Now, reachable: Option<bool>) {
        self.relays.reachable = reachable;
        if reachable == Some(false) && !self.config.light {
            self.relays.next = Some(now.uptime);
            self.seek_relays(now);
            return;
        }
        self.relays.next = None;
        if reachable == Some(true) {
            for relay in std::mem::take(&mut self.relays.held).into_keys() {
                self.outbox.push(Output::Unreserve { relay });
            }
        }
    }

    pub(super) fn on_reserved(&mut self, relay: PeerId) {
        if let Some(agreed) = self.relays.held.get_mut(&relay) {
            *agreed = true;
        }
    }

    pub(super) fn on_reservation_lost(&mut self, now: Now, relay: PeerId) {
        if self.relays.held.remove(&relay).is_none() {
            return;
        }
        if REFUSED_MAX <= self.relays.refused.len() {
            let first = self.relays.refused.iter().min_by_key(|(_, until)| **until);
            let first = first.map(|(relay, _)| *relay);
            first.map(|relay| self.relays.refused.remove(&relay));
        }
        self.relays.refused.insert(relay, now.uptime + REFUSED_WAIT);
        if self.relays.reachable == Some(false) {
            self.relays.next = Some(now.uptime + SEEK_EVERY);
        }
    }

    pub(super) fn on_relay_gone(&mut self, peer: &PeerId) {
        if self.relays.held.remove(peer).is_some() && self.relays.reachable == Some(false) {
            // The transport gives up the reservation with the connection; another relay is looked for at the next chance.
            self.relays.next = Some(Uptime::ZERO);
        }
    }

    /// Asks peers that offer to relay, while this node cannot be dialled.
    pub(super) fn seek_relays(&mut self, now: Now) {
        if self.relays.next.is_none_or(|next| now.uptime < next) {
            return;
        }
        self.relays.refused.retain(|_, until| now.uptime < *until);
        let offers = self.links.iter().filter(|(_, one)| {
            let offers = one
                .hello()
                .is_some_and(|hello| hello.services.contains(Services::RELAY));
            offers && !one.is_relayed() && one.is_outbound()
        });
        let offers = offers.map(|(_, one)| (one.peer, one.address.clone()));
        let new = offers.filter(|(relay, _)| {
            !self.relays.held.contains_key(relay) && !self.relays.refused.contains_key(relay)
        });
        let missing = RELAYS_MAX.saturating_sub(self.relays.held.len());
        let chosen: BTreeMap<PeerId, Multiaddr> = new.collect();
        for (relay, address) in chosen.into_iter().take(missing) {
            self.relays.held.insert(relay, false);
            self.outbox.push(Output::Reserve { relay, address });
        }
        let is_short = self.relays.held.len() < RELAYS_MAX;
        self.relays.next = is_short.then(|| now.uptime + SEEK_EVERY);
    }

    /// What this node offers now.
    pub(super) fn services(&self) -> Services {
        if self.config.light {
            return Services::LIGHT;
        }
        match self.relays.reachable {
            // Whoever cannot be dialled can relay for nobody, either.
            Some(false) => self
                .config
                .services
                .without(Services::INBOUND.and(Services::RELAY)),
            Some(true) | None => self.config.services,
        }
    }
}
