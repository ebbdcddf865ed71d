//! The node's life: parts are started from the disk outwards, and stopped from the doors inwards.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustle_admin::{BindError, Server, ServerConfig, TcpDoor, location};
use rustle_chain::Signer;
use rustle_engine::Engine;
use rustle_net::{Acceptor, ForeignAccess, Inbound, Scope};
use rustle_store::{Collect, Store, StoreError};
use rustle_store_rocksdb::RocksStore;
use rustle_types::{Cid, Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Service;
use crate::clock::Clock;
use crate::config::{Admin, Config};
use crate::core_loop::{ASKS_MAX, Core, Inbox, JOINS_MAX, Outgoing, SYNC_FACTS_MAX, WRITTEN_MAX};
use crate::exchange::{self, TOLD_MAX};
use crate::facts::Facts;
use crate::identity::{DataDir, DataDirError};
use crate::keep::Keep;
use crate::keep::quota::{self, Quota};
use crate::metrics::Metrics;
use crate::routing::{self, Announced, Routing};
use crate::settings::{foreign_access, network_settings, peer_settings};
use crate::shared::Shared;
use crate::storage::{self, Storage};
use crate::sync::{self, PULLS_QUEUED_MAX};
use crate::{deliveries, join, lists, refusals};

/// Inbound streams of one protocol that wait for their task.
const STREAMS_QUEUED_MAX: usize = 32;
/// How long calls of the administration interface may take to end.
const ADMIN_GRACE: Duration = Duration::from_secs(1);
/// How long all parts together may take to stop; the promise is five seconds, and the process has to end, too.
const STOP_TIMEOUT: Duration = Duration::from_millis(4500);
/// How long to wait for the addresses before the node counts as started.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a node does not start. One line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The administration interface.
    #[error(transparent)]
    Admin(#[from] BindError),
    /// The network.
    #[error(transparent)]
    Net(#[from] rustle_net::StartError),
    /// What the store holds.
    #[error(transparent)]
    Engine(#[from] rustle_engine::OpenError),
    /// The address of the metrics.
    #[error("cannot serve metrics at {address}: {error}; name another address with --metrics")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The operating system.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// No randomness for keys.
    #[error("the system gives no randomness: {0}")]
    Randomness(String),
}

/// Why a node did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The store could not be closed; what was acknowledged is durable all the same.
    #[error("the store did not close cleanly: {0}")]
    Store(#[from] StoreError),
    /// A part did not stop in time.
    #[error("{0} did not stop in time")]
    Late(&'static str),
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    peer_id: PeerId,
    admin_address: Option<SocketAddr>,
    metrics_address: Option<SocketAddr>,
    shared: Shared,
    admin_task: JoinHandle<()>,
    net_task: JoinHandle<()>,
    core_task: JoinHandle<()>,
    storage_thread: std::thread::JoinHandle<()>,
    rocks: Arc<RocksStore>,
    _data_dir: DataDir,
}

/// The receiving ends of the streams that peers open.
struct Streams {
    join: mpsc::Receiver<Inbound>,
    sync: mpsc::Receiver<Inbound>,
    lists: mpsc::Receiver<Inbound>,
    bitswap: mpsc::Receiver<Inbound>,
}

/// What tasks are told by others.
struct Told {
    exchange: mpsc::Receiver<exchange::Told>,
    announced: mpsc::Receiver<(Cid, Announced)>,
}

// === impl Node ===

impl Node {
    /// Starts a node. When this returns it listens, knows its chains, and answers.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let data_dir = DataDir::open(&config.data_dir)?;
        let identity = data_dir.identity()?;
        let rocks = open_store(data_dir.join("store")).await?;
        let server = Server::bind(doors(&config)).await?;
        let admin_address = server.tcp_address();
        let metrics = bind_metrics(&config).await?;
        let metrics_address = metrics.as_ref().map(Metrics::address);

        let clock = Clock::start();
        let signer = Signer::from_secret(*identity.ed25519_secret());
        let peer_id = identity.peer_id();
        let peers = peer_settings(&config, peer_id);
        let agent = peers.user_agent.clone();
        let foreign = foreign_access(&config);
        let (acceptors, streams) = acceptors(&config);
        let store: Arc<dyn Store> = Arc::clone(&rocks) as Arc<dyn Store>;
        let engine = Engine::open(
            rustle_engine::Config { peers },
            Arc::clone(&store),
            signer,
            random_seed()?,
        )?;
        let network = rustle_net::Config {
            agent: agent.clone(),
            acceptors,
            dht_records: (!config.light).then(|| Arc::clone(&store)),
            ..network_settings(&config, identity)
        };
        let (net, events, net_task) = rustle_net::spawn(network)?;

        let (written_tx, written) = mpsc::channel(WRITTEN_MAX);
        let quota = Arc::new(Quota::new(&config.store, &rocks));
        let (storage, storage_thread) = storage::spawn(Arc::clone(&store), Arc::clone(&quota), written_tx)?;
        let keep = Arc::new(Keep::new(Arc::clone(&rocks), quota));
        let (shared, inbox, told) = wire_up(&config, clock, storage, keep, net.clone(), written, events);
        let core_task = run_tasks(engine, &shared, inbox, told, streams, foreign, &rocks);
        if let Some(metrics) = metrics {
            metrics.spawn(&shared, Arc::clone(&rocks));
        }
        let service = Arc::new(Service {
            shared: shared.clone(),
            rocks: Arc::clone(&rocks),
            agent,
        });
        let stop = shared.shutdown.clone();
        let admin_task = tokio::spawn(async move {
            if let Err(error) = server.run(service, stop.cancelled(), ADMIN_GRACE).await {
                tracing::error!(%error, "the administration interface stopped");
            }
        });
        // The sockets are bound; that their addresses are told late is no reason not to start.
        let _ = timeout(LISTEN_TIMEOUT, shared.facts.listening(config.listen.len())).await;
        Ok(Self {
            peer_id,
            admin_address,
            metrics_address,
            shared,
            admin_task,
            net_task,
            core_task,
            storage_thread,
            rocks,
            _data_dir: data_dir,
        })
    }

    /// The node's id.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Where the node listens for peers, without `/p2p/`.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.shared.facts.addresses()
    }

    /// Where the administration interface listens on TCP, if it does.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Where metrics are served, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Stops within five seconds: calls end, peers are told, what waits for the disk is written, the store is closed.
    pub async fn shutdown(self) -> Result<(), StopError> {
        let shared = self.shared;
        shared.shutdown.cancel();
        let late = |part| move |_| StopError::Late(part);
        let end = Instant::now() + STOP_TIMEOUT;
        let admin = timeout_at(end, self.admin_task)
            .await
            .map_err(late("administration"));
        shared.net.shutdown().await;
        let net = timeout_at(end, self.net_task).await.map_err(late("network"));
        let core = timeout_at(end, self.core_task).await.map_err(late("core"));
        shared.tasks.close();
        let tasks = timeout_at(end, shared.tasks.wait())
            .await
            .map_err(late("streams"));
        let thread = self.storage_thread;
        let stopped = async {
            shared.storage.stop().await;
            tokio::task::spawn_blocking(move || thread.join()).await
        };
        let storage = timeout_at(end, stopped).await.map_err(late("storage"));
        drop(shared);
        let closed = match Arc::try_unwrap(self.rocks) {
            Ok(rocks) => rocks.close(),
            // A reader or a collection still holds it; every acknowledged write was synced, so that nothing is lost.
            Err(rocks) => {
                rocks.stop_background();
                Ok(())
            }
        };
        // No part may keep the others from stopping; the first failure is told.
        admin
            .map(drop)
            .and(net.map(drop))
            .and(core.map(drop))
            .and(tasks)
            .and(storage.map(drop))?;
        Ok(closed?)
    }
}

/// Starts the core and the tasks around it; gives the core's.
fn run_tasks(
    engine: Engine,
    shared: &Shared,
    inbox: Inbox,
    told: Told,
    streams: Streams,
    foreign: ForeignAccess,
    rocks: &Arc<RocksStore>,
) -> JoinHandle<()> {
    let (pulls, pulls_queued) = mpsc::channel(PULLS_QUEUED_MAX);
    let (questions, questions_queued) = mpsc::channel(lists::QUESTIONS_MAX);
    let core = Core {
        engine,
        clock: shared.clock,
        net: shared.net.clone(),
        storage: shared.storage.clone(),
        deliveries: Arc::clone(&shared.deliveries),
        facts: Arc::clone(&shared.facts),
        pulls,
        questions,
        foreign,
        exchange: shared.exchange.told.clone(),
        routing: Arc::clone(&shared.routing),
        outgoing: Outgoing::default(),
        log_budget: Default::default(),
    };
    shared.spawn(join::serve(shared.clone(), streams.join));
    shared.spawn(sync::serve(shared.clone(), streams.sync));
    shared.spawn(sync::pull(shared.clone(), pulls_queued));
    shared.spawn(lists::serve(shared.clone(), streams.lists));
    shared.spawn(lists::ask(shared.clone(), questions_queued));
    let blocks = Arc::clone(rocks) as Arc<dyn Collect>;
    shared.spawn(routing::run(shared.clone(), blocks, told.announced));
    shared.spawn(quota::watch(shared.clone()));
    shared.spawn(refusals::tell(shared.clone()));
    shared.spawn(exchange::run(shared.clone(), told.exchange, streams.bitswap));
    tokio::spawn(core.run(inbox))
}

async fn open_store(path: std::path::PathBuf) -> Result<Arc<RocksStore>, StartError> {
    let opened = tokio::task::spawn_blocking(move || RocksStore::open(path, &Default::default())).await;
    Ok(Arc::new(opened.map_err(std::io::Error::other)??))
}

async fn bind_metrics(config: &Config) -> Result<Option<Metrics>, StartError> {
    let Some(address) = config.metrics else {
        return Ok(None);
    };
    let bound = Metrics::bind(address).await;
    bound
        .map(Some)
        .map_err(|error| StartError::Metrics { address, error })
}

fn doors(config: &Config) -> ServerConfig {
    let tcp = match config.admin {
        Admin::Unix => None,
        Admin::Tcp(address) => Some(TcpDoor {
            address,
            token_file: location::token_path(&config.data_dir),
        }),
    };
    ServerConfig {
        unix: Some(location::socket_path(&config.data_dir)),
        tcp,
    }
}

/// Keys are drawn from it, so it comes from the system's generator and from nowhere else.
fn random_seed() -> Result<[u8; 32], StartError> {
    use rand::TryRng as _;
    let mut seed = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut seed)
        .map_err(|error| StartError::Randomness(error.to_string()))?;
    Ok(seed)
}

fn acceptors(config: &Config) -> (Vec<Acceptor>, Streams) {
    let (join, join_streams) = mpsc::channel(STREAMS_QUEUED_MAX);
    let (sync, sync_streams) = mpsc::channel(STREAMS_QUEUED_MAX);
    let (lists, list_streams) = mpsc::channel(STREAMS_QUEUED_MAX);
    let (bitswap, bitswap_streams) = mpsc::channel(STREAMS_QUEUED_MAX);
    let own = |name, version, streams| Acceptor {
        protocol: config.network.protocol(name, version),
        scope: Scope::Own,
        streams,
    };
    let mut acceptors = vec![
        own(join::PROTOCOL, join::VERSION, join),
        own(sync::PROTOCOL, sync::VERSION, sync),
        own(lists::PROTOCOL, lists::VERSION, lists),
    ];
    acceptors.extend(rustle_bitswap::message::PROTOCOLS.iter().map(|name| Acceptor {
        protocol: (*name).to_owned(),
        scope: Scope::Content,
        streams: bitswap.clone(),
    }));
    (
        acceptors,
        Streams {
            join: join_streams,
            sync: sync_streams,
            lists: list_streams,
            bitswap: bitswap_streams,
        },
    )
}

/// Makes the queues between the tasks.
fn wire_up(
    config: &Config,
    clock: Clock,
    storage: Storage,
    keep: Arc<Keep>,
    net: rustle_net::Net,
    written: mpsc::Receiver<storage::Written>,
    events: mpsc::Receiver<rustle_net::Event>,
) -> (Shared, Inbox, Told) {
    let (asks, asks_queued) = mpsc::channel(ASKS_MAX);
    let (knocks, knocks_queued) = mpsc::channel(JOINS_MAX);
    let (synced, synced_queued) = mpsc::channel(SYNC_FACTS_MAX);
    let (lists, lists_queued) = mpsc::channel(lists::FACTS_MAX);
    let (told, told_queued) = mpsc::channel(TOLD_MAX);
    let (routing, announced) = Routing::new(config.routing.provide);
    let shutdown = CancellationToken::new();
    let shared = Shared {
        network: config.network.clone(),
        is_light: config.light,
        clock,
        store: Arc::clone(&keep.rocks) as Arc<dyn Store>,
        storage,
        keep,
        net,
        asks,
        knocks,
        synced,
        lists,
        exchange: exchange::Exchange::new(told),
        routing: Arc::new(routing),
        tunnels: Arc::default(),
        deliveries: Arc::new(deliveries::Deliveries::default()),
        facts: Arc::new(Facts::default()),
        shutdown: shutdown.clone(),
        tasks: TaskTracker::new(),
    };
    let inbox = Inbox {
        net: events,
        written,
        asks: asks_queued,
        knocks: knocks_queued,
        synced: synced_queued,
        lists: lists_queued,
        shutdown,
    };
    let told = Told {
        exchange: told_queued,
        announced,
    };
    (shared, inbox, told)
}
