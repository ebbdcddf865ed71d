//! Who has some content, and who is told what this node has?
//!
//! Both are questions to the DHTs. Answers come as events of the network, which the core hands to whoever waits for them
//! here. What is told is told anew in time, as the nodes of a DHT forget it after one or two days: see `provider`.

mod agenda;
mod contents;
mod provider;
mod search;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustle_net::{Asked, Command, Event};
use rustle_types::{Cid, Multiaddr, PeerId};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use self::agenda::Agenda;
pub(crate) use self::provider::run;
pub(crate) use self::search::{provide_all, search};
use crate::config::Provide;
use crate::shared::Shared;

/// Numbers of requests of this part; those of the exchange are lower.
const FIRST_REQUEST: u64 = 1 << 63;
/// Content that waits to be told of. More is told with a round, which comes early for it.
const ANNOUNCED_MAX: usize = 1024;
/// Records that the DHTs are told of at the same time: each is a search through all of them.
const PROVIDES_MAX: usize = 8;
/// Walks through what is below roots at the same time, of the provider and as many of those who ask for it: each may take
/// 50 MB of memory and a thread for as long as its searches last.
const WALKS_MAX: usize = 2;
/// Answers that wait for whoever searches; further ones are lost to it.
const FOUND_MAX: usize = 256;

/// What came into this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    /// The root of something that is pinned; all below it is here as well.
    Root,
    /// A block by itself.
    Block,
}

/// Who has some content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) providers: Vec<(PeerId, Vec<Multiaddr>)>,
    /// With the last answer: how many nodes of each DHT answered.
    pub(crate) done: Option<Vec<Asked>>,
}

/// What this node tells the DHTs and asks of them.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) setting: Provide,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
    places: Semaphore,
    announcements: mpsc::Sender<(Cid, Announced)>,
    agenda: Mutex<Agenda>,
    /// Woken when there may be more to do than `agenda` had.
    has_changed: Notify,
    /// Room for walks of the provider.
    walks: Arc<Semaphore>,
    /// Room for those that are asked for.
    asked_walks: Arc<Semaphore>,
}

/// Who waits for the answer to a request.
#[derive(Debug)]
enum Waiting {
    Peer(oneshot::Sender<Vec<Multiaddr>>),
    Providers(mpsc::Sender<Found>),
    Provided(oneshot::Sender<Vec<Asked>>),
}

/// Tells others of content that came into this node, as far as the setting says so. Waits for nothing.
pub(crate) fn announce(shared: &Shared, cid: Cid, what: Announced) {
    let is_told = !shared.is_light
        && match shared.routing.setting {
            Provide::None => false,
            Provide::Roots | Provide::Pinned => what == Announced::Root,
            Provide::All => true,
        };
    if is_told && shared.routing.announcements.try_send((cid, what)).is_err() {
        shared.routing.on_lost();
    }
}

/// Tells the DHTs that this node has a block, and gives to how many nodes of each that was sent.
pub(crate) async fn provide(shared: &Shared, cid: Cid) -> Vec<Asked> {
    let routing = &shared.routing;
    let _place = routing.places.acquire().await;
    let (reply, told) = oneshot::channel();
    let request = routing.request(Waiting::Provided(reply));
    if shared.net.send(Command::Provide { request, cid }).await.is_err() {
        return Vec::new();
    }
    // Every command is answered, unless the node stops.
    let told = told.await.unwrap_or_default();
    routing.on_told(cid, &told);
    told
}

/// Asks the DHTs where a peer is.
pub(crate) async fn find_peer(shared: &Shared, peer: PeerId) -> Vec<Multiaddr> {
    let (reply, found) = oneshot::channel();
    let request = shared.routing.request(Waiting::Peer(reply));
    // A node that is stopping answers nothing.
    let _ = shared.net.send(Command::FindPeer { request, peer }).await;
    found.await.unwrap_or_default()
}

/// Asks the DHTs who has some content. Answers come as they are found.
pub(crate) async fn find_providers(shared: &Shared, cid: Cid) -> mpsc::Receiver<Found> {
    let (answers, found) = mpsc::channel(FOUND_MAX);
    let routing = Arc::clone(&shared.routing);
    let request = routing.request(Waiting::Providers(answers.clone()));
    // A node that is stopping ends the task below, and with it the answers.
    let _ = shared.net.send(Command::FindProviders { request, cid }).await;
    shared.spawn(async move {
        // Whoever asked may lose interest before the DHTs have answered.
        answers.closed().await;
        routing.waiting.lock().remove(&request);
    });
    found
}

// === impl Routing ===

impl Routing {
    /// Also gives what is announced, for [`run`].
    pub(crate) fn new(setting: Provide) -> (Self, mpsc::Receiver<(Cid, Announced)>) {
        let (announcements, announced) = mpsc::channel(ANNOUNCED_MAX);
        let routing = Self {
            setting,
            next: AtomicU64::new(FIRST_REQUEST),
            waiting: Mutex::default(),
            places: Semaphore::new(PROVIDES_MAX),
            announcements,
            agenda: Mutex::default(),
            has_changed: Notify::new(),
            walks: Arc::new(Semaphore::new(WALKS_MAX)),
            asked_walks: Arc::new(Semaphore::new(WALKS_MAX)),
        };
        (routing, announced)
    }

    /// Takes an event that is for this part; gives it back where it is not.
    pub(crate) fn take(&self, event: Event) -> Option<Event> {
        match event {
            Event::Providers {
                request,
                providers,
                done,
            } if FIRST_REQUEST <= request => {
                let is_last = done.is_some();
                let mut waiting = self.waiting.lock();
                if let Some(Waiting::Providers(answers)) = waiting.get(&request) {
                    // Without room there are more answers than anybody reads.
                    let _ = answers.try_send(Found { providers, done });
                }
                if is_last {
                    waiting.remove(&request);
                }
            }
            Event::PeerFound {
                request, addresses, ..
            } if FIRST_REQUEST <= request => {
                if let Some(Waiting::Peer(reply)) = self.waiting.lock().remove(&request) {
                    let _ = reply.send(addresses);
                }
            }
            Event::Provided { request, told } => {
                if let Some(Waiting::Provided(reply)) = self.waiting.lock().remove(&request) {
                    // Whoever asked may have given up.
                    let _ = reply.send(told);
                }
            }
            Event::DhtJoined { dht } => {
                self.agenda.lock().on_joined(dht);
                self.has_changed.notify_one();
            }
            Event::DhtLeft { dht } => self.agenda.lock().on_left(dht),
            other => return Some(other),
        }
        None
    }

    fn request(&self, waiting: Waiting) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().insert(number, waiting);
        number
    }

    /// Content came faster than it could be told of.
    fn on_lost(&self) {
        self.agenda.lock().on_lost();
        self.has_changed.notify_one();
    }

    fn on_told(&self, cid: Cid, told: &[Asked]) {
        // Else nobody tells of it again.
        if self.setting != Provide::None && self.agenda.lock().on_told(cid, told, Instant::now()) {
            self.has_changed.notify_one();
        }
    }
}
