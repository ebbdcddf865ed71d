//! A node that is one list of blocks and one list of files.

mod store;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use rustle_admin::fault::reason;
use rustle_admin::views::*;
use rustle_admin::{Backend, Fault, FaultKind, Flow, RoutingBackend, TunnelsBackend};
use rustle_types::{BlockId, ChainId, Cid, Multiaddr, PeerId, Timestamp};

pub(crate) use self::store::{garbage, pins, root, stat};

pub(crate) const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
pub(crate) const INVITATION: &str = "rustle1abcdef";

#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) files: Mutex<Vec<(Cid, Bytes)>>,
    pub(crate) chains: Mutex<Vec<(ChainId, String)>>,
    pub(crate) blocks: Mutex<Vec<BlockView>>,
    pub(crate) rules: Mutex<Vec<Rule>>,
    /// What the last calls asked for, in `Debug` form.
    pub(crate) asked: Mutex<Vec<String>>,
    /// Whether its disk has failed.
    pub(crate) is_ill: std::sync::atomic::AtomicBool,
}

pub(crate) fn peer() -> PeerId {
    PEER.parse().expect("a peer id")
}

pub(crate) fn address() -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/4001/p2p/{PEER}")
        .parse()
        .expect("a multiaddr")
}

/// A connection of which everything is known, or as little as possible.
fn connection(peer: PeerView, is_whole: bool) -> ConnectionView {
    let time = |millis| is_whole.then(|| Duration::from_millis(millis));
    let addresses = if is_whole { vec![address()] } else { Vec::new() };
    ConnectionView {
        peer,
        connection: 7,
        why: "boot".to_owned(),
        service_names: addresses.iter().map(|_| "content".to_owned()).collect(),
        versions: is_whole.then_some((1, 2)),
        time: is_whole.then(|| Timestamp::from_millis(1_700_000_000_000)),
        observed_address: addresses.first().cloned(),
        listen_addresses: addresses,
        idle: Duration::from_millis(900),
        ping_rtt_min: time(1),
        ping_rtt_mean: time(2),
        content_ago: time(3),
        gossip_ago: time(4),
    }
}

fn known(peer: PeerId) -> KnownPeer {
    KnownPeer {
        peer,
        addresses: vec![address()],
        table: Some(BookTable::Tried),
        source: "exchange".to_owned(),
        seen: Some(Timestamp::from_millis(5)),
        tried: Some(Timestamp::from_millis(6)),
        reached: None,
        failures: 2,
        next_dial_in: Some(Duration::from_millis(10_000)),
        anchor: true,
    }
}

impl Fake {
    fn resolve(&self, chain: &ChainRef) -> Result<ChainId, Fault> {
        let chains = self.chains.lock().expect("no panic while locked");
        chain.resolve(chains.iter().map(|(id, name)| (*id, name.as_str())))
    }

    pub(crate) fn note(&self, asked: impl std::fmt::Debug) {
        self.asked
            .lock()
            .expect("no panic while locked")
            .push(format!("{asked:?}"));
    }

    pub(crate) fn asked(&self) -> String {
        self.asked.lock().expect("no panic while locked").join("\n")
    }
}

impl Backend for Fake {
    async fn id(&self) -> Result<NodeIdentity, Fault> {
        Ok(NodeIdentity {
            peer: peer(),
            addresses: vec![address()],
            network: "test".parse().expect("a network name"),
            agent: "rustled/0.1.0".to_owned(),
            version: "0.1.0".to_owned(),
        })
    }

    async fn status(&self) -> Result<NodeStatus, Fault> {
        Ok(NodeStatus {
            uptime: Duration::from_millis(1500),
            ready: true,
            health: "ready".to_owned(),
            network: "test".parse().expect("a network name"),
            version: "0.1.0".to_owned(),
            listen_addresses: vec![address()],
            peers: PeerCounts {
                rustle: 2,
                foreign: 1,
                pending: 3,
            },
            chains: 1,
            store_bytes: Some(4096),
        })
    }

    async fn peers(&self) -> Result<Vec<PeerView>, Fault> {
        let known = PeerView {
            peer: peer(),
            address: address(),
            direction: Direction::Outbound,
            class: PeerClass::Rustle,
            agent: Some("rustled/0.1.0".to_owned()),
            version: Some("0.1.0".to_owned()),
            network: Some("test".to_owned()),
            services: 17,
            connected: Duration::from_millis(20),
            ping_rtt: Some(Duration::from_micros(345)),
            reach: Some("local".to_owned()),
            relayed: true,
        };
        let pending = PeerView {
            direction: Direction::Inbound,
            class: PeerClass::Pending,
            agent: None,
            version: None,
            network: None,
            ping_rtt: None,
            reach: None,
            relayed: false,
            ..known.clone()
        };
        Ok(vec![known, pending])
    }

    async fn connect(&self, address: Multiaddr, timeout: Duration) -> Result<PeerId, Fault> {
        self.note(("connect", &address, timeout));
        match address.to_string() {
            text if text.contains("/tcp/1/") => Err(Fault::unreachable(&text, &"connection refused")),
            text if text.contains("/tcp/2/") => Err(Fault::incompatible_network("test", "other")),
            _ => Ok(peer()),
        }
    }

    async fn peer(&self, wanted: PeerId) -> Result<PeerDetails, Fault> {
        if wanted != peer() {
            return Err(Fault::peer_not_found(&wanted));
        }
        let mut views = self.peers().await?;
        Ok(PeerDetails {
            peer: wanted,
            connections: vec![
                connection(views.remove(0), true),
                connection(views.remove(0), false),
            ],
            score: -12.5,
            shares: vec![("control".to_owned(), -10.0), ("gossip".to_owned(), -2.5)],
            bans: 1,
            faults: vec![FaultView {
                fault: "ping_flood".to_owned(),
                count: 3,
                last_ago: Duration::from_millis(8_000),
            }],
            known: Some(known(wanted)),
            rules: self.rules().await?,
        })
    }

    async fn disconnect(&self, wanted: PeerId) -> Result<(), Fault> {
        self.note(("disconnect", &wanted));
        if wanted == peer() {
            Ok(())
        } else {
            Err(Fault::peer_not_connected(&wanted))
        }
    }

    async fn add_rule(
        &self,
        kind: RuleKind,
        target: Target,
        duration: Option<Duration>,
        reason: Reason,
    ) -> Result<Rule, Fault> {
        let since = Timestamp::from_millis(1_700_000_000_000);
        let rule = Rule {
            target,
            kind,
            until: duration.map(|time| since.plus(time)),
            reason,
            origin: Origin::Operator,
            since,
        };
        let mut rules = self.rules.lock().expect("no panic while locked");
        rules.push(rule.clone());
        Ok(rule)
    }

    async fn remove_rule(&self, kind: RuleKind, target: Target) -> Result<(), Fault> {
        let mut rules = self.rules.lock().expect("no panic while locked");
        let before = rules.len();
        rules.retain(|rule| (rule.kind, rule.target) != (kind, target));
        if rules.len() == before {
            return Err(Fault::rule_not_found(kind, &target));
        }
        Ok(())
    }

    async fn rules(&self) -> Result<Vec<Rule>, Fault> {
        Ok(self.rules.lock().expect("no panic while locked").clone())
    }

    async fn addresses(&self, query: AddressQuery) -> Result<AddressPage, Fault> {
        self.note(("addresses", query));
        Ok(AddressPage {
            peers: vec![known(peer())],
            next: query.after.is_none().then(peer),
            own: OwnAddresses {
                listen: vec![address()],
                external: vec![address(), address()],
                relayed: Vec::new(),
                reachability: Reachability::Unreachable,
            },
        })
    }

    async fn create_chain(&self, name: String) -> Result<ChainId, Fault> {
        let genesis = BlockId::of(name.as_bytes());
        let id = ChainId::of_genesis(genesis);
        self.chains
            .lock()
            .expect("no panic while locked")
            .push((id, name));
        let genesis = BlockView {
            block: genesis,
            height: 0,
            time: Timestamp::from_millis(1_700_000_000_000),
            author: peer(),
            parents: Vec::new(),
            topics: Vec::new(),
            body: Bytes::new(),
            kind: BlockKind::Genesis,
        };
        self.blocks.lock().expect("no panic while locked").push(genesis);
        Ok(id)
    }

    async fn chains(&self) -> Result<Vec<ChainView>, Fault> {
        let blocks = self.blocks.lock().expect("no panic while locked").len() as u64;
        let chains = self.chains.lock().expect("no panic while locked");
        let view = |(chain, name): &(ChainId, String)| ChainView {
            chain: *chain,
            name: name.clone(),
            blocks,
            height: blocks - 1,
            leaves: 1,
        };
        Ok(chains.iter().map(view).collect())
    }

    async fn invite(&self, chain: ChainRef, terms: InviteTerms) -> Result<String, Fault> {
        self.resolve(&chain)?;
        self.note(("invite", terms));
        Ok(INVITATION.to_owned())
    }

    async fn join(&self, invitation: String, timeout: Duration) -> Result<Joined, Fault> {
        self.note(("join", &invitation, timeout));
        if invitation != INVITATION {
            let message = "the invitation has expired; ask for another";
            return Err(Fault::new(
                FaultKind::FailedPrecondition,
                reason::INVITATION_EXPIRED,
                message,
            ));
        }
        Ok(Joined {
            chain: ChainId::of_genesis(BlockId::of(b"joined")),
            name: "joined".to_owned(),
        })
    }

    async fn append(&self, chain: ChainRef, entry: NewEntry) -> Result<Appended, Fault> {
        self.resolve(&chain)?;
        let mut blocks = self.blocks.lock().expect("no panic while locked");
        let last = blocks.last().expect("the genesis block").clone();
        let height = last.height + 1;
        let block = BlockId::of(&[&entry.body, height.to_le_bytes().as_slice()].concat());
        blocks.push(BlockView {
            block,
            height,
            parents: vec![last.block],
            topics: entry.topics,
            body: entry.body,
            kind: BlockKind::Data,
            ..last
        });
        Ok(Appended { block, height })
    }

    async fn log(&self, chain: ChainRef, query: LogQuery) -> Result<Flow<BlockView>, Fault> {
        self.resolve(&chain)?;
        self.note(("log", query));
        let mut blocks = self.blocks.lock().expect("no panic while locked").clone();
        if query.order == Order::NewestFirst {
            blocks.reverse();
        }
        let behind = match query.after {
            None => 0,
            Some(after) => {
                1 + blocks
                    .iter()
                    .position(|view| view.block == after)
                    .expect("a known block")
            }
        };
        Ok(stream::iter(blocks.into_iter().skip(behind).map(Ok)).boxed())
    }

    async fn leaves(&self, chain: ChainRef) -> Result<Vec<BlockId>, Fault> {
        self.resolve(&chain)?;
        Ok(self
            .blocks
            .lock()
            .expect("no panic while locked")
            .last()
            .map(|view| view.block)
            .into_iter()
            .collect())
    }

    async fn follow(&self, chain: ChainRef, from: FollowFrom) -> Result<Flow<Delivery>, Fault> {
        self.resolve(&chain)?;
        let blocks = self.blocks.lock().expect("no panic while locked").clone();
        let first = match from {
            FollowFrom::Now => blocks.len(),
            FollowFrom::Start => 0,
            FollowFrom::Sequence(sequence) => usize::try_from(sequence).expect("small"),
        };
        let known = blocks.into_iter().enumerate().skip(first);
        let known = known.map(|(sequence, block)| {
            Ok(Delivery {
                sequence: sequence as u64,
                block,
            })
        });
        Ok(stream::iter(known).chain(stream::pending()).boxed())
    }

    async fn digest(&self, chain: ChainRef) -> Result<ChainDigest, Fault> {
        self.resolve(&chain)?;
        let blocks = self.blocks.lock().expect("no panic while locked").len() as u64;
        Ok(ChainDigest {
            hash: [0xab; 32],
            blocks,
        })
    }
}

impl RoutingBackend for Fake {
    async fn provide(&self, cid: Cid, recursive: bool) -> Result<Flow<Provided>, Fault> {
        let told = vec![DhtNodes {
            dht: "ipfs-lan".to_owned(),
            nodes: 7,
        }];
        let provided = Provided { cid, told };
        Ok(stream::iter(vec![Ok(provided); 1 + usize::from(recursive)]).boxed())
    }

    async fn find_providers(&self, query: ProviderQuery) -> Result<Flow<Provider>, Fault> {
        self.asked
            .lock()
            .expect("no panic while locked")
            .push(format!("{query:?}"));
        let provider = Provider {
            peer: peer(),
            addresses: vec![address()],
        };
        let nobody = Fault::new(FaultKind::NotFound, reason::CONTENT_NOT_FOUND, "nobody");
        Ok(match query.limit {
            1 => stream::iter([Err(nobody)]).boxed(),
            _ => stream::iter([Ok(provider)]).boxed(),
        })
    }
}

impl TunnelsBackend for Fake {
    async fn tunnel_listen(
        &self,
        protocol: String,
        target: SocketAddr,
        access: TunnelAccess,
    ) -> Result<Tunnel, Fault> {
        Ok(tunnel(1, protocol, TunnelSide::Listen { target, access }))
    }

    async fn tunnel_forward(
        &self,
        protocol: String,
        listen: SocketAddr,
        end: TunnelEnd,
    ) -> Result<Tunnel, Fault> {
        let peer = end.peer;
        Ok(tunnel(2, protocol, TunnelSide::Forward { listen, peer }))
    }

    async fn tunnels(&self) -> Result<Vec<Tunnel>, Fault> {
        let target = "127.0.0.1:80".parse().expect("a socket address");
        let access = TunnelAccess::Peers(vec![peer()]);
        Ok(vec![tunnel(
            1,
            "/x/web".to_owned(),
            TunnelSide::Listen { target, access },
        )])
    }

    async fn close_tunnels(&self, filter: TunnelFilter) -> Result<usize, Fault> {
        let fitting = self
            .tunnels()
            .await?
            .iter()
            .filter(|one| filter.takes(one))
            .count();
        match fitting {
            0 => Err(Fault::new(FaultKind::NotFound, reason::TUNNEL_NOT_FOUND, "none")),
            fitting => Ok(fitting),
        }
    }
}

fn tunnel(id: u64, protocol: String, side: TunnelSide) -> Tunnel {
    Tunnel {
        id,
        protocol,
        side,
        open: 1,
        total: 3,
        refused: 2,
        bytes_out: 4,
        bytes_in: 5,
    }
}
