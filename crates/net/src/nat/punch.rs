//! How is a relayed connection made direct?

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::dcutr::Behaviour;
use libp2p::swarm::behaviour::NewExternalAddrCandidate;
use libp2p::swarm::{ConnectionId, FromSwarm, NetworkBehaviour};
use rustle_types::{Multiaddr, PeerId, address};

use super::around::{Around, Fate, Rules};
use super::bucket::Bucket;
use crate::clock;

/// Addresses of a peer that are dialled to punch a hole.
const ADDRESSES_MAX: usize = 16;
/// What one relayed connection may cause: three attempts, with their failures.
const EVENTS_PER_CONNECTION_MAX: usize = 8;
/// Dials to punch holes: so many at once, and one more in such a time.
const DIALS_MAX: u32 = 32;
const DIAL_EVERY: Duration = Duration::from_secs(1);

/// Punches holes, not more than is good for a node.
pub(crate) type Punches = Around<Behaviour, Sparing>;

/// Whoever has a relayed connection to us could have us dial any number of addresses, any number of times.
pub(crate) struct Sparing {
    /// By relayed connection.
    events: HashMap<ConnectionId, usize>,
    /// Dials of this behaviour that have not begun.
    dialling: Vec<ConnectionId>,
    dials: Bucket,
}

pub(super) fn punches(local: PeerId) -> Punches {
    let rules = Sparing {
        events: HashMap::new(),
        dialling: Vec::new(),
        dials: Bucket::new(DIALS_MAX, DIAL_EVERY),
    };
    Around::new(Behaviour::new(local), rules)
}

// === impl Punches ===

impl Punches {
    /// An address that the router is known to keep for us, although it is none that we listen on.
    pub(super) fn add_candidate(&mut self, candidate: &Multiaddr) {
        self.inner
            .on_swarm_event(FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate {
                addr: candidate,
            }));
    }
}

// === impl Sparing ===

impl Sparing {
    fn allows_at(&mut self, now: Instant, id: ConnectionId, addresses: &[Multiaddr]) -> bool {
        let Some(index) = self.dialling.iter().position(|known| *known == id) else {
            return true;
        };
        self.dialling.swap_remove(index);
        addresses.len() <= ADDRESSES_MAX && self.dials.take(now)
    }
}

impl Rules<Behaviour> for Sparing {
    fn hears(&mut self, _: &mut Behaviour, event: &FromSwarm<'_>) -> bool {
        match event {
            FromSwarm::ConnectionClosed(closed) => {
                self.events.remove(&closed.connection_id);
                true
            }
            // Over a relay, others see us where nobody can dial.
            FromSwarm::NewExternalAddrCandidate(candidate) => address::is_dialable(candidate.addr),
            _ => true,
        }
    }

    fn on_connection(&mut self, id: ConnectionId) -> Fate {
        let events = self.events.entry(id).or_default();
        *events += 1;
        if *events <= EVENTS_PER_CONNECTION_MAX {
            Fate::Pass
        } else {
            Fate::Drop
        }
    }

    fn on_dial(&mut self, id: ConnectionId) {
        self.dialling.push(id);
    }

    fn allows(&mut self, id: ConnectionId, addresses: &[Multiaddr]) -> bool {
        self.allows_at(clock::now(), id, addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_have_us_dial_without_end() {
        let now = clock::now();
        let mut rules = punches(PeerId::random()).rules;
        let address: Multiaddr = "/ip4/8.8.8.8/tcp/1".parse().unwrap();
        let mut next = 0;
        let mut dial = |count: usize| {
            next += 1;
            let id = ConnectionId::new_unchecked(next);
            rules.on_dial(id);
            rules.allows_at(now, id, &vec![address.clone(); count])
        };

        assert!(!dial(ADDRESSES_MAX + 1));
        for _ in 0..DIALS_MAX {
            assert!(dial(1));
        }
        assert!(!dial(1));
        // Dials of others are none of its business.
        assert!(rules.allows_at(now, ConnectionId::new_unchecked(0), &vec![address; 99]));

        let relayed = ConnectionId::new_unchecked(1);
        for _ in 0..EVENTS_PER_CONNECTION_MAX {
            assert_eq!(rules.on_connection(relayed), Fate::Pass);
        }
        assert_eq!(rules.on_connection(relayed), Fate::Drop);
    }
}
