//! Which outer address does a router keep for us?
//!
//! identify takes an address for ours where its port is one that we listen on. A router that translates ports has others,
//! but many keep the same one for all whom a port of ours talks to: then two peers that we dialled see the same address,
//! and a third can punch through to it.

use std::collections::VecDeque;

use rustle_types::{Host, Multiaddr, PeerId, address};

/// What peers told last; older ones are forgotten.
const OBSERVATIONS_MAX: usize = 32;

/// Where peers see us that we dialled.
#[derive(Debug, Default)]
pub(crate) struct Observed(VecDeque<Observation>);

#[derive(Debug)]
struct Observation {
    by: PeerId,
    at: Host,
    address: Multiaddr,
}

// === impl Observed ===

impl Observed {
    /// A peer that we dialled at `place` sees us at `seen`. Tells whether another peer, on another machine, sees the same.
    pub(crate) fn on_observed(&mut self, by: PeerId, place: &Multiaddr, seen: &Multiaddr) -> bool {
        let Some(at) = Host::of(place) else { return false };
        if address::is_relayed(place) || !address::is_dialable(seen) {
            return false;
        }
        self.0.retain(|one| one.by != by || one.address != *seen);
        if self.0.len() == OBSERVATIONS_MAX {
            self.0.pop_front();
        }
        let confirmed = self
            .0
            .iter()
            .any(|one| one.address == *seen && one.by != by && one.at != at);
        self.0.push_back(Observation {
            by,
            at,
            address: seen.clone(),
        });
        confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn two_peers_on_two_machines_must_agree() {
        let mut observed = Observed::default();
        let [a, b, c] = [PeerId::random(), PeerId::random(), PeerId::random()];
        let seen = at("/ip4/8.8.4.4/tcp/40001");
        let other = at("/ip4/8.8.4.4/tcp/40002");
        let mut tell = |by, place: &str, seen: &Multiaddr| observed.on_observed(by, &at(place), seen);

        assert!(!tell(a, "/ip4/1.1.1.1/tcp/1", &seen));
        assert!(!tell(a, "/ip4/1.1.1.1/tcp/1", &seen), "the same peer again");
        assert!(!tell(b, "/ip4/1.1.1.1/tcp/2", &seen), "on the same machine");
        assert!(!tell(c, "/ip4/2.2.2.2/tcp/1", &other), "another port");
        assert!(tell(c, "/ip4/2.2.2.2/tcp/1", &seen));
        assert!(!tell(c, "/dns4/a.example/tcp/1", &seen), "who knows where");
    }

    #[test]
    fn remembers_the_last_ones_only() {
        let mut observed = Observed::default();
        for port in 1..200 {
            let seen = at(&format!("/ip4/8.8.4.4/tcp/{port}"));
            observed.on_observed(PeerId::random(), &at("/ip4/1.1.1.1/tcp/1"), &seen);
        }
        assert_eq!(observed.0.len(), OBSERVATIONS_MAX);
    }
}
