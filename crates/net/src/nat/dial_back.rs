//! How does a node help others to find out whether they can be dialled?
//!
//! It dials back where they ask for it. That makes it a tool for whoever wants something dialled, so only our own nodes are
//! served, only public addresses in numbers are dialled, and not often.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use libp2p::autonat::v2::server::Behaviour;
use libp2p::swarm::{ConnectionId, FromSwarm};
use rustle_types::Multiaddr;

use super::around::{Around, Fate, Rules};
use super::bucket::Bucket;
use super::is_public;
use crate::admission::Connections;
use crate::{Scope, clock};

/// Two events belong to each request. So many from one connection at once, and one more in such a time.
const EVENTS_PER_CONNECTION_MAX: u32 = 16;
const EVENT_PER_CONNECTION_EVERY: Duration = Duration::from_secs(4);
/// The same for all connections together.
const EVENTS_MAX: u32 = 64;
const EVENT_EVERY: Duration = Duration::from_millis(500);

/// Dials back.
pub(crate) type DialBacks = Around<Behaviour, Careful>;

/// Sees that nobody is dialled for the wrong people.
pub(crate) struct Careful {
    gate: Connections,
    /// Connections to dial back, on their way or standing.
    back: HashSet<ConnectionId>,
    asked: HashMap<ConnectionId, Bucket>,
    events: Bucket,
}

pub(super) fn dial_backs(gate: &Connections) -> DialBacks {
    let rules = Careful {
        gate: gate.clone(),
        back: HashSet::new(),
        asked: HashMap::new(),
        events: Bucket::new(EVENTS_MAX, EVENT_EVERY),
    };
    Around::new(Behaviour::default(), rules)
}

// === impl Careful ===

impl Careful {
    fn on_connection_at(&mut self, now: Instant, id: ConnectionId) -> Fate {
        if self.back.contains(&id) {
            return Fate::PassAndClose;
        }
        let admission = self.gate.get(id).and_then(|shared| shared.admission());
        if !admission.is_some_and(|admission| admission.includes(Scope::Own)) {
            return Fate::Drop;
        }
        let new = || Bucket::new(EVENTS_PER_CONNECTION_MAX, EVENT_PER_CONNECTION_EVERY);
        // A request that is dropped is put again later, while one that is refused counts as an answer.
        if self.asked.entry(id).or_insert_with(new).take(now) && self.events.take(now) {
            Fate::Pass
        } else {
            Fate::Drop
        }
    }
}

impl Rules<Behaviour> for Careful {
    fn hears(&mut self, _: &mut Behaviour, event: &FromSwarm<'_>) -> bool {
        match event {
            FromSwarm::ConnectionClosed(closed) => {
                self.back.remove(&closed.connection_id);
                self.asked.remove(&closed.connection_id);
            }
            FromSwarm::DialFailure(failure) => {
                self.back.remove(&failure.connection_id);
            }
            _ => {}
        }
        true
    }

    fn on_connection(&mut self, id: ConnectionId) -> Fate {
        self.on_connection_at(clock::now(), id)
    }

    fn on_dial(&mut self, id: ConnectionId) {
        self.back.insert(id);
    }

    fn allows(&mut self, id: ConnectionId, addresses: &[Multiaddr]) -> bool {
        !self.back.contains(&id) || addresses.iter().all(is_public)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustle_types::{Direction, PeerId};

    use super::*;
    use crate::admission::Shared;
    use crate::{Admission, ForeignAccess};

    fn connected(gate: &Connections, number: usize, admission: Option<Admission>) -> ConnectionId {
        let id = ConnectionId::new_unchecked(number);
        let ours = rustle_types::ConnectionId(number as u64);
        let peer = PeerId::random();
        let (direction, access) = (Direction::Inbound, ForeignAccess::ALL);
        let shared = Shared::new(ours, peer, direction, Multiaddr::empty(), access, Arc::default());
        if let Some(admission) = admission {
            shared.admit(admission);
        }
        gate.insert(id, Arc::new(shared));
        id
    }

    #[tokio::test]
    async fn only_our_own_nodes_are_served_and_each_only_now_and_then() {
        let (gate, now) = (Connections::default(), clock::now());
        let mut rules = dial_backs(&gate).rules;
        let early = connected(&gate, 1, None);
        let foreign = connected(&gate, 2, Some(Admission::Foreign(ForeignAccess::ALL)));
        let ours = connected(&gate, 3, Some(Admission::Rustle));

        assert_eq!(rules.on_connection_at(now, early), Fate::Drop);
        assert_eq!(rules.on_connection_at(now, foreign), Fate::Drop);
        for _ in 0..EVENTS_PER_CONNECTION_MAX {
            assert_eq!(rules.on_connection_at(now, ours), Fate::Pass);
        }
        assert_eq!(rules.on_connection_at(now, ours), Fate::Drop);
        let later = now + EVENT_PER_CONNECTION_EVERY;
        assert_eq!(rules.on_connection_at(later, ours), Fate::Pass);
    }

    #[tokio::test]
    async fn only_public_addresses_are_dialled_and_the_connection_is_closed_then() {
        let mut rules = dial_backs(&Connections::default()).rules;
        let allows = |rules: &mut Careful, text: &str| {
            let id = ConnectionId::new_unchecked(7);
            rules.on_dial(id);
            rules.allows(id, &[text.parse().unwrap()])
        };
        assert!(allows(&mut rules, "/ip4/8.8.8.8/tcp/1"));
        assert!(!allows(&mut rules, "/ip4/192.168.0.1/tcp/80"));
        assert!(!allows(&mut rules, "/dns4/a.example/tcp/80"));
        assert_eq!(
            rules.on_connection(ConnectionId::new_unchecked(7)),
            Fate::PassAndClose
        );
        // Dials of others go where they want.
        let private = "/ip4/192.168.0.1/tcp/80".parse().unwrap();
        assert!(rules.allows(ConnectionId::new_unchecked(8), &[private]));
    }
}
