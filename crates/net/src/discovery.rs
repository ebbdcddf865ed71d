//! What is told of the peers that discovery comes upon?

use std::collections::BTreeMap;

use rustle_types::{Multiaddr, PeerId};

use crate::behaviour::Sighted;
use crate::sightings::Scope;
use crate::task::Task;
use crate::{Event, Source, clock};

// === impl Task ===

impl Task {
    /// Peers on the local network; what they say about other networks is not for us.
    pub(crate) fn on_neighbours(&mut self, sighted: Sighted) {
        let mut peers = BTreeMap::<PeerId, Vec<Multiaddr>>::new();
        for (peer, address) in sighted {
            peers.entry(peer).or_default().push(address);
        }
        for (peer, addresses) in peers {
            self.discovered(Source::Mdns, Scope::Local, peer, addresses);
        }
    }

    pub(crate) fn discovered(
        &mut self,
        source: Source,
        scope: Scope,
        peer: PeerId,
        addresses: impl IntoIterator<Item = Multiaddr>,
    ) {
        let news = self.sightings.news(clock::now(), source, scope, peer, addresses);
        if let Some(addresses) = news {
            self.outbox.push_back(Event::Discovered {
                peer,
                addresses,
                source,
            });
        }
    }
}
