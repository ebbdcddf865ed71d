//! Can others dial this node?
//!
//! Yes as long as at least one address of it is known to be dialled by others. No where peers tried one in vain. Before
//! either, nobody knows.

use std::collections::BTreeSet;

use rustle_types::Multiaddr;

/// External addresses that are kept. There is one for each listen address and each interface of the router.
const ADDRESSES_MAX: usize = 16;

/// What is known so far.
#[derive(Debug, Default)]
pub(crate) struct Reachability {
    confirmed: BTreeSet<Multiaddr>,
    tried_in_vain: bool,
    told: Option<bool>,
}

// === impl Reachability ===

impl Reachability {
    /// Others can dial us there. Tells whether that is new.
    pub(crate) fn on_confirmed(&mut self, address: Multiaddr) -> bool {
        self.confirmed.len() < ADDRESSES_MAX && self.confirmed.insert(address)
    }

    /// Somebody tried to dial us there and could not. Tells whether it was thought that one could.
    pub(crate) fn on_failed(&mut self, address: &Multiaddr) -> bool {
        self.tried_in_vain = true;
        self.confirmed.remove(address)
    }

    /// The router does not keep that address for us any more. Tells whether it was known.
    pub(crate) fn on_expired(&mut self, address: &Multiaddr) -> bool {
        self.confirmed.remove(address)
    }

    /// We moved to another network: nothing is known there. Gives the addresses that were known.
    pub(crate) fn on_moved(&mut self) -> BTreeSet<Multiaddr> {
        self.tried_in_vain = false;
        std::mem::take(&mut self.confirmed)
    }

    /// The answer, where it differs from the last one.
    pub(crate) fn news(&mut self) -> Option<Option<bool>> {
        let known = match (self.confirmed.is_empty(), self.tried_in_vain) {
            (false, _) => Some(true),
            (true, true) => Some(false),
            (true, false) => None,
        };
        let is_new = known != self.told;
        self.told = known;
        is_new.then_some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_that_works_is_enough() {
        let mut reachability = Reachability::default();
        let [tcp, quic]: [Multiaddr; 2] =
            ["/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/udp/1/quic-v1"].map(|text| text.parse().unwrap());
        assert_eq!(reachability.news(), None);

        assert!(!reachability.on_failed(&tcp));
        assert_eq!(reachability.news(), Some(Some(false)));
        assert!(reachability.on_confirmed(quic.clone()));
        assert!(!reachability.on_confirmed(quic.clone()));
        assert_eq!(reachability.news(), Some(Some(true)));
        reachability.on_confirmed(tcp.clone());
        assert!(reachability.on_failed(&quic));
        assert_eq!(reachability.news(), None);
        assert!(reachability.on_expired(&tcp));
        assert_eq!(reachability.news(), Some(Some(false)));

        reachability.on_confirmed(tcp.clone());
        assert_eq!(reachability.news(), Some(Some(true)));
        assert_eq!(reachability.on_moved(), BTreeSet::from([tcp]));
        assert_eq!(reachability.news(), Some(None));
    }

    #[test]
    fn addresses_are_bounded() {
        let mut reachability = Reachability::default();
        for port in 1..100 {
            reachability.on_confirmed(format!("/ip4/8.8.8.8/tcp/{port}").parse().unwrap());
        }
        assert_eq!(reachability.confirmed.len(), ADDRESSES_MAX);
    }
}
