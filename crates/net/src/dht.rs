//! Who has some content, and where is a peer? Searches in the DHTs and what becomes of them.
//!
//! Each is made in all DHTs that are switched on, at the same time: what one of them finds is told at once, and the search
//! is over with the last of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::core::Endpoint;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, K_VALUE, QueryId, QueryResult, QueryStats, RecordKey};
use libp2p::swarm::{self, NetworkBehaviour};
use rand::RngExt as _;
use rustle_types::{Cid, Multiaddr, PeerId, address};

use crate::behaviour::Table;
use crate::config::{PEER_ADDRESSES_MAX, SEARCHES_MAX};
use crate::sightings::Scope;
use crate::streams::Spoken;
use crate::task::Task;
use crate::{Asked, Dht, Event, Source, clock};

/// Between two looks around in the DHT, in the mean.
const CRAWL_INTERVAL: Duration = Duration::from_secs(20 * 60);
/// The same while nobody of the DHT is known.
const CRAWL_RETRY: Duration = Duration::from_secs(10);
/// From the first node of the DHT to the first look around.
const CRAWL_DELAY: Duration = Duration::from_secs(1);
/// Between two attempts to come into a DHT of IPFS.
const BOOT_INTERVAL: Duration = Duration::from_secs(30);

/// Searches under way and who asked for them; `SEARCHES_MAX` bounds it.
#[derive(Debug, Default)]
pub(crate) struct Searches {
    searches: HashMap<u64, Search>,
    /// Which search a query of a DHT belongs to. The DHTs number theirs apart.
    queries: HashMap<(Dht, QueryId), u64>,
    last: u64,
}

/// A search in some DHTs.
#[derive(Debug)]
struct Search {
    what: What,
    /// DHTs that have not finished.
    open: usize,
    /// How many nodes of each DHT were asked.
    asked: Vec<Asked>,
    /// Where the wanted peer is, as far as it was told.
    addresses: Vec<Multiaddr>,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Providers { request: u64 },
    Peer { request: u64, peer: PeerId },
    Provide { request: u64 },
    Crawl,
}

/// Whom of the DHTs this node knows.
#[derive(Debug, Default)]
pub(crate) struct Acquaintance {
    /// Nodes of IPFS to begin with.
    boot: Vec<Multiaddr>,
    /// The DHTs of which some node is known.
    joined: Vec<Dht>,
    booted: Option<Instant>,
}

// === impl Searches ===

impl Searches {
    fn has_room(&self) -> bool {
        self.searches.len() < SEARCHES_MAX
    }

    fn insert(&mut self, what: What, queries: &[(Dht, QueryId)]) -> u64 {
        self.last += 1;
        let search = Search {
            what,
            open: queries.len(),
            asked: Vec::new(),
            addresses: Vec::new(),
        };
        self.searches.insert(self.last, search);
        self.queries
            .extend(queries.iter().map(|query| (*query, self.last)));
        self.last
    }

    fn is_crawling(&self) -> bool {
        self.searches
            .values()
            .any(|search| matches!(search.what, What::Crawl))
    }
}

// === impl Acquaintance ===

impl Acquaintance {
    pub(crate) fn new(boot: &[Multiaddr]) -> Self {
        Self {
            boot: boot.to_vec(),
            ..Self::default()
        }
    }
}

// === impl Task ===

impl Task {
    pub(crate) fn provide(&mut self, request: u64, cid: &Cid) {
        let what = What::Provide { request };
        self.search(what, &Dht::ALL, |dht| {
            // The store takes every record of this node, so that this does not fail.
            dht.start_providing(key(cid)).ok()
        });
    }

    pub(crate) fn find_providers(&mut self, request: u64, cid: &Cid) {
        let what = What::Providers { request };
        self.search(what, &Dht::ALL, |dht| Some(dht.get_providers(key(cid))));
    }

    pub(crate) fn find_peer(&mut self, request: u64, peer: PeerId) {
        let what = What::Peer { request, peer };
        self.search(what, &Dht::ALL, |dht| Some(dht.get_closest_peers(peer)));
    }

    /// Looks for the nodes nearest to this one, and for those near a place that nobody has chosen. Only nodes that
    /// answered come out of it, so that each is really there; others that are told of are dialled on the way.
    pub(crate) fn crawl(&mut self) {
        let pause = match self.knows(Dht::Own) {
            true => CRAWL_INTERVAL.mul_f64(rand::rng().random_range(0.5..1.5)),
            false => CRAWL_RETRY,
        };
        self.discovery.crawl = clock::now() + pause;
        if self.searches.is_crawling() || pause == CRAWL_RETRY {
            return;
        }
        for near in [*self.swarm.local_peer_id(), PeerId::random()] {
            self.search(What::Crawl, &[Dht::Own], |dht| Some(dht.get_closest_peers(near)));
        }
    }

    /// Asks those of `dhts` that are switched on.
    fn search(&mut self, what: What, dhts: &[Dht], ask: impl Fn(&mut Table) -> Option<QueryId>) {
        let mut queries = Vec::new();
        if self.searches.has_room() {
            for dht in dhts {
                let table = self.swarm.behaviour_mut().dht(*dht);
                queries.extend(table.and_then(&ask).map(|query| (*dht, query)));
            }
        }
        let id = self.searches.insert(what, &queries);
        if queries.is_empty() {
            self.finish(id, Vec::new());
        }
    }

    fn knows(&mut self, dht: Dht) -> bool {
        let table = self.swarm.behaviour_mut().dht(dht);
        table.is_some_and(|table| table.kbuckets().next().is_some())
    }

    /// Tells of DHTs in which there is somebody at last, and tries to come into those where there is nobody.
    pub(crate) fn keep_acquainted(&mut self, now: Instant) {
        let mut missing = Vec::new();
        for dht in Dht::ALL {
            let knows = self.knows(dht);
            let joined = &mut self.acquaintance.joined;
            if knows && !joined.contains(&dht) {
                joined.push(dht);
                self.outbox.push_back(Event::DhtJoined { dht });
            } else if !knows {
                if joined.contains(&dht) {
                    joined.retain(|known| *known != dht);
                    self.outbox.push_back(Event::DhtLeft { dht });
                }
                missing.push(dht);
            }
        }
        let acquaintance = &mut self.acquaintance;
        let is_due = acquaintance
            .booted
            .is_none_or(|booted| BOOT_INTERVAL <= now.saturating_duration_since(booted));
        if acquaintance.boot.is_empty() || !is_due {
            return;
        }
        acquaintance.booted = Some(now);
        missing.retain(|dht| *dht != Dht::Own);
        for address in acquaintance.boot.clone() {
            if let Some(peer) = address::peer(&address) {
                let spoken = Spoken {
                    dhts: missing.clone(),
                    addresses: vec![address],
                };
                // A table that was empty begins with a search of its own, which dials them.
                self.swarm.behaviour_mut().add_to_dhts(&peer, &spoken);
            }
        }
    }

    pub(crate) fn on_dht_event(&mut self, dht: Dht, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed {
                id,
                result,
                stats,
                step,
            } => {
                if let Some(search) = self.searches.queries.get(&(dht, id)).copied() {
                    if step.last {
                        self.searches.queries.remove(&(dht, id));
                        self.on_asked(search, dht, &result, &stats);
                    }
                    self.on_progress(search, result);
                }
            }
            kad::Event::InboundRequest {
                request: kad::InboundRequest::AddProvider { record: Some(record) },
            } => {
                if let Some(table) = self.swarm.behaviour_mut().dht(dht)
                    && let Err(error) = table.store_mut().add_provider(record)
                {
                    tracing::debug!(%dht, %error, "a provider record was not kept");
                }
            }
            kad::Event::RoutingUpdated { peer, addresses, .. } if dht != Dht::Own => {
                // kad adds the address of each connection, which may be of another realm.
                let strange = addresses.iter().filter(|address| !dht.realm().has(address));
                for address in strange {
                    if let Some(table) = self.swarm.behaviour_mut().dht(dht) {
                        table.remove_address(&peer, address);
                    }
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

    /// A DHT has finished its part of a search.
    fn on_asked(&mut self, id: u64, dht: Dht, result: &QueryResult, stats: &QueryStats) {
        let Some(search) = self.searches.searches.get_mut(&id) else {
            return;
        };
        search.open -= 1;
        let answered = stats.num_successes();
        let nodes = match result {
            // Whoever answered the search is told after it, at most `K_VALUE` of them, and both are counted together.
            QueryResult::StartProviding(Ok(_)) => (answered / 2).min(K_VALUE.get() as u32),
            QueryResult::StartProviding(Err(_)) => 0,
            _ => answered,
        };
        search.asked.push(Asked { dht, nodes });
    }

    fn on_progress(&mut self, id: u64, result: QueryResult) {
        let Some(search) = self.searches.searches.get_mut(&id) else {
            return;
        };
        let (what, is_last) = (search.what, search.open == 0);
        match what {
            What::Providers { request } => {
                let found = match result {
                    QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
                        providers, ..
                    })) => providers,
                    _ => Default::default(),
                };
                let providers: Vec<_> = found
                    .into_iter()
                    .map(|peer| (peer, self.addresses(peer)))
                    .collect();
                if !is_last && !providers.is_empty() {
                    self.outbox.push_back(Event::Providers {
                        request,
                        providers,
                        done: None,
                    });
                } else if is_last {
                    self.finish(id, providers);
                }
            }
            What::Peer { peer, .. } => {
                let told = nearest(result).into_iter().filter(|info| info.peer_id == peer);
                search.addresses.extend(told.flat_map(|info| info.addrs));
            }
            What::Crawl => {
                let scope = match self.standing.has_met_world() {
                    true => Scope::Distant,
                    false => Scope::Any,
                };
                for info in nearest(result) {
                    self.discovered(Source::Dht, scope, info.peer_id, info.addrs);
                }
            }
            What::Provide { .. } => {}
        }
        if is_last && !matches!(what, What::Providers { .. }) {
            self.finish(id, Vec::new());
        }
    }

    /// A search is over; `providers` are the last that came of it.
    fn finish(&mut self, id: u64, providers: Vec<(PeerId, Vec<Multiaddr>)>) {
        let Some(search) = self.searches.searches.remove(&id) else {
            return;
        };
        match search.what {
            What::Providers { request } => self.outbox.push_back(Event::Providers {
                request,
                providers,
                done: Some(search.asked),
            }),
            What::Provide { request } => self.outbox.push_back(Event::Provided {
                request,
                told: search.asked,
            }),
            What::Peer { request, peer } => {
                let mut addresses = self.addresses(peer);
                addresses.extend(search.addresses);
                addresses.sort_unstable();
                addresses.dedup();
                addresses.truncate(PEER_ADDRESSES_MAX);
                self.outbox.push_back(Event::PeerFound {
                    request,
                    peer,
                    addresses,
                });
            }
            What::Crawl => {}
        }
    }

    /// Where the DHTs would dial a peer: their routing tables and the searches under way. kad does not hand out the
    /// addresses that come with providers, but gives them to the swarm when asked for a dial, which changes nothing.
    fn addresses(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        let no_connection = swarm::ConnectionId::new_unchecked(0);
        let mut all = Vec::new();
        for dht in Dht::ALL {
            let Some(table) = self.swarm.behaviour_mut().dht(dht) else {
                continue;
            };
            let known =
                table.handle_pending_outbound_connection(no_connection, Some(peer), &[], Endpoint::Dialer);
            for address in known.unwrap_or_default() {
                if all.len() < PEER_ADDRESSES_MAX && !all.contains(&address) {
                    all.push(address);
                }
            }
        }
        all
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
