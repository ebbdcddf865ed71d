//! Bitswap: the machines decide here, readers and writers move the bytes.
//!
//! One task holds the client and the server machine. Each inbound stream has a reader that hashes what comes and waits
//! until wanted blocks are written before it reads on; each peer has a writer that loads what is asked for. So a fast
//! peer is held back by our disk, a slow one by its own stream, and no payload passes this task.

pub(crate) mod counts;
mod providers;
mod reader;
mod session;
mod told;
mod writer;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rustle_bitswap::client::{self, Client, MESSAGE_WANTS_MAX, RequestId};
use rustle_bitswap::message::Want;
use rustle_bitswap::server::{Policy, Server};
use rustle_net::{Command, Inbound};
use rustle_types::limits::BITSWAP_MESSAGE_BYTES_MAX;
use rustle_types::{Cid, ConnectionId, Machine as _, Multiaddr, PeerId};
use tokio::sync::{Semaphore, mpsc};
use tracing::Instrument as _;

use self::counts::Counts;
use self::providers::Dialer;
pub(crate) use self::session::{Asked, Session};
use self::session::{NAMED_MAX, Providers};
pub(crate) use self::told::Told;
use self::told::{Arrived, Said};
use self::writer::{Parcel, Writer};
use crate::guests::Guests;
use crate::shared::Shared;

/// Messages to the exchange that may wait.
pub(crate) const TOLD_MAX: usize = 1024;
/// Messages to the exchange that are considered together.
const BATCH_MAX: usize = 256;
/// Blocks that may wait for the reader of one session; it asks for no more at once.
const SESSION_BLOCKS_MAX: usize = 2 * rustle_unixfs::WINDOW_BLOCKS_MAX;
/// Streams that one peer may have open: as many as Yamux allows on a connection. Kubo opens one for each message, writes
/// it whole, closes, and forgets it: reset for being one too many, a block would be lost. So streams wait, the oldest
/// first, for room for what they bring.
const STREAMS_PER_PEER_MAX: usize = 512;
/// Streams of all peers together. One that waits takes about 2 KiB.
const STREAMS_MAX: usize = 8192;
/// Streams that a peer may have whatever the others have.
const STREAMS_PER_PEER_SURE: usize = 16;
/// Bytes of messages of one peer that are read and kept at the same time, over all its streams.
const MESSAGE_BYTES_PER_PEER_MAX: usize = 2 * BITSWAP_MESSAGE_BYTES_MAX;
/// Connections that are remembered as gone.
const GONE_MAX: usize = 1024;
/// Searches for providers that are remembered.
const SEARCHES_MAX: usize = 256;

/// A handle to the exchange.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) told: mpsc::Sender<Told>,
    sessions: Arc<std::sync::atomic::AtomicU64>,
    pub(crate) counts: Arc<Counts>,
    /// Streams that peers have open.
    pub(crate) streams: Arc<Guests>,
}

/// Everybody may have every block, as this version knows only open chains; of a light client nobody has any.
struct Serving {
    is_light: bool,
}

impl Policy for Serving {
    fn may_serve(&self, _peer: &PeerId, _cid: &Cid) -> bool {
        !self.is_light
    }
}

struct Driver {
    shared: Shared,
    client: Client,
    server: Server<Serving>,
    peers: HashMap<PeerId, Peer>,
    sessions: HashMap<RequestId, mpsc::Sender<(Cid, Bytes)>>,
    /// Providers that were found for each session, each once, whoever names it.
    found: HashMap<RequestId, Providers>,
    /// The last searches, and for which session they were.
    searches: VecDeque<(u64, RequestId)>,
    dialer: Dialer,
    /// To be sent when all that was told is considered.
    wants: HashMap<PeerId, Vec<Want>>,
    next_search: u64,
    next_visit: u64,
    /// Connections that are gone: a stream of theirs may still be on its way to us.
    gone: VecDeque<ConnectionId>,
}

/// A connected peer. There are no more than the network allows connections.
struct Peer {
    /// Which of the peer's visits this is, so that the end of an earlier one is not taken for this.
    visit: u64,
    connections: Vec<ConnectionId>,
    writer: Option<Writer>,
    /// Whether a connection has come since the writer began.
    is_joined: bool,
    /// A permit for each byte that its messages may take while they are read and kept.
    room: Arc<Semaphore>,
}

/// Runs the exchange until the shutdown.
pub(crate) async fn run(
    shared: Shared,
    mut told: mpsc::Receiver<Told>,
    mut inbound: mpsc::Receiver<Inbound>,
) {
    let clock = shared.clock;
    let shutdown = shared.shutdown.clone();
    let serving = Serving {
        is_light: shared.is_light,
    };
    let mut driver = Driver {
        shared,
        client: Client::new(),
        server: Server::new(serving),
        peers: HashMap::new(),
        sessions: HashMap::new(),
        found: HashMap::new(),
        searches: VecDeque::new(),
        dialer: Dialer::new(),
        wants: HashMap::new(),
        next_search: 1,
        next_visit: 1,
        gone: VecDeque::new(),
    };
    let mut batch = Vec::new();
    loop {
        let deadline = driver.client.next_deadline().map(|uptime| clock.instant(uptime));
        let alarm = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            1.. = told.recv_many(&mut batch, BATCH_MAX) => batch.drain(..).for_each(|told| driver.on_told(told)),
            Some(inbound) = inbound.recv() => driver.on_inbound(inbound),
            () = alarm => driver.client.on_deadline(clock.now()),
        }
        driver.drain(&[], &mut Vec::new());
        driver.send_wants();
        driver.serve();
    }
}

// === impl Exchange ===

impl Exchange {
    /// A handle to the exchange that is told things this way.
    pub(crate) fn new(told: mpsc::Sender<Told>) -> Self {
        Self {
            told,
            sessions: Arc::default(),
            counts: Arc::default(),
            streams: Guests::with_sure(STREAMS_MAX, STREAMS_PER_PEER_MAX, STREAMS_PER_PEER_SURE),
        }
    }

    /// A session: blocks that belong together are asked of the same peers.
    pub(crate) fn session(&self) -> Session {
        let number = self.sessions.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (blocks, arrivals) = mpsc::channel(SESSION_BLOCKS_MAX);
        Session::new(RequestId(number), self.told.clone(), blocks, arrivals)
    }

    /// Tells that a block has come into the store.
    pub(crate) async fn stored(&self, cid: Cid) {
        // Without the exchange nobody waits for the block.
        let _ = self.told.send(Told::Stored { cids: vec![cid] }).await;
    }
}

// === impl Driver ===

impl Driver {
    fn on_told(&mut self, told: Told) {
        match told {
            Told::Connected { peer, connection } => self.on_connected(peer, connection),
            Told::Disconnected { peer, connection } => self.on_disconnected(peer, connection),
            Told::Providers { search, providers } => self.on_providers(search, providers),
            Told::Asked { request, reply } => {
                // Whoever asked may have gone.
                let _ = reply.send(self.on_asked(request));
            }
            Told::Open { request, blocks } => {
                self.sessions.insert(request, blocks);
                self.found.insert(request, Providers::default());
            }
            Told::Want { request, cids } => self.tell(client::Input::Want { request, cids }),
            Told::Close { request } => {
                self.sessions.remove(&request);
                self.found.remove(&request);
                self.tell(client::Input::Cancel(request));
            }
            Told::Stored { cids } => self.server.on_stored(&*self.shared.store, &cids),
            Told::Speaks { peer, visit, version } => {
                if self.is_visit(&peer, visit) {
                    self.tell(client::Input::PeerConnected(peer, version));
                }
            }
            Told::Mute {
                peer,
                visit,
                is_blameless,
            } => {
                if self.is_visit(&peer, visit) {
                    self.give_up(peer, !is_blameless);
                    if is_blameless {
                        self.write_again(peer);
                    }
                }
            }
            Told::Sent { peer, bytes } => self.server.on_sent(&peer, bytes),
            Told::Said(said) => self.on_said(&said),
            Told::Arrived(arrived) => self.on_arrived(*arrived),
        }
    }

    fn tell(&mut self, input: client::Input) {
        self.client.handle(self.shared.clock.now(), input);
    }

    fn is_visit(&self, peer: &PeerId, visit: u64) -> bool {
        self.peers.get(peer).is_some_and(|known| known.visit == visit)
    }

    /// A connection stands. An inbound stream may tell so before the core does.
    fn on_connected(&mut self, id: PeerId, connection: ConnectionId) {
        if !self.peers.contains_key(&id) {
            let visit = self.next_visit;
            self.next_visit += 1;
            let writer = Some(Writer::spawn(self.shared.clone(), id, visit));
            self.peers.insert(
                id,
                Peer {
                    visit,
                    connections: Vec::new(),
                    writer,
                    is_joined: false,
                    room: Arc::new(Semaphore::new(MESSAGE_BYTES_PER_PEER_MAX)),
                },
            );
        }
        if let Some(peer) = self
            .peers
            .get_mut(&id)
            .filter(|peer| !peer.connections.contains(&connection))
        {
            // The writer began with the first.
            peer.is_joined |= !peer.connections.is_empty();
            peer.connections.push(connection);
            self.write_again(id);
        }
    }

    /// What was no way for content may be joined by one: a relayed connection by a direct one. So where the writer has
    /// given up, each further connection is worth one attempt.
    fn write_again(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.writer.is_none() && std::mem::take(&mut peer.is_joined) {
            peer.writer = Some(Writer::spawn(self.shared.clone(), id, peer.visit));
        }
    }

    fn on_disconnected(&mut self, id: PeerId, connection: ConnectionId) {
        if GONE_MAX <= self.gone.len() {
            self.gone.pop_front();
        }
        self.gone.push_back(connection);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.connections.retain(|known| *known != connection);
        if peer.connections.is_empty() {
            // Who waits for room waits for nothing.
            peer.room.close();
            self.give_up(id, false);
            self.peers.remove(&id);
        }
    }

    /// Forgets what a peer wants and what is wanted of it. One that only takes without reading is disconnected, so that
    /// it does not wait for answers that will never come.
    fn give_up(&mut self, id: PeerId, disconnect: bool) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.writer = None;
            for connection in peer.connections.iter().filter(|_| disconnect) {
                // No room means that the network is busy; the peer is then heard no more, but stays.
                if let Some(permit) = self.shared.net.try_reserve() {
                    permit.send(Command::Close {
                        connection: *connection,
                    });
                }
            }
        }
        self.wants.remove(&id);
        self.server.on_disconnected(&id);
        self.tell(client::Input::PeerDisconnected(id));
    }

    fn on_inbound(&mut self, inbound: Inbound) {
        if self.gone.contains(&inbound.connection) {
            return;
        }
        self.on_connected(inbound.peer, inbound.connection);
        let Some(peer) = self.peers.get_mut(&inbound.peer) else {
            return;
        };
        let Some(place) = self.shared.exchange.streams.admit(inbound.peer) else {
            // The stream is dropped, which resets it.
            self.shared.exchange.counts.streams_refused.one();
            tracing::debug!(peer = %inbound.peer, "a stream too many");
            return;
        };
        let span = tracing::info_span!("bitswap", peer = %inbound.peer);
        let room = Arc::clone(&peer.room);
        let read = reader::read(self.shared.clone(), inbound.peer, place, room, inbound.stream);
        self.shared.spawn(read.instrument(span));
    }

    fn on_said(&mut self, Said { peer, message }: &Said) {
        if !self.peers.contains_key(peer) {
            return;
        }
        if message.full || !message.wants.is_empty() {
            let store = &*self.shared.store;
            let taken = self.server.on_wants(store, *peer, &message.wants, message.full);
            let counts = &self.shared.exchange.counts;
            counts.wants_dropped.add(taken.dropped as u64);
        }
        if !message.presences.is_empty() {
            self.tell(client::Input::received(*peer, message, Vec::new()));
        }
    }

    fn on_arrived(&mut self, Arrived { peer, blocks, keep }: Arrived) {
        if !self.peers.contains_key(&peer) {
            return;
        }
        let sizes = blocks.iter().map(|(cid, bytes)| (*cid, bytes.len() as u64));
        self.tell(client::Input::Received {
            peer,
            blocks: sizes.collect(),
            haves: Vec::new(),
            dont_haves: Vec::new(),
        });
        let mut kept = Vec::new();
        self.drain(&blocks, &mut kept);
        // The reader may have ended with its stream; the blocks are then fetched again.
        let _ = keep.send(kept);
    }

    /// Carries out what the client decided; `blocks` are those that have just come, the wanted ones go into `kept`.
    fn drain(&mut self, blocks: &[(Cid, Bytes)], kept: &mut Vec<(Cid, Bytes)>) {
        // The client tells of blocks in the order in which it heard of them.
        let mut next = 0;
        while let Some(output) = self.client.poll_output() {
            match output {
                client::Output::Send { peer, wants } => self.wants.entry(peer).or_default().extend(wants),
                client::Output::Got { request, cid, .. } => {
                    while next < blocks.len() && blocks[next].0.hash() != cid.hash() {
                        next += 1;
                    }
                    if let Some((_, bytes)) = blocks.get(next) {
                        self.on_got(request, cid, bytes.clone(), kept);
                    }
                }
                client::Output::Unwanted { peer, cid, is_late } => {
                    let counts = &self.shared.exchange.counts;
                    if is_late {
                        counts.blocks_late.one();
                    } else {
                        counts.blocks_unwanted.one();
                        tracing::trace!(%peer, %cid, "a block that nobody wants");
                    }
                }
                client::Output::FindProviders { request, cid } => self.search(request, cid),
                client::Output::Refused { request, cid } => {
                    tracing::warn!(?request, %cid, "too many blocks are wanted at once");
                }
            }
        }
    }

    fn search(&mut self, session: RequestId, cid: Cid) {
        let request = self.next_search;
        self.next_search += 1;
        if SEARCHES_MAX <= self.searches.len() {
            self.searches.pop_front();
        }
        self.searches.push_back((request, session));
        // No room means that the network is busy; the client asks again.
        if let Some(permit) = self.shared.net.try_reserve() {
            permit.send(Command::FindProviders { request, cid });
        }
    }

    fn on_got(&self, request: RequestId, cid: Cid, bytes: Bytes, kept: &mut Vec<(Cid, Bytes)>) {
        // Two sessions may want the same block; it is kept once.
        if kept.last().is_none_or(|(last, _)| last.hash() != cid.hash()) {
            let counts = &self.shared.exchange.counts;
            counts.blocks_received.one();
            counts.bytes_received.add(bytes.len() as u64);
            kept.push((cid, bytes.clone()));
        }
        if let Some(session) = self.sessions.get(&request) {
            // A session has room for all that it may want, so that this fails only when it is over.
            let _ = session.try_send((cid, bytes));
        }
    }

    fn serve(&mut self) {
        while let Some(task) = self.server.next_task() {
            self.post(task.peer, Parcel::Task(task));
        }
        self.drain(&[], &mut Vec::new());
        self.send_wants();
        let peers = self.server.peers() as u64;
        self.shared.exchange.counts.peers.set(peers);
    }

    /// Sends what was decided to want, in as few messages as it takes: of small blocks each one that comes leads to a want
    /// for another.
    fn send_wants(&mut self) {
        for (peer, wants) in std::mem::take(&mut self.wants) {
            for part in wants.chunks(MESSAGE_WANTS_MAX) {
                self.post(peer, Parcel::Wants(part.to_vec()));
            }
        }
    }

    fn post(&mut self, peer: PeerId, parcel: Parcel) {
        let writer = self.peers.get(&peer).and_then(|peer| peer.writer.as_ref());
        if writer.is_some_and(|writer| !writer.post(parcel)) {
            tracing::debug!(%peer, "the peer does not read what it asked for");
            self.give_up(peer, true);
        }
    }

    fn on_providers(&mut self, search: u64, providers: Vec<(PeerId, Vec<Multiaddr>)>) {
        let request = self.searches.iter().find(|(known, _)| *known == search);
        if let Some(found) = request.and_then(|(_, request)| self.found.get_mut(request)) {
            found.extend(providers.iter().map(|(peer, _)| *peer));
        }
        self.dialer
            .dial(&self.shared, providers, |peer| self.peers.contains_key(peer));
    }

    fn on_asked(&self, request: RequestId) -> Asked {
        let asked = self.client.asked(request);
        Asked {
            peers: asked.peers.len(),
            refused: asked.peers.values().filter(|refused| **refused).count(),
            providers: self.found.get(&request).map_or(0, Providers::count),
            named: asked.peers.keys().take(NAMED_MAX).copied().collect(),
        }
    }
}
