//! Which of its addresses does a node announce, and does it serve the DHT?
//!
//! A DHT of servers that nobody can reach answers nobody. But what reaches a node depends on who dials: on a network of
//! its own, without the internet, the addresses at which a node listens are enough for all; a node of the internet that
//! listens at 192.168.1.2 is out of reach for all but its neighbours. So private addresses count only as long as no peer
//! was met at a public one.

use rustle_types::Multiaddr;
use rustle_types::address::{self, Reach};

use crate::{Dht, DhtMode};

/// Addresses that others have confirmed and that are remembered. More are the word of somebody who plays.
const CONFIRMED_MAX: usize = 16;

/// What is known about the reach of this node.
#[derive(Debug)]
pub(crate) struct Standing {
    mode: DhtMode,
    listening: Vec<Multiaddr>,
    /// At most `CONFIRMED_MAX`.
    confirmed: Vec<Multiaddr>,
    /// What was announced of `listening`.
    told: Vec<Multiaddr>,
    /// A peer was met at a public address since the network changed.
    met_world: bool,
    /// Somebody has tried, and nobody can dial this node.
    unreachable: bool,
}

// === impl Standing ===

impl Standing {
    pub(crate) fn new(mode: DhtMode) -> Self {
        Self {
            mode,
            listening: Vec::new(),
            confirmed: Vec::new(),
            told: Vec::new(),
            met_world: false,
            unreachable: false,
        }
    }

    /// The node listens there.
    pub(crate) fn on_listening(&mut self, address: &Multiaddr) {
        if !self.listening.contains(address) {
            self.listening.push(address.clone());
        }
        self.met_world = false;
    }

    /// The node does not listen there any more.
    pub(crate) fn on_listen_ended(&mut self, address: &Multiaddr) {
        self.listening.retain(|known| known != address);
        self.met_world = false;
    }

    /// A connection stands with whoever is there. Tells whether that is news.
    pub(crate) fn on_connected(&mut self, address: &Multiaddr) -> bool {
        let is_news = !self.met_world && !is_local(address);
        self.met_world |= is_news;
        is_news
    }

    /// Others can dial the node there.
    pub(crate) fn on_confirmed(&mut self, address: &Multiaddr) {
        if self.confirmed.len() < CONFIRMED_MAX && !self.confirmed.contains(address) {
            self.confirmed.push(address.clone());
        }
    }

    /// Others cannot dial the node there any more.
    pub(crate) fn on_expired(&mut self, address: &Multiaddr) {
        self.confirmed.retain(|known| known != address);
    }

    /// Whether the node can be dialled at all, as far as is known.
    pub(crate) fn on_reachability(&mut self, reachable: Option<bool>) {
        self.unreachable = reachable == Some(false);
    }

    /// Whether the node has met the world outside its local networks.
    pub(crate) fn has_met_world(&self) -> bool {
        self.met_world
    }

    /// The addresses at which it listens that are worth announcing although nobody has confirmed them.
    pub(crate) fn announced(&self) -> impl Iterator<Item = &Multiaddr> {
        self.listening.iter().filter(|address| match self.mode {
            DhtMode::Server => true,
            DhtMode::Client => false,
            DhtMode::Auto if is_local(address) => !self.met_world,
            DhtMode::Auto => !self.unreachable,
        })
    }

    /// What is to be announced from now on, and what no more.
    pub(crate) fn changes(&mut self) -> (Vec<Multiaddr>, Vec<Multiaddr>) {
        let wanted: Vec<Multiaddr> = self.announced().cloned().collect();
        let told = std::mem::replace(&mut self.told, wanted);
        let is_new = |address: &&Multiaddr| !told.contains(address);
        let new = self.told.iter().filter(is_new).cloned().collect();
        let is_gone = |address: &Multiaddr| !self.told.contains(address) && !self.confirmed.contains(address);
        (new, told.into_iter().filter(is_gone).collect())
    }

    /// Whether it answers requests of a DHT.
    pub(crate) fn serves(&self, dht: Dht) -> bool {
        match dht {
            Dht::Own => self.serves_dht(),
            // Neighbours dial it where it listens on the local network, whatever the world can.
            Dht::IpfsLan => {
                self.mode != DhtMode::Client && self.listening.iter().any(|at| dht.realm().has(at))
            }
            // Servers of the IPFS network are trusted with values (`/ipns`, `/pk`), which this node does not keep: among
            // the twenty that are asked for a value it would be a hole.
            Dht::Ipfs => false,
        }
    }

    /// Whether it answers requests of the DHT of its own network.
    fn serves_dht(&self) -> bool {
        match self.mode {
            DhtMode::Server => true,
            DhtMode::Client => false,
            DhtMode::Auto => {
                // Through a relay there is not enough room for the questions of strangers.
                let reaches = |at: &Multiaddr| !address::is_relayed(at) && (!is_local(at) || !self.met_world);
                self.announced().next().is_some() || self.confirmed.iter().any(reaches)
            }
        }
    }
}

fn is_local(address: &Multiaddr) -> bool {
    Reach::of(address) == Some(Reach::Local)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAN: &str = "/ip4/192.168.1.2/tcp/1";
    const WORLD: &str = "/ip4/8.8.8.8/tcp/1";
    const OTHER: &str = "/ip4/9.9.9.9/tcp/1";

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn listening(mode: DhtMode, addresses: &[&str]) -> Standing {
        let mut standing = Standing::new(mode);
        for address in addresses {
            standing.on_listening(&at(address));
        }
        standing
    }

    fn announced(standing: &Standing) -> Vec<String> {
        standing.announced().map(ToString::to_string).collect()
    }

    #[test]
    fn on_a_network_of_its_own_a_node_serves_where_it_listens() {
        let mut standing = listening(DhtMode::Auto, &[LAN]);
        standing.on_connected(&at("/ip4/192.168.1.3/tcp/1"));
        assert!(standing.serves_dht());
        assert_eq!(announced(&standing), [LAN]);
        assert!(!listening(DhtMode::Auto, &[]).serves_dht());
    }

    #[test]
    fn behind_a_nat_it_does_not_serve_until_an_address_is_confirmed() {
        let mut standing = listening(DhtMode::Auto, &[LAN]);
        standing.on_connected(&at(OTHER));
        assert!(!standing.serves_dht());
        assert_eq!(announced(&standing), Vec::<String>::new());
        let circuit = at(&format!(
            "{OTHER}/p2p/{}/p2p-circuit",
            rustle_types::PeerId::random()
        ));
        for useless in [circuit, at(LAN)] {
            standing.on_confirmed(&useless);
            assert!(!standing.serves_dht());
        }
        standing.on_confirmed(&at(WORLD));
        assert!(standing.serves_dht());
        standing.on_expired(&at(WORLD));
        assert!(!standing.serves_dht());

        standing.on_listening(&at("/ip4/192.168.7.7/tcp/1"));
        assert!(
            standing.serves_dht(),
            "it is on another network now, perhaps without the world"
        );
    }

    #[test]
    fn with_a_public_address_it_serves_until_it_is_found_out_of_reach() {
        let mut standing = listening(DhtMode::Auto, &[LAN, WORLD]);
        standing.on_connected(&at(OTHER));
        assert_eq!(announced(&standing), [WORLD]);
        standing.on_reachability(Some(false));
        assert!(!standing.serves_dht());
        standing.on_reachability(None);
        assert!(standing.serves_dht());
        standing.on_listen_ended(&at(WORLD));
        standing.on_connected(&at(OTHER));
        assert!(!standing.serves_dht());
    }

    #[test]
    fn what_was_said_is_done_whatever_is_known() {
        let mut server = listening(DhtMode::Server, &[LAN]);
        server.on_connected(&at(OTHER));
        server.on_reachability(Some(false));
        assert!(server.serves_dht());
        assert_eq!(announced(&server), [LAN]);
        let mut client = listening(DhtMode::Client, &[LAN, WORLD]);
        client.on_confirmed(&at(WORLD));
        assert!(!client.serves_dht());
        assert_eq!(announced(&client), Vec::<String>::new());
    }

    #[test]
    fn changes_are_told_once_and_what_is_confirmed_stays() {
        let mut standing = listening(DhtMode::Auto, &[LAN, WORLD]);
        assert_eq!(standing.changes(), (vec![at(LAN), at(WORLD)], vec![]));
        assert_eq!(standing.changes(), (vec![], vec![]));
        assert!(standing.on_connected(&at(OTHER)));
        assert!(!standing.on_connected(&at(OTHER)));
        assert_eq!(standing.changes(), (vec![], vec![at(LAN)]));
        standing.on_confirmed(&at(WORLD));
        standing.on_reachability(Some(false));
        assert_eq!(
            standing.changes(),
            (vec![], vec![]),
            "it was announced, and is confirmed"
        );
        standing.on_listening(&at(LAN));
        assert_eq!(standing.changes(), (vec![at(LAN)], vec![]));
    }

    #[test]
    fn only_so_many_addresses_are_confirmed() {
        let mut standing = Standing::new(DhtMode::Auto);
        for port in 1..100 {
            standing.on_confirmed(&at(&format!("/ip4/8.8.8.8/tcp/{port}")));
        }
        assert_eq!(standing.confirmed.len(), CONFIRMED_MAX);
    }
}
