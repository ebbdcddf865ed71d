//! What may be served on a connection?
//!
//! Nothing that is ours before the handshake. Whether it is complete is decided elsewhere and told here; the protocols of
//! a connection ask here, each for its own scope.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libp2p::swarm;
use rustle_types::{ConnectionId, Direction, Multiaddr, PeerId};
use tokio::sync::watch;

use crate::config::{ADMISSION_TIMEOUT, STREAMS_UNADMITTED_MAX};

/// What a connection turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// A node of our network, its handshake complete: it gets everything.
    Rustle,
    /// A peer that does not speak our control protocol: it gets only this.
    Foreign(ForeignAccess),
}

/// What peers get that do not speak our control protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForeignAccess {
    /// Content, by bitswap.
    pub content: bool,
    /// Answers from the DHT.
    pub dht: bool,
    /// Gossip and the topics of this node.
    pub topics: bool,
}

/// What a protocol belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Our own protocols, which no foreign peer gets.
    Own,
    /// The exchange of content.
    Content,
    /// The DHT.
    Dht,
    /// Gossip.
    Topics,
    /// A tunnel. Which peers may use it is decided for each stream by whoever takes it.
    Tunnel,
}

/// Streams that did not come to be.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) unsupported: AtomicU64,
    pub(crate) unopened: AtomicU64,
    pub(crate) unadmitted: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) surplus_control: AtomicU64,
}

/// What all handlers of a connection share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connection: ConnectionId,
    pub(crate) peer: PeerId,
    /// Who speaks first on the control stream.
    pub(crate) direction: Direction,
    /// Of the remote end.
    pub(crate) address: Multiaddr,
    /// Whether it leads through a relay.
    pub(crate) relayed: bool,
    admission: watch::Sender<Option<Admission>>,
    foreign: ForeignAccess,
    waiting: AtomicUsize,
    counts: Arc<Counts>,
}

/// The connections that there are, for behaviours that do not make the `Shared` themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<HashMap<swarm::ConnectionId, Arc<Shared>>>>);

/// A stream that waits for the admission of its connection. Given up, it counts as refused.
struct Waiting<'a> {
    shared: &'a Shared,
    served: bool,
}

// === impl ForeignAccess ===

impl ForeignAccess {
    /// All that a foreign peer can get.
    pub const ALL: Self = Self {
        content: true,
        dht: true,
        topics: true,
    };
    /// Content and nothing else.
    pub const CONTENT: Self = Self {
        content: true,
        dht: false,
        topics: false,
    };
    /// Nothing.
    pub const NONE: Self = Self {
        content: false,
        dht: false,
        topics: false,
    };

    /// Whether it includes `scope`.
    pub fn includes(self, scope: Scope) -> bool {
        match scope {
            Scope::Own => false,
            Scope::Content => self.content,
            Scope::Dht => self.dht,
            Scope::Topics => self.topics,
            Scope::Tunnel => self != Self::NONE,
        }
    }
}

// === impl Admission ===

impl Admission {
    /// Whether it includes `scope`.
    pub fn includes(self, scope: Scope) -> bool {
        match self {
            Self::Rustle => true,
            Self::Foreign(access) => access.includes(scope),
        }
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(
        connection: ConnectionId,
        peer: PeerId,
        direction: Direction,
        address: Multiaddr,
        foreign: ForeignAccess,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            connection,
            peer,
            direction,
            address,
            relayed: false,
            admission: watch::Sender::new(None),
            foreign,
            waiting: AtomicUsize::new(0),
            counts,
        }
    }

    /// Settles what is served. The first word counts: what was refused on the strength of it is not asked for again.
    pub(crate) fn admit(&self, admission: Admission) {
        self.admission.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(admission);
            first
        });
    }

    /// What was settled so far.
    pub(crate) fn admission(&self) -> Option<Admission> {
        *self.admission.borrow()
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Waits until it is settled what is served, and tells whether `scope` is.
    pub(crate) async fn settled(&self, scope: Scope) -> bool {
        let mut admission = self.admission.subscribe();
        let settled = admission.wait_for(Option::is_some).await;
        settled.is_ok_and(|admission| admission.is_some_and(|it| it.includes(scope)))
    }

    /// Whether an inbound stream for `scope` is served. It may wait for the answer, but never long.
    pub(crate) async fn serves(&self, scope: Scope) -> bool {
        let mut waiting = Waiting::new(self);
        waiting.served = match self.admission() {
            Some(admission) => admission.includes(scope),
            None if waiting.is_one_of_few() => {
                tokio::time::timeout(self.patience(scope), self.settled(scope))
                    .await
                    .unwrap_or(false)
            }
            None => false,
        };
        waiting.served
    }

    /// How long a stream waits. Where we dialled, the peer has completed its end of the handshake first, so that its
    /// streams may overtake our own end. Where the peer dialled, one of our nodes has no reason to be early, while a
    /// foreign one does not know that it must first be recognised.
    fn patience(&self, scope: Scope) -> Duration {
        match self.direction {
            Direction::Outbound => ADMISSION_TIMEOUT,
            Direction::Inbound if self.foreign.includes(scope) => ADMISSION_TIMEOUT,
            Direction::Inbound => Duration::ZERO,
        }
    }
}

// === impl Connections ===

impl Connections {
    pub(crate) fn insert(&self, id: swarm::ConnectionId, shared: Arc<Shared>) {
        self.locked(|known| known.insert(id, shared));
    }

    pub(crate) fn remove(&self, id: swarm::ConnectionId) {
        self.locked(|known| known.remove(&id));
    }

    pub(crate) fn get(&self, id: swarm::ConnectionId) -> Option<Arc<Shared>> {
        self.locked(|known| known.get(&id).cloned())
    }

    fn locked<T>(&self, act: impl FnOnce(&mut HashMap<swarm::ConnectionId, Arc<Shared>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Waiting ===

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        Self {
            shared,
            served: false,
        }
    }

    fn is_one_of_few(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) <= STREAMS_UNADMITTED_MAX
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        if !self.served {
            self.shared.counts.unadmitted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn shared(direction: Direction, foreign: ForeignAccess) -> Shared {
        let peer = PeerId::random();
        let address = Multiaddr::empty();
        Shared::new(ConnectionId(1), peer, direction, address, foreign, Arc::default())
    }

    #[test]
    fn each_admission_includes_what_it_says() {
        let all = [Scope::Own, Scope::Content, Scope::Dht, Scope::Topics];
        let included = |admission: Admission| all.map(|scope| admission.includes(scope));
        assert_eq!(included(Admission::Rustle), [true; 4]);
        let foreign = |access| included(Admission::Foreign(access));
        assert_eq!(foreign(ForeignAccess::ALL), [false, true, true, true]);
        assert_eq!(foreign(ForeignAccess::CONTENT), [false, true, false, false]);
        assert_eq!(foreign(ForeignAccess::NONE), [false; 4]);
    }

    #[tokio::test]
    async fn who_is_early_waits_only_where_it_may_be_early_with_reason() {
        let inbound = shared(Direction::Inbound, ForeignAccess::CONTENT);
        assert!(!inbound.serves(Scope::Own).await);
        assert!(!inbound.serves(Scope::Topics).await);
        assert_eq!(inbound.counts.unadmitted.load(Ordering::Relaxed), 2);

        let dialled = shared(Direction::Outbound, ForeignAccess::NONE);
        for (shared, scope) in [(&inbound, Scope::Content), (&dialled, Scope::Own)] {
            let (served, ()) = tokio::join!(shared.serves(scope), async {
                shared.admit(Admission::Rustle);
            });
            assert!(served);
        }
    }

    #[tokio::test]
    async fn a_foreign_peer_gets_what_it_is_allowed_whatever_is_said_later() {
        let shared = shared(Direction::Outbound, ForeignAccess::ALL);
        shared.admit(Admission::Foreign(ForeignAccess::CONTENT));
        shared.admit(Admission::Rustle);
        assert!(shared.serves(Scope::Content).await);
        assert!(!shared.serves(Scope::Own).await);
        assert!(!shared.settled(Scope::Dht).await);
    }

    #[tokio::test]
    async fn few_streams_of_a_connection_wait() {
        let shared = shared(Direction::Outbound, ForeignAccess::ALL);
        let mut waiting: Vec<_> = (0..STREAMS_UNADMITTED_MAX)
            .map(|_| Box::pin(shared.serves(Scope::Content)))
            .collect();
        for stream in &mut waiting {
            assert_eq!(stream.now_or_never(), None);
        }
        assert!(!shared.serves(Scope::Content).await);
        drop(waiting);
        assert_eq!(
            shared.counts.unadmitted.load(Ordering::Relaxed),
            STREAMS_UNADMITTED_MAX as u64 + 1
        );
        shared.admit(Admission::Rustle);
        assert!(shared.serves(Scope::Content).await);
    }
}
