//! At which addresses can others dial this node?
//!
//! Peers tell where they see it, and peers that serve AutoNAT are asked to dial there. libp2p asks once for each address
//! and remembers the answer for good; here the question is put again after a while. And where the peer goes without an
//! answer, libp2p waits for it for good; here the question is then put to the next one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use libp2p::autonat::v2::client::Behaviour;
use libp2p::swarm::behaviour::NewExternalAddrCandidate;
use libp2p::swarm::{ConnectionId, FromSwarm, NetworkBehaviour};
use rustle_types::Multiaddr;

use super::around::{Around, Fate, Rules};
use super::is_public;
use crate::clock;

/// Addresses that are asked about in one round. Each costs the node up to 100 kB.
const CANDIDATES_MAX: usize = 32;
/// Those told last, which the next round begins with.
const RECENT_MAX: usize = 8;
/// How long a round lasts; the next one begins with the first dial after it.
const ROUND: Duration = Duration::from_secs(15 * 60);

/// Asks whether others can dial this node.
pub(crate) type Probes = Around<Behaviour, Rounds>;

/// Forgets what was asked, now and then.
#[derive(Debug)]
pub(crate) struct Rounds {
    since: Instant,
    asked: HashSet<Multiaddr>,
    recent: VecDeque<Multiaddr>,
    /// The connections that the behaviour of this round knows. It panics at others.
    known: HashSet<ConnectionId>,
    /// Connections over which something is asked, and how many answers are due.
    due: HashMap<ConnectionId, usize>,
    /// Whether one of them went without an answer.
    is_broken: bool,
}

pub(super) fn probes() -> Probes {
    let rules = Rounds {
        since: clock::now(),
        asked: HashSet::new(),
        recent: VecDeque::new(),
        known: HashSet::new(),
        due: HashMap::new(),
        is_broken: false,
    };
    Around::new(Behaviour::default(), rules)
}

// === impl Probes ===

impl Probes {
    /// An address that identify does not tell of, as it is taken for good already.
    pub(super) fn add_candidate(&mut self, candidate: &Multiaddr) {
        self.on_swarm_event(FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate {
            addr: candidate,
        }));
    }

    /// Begins anew: the node is on another network, where what was asked says nothing. Nor do the addresses of the old one.
    pub(super) fn restart(&mut self) {
        self.rules.recent.clear();
        self.rules.restart(clock::now(), &mut self.inner);
    }
}

// === impl Rounds ===

impl Rounds {
    fn restart(&mut self, now: Instant, inner: &mut Behaviour) {
        *inner = Behaviour::default();
        self.since = now;
        self.known.clear();
        self.due.clear();
        self.is_broken = false;
        self.asked = self.recent.iter().cloned().collect();
        for addr in &self.recent {
            inner.on_swarm_event(FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate {
                addr,
            }));
        }
    }

    fn takes(&mut self, candidate: &Multiaddr) -> bool {
        if !is_public(candidate) {
            return false;
        }
        if !self.asked.contains(candidate) {
            if CANDIDATES_MAX <= self.asked.len() {
                return false;
            }
            self.asked.insert(candidate.clone());
        }
        self.recent.retain(|known| known != candidate);
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(candidate.clone());
        true
    }

    fn hears_at(&mut self, now: Instant, inner: &mut Behaviour, event: &FromSwarm<'_>) -> bool {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                // Only peers that we dialled are asked, so that the answer is not up to whoever comes.
                let is_over = self.is_broken || ROUND <= now.saturating_duration_since(self.since);
                if new.endpoint.is_dialer() && is_over {
                    self.restart(now, inner);
                }
                self.known.insert(new.connection_id)
            }
            FromSwarm::ConnectionClosed(old) => {
                self.is_broken |= self.due.remove(&old.connection_id).is_some();
                self.known.remove(&old.connection_id)
            }
            FromSwarm::NewExternalAddrCandidate(candidate) => self.takes(candidate.addr),
            _ => true,
        }
    }
}

impl Rules<Behaviour> for Rounds {
    fn hears(&mut self, inner: &mut Behaviour, event: &FromSwarm<'_>) -> bool {
        self.hears_at(clock::now(), inner, event)
    }

    fn on_connection(&mut self, id: ConnectionId) -> Fate {
        if !self.known.contains(&id) {
            return Fate::Drop;
        }
        // Once it is known that the peer answers questions, all that it says is an answer.
        if let Some(due) = self.due.get_mut(&id) {
            *due -= 1;
            if *due == 0 {
                self.due.remove(&id);
            }
        }
        Fate::Pass
    }

    fn on_notice(&mut self, id: ConnectionId) {
        if self.known.contains(&id) {
            *self.due.entry(id).or_default() += 1;
        } else {
            self.is_broken = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::core::transport::PortUse;
    use libp2p::core::{ConnectedPoint, Endpoint};
    use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
    use rustle_types::PeerId;

    use super::*;

    fn candidate(rounds: &mut Probes, text: &str) -> bool {
        let addr = &text.parse().unwrap();
        let event = FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr });
        rounds.rules.hears_at(clock::now(), &mut rounds.inner, &event)
    }

    fn connect(rounds: &mut Probes, now: Instant, number: usize) {
        let endpoint = ConnectedPoint::Dialer {
            address: "/ip4/8.8.8.8/tcp/1".parse().unwrap(),
            role_override: Endpoint::Dialer,
            port_use: PortUse::Reuse,
        };
        let event = FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: PeerId::random(),
            connection_id: ConnectionId::new_unchecked(number),
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        });
        if rounds.rules.hears_at(now, &mut rounds.inner, &event) {
            rounds.inner.on_swarm_event(event);
        }
    }

    fn close(rounds: &mut Probes, number: usize) {
        let endpoint = ConnectedPoint::Listener {
            local_addr: Multiaddr::empty(),
            send_back_addr: Multiaddr::empty(),
        };
        rounds.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: PeerId::random(),
            connection_id: ConnectionId::new_unchecked(number),
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        }));
    }

    #[tokio::test]
    async fn only_public_addresses_are_asked_about_and_not_too_many() {
        let mut rounds = probes();
        assert!(!candidate(&mut rounds, "/ip4/192.168.1.2/tcp/1"));
        for port in 0..CANDIDATES_MAX {
            assert!(candidate(&mut rounds, &format!("/ip4/8.8.8.8/tcp/{}", port + 1)));
        }
        assert!(!candidate(&mut rounds, "/ip4/8.8.4.4/tcp/1"));
        assert!(
            candidate(&mut rounds, "/ip4/8.8.8.8/tcp/1"),
            "asked about already"
        );
    }

    #[tokio::test]
    async fn a_new_round_begins_with_the_addresses_told_last() {
        let start = clock::now();
        let mut rounds = probes();
        for port in 1..=20 {
            candidate(&mut rounds, &format!("/ip4/8.8.8.8/tcp/{port}"));
        }
        connect(&mut rounds, start, 1);
        assert_eq!(rounds.rules.asked.len(), 20);
        connect(&mut rounds, start + 2 * ROUND, 2);
        assert_eq!(rounds.rules.asked.len(), RECENT_MAX);

        // What the old connection says is for nobody any more, and its end neither.
        let [old, new] = [1, 2].map(ConnectionId::new_unchecked);
        assert_eq!(rounds.rules.on_connection(old), Fate::Drop);
        assert_eq!(rounds.rules.on_connection(new), Fate::Pass);
        for number in [1, 2] {
            close(&mut rounds, number);
        }
        assert!(rounds.rules.known.is_empty());

        rounds.restart();
        assert!(rounds.rules.asked.is_empty());
    }
    #[tokio::test]
    async fn a_peer_that_goes_without_an_answer_ends_the_round() {
        let start = clock::now();
        let mut rounds = probes();
        let known = |rounds: &Probes| rounds.rules.known.len();
        for number in 1..=3 {
            connect(&mut rounds, start, number);
        }
        let [answers, goes] = [1, 2].map(ConnectionId::new_unchecked);
        for asked in [answers, answers, goes] {
            rounds.rules.on_notice(asked);
        }
        for _ in 0..2 {
            rounds.rules.on_connection(answers);
        }

        close(&mut rounds, 1);
        connect(&mut rounds, start, 4);
        assert_eq!(known(&rounds), 3, "all was answered");
        close(&mut rounds, 2);
        assert_eq!(known(&rounds), 2);
        connect(&mut rounds, start, 5);
        assert_eq!(known(&rounds), 1, "begun anew, with the next peer");
        connect(&mut rounds, start, 6);
        assert_eq!(known(&rounds), 2);
    }
}
