//! How are others looked for, and what is told of whom discovery comes upon?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::kad;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use rustle_types::address::{self, Reach};
use rustle_types::limits::ADDRESS_BYTES_MAX;
use rustle_types::{ConnectionId, Multiaddr, NetworkName, PeerId};
use rustle_wire::rendezvous::Namespace;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use crate::behaviour::{NodeSwarm, Sighted};
use crate::config::DISCOVERED_ADDRESSES_MAX;
use crate::rendezvous::{self, Client, Found, Report, Start};
use crate::sightings::Scope;
use crate::task::Task;
use crate::{Config, Dht, Event, Source, clock};

/// How often it is asked what is due.
const TICK: Duration = Duration::from_secs(1);

/// What discovery does by itself.
#[derive(Debug)]
pub(crate) struct Discovery {
    pub(crate) network: NetworkName,
    /// Whether the addresses at which this node listens are told; not so behind a proxy.
    tells_listeners: bool,
    /// The rendezvous points, where there are some.
    client: Option<Client>,
    /// Visits at points, at most one at each.
    visits: JoinSet<Report>,
    reports: Vec<Report>,
    /// When to look around in the DHT next.
    pub(crate) crawl: Instant,
    /// Whether a node of the DHT was ever known.
    pub(crate) knew_dht: bool,
    tick: Interval,
}

// === impl Discovery ===

impl Discovery {
    /// To be called within a tokio runtime.
    pub(crate) fn new(config: &Config) -> Self {
        let network = config.network.clone();
        let client = rendezvous::namespace(&network, "")
            .filter(|_| !config.rendezvous_points.is_empty())
            .map(|namespace| {
                let points = &config.rendezvous_points;
                Client::new(config.identity.clone(), namespace, points, clock::now())
            });
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            network,
            tells_listeners: config.proxy.is_none(),
            client,
            visits: JoinSet::new(),
            reports: Vec::new(),
            crawl: clock::now(),
            knew_dht: false,
            tick,
        }
    }

    /// Waits until something may be due, or was done. May be dropped and begun again.
    pub(crate) async fn ready(&mut self) {
        tokio::select! {
            // A visit that panicked is in the log, and its point is not visited again.
            Some(report) = self.visits.join_next() => self.reports.extend(report.ok()),
            _ = self.tick.tick() => {}
        }
    }

    pub(crate) fn on_disconnected(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(client) = &mut self.client {
            client.on_disconnected(peer, connection);
        }
    }

    fn namespace(&self, name: &str) -> Option<Namespace> {
        let namespace = rendezvous::namespace(&self.network, name);
        if namespace.is_none() {
            tracing::warn!(
                bytes = name.len(),
                "a name too long for rendezvous points is not looked for"
            );
        }
        namespace
    }
}

// === impl Task ===

impl Task {
    /// Does what is due.
    pub(crate) fn look_around(&mut self) {
        let now = clock::now();
        for report in std::mem::take(&mut self.discovery.reports) {
            self.on_report(report);
        }
        if self.discovery.crawl <= now {
            self.crawl();
        }
        self.keep_acquainted(now);
        self.keep_records(now);
        let Some(client) = &mut self.discovery.client else {
            return;
        };
        let (swarm, with_listeners) = (&self.swarm, self.discovery.tells_listeners);
        for start in client.due(now, |place| {
            !own_addresses(swarm, with_listeners, place).is_empty()
        }) {
            match start {
                Start::Dial { peer, addresses } => {
                    let options = DialOpts::peer_id(peer)
                        .condition(PeerCondition::DisconnectedAndNotDialing)
                        .addresses(addresses);
                    // Connected or being dialled, or tried again in a while.
                    let _ = self.swarm.dial(options.build());
                }
                Start::Visit(visit) => {
                    let place = client.reached_at(visit.point());
                    let addresses = place.map(|place| own_addresses(&self.swarm, with_listeners, place));
                    let openers = self.swarm.behaviour().streams.openers(&visit.point());
                    let visit = visit.run(openers, addresses.unwrap_or_default());
                    self.discovery.visits.spawn(visit);
                }
            }
        }
    }

    fn on_report(&mut self, report: Report) {
        let Some(client) = &mut self.discovery.client else {
            return;
        };
        client.on_report(&report, clock::now());
        // Addresses of private networks mean something only to those on the same one.
        let scope = match client.reached_at(report.point).map(Vicinity::of) {
            Some(Vicinity::Machine | Vicinity::Network) => Scope::Any,
            Some(Vicinity::World) | None => Scope::Distant,
        };
        for Found { namespace, peers } in report.found {
            if let Some(name) = rendezvous::name(&self.discovery.network, &namespace) {
                self.outbox.push_back(Event::Found {
                    name: name.to_owned(),
                    point: report.point,
                    peers: peers.iter().map(|(peer, _)| *peer).collect(),
                });
            }
            for (peer, addresses) in peers {
                self.discovered(Source::Rendezvous, scope, peer, addresses);
            }
        }
    }

    pub(crate) fn advertise(&mut self, name: &str) {
        if let Some(namespace) = self.discovery.namespace(name)
            && let Some(client) = &mut self.discovery.client
            && !client.advertise(namespace)
        {
            tracing::warn!(name, "one name too many to be found under");
        }
        self.look_around();
    }

    pub(crate) fn unadvertise(&mut self, name: &str) {
        if let Some(namespace) = self.discovery.namespace(name)
            && let Some(client) = &mut self.discovery.client
        {
            client.unadvertise(&namespace);
        }
        self.look_around();
    }

    pub(crate) fn look_up(&mut self, name: &str) {
        if let Some(namespace) = self.discovery.namespace(name)
            && let Some(client) = &mut self.discovery.client
        {
            client.discover(&namespace, clock::now());
        }
        self.look_around();
    }

    /// A connection was admitted, so that it is of use.
    pub(crate) fn on_admitted(&mut self, connection: ConnectionId) {
        let streams = &self.swarm.behaviour().streams;
        if let Some((peer, address)) = streams.remote(connection)
            && let Some(client) = &mut self.discovery.client
        {
            client.on_admitted(peer, connection, address.clone(), clock::now());
            self.look_around();
        }
    }

    /// Where this node can be dialled may have changed.
    pub(crate) fn on_moved(&mut self) {
        // Provider records carry external addresses only, and go-libp2p drops those without any.
        let (new, gone) = self.standing.changes();
        gone.iter()
            .for_each(|address| self.swarm.remove_external_address(address));
        new.into_iter()
            .for_each(|address| self.swarm.add_external_address(address));
        for dht in Dht::ALL {
            let mode = match self.standing.serves(dht) {
                true => kad::Mode::Server,
                false => kad::Mode::Client,
            };
            if let Some(table) = self.swarm.behaviour_mut().dht(dht)
                && table.mode() != mode
            {
                tracing::debug!(%dht, %mode, "part in a DHT");
                table.set_mode(Some(mode));
            }
        }
        if let Some(client) = &mut self.discovery.client {
            client.on_moved(clock::now());
        }
    }

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

/// From how far an address can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Vicinity {
    /// From the same machine.
    Machine,
    /// From the same network.
    Network,
    /// From everywhere.
    World,
}

// === impl Vicinity ===

impl Vicinity {
    fn of(address: &Multiaddr) -> Self {
        let is_loopback = match address.iter().next() {
            Some(Protocol::Ip4(ip)) => ip.is_loopback(),
            Some(Protocol::Ip6(ip)) => ip.is_loopback(),
            _ => false,
        };
        match Reach::of(address) {
            _ if is_loopback => Self::Machine,
            Some(Reach::Local) => Self::Network,
            _ => Self::World,
        }
    }
}

/// Where whoever is reached at `place` can dial this node: confirmed addresses first.
fn own_addresses(swarm: &NodeSwarm, with_listeners: bool, place: &Multiaddr) -> Vec<Multiaddr> {
    let mut own = Vec::new();
    let listeners = swarm.listeners().filter(|_| with_listeners);
    for address in swarm.external_addresses().chain(listeners) {
        let is_of_use = address::is_dialable(address)
            && address.len() <= ADDRESS_BYTES_MAX
            && Vicinity::of(place) <= Vicinity::of(address);
        if is_of_use && !own.contains(address) && own.len() < DISCOVERED_ADDRESSES_MAX {
            own.push(address.clone());
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_use_from_as_far_as_it_reaches() {
        let vicinity = |text: &str| Vicinity::of(&text.parse().unwrap());
        assert_eq!(vicinity("/ip4/127.0.0.1/tcp/1"), Vicinity::Machine);
        assert_eq!(vicinity("/ip6/::1/udp/1/quic-v1"), Vicinity::Machine);
        assert_eq!(vicinity("/ip4/192.168.0.1/tcp/1"), Vicinity::Network);
        assert_eq!(vicinity("/ip4/8.8.8.8/tcp/1"), Vicinity::World);
        assert_eq!(vicinity("/dns4/a.example/tcp/1"), Vicinity::World);
        assert!(Vicinity::Machine < Vicinity::Network && Vicinity::Network < Vicinity::World);
    }
}
