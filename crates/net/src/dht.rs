//! Who has some content, and where is a peer? Searches in the DHT and what becomes of them.

use std::collections::HashMap;
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, QueryId, QueryResult, RecordKey};
use libp2p::swarm::{self, NetworkBehaviour};
use rand::RngExt as _;
use rustle_types::{Cid, Multiaddr, PeerId};

use crate::config::{PEER_ADDRESSES_MAX, SEARCHES_MAX};
use crate::sightings::Scope;
use crate::task::Task;
use crate::{Event, Source, clock};

/// Between two looks around in the DHT, in the mean.
const CRAWL_INTERVAL: Duration = Duration::from_secs(20 * 60);
/// The same while nobody of the DHT is known.
const CRAWL_RETRY: Duration = Duration::from_secs(10);
/// From the first node of the DHT to the first look around.
const CRAWL_DELAY: Duration = Duration::from_secs(1);

/// Searches under way and who asked for them; `SEARCHES_MAX` bounds it.
#[derive(Debug, Default)]
pub(crate) struct Searches(HashMap<QueryId, Search>);

#[derive(Debug, Clone, Copy)]
enum Search {
    Providers { request: u64 },
    Peer { request: u64, peer: PeerId },
    Crawl,
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

    /// Looks for the nodes nearest to this one, and for those near a place that nobody has chosen. Only nodes that
    /// answered come out of it, so that each is really there; others that are told of are dialled on the way.
    pub(crate) fn crawl(&mut self) {
        let pause = match self.knows_dht() {
            true => CRAWL_INTERVAL.mul_f64(rand::rng().random_range(0.5..1.5)),
            false => CRAWL_RETRY,
        };
        self.discovery.crawl = clock::now() + pause;
        let is_crawling = self
            .searches
            .0
            .values()
            .any(|search| matches!(search, Search::Crawl));
        if is_crawling || pause == CRAWL_RETRY {
            return;
        }
        for near in [*self.swarm.local_peer_id(), PeerId::random()] {
            if self.searches.0.len() < SEARCHES_MAX {
                let query = self.swarm.behaviour_mut().kad.get_closest_peers(near);
                self.searches.0.insert(query, Search::Crawl);
            }
        }
    }

    fn knows_dht(&mut self) -> bool {
        self.swarm.behaviour_mut().kad.kbuckets().next().is_some()
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
            // The first nodes of the DHT lead to others; soon, so that some more may come in meanwhile.
            kad::Event::RoutingUpdated {
                is_new_peer: true, ..
            } if !self.discovery.knew_dht => {
                self.discovery.knew_dht = true;
                self.discovery.crawl = clock::now() + CRAWL_DELAY;
            }
            // Values of others are not kept, and the routing table is else the business of kad alone.
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
                let mut addresses = self.addresses(peer);
                let told = nearest(result)
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
            Search::Crawl if last => {
                let scope = match self.standing.has_met_world() {
                    true => Scope::Distant,
                    false => Scope::Any,
                };
                for info in nearest(result) {
                    self.discovered(Source::Dht, scope, info.peer_id, info.addrs);
                }
            }
            Search::Peer { .. } | Search::Crawl => {}
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

fn nearest(result: QueryResult) -> Vec<kad::PeerInfo> {
    match result {
        QueryResult::GetClosestPeers(Ok(closest)) => closest.peers,
        QueryResult::GetClosestPeers(Err(kad::GetClosestPeersError::Timeout { peers, .. })) => peers,
        _ => Vec::new(),
    }
}

/// The DHT's key of some content: its multihash, so that CIDs of either version find each other.
fn key(cid: &Cid) -> RecordKey {
    RecordKey::from(cid.hash().to_bytes())
}
