//! When does a node go to which rendezvous point, and what for?
//!
//! It stays registered under its network at each point, looks there for others now and then, and does the same under
//! further names as it is told. Each point has its own pace: one that fails is left alone for longer and longer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt as _;
use rustle_types::{ConnectionId, Multiaddr, PeerId, address};
use rustle_wire::rendezvous::{Namespace, Refusal};

use super::record::Style;
use super::visit::{Errand, Outcome, Report, Visit};
use crate::Identity;
use crate::config::{ADVERTISED_NAMES_MAX, QUESTIONS_QUEUED_MAX, RENDEZVOUS_POINTS_MAX};

/// For how long a registration is to hold: not long, so that a point does not tell of nodes that are gone.
const TTL_WANTED: Duration = Duration::from_secs(30 * 60);
/// The same at points that take no less than what the specification recommends.
const TTL_SPECIFIED: Duration = Duration::from_secs(2 * 60 * 60);
/// The shortest time between two renewals, whatever a point grants.
const RENEWAL_MIN: Duration = Duration::from_secs(30);
/// Addresses that change often are told together.
const MOVE_DELAY: Duration = Duration::from_secs(5);
/// Between two questions who is there, in the mean.
const QUESTION_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// After a failure; doubled with each further one up to the bound.
const BACK_OFF: Duration = Duration::from_secs(5);
const BACK_OFF_MAX: Duration = Duration::from_secs(10 * 60);

/// The rendezvous points of a node.
#[derive(Debug)]
pub(crate) struct Client {
    identity: Identity,
    /// The namespace of the network, in which others are looked for without being asked to.
    network: Namespace,
    /// Under what else to be registered; at most `ADVERTISED_NAMES_MAX`.
    names: BTreeSet<Namespace>,
    /// At most `RENDEZVOUS_POINTS_MAX`.
    points: Vec<Point>,
}

/// What the swarm is to do.
#[derive(Debug)]
pub(crate) enum Start {
    /// Connect with a point.
    Dial { peer: PeerId, addresses: Vec<Multiaddr> },
    /// Go through a visit, and give its report.
    Visit(Box<Visit>),
}

#[derive(Debug)]
struct Point {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    /// Connections that are admitted, and the address of its end of them.
    connections: Vec<(ConnectionId, Multiaddr)>,
    /// When each registration is to be renewed; also of those that are no more wanted.
    renewals: BTreeMap<Namespace, Instant>,
    /// Questions that were asked for; at most `QUESTIONS_QUEUED_MAX`.
    questions: BTreeSet<Namespace>,
    /// When to ask next who is in the network, and after what.
    question: Instant,
    cookie: Bytes,
    style: Style,
    tried_both: bool,
    ttl: Duration,
    /// A visit is under way.
    busy: bool,
    failures: u32,
    /// Not before.
    ready: Instant,
}

// === impl Client ===

impl Client {
    /// A client of the points at `addresses`, each of which names its peer.
    pub(crate) fn new(identity: Identity, network: Namespace, addresses: &[Multiaddr], now: Instant) -> Self {
        let mut points = Vec::<Point>::new();
        for address in addresses {
            let Some(peer) = address::peer(address).filter(|peer| *peer != identity.peer_id()) else {
                tracing::warn!(%address, "no rendezvous point of another node, which /p2p/ would name");
                continue;
            };
            match points.iter().position(|point| point.peer == peer) {
                Some(index) => points[index].addresses.push(address.clone()),
                None if points.len() < RENDEZVOUS_POINTS_MAX => {
                    points.push(Point::new(peer, address.clone(), now));
                }
                None => {
                    tracing::warn!(%address, max = RENDEZVOUS_POINTS_MAX, "one rendezvous point too many")
                }
            }
        }
        Self {
            identity,
            network,
            names: BTreeSet::new(),
            points,
        }
    }

    /// Registers under one more namespace, from now on; false where there are too many.
    pub(crate) fn advertise(&mut self, namespace: Namespace) -> bool {
        if namespace == self.network || self.names.contains(&namespace) {
            return true;
        }
        self.names.len() < ADVERTISED_NAMES_MAX && self.names.insert(namespace)
    }

    /// Ends the registrations under a namespace.
    pub(crate) fn unadvertise(&mut self, namespace: &Namespace) {
        self.names.remove(namespace);
    }

    /// Asks all points once who is registered under a namespace.
    pub(crate) fn discover(&mut self, namespace: &Namespace, now: Instant) {
        for point in &mut self.points {
            if *namespace == self.network {
                point.question = now;
            } else if point.questions.len() < QUESTIONS_QUEUED_MAX {
                point.questions.insert(namespace.clone());
            }
        }
    }

    /// A connection with a peer, at `address`, is of use.
    pub(crate) fn on_admitted(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        address: Multiaddr,
        now: Instant,
    ) {
        if let Some(point) = self.point(peer)
            && !point.connections.iter().any(|(known, _)| *known == connection)
        {
            point.connections.push((connection, address));
            point.ready = now;
        }
    }

    /// A connection is gone.
    pub(crate) fn on_disconnected(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(point) = self.point(peer) {
            point.connections.retain(|(known, _)| *known != connection);
        }
    }

    /// Where this node can be dialled has changed.
    pub(crate) fn on_moved(&mut self, now: Instant) {
        for point in &mut self.points {
            for renewal in point.renewals.values_mut() {
                *renewal = (*renewal).min(now + MOVE_DELAY);
            }
        }
    }

    /// The address at which a point is connected.
    pub(crate) fn reached_at(&self, peer: PeerId) -> Option<&Multiaddr> {
        let point = self.points.iter().find(|point| point.peer == peer)?;
        point.connections.first().map(|(_, address)| address)
    }

    /// What is due. `can_register` tells whether a point can be told where this node is.
    pub(crate) fn due(&mut self, now: Instant, can_register: impl Fn(&Multiaddr) -> bool) -> Vec<Start> {
        let (identity, network, names) = (&self.identity, &self.network, &self.names);
        let due = self.points.iter_mut().filter_map(|point| {
            if point.busy || now < point.ready {
                return None;
            }
            let connected = point.connections.first().map(|(_, address)| address);
            let address = connected.or(point.addresses.first())?;
            let errands = point.errands(now, network, names, can_register(address));
            if errands.is_empty() {
                return None;
            }
            if connected.is_none() {
                point.back_off(now);
                let (peer, addresses) = (point.peer, point.addresses.clone());
                return Some(Start::Dial { peer, addresses });
            }
            point.busy = true;
            Some(Start::Visit(Box::new(Visit {
                point: point.peer,
                identity: identity.clone(),
                style: point.style,
                ttl: point.ttl,
                errands,
            })))
        });
        due.collect()
    }

    /// A visit is over.
    pub(crate) fn on_report(&mut self, report: &Report, now: Instant) {
        let network = self.network.clone();
        let Some(point) = self.point(report.point) else {
            return;
        };
        point.busy = false;
        let mut failure = None;
        for (errand, outcome) in &report.outcomes {
            failure = point.settle(now, &network, errand, outcome).or(failure);
        }
        if report.dislikes_ttl() && std::mem::replace(&mut point.ttl, TTL_SPECIFIED) != TTL_SPECIFIED {
            return;
        }
        if report.dislikes_record() {
            point.style = point.style.other();
            // The other style may do, so it is tried at once; after that there is no hurry.
            if !std::mem::replace(&mut point.tried_both, true) {
                return;
            }
        }
        match failure {
            None => point.failures = 0,
            Some(why) => {
                if point.failures == 0 {
                    tracing::warn!(peer = %point.peer, why, "a rendezvous point does not serve; it is tried again");
                }
                point.back_off(now);
            }
        }
    }

    fn point(&mut self, peer: PeerId) -> Option<&mut Point> {
        self.points.iter_mut().find(|point| point.peer == peer)
    }
}

// === impl Point ===

impl Point {
    fn new(peer: PeerId, address: Multiaddr, now: Instant) -> Self {
        Self {
            peer,
            addresses: vec![address],
            connections: Vec::new(),
            renewals: BTreeMap::new(),
            questions: BTreeSet::new(),
            question: now,
            cookie: Bytes::new(),
            style: Style::Standard,
            tried_both: false,
            ttl: TTL_WANTED,
            busy: false,
            failures: 0,
            ready: now,
        }
    }

    fn wants_renewal(&self, now: Instant, namespace: &Namespace) -> bool {
        self.renewals.get(namespace).is_none_or(|renewal| *renewal <= now)
    }

    fn errands(
        &self,
        now: Instant,
        network: &Namespace,
        names: &BTreeSet<Namespace>,
        can_register: bool,
    ) -> Vec<Errand> {
        let mut errands = Vec::new();
        let left = self
            .renewals
            .keys()
            .filter(|known| *known != network && !names.contains(*known));
        errands.extend(left.map(|namespace| Errand::Unregister {
            namespace: namespace.clone(),
        }));
        if can_register {
            let wanted = [network].into_iter().chain(names);
            let wanted = wanted.filter(|namespace| self.wants_renewal(now, namespace));
            errands.extend(wanted.map(|namespace| Errand::Register {
                namespace: namespace.clone(),
            }));
        }
        if self.question <= now {
            errands.push(Errand::Discover {
                namespace: network.clone(),
                cookie: self.cookie.clone(),
            });
        }
        errands.extend(self.questions.iter().map(|namespace| Errand::Discover {
            namespace: namespace.clone(),
            cookie: Bytes::new(),
        }));
        errands
    }

    /// Notes what came of an errand; tells why it failed, if it did.
    fn settle(
        &mut self,
        now: Instant,
        network: &Namespace,
        errand: &Errand,
        outcome: &Outcome,
    ) -> Option<&'static str> {
        match (errand, outcome) {
            (Errand::Register { namespace }, Outcome::Holds(held)) => {
                let half = held.min(&TTL_SPECIFIED).div_f64(2.0);
                let renewal = now + jittered(half).max(RENEWAL_MIN);
                self.renewals.insert(namespace.clone(), renewal);
            }
            (Errand::Register { .. }, Outcome::Refused(Refusal::Unavailable)) => {
                return Some("it has no room, or is asked too often");
            }
            (Errand::Unregister { namespace }, _) => {
                // Where it failed, the registration ends by itself.
                self.renewals.remove(namespace);
            }
            (Errand::Discover { namespace, .. }, Outcome::Read(cookie)) if namespace == network => {
                self.cookie = cookie.clone();
                self.question = now + jittered(QUESTION_INTERVAL);
            }
            (Errand::Discover { cookie, .. }, Outcome::Refused(Refusal::Cookie)) if !cookie.is_empty() => {
                self.cookie = Bytes::new();
            }
            (Errand::Discover { namespace, .. }, outcome) => {
                self.questions.remove(namespace);
                if !matches!(outcome, Outcome::Read(_)) {
                    return Some("it does not tell who is there");
                }
            }
            (Errand::Register { .. }, _) => return Some("it does not register this node"),
        }
        None
    }

    fn back_off(&mut self, now: Instant) {
        let doubled = BACK_OFF * 2_u32.saturating_pow(self.failures.min(16));
        self.ready = now + jittered(doubled.min(BACK_OFF_MAX));
        self.failures = self.failures.saturating_add(1);
    }
}

/// A time around another, so that nodes that started together do not come together.
fn jittered(around: Duration) -> Duration {
    around.mul_f64(rand::rng().random_range(0.8..1.2))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
