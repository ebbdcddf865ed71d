//! What does the node hear of all this, and what is it told to do?

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{autonat, dcutr, relay, upnp};
use rustle_types::{Multiaddr, PeerId, Reach, address};

use super::NatEvent;
use super::observed::Observed;
use super::reachability::Reachability;
use crate::config::RESERVATIONS_KEPT_MAX;
use crate::task::Task;
use crate::{Event, NatCounters};

/// What the task of the swarm keeps about it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Places at relays, by the listener that stands for each.
    reservations: HashMap<ListenerId, Reservation>,
    reachability: Reachability,
    observed: Observed,
}

/// A place at a relay.
#[derive(Debug)]
struct Reservation {
    relay: PeerId,
    /// Where others reach us through it; without our own id.
    address: Multiaddr,
}

/// What came of it, since the start.
#[derive(Debug, Default)]
pub(crate) struct NatCounts {
    pub(crate) punched: AtomicU64,
    pub(crate) unpunched: AtomicU64,
    pub(crate) reservations: AtomicU64,
    pub(crate) circuits: AtomicU64,
    pub(crate) relay_refusals: AtomicU64,
    pub(crate) dial_backs: AtomicU64,
}

// === impl NatCounts ===

impl NatCounts {
    pub(crate) fn counters(&self) -> NatCounters {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NatCounters {
            punched: count(&self.punched),
            unpunched: count(&self.unpunched),
            reservations: count(&self.reservations),
            circuits: count(&self.circuits),
            relay_refusals: count(&self.relay_refusals),
            dial_backs: count(&self.dial_backs),
        }
    }
}

// === impl State ===

impl State {
    fn reservation(&self, relay: &PeerId) -> Option<(ListenerId, &Reservation)> {
        let mut all = self.reservations.iter();
        all.find(|(_, one)| one.relay == *relay)
            .map(|(listener, one)| (*listener, one))
    }

    /// Whether a listener is a place at a relay.
    pub(crate) fn is_reservation(&self, listener: ListenerId) -> bool {
        self.reservations.contains_key(&listener)
    }
}

// === impl Task ===

impl Task {
    /// Asks a relay for a place.
    pub(crate) fn reserve(&mut self, relay: PeerId, address: &Multiaddr) {
        if self.nat.reservation(&relay).is_some() {
            return;
        }
        let place = circuit(relay, address).filter(|_| self.nat.reservations.len() < RESERVATIONS_KEPT_MAX);
        let Some(place) = place else {
            tracing::debug!(%relay, %address, "no place at the relay is asked for: too many, or no address");
            self.outbox.push_back(Event::ReservationLost { relay });
            return;
        };
        match self.swarm.listen_on(place.clone()) {
            Ok(listener) => {
                let address = place;
                self.nat
                    .reservations
                    .insert(listener, Reservation { relay, address });
            }
            Err(error) => {
                tracing::debug!(%relay, %error, "cannot ask the relay for a place");
                self.outbox.push_back(Event::ReservationLost { relay });
            }
        }
    }

    /// Gives a place up.
    pub(crate) fn unreserve(&mut self, relay: &PeerId) {
        if let Some((listener, _)) = self.nat.reservation(relay) {
            // `on_reservation_ended` follows from the event of the listener.
            self.swarm.remove_listener(listener);
        }
    }

    /// The listener of a place has ended: it was given up or refused, or the connection with the relay is gone.
    pub(crate) fn on_reservation_ended(&mut self, listener: ListenerId, reason: &str) {
        let Some(Reservation { relay, address }) = self.nat.reservations.remove(&listener) else {
            return;
        };
        tracing::debug!(%relay, reason, "the relay keeps no place for this node");
        let full = address.with(Protocol::P2p(*self.swarm.local_peer_id()));
        self.swarm.remove_external_address(&full);
        self.outbox.push_back(Event::ReservationLost { relay });
    }

    /// A behaviour says that others can dial us there.
    pub(crate) fn on_external_address(&mut self, address: Multiaddr) {
        if address::is_relayed(&address) {
            // Told by `Event::Reserved`. Where the place was given up meanwhile, nobody is to hear of it.
            let wanted = address::relay(&address).is_some_and(|relay| self.nat.reservation(&relay).is_some());
            if !wanted {
                self.swarm.remove_external_address(&address);
            }
            return;
        }
        let is_news = self.nat.reachability.on_confirmed(address.clone());
        if is_news && !self.listens_on(&address) {
            self.outbox.push_back(Event::ExternalAddress { address });
        }
        self.tell_reachability();
    }

    /// A behaviour says that others cannot dial us there any more.
    pub(crate) fn on_external_expired(&mut self, address: Multiaddr) {
        if self.nat.reachability.on_expired(&address) {
            self.on_lost(address);
        }
        self.tell_reachability();
    }

    /// A listen address came. Where all can dial it, others may ask us whether they can be dialled.
    pub(crate) fn on_own_address(&mut self, address: &Multiaddr) {
        if self.autonat && Reach::of(address) == Some(Reach::Clear) {
            self.serve_dial_backs();
        }
    }

    /// A listen address went, as the node moved to another network. What was known of the old one is void.
    pub(crate) fn forget_reach(&mut self) {
        for address in self.nat.reachability.on_moved() {
            self.on_lost(address);
        }
        if let Some(probes) = self.swarm.behaviour_mut().nat.probes.as_mut() {
            probes.restart();
        }
        self.tell_reachability();
    }

    /// A peer that we dialled at `place` sees us somewhere.
    pub(crate) fn on_observed(&mut self, by: PeerId, place: &Multiaddr, seen: &Multiaddr) {
        // identify keeps to itself what is known already.
        let is_known = self.swarm.external_addresses().any(|known| known == seen);
        let is_confirmed = self.nat.observed.on_observed(by, place, seen);
        let nat = &mut self.swarm.behaviour_mut().nat;
        if let Some(punches) = nat.punches.as_mut()
            && (is_known || is_confirmed)
        {
            punches.add_candidate(seen);
        }
        if let Some(probes) = nat.probes.as_mut()
            && is_known
        {
            probes.add_candidate(seen);
        }
    }

    pub(crate) fn on_nat_event(&mut self, event: NatEvent) {
        let counts = &self.nat_counts;
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match event {
            NatEvent::Client(event) => self.on_relay_client_event(event),
            NatEvent::Server(event) => on_relay_server_event(counts, event),
            NatEvent::Punches(dcutr::Event {
                remote_peer_id: peer,
                result,
            }) => match result {
                Ok(_) => {
                    count(&counts.punched);
                    tracing::debug!(%peer, "the connection is direct now");
                }
                Err(error) => {
                    count(&counts.unpunched);
                    tracing::debug!(%peer, %error, "the connection stays relayed");
                    self.swarm.behaviour_mut().streams.give_up_direct(&peer);
                }
            },
            NatEvent::Probes(autonat::v2::client::Event {
                tested_addr,
                result,
                server,
                ..
            }) => {
                tracing::debug!(address = %tested_addr, %server, reached = result.is_ok(), "tried from outside");
                if result.is_err() {
                    if self.nat.reachability.on_failed(&tested_addr) {
                        self.on_lost(tested_addr);
                    }
                    self.tell_reachability();
                }
            }
            NatEvent::DialBacks(event) => {
                count(&counts.dial_backs);
                tracing::debug!(address = %event.tested_addr, client = %event.client, "dialled back");
            }
            NatEvent::Upnp(event) => match event {
                upnp::Event::NewExternalAddr { external_addr, .. } => {
                    tracing::info!(address = %external_addr, "the router has opened a port");
                }
                event => tracing::debug!(?event, "the router opens no port"),
            },
        }
    }

    fn on_relay_client_event(&mut self, event: relay::client::Event) {
        match event {
            relay::client::Event::ReservationReqAccepted {
                relay_peer_id: relay,
                renewal,
                ..
            } => {
                if let Some((_, reservation)) = self.nat.reservation(&relay)
                    && !renewal
                {
                    let address = reservation.address.clone();
                    self.outbox.push_back(Event::Reserved { relay, address });
                }
            }
            relay::client::Event::OutboundCircuitEstablished {
                relay_peer_id: relay, ..
            } => {
                tracing::debug!(%relay, "the relay passes a connection on to a peer");
            }
            relay::client::Event::InboundCircuitEstablished {
                src_peer_id: peer, ..
            } => {
                tracing::debug!(%peer, "a relay passes on a connection of a peer");
            }
        }
    }

    fn listens_on(&self, address: &Multiaddr) -> bool {
        self.swarm.listeners().any(|listening| listening == address)
    }

    /// Others cannot dial us there any more. Whether the addresses where we listen are announced all the same is decided by
    /// the standing of the node.
    fn on_lost(&mut self, address: Multiaddr) {
        self.standing.on_expired(&address);
        if !self.listens_on(&address) {
            self.swarm.remove_external_address(&address);
            self.outbox.push_back(Event::ExternalExpired { address });
        }
    }

    fn tell_reachability(&mut self) {
        let Some(reachable) = self.nat.reachability.news() else {
            return;
        };
        if reachable == Some(true) && self.autonat {
            self.serve_dial_backs();
        }
        self.standing.on_reachability(reachable);
        self.on_moved();
        self.outbox.push_back(Event::Reachability { reachable });
    }

    fn serve_dial_backs(&mut self) {
        let gate = self.swarm.behaviour().streams.gate().clone();
        self.swarm.behaviour_mut().nat.serve_dial_backs(&gate);
    }
}

fn on_relay_server_event(counts: &NatCounts, event: relay::Event) {
    let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    match event {
        relay::Event::ReservationReqAccepted {
            src_peer_id: peer,
            renewed,
        } => {
            count(&counts.reservations);
            tracing::debug!(%peer, renewed, "a place is kept for a peer");
        }
        relay::Event::CircuitReqAccepted {
            src_peer_id: from,
            dst_peer_id: to,
        } => {
            count(&counts.circuits);
            tracing::debug!(%from, %to, "a connection is passed on");
        }
        relay::Event::ReservationReqDenied {
            src_peer_id: peer,
            status,
        } => {
            count(&counts.relay_refusals);
            tracing::debug!(%peer, ?status, "no place is kept for a peer");
        }
        relay::Event::CircuitReqDenied {
            src_peer_id: from,
            dst_peer_id: to,
            status,
        } => {
            count(&counts.relay_refusals);
            tracing::debug!(%from, %to, ?status, "a connection is not passed on");
        }
        event => tracing::trace!(?event, "relay"),
    }
}

/// Where others reach us through `relay`, which is at `address`.
fn circuit(relay: PeerId, address: &Multiaddr) -> Option<Multiaddr> {
    let mut place = address.clone();
    if address::peer(&place).is_some() {
        place.pop();
    }
    let is_place = address::is_dialable(&place) && !address::is_relayed(&place);
    is_place.then(|| place.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circuits_name_their_relay() {
        let relay = PeerId::random();
        let bare: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let named = bare.clone().with(Protocol::P2p(relay));
        let place = circuit(relay, &bare).unwrap();
        assert_eq!(
            place.to_string(),
            format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit")
        );
        assert_eq!(circuit(relay, &named), Some(place.clone()));
        assert_eq!(circuit(relay, &place), None);
        assert_eq!(circuit(relay, &Multiaddr::empty()), None);
    }
}
