//! Who has some content, and where is a peer? Searches in the DHT and what becomes of them.

use std::collections::HashMap;

use libp2p::core::Endpoint;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, QueryId, QueryResult, RecordKey};
use libp2p::swarm::{self, NetworkBehaviour};
use rustle_types::{Cid, Multiaddr, PeerId};

use crate::Event;
use crate::config::{PEER_ADDRESSES_MAX, SEARCHES_MAX};
use crate::task::Task;

/// Searches under way and who asked for them; `SEARCHES_MAX` bounds it.
#[derive(Debug, Default)]
pub(crate) struct Searches(HashMap<QueryId, Search>);

#[derive(Debug, Clone, Copy)]
enum Search {
    Providers { request: u64 },
    Peer { request: u64, peer: PeerId },
}

// === impl Task ===

impl Task {
    pub(crate) fn provide(&mut self, cid: &Cid) {
        if let Err(error) = self.swarm.behaviour_mut().kad.start_providing(key(cid)) {
            tracing::warn!(%cid, %error, "cannot provide more content in the DHT");
        }
    }

    pub(crate) fn find_providers(&mut self, request: u64, cid: &Cid) {
        if SEARCHES_MAX <= self.searches.0.len() {
            self.outbox.push_back(Event::Providers {
                request,
                providers: Vec::new(),
                done: true,
            });
            return;
        }
        let query = self.swarm.behaviour_mut().kad.get_providers(key(cid));
        self.searches.0.insert(query, Search::Providers { request });
    }

    pub(crate) fn find_peer(&mut self, request: u64, peer: PeerId) {
        if SEARCHES_MAX <= self.searches.0.len() {
            self.outbox.push_back(Event::PeerFound {
                request,
                peer,
                addresses: Vec::new(),
            });
            return;
        }
        let query = self.swarm.behaviour_mut().kad.get_closest_peers(peer);
        self.searches.0.insert(query, Search::Peer { request, peer });
    }

    pub(crate) fn on_dht_event(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                self.on_progress(id, result, step.last);
            }
            kad::Event::InboundRequest {
                request: kad::InboundRequest::AddProvider { record: Some(record) },
            } => {
                if let Err(error) = self.swarm.behaviour_mut().kad.store_mut().add_provider(record) {
                    tracing::debug!(%error, "a provider record was not kept");
                }
            }
            // Values of others are not kept, and the routing table is the business of kad alone.
            _ => {}
        }
    }

    fn on_progress(&mut self, id: QueryId, result: QueryResult, last: bool) {
        let Some(search) = self.searches.0.get(&id).copied() else {
            return;
        };
        if last {
            self.searches.0.remove(&id);
        }
        match search {
            Search::Providers { request } => {
                let found = match result {
                    QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
                        providers, ..
                    })) => providers.into_iter().collect(),
                    _ => Vec::new(),
                };
                if found.is_empty() && !last {
                    return;
                }
                let providers = found
                    .into_iter()
                    .map(|peer| (peer, self.addresses(peer)))
                    .collect();
                self.outbox.push_back(Event::Providers {
                    request,
                    providers,
                    done: last,
                });
            }
            Search::Peer { request, peer } if last => {
                let told = match result {
                    QueryResult::GetClosestPeers(Ok(closest)) => closest.peers,
                    QueryResult::GetClosestPeers(Err(kad::GetClosestPeersError::Timeout {
                        peers, ..
                    })) => peers,
                    _ => Vec::new(),
                };
                let mut addresses = self.addresses(peer);
                let told = told
                    .into_iter()
                    .filter(|info| info.peer_id == peer)
                    .flat_map(|info| info.addrs);
                addresses.extend(told);
                addresses.sort_unstable();
                addresses.dedup();
                addresses.truncate(PEER_ADDRESSES_MAX);
                self.outbox.push_back(Event::PeerFound {
                    request,
                    peer,
                    addresses,
                });
            }
            Search::Peer { .. } => {}
        }
    }

    /// Where the DHT would dial a peer: its routing table and the searches under way. kad does not hand out the addresses
    /// that come with providers, but gives them to the swarm when asked for a dial, which changes nothing.
    fn addresses(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        let no_connection = swarm::ConnectionId::new_unchecked(0);
        let kad = &mut self.swarm.behaviour_mut().kad;
        let mut addresses = kad
            .handle_pending_outbound_connection(no_connection, Some(peer), &[], Endpoint::Dialer)
            .unwrap_or_default();
        addresses.truncate(PEER_ADDRESSES_MAX);
        addresses
    }
}

/// The DHT's key of some content: its multihash, so that CIDs of either version find each other.
fn key(cid: &Cid) -> RecordKey {
    RecordKey::from(cid.hash().to_bytes())
}
