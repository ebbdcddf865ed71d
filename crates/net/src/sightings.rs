//! Which of the peers that discovery comes upon are news?
//!
//! Strangers write most of what discovery reads: any program on the local network, any node of the DHT, any rendezvous
//! point. So each method may tell only so much at once, nobody is told of again soon, and an address is passed on only
//! where it can be dialled and leads to the peer it is said to be of.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use rustle_types::address::{self, Reach};
use rustle_types::limits::ADDRESS_BYTES_MAX;
use rustle_types::{Multiaddr, PeerId};

use crate::Source;
use crate::config::{DISCOVERED_ADDRESSES_MAX, SIGHTINGS_MAX};

/// A peer with the same addresses is told of again after this time.
pub(crate) const SIGHTING_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Peers that one method may tell of at once,
pub(crate) const SIGHTINGS_BURST_MAX: u32 = 128;
/// and one more after each of these.
const SIGHTING_REFILL: Duration = Duration::from_secs(1);

/// Which addresses a method of discovery may tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of this machine and of private networks.
    Local,
    /// Those of everywhere else.
    Distant,
    /// All.
    Any,
}

/// What was told lately. Holds at most `SIGHTINGS_MAX` peers.
#[derive(Debug)]
pub(crate) struct Sightings {
    local: PeerId,
    told: HashMap<PeerId, Sighting>,
    hasher: RandomState,
    budgets: [Budget; 3],
}

#[derive(Debug, Clone, Copy)]
struct Sighting {
    at: Instant,
    /// Of the addresses, in any order.
    hash: u64,
}

/// A bucket of tokens; full at first.
#[derive(Debug, Clone, Copy, Default)]
struct Budget {
    spent: u32,
    since: Option<Instant>,
}

// === impl Sightings ===

impl Sightings {
    /// What the node `local` comes upon, beside itself.
    pub(crate) fn new(local: PeerId) -> Self {
        Self {
            local,
            told: HashMap::new(),
            hasher: RandomState::new(),
            budgets: Default::default(),
        }
    }

    /// The addresses worth telling, where the peer is worth telling of at all.
    pub(crate) fn news(
        &mut self,
        now: Instant,
        source: Source,
        scope: Scope,
        peer: PeerId,
        addresses: impl IntoIterator<Item = Multiaddr>,
    ) -> Option<Vec<Multiaddr>> {
        if peer == self.local {
            return None;
        }
        let mut usable: Vec<Multiaddr> = Vec::new();
        let addresses = addresses.into_iter();
        for address in addresses.filter_map(|address| usable_address(address, peer, scope)) {
            if usable.len() == DISCOVERED_ADDRESSES_MAX {
                break;
            }
            if !usable.contains(&address) {
                usable.push(address);
            }
        }
        if usable.is_empty() {
            return None;
        }
        let hash = usable
            .iter()
            .fold(0, |sum: u64, one| sum.wrapping_add(self.hasher.hash_one(one)));
        let is_old = |told: &Sighting| told.hash == hash && now - told.at < SIGHTING_INTERVAL;
        if self.told.get(&peer).is_some_and(is_old) || !self.make_room(now, peer) {
            return None;
        }
        if !self.budgets[source as usize].spend(now) {
            return None;
        }
        self.told.insert(peer, Sighting { at: now, hash });
        Some(usable)
    }

    fn make_room(&mut self, now: Instant, peer: PeerId) -> bool {
        if SIGHTINGS_MAX <= self.told.len() && !self.told.contains_key(&peer) {
            self.told.retain(|_, told| now - told.at < SIGHTING_INTERVAL);
        }
        self.told.len() < SIGHTINGS_MAX || self.told.contains_key(&peer)
    }
}

// === impl Budget ===

impl Budget {
    fn spend(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let refilled = (now - since).as_millis() / SIGHTING_REFILL.as_millis();
        let refilled = u32::try_from(refilled).unwrap_or(u32::MAX);
        if self.spent <= refilled {
            *self = Self {
                spent: 0,
                since: Some(now),
            };
        } else {
            self.spent -= refilled;
            self.since = Some(since + SIGHTING_REFILL * refilled);
        }
        let is_left = self.spent < SIGHTINGS_BURST_MAX;
        self.spent += u32::from(is_left);
        is_left
    }
}

/// An address without the peer's name at its end, where it is the peer's and can be dialled.
fn usable_address(mut address: Multiaddr, peer: PeerId, scope: Scope) -> Option<Multiaddr> {
    match address::peer(&address) {
        Some(named) if named == peer => {
            address.pop();
        }
        Some(_) => return None,
        None => {}
    }
    let reach = Reach::of(&address)?;
    let is_in_scope = match scope {
        Scope::Local => reach == Reach::Local,
        Scope::Distant => reach != Reach::Local,
        Scope::Any => true,
    };
    let is_usable = is_in_scope && address::is_dialable(&address) && address.len() <= ADDRESS_BYTES_MAX;
    is_usable.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn numbered(port: usize) -> Multiaddr {
        at(&format!("/ip4/10.0.0.1/tcp/{port}"))
    }

    #[test]
    fn a_peer_is_told_of_once_until_it_moves_or_time_has_passed() {
        let mut sightings = Sightings::new(PeerId::random());
        let (now, peer) = (crate::clock::now(), PeerId::random());
        let mut news = |now, addresses: &[Multiaddr]| {
            sightings.news(now, Source::Mdns, Scope::Local, peer, addresses.to_vec())
        };
        let (one, two) = (numbered(1), numbered(2));

        assert_eq!(
            news(now, &[one.clone(), two.clone(), one.clone()]),
            Some(vec![one.clone(), two.clone()])
        );
        assert_eq!(news(now, &[two.clone(), one.clone()]), None);
        assert!(news(now, std::slice::from_ref(&two)).is_some());
        assert_eq!(news(now, std::slice::from_ref(&two)), None);
        assert!(news(now + SIGHTING_INTERVAL, &[two]).is_some());
    }

    #[test]
    fn addresses_are_bare_dialable_in_scope_and_of_the_peer() {
        let (local, peer, other) = (PeerId::random(), PeerId::random(), PeerId::random());
        let mut sightings = Sightings::new(local);
        let now = crate::clock::now();
        let told = [
            format!("/ip4/10.0.0.1/tcp/1/p2p/{other}"),
            format!("/ip4/10.0.0.1/tcp/2/p2p/{peer}"),
            "/ip4/10.0.0.1/tcp/0".to_owned(),
            "/ip4/0.0.0.0/tcp/3".to_owned(),
            "/ip4/8.8.8.8/tcp/4".to_owned(),
            format!("/ip4/8.8.8.8/tcp/5/p2p/{other}/p2p-circuit/p2p/{peer}"),
            format!("/dns4/{}/tcp/6", "x".repeat(ADDRESS_BYTES_MAX)),
        ];
        let told: Vec<_> = told.iter().map(|text| at(text)).collect();
        let mut news =
            |scope, peer, told: &[Multiaddr]| sightings.news(now, Source::Dht, scope, peer, told.to_vec());

        assert_eq!(news(Scope::Local, peer, &told), Some(vec![numbered(2)]));
        let circuit = at(&format!("/ip4/8.8.8.8/tcp/5/p2p/{other}/p2p-circuit"));
        assert_eq!(
            news(Scope::Distant, peer, &told),
            Some(vec![at("/ip4/8.8.8.8/tcp/4"), circuit])
        );
        assert_eq!(news(Scope::Any, local, &[numbered(2)]), None, "this node itself");
        assert_eq!(news(Scope::Any, other, &[]), None);
        let many: Vec<_> = (1..=DISCOVERED_ADDRESSES_MAX + 3).map(numbered).collect();
        assert_eq!(
            news(Scope::Any, other, &many).unwrap().len(),
            DISCOVERED_ADDRESSES_MAX
        );
    }

    #[test]
    fn a_flood_from_one_method_is_cut_and_leaves_the_others_alone() {
        let mut sightings = Sightings::new(PeerId::random());
        let now = crate::clock::now();
        let mut told = |now, source| {
            (0..SIGHTINGS_BURST_MAX + 50)
                .filter(|_| {
                    let found = sightings.news(now, source, Scope::Any, PeerId::random(), [numbered(1)]);
                    found.is_some()
                })
                .count()
        };

        assert_eq!(told(now, Source::Mdns), SIGHTINGS_BURST_MAX as usize);
        assert_eq!(told(now, Source::Mdns), 0);
        assert_eq!(told(now, Source::Dht), SIGHTINGS_BURST_MAX as usize);
        assert_eq!(told(now + SIGHTING_REFILL * 3, Source::Mdns), 3);
        assert_eq!(
            told(now + SIGHTING_REFILL * 1_000, Source::Mdns),
            SIGHTINGS_BURST_MAX as usize
        );
    }

    #[test]
    fn only_so_many_peers_are_remembered() {
        let mut sightings = Sightings::new(PeerId::random());
        let start = crate::clock::now();
        let mut now = start;
        while now < start + SIGHTING_INTERVAL && sightings.told.len() < SIGHTINGS_MAX {
            now += SIGHTING_REFILL;
            for source in [Source::Mdns, Source::Dht, Source::Rendezvous] {
                for _ in 0..SIGHTINGS_BURST_MAX {
                    sightings.news(now, source, Scope::Any, PeerId::random(), [numbered(1)]);
                }
            }
        }
        assert!(sightings.told.len() <= SIGHTINGS_MAX);
        let later = now + SIGHTING_INTERVAL;
        let found = sightings.news(later, Source::Mdns, Scope::Any, PeerId::random(), [numbered(1)]);
        assert!(found.is_some());
    }
}
