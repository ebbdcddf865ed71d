//! How does the rest of the node reach the swarm?

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::SinkExt;
use libp2p::StreamProtocol;
use rustle_peers::GateCounts;
use rustle_types::PeerId;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::admission::Counts;
use crate::config::STREAM_OPEN_TIMEOUT;
use crate::door::Door;
use crate::nat::NatCounts;
use crate::streams::{OpenRequest, Opener, Places, Routes};
use crate::{Acceptor, Command, StartError, Stream};

/// A handle to the task of the swarm. The node leaves the network when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Net {
    pub(crate) peer_id: PeerId,
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) door: Door,
    pub(crate) nat_counts: Arc<NatCounts>,
    /// Woken when a connection comes or goes.
    pub(crate) changed: Arc<Notify>,
}

/// What the task is asked for.
#[derive(Debug)]
pub(crate) enum Request {
    Command(Command),
    /// Where to ask for a stream to a peer.
    Places {
        peer: PeerId,
        names: Vec<StreamProtocol>,
        reply: oneshot::Sender<Places>,
    },
    /// Close all connections, then answer.
    Shutdown {
        reply: oneshot::Sender<()>,
    },
}

/// The network has been left; there is nobody to carry out a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node has left the network")]
pub struct Stopped;

/// Why a stream could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no connection with the peer, or it broke meanwhile.
    #[error("not connected with the peer")]
    NotConnected,
    /// The peer speaks none of the protocols.
    #[error("the peer speaks none of the protocols")]
    Unsupported,
    /// There is a connection through a relay only, which carries no content.
    #[error("connected with the peer only through a relay, which carries no content")]
    Relayed,
    /// No answer within ten seconds.
    #[error("the peer did not answer in time")]
    Timeout,
    /// The connection broke while the stream was negotiated.
    #[error("the stream broke: {0}")]
    Io(String),
    /// A name that does not begin with `/`, or no name at all.
    #[error("`{0}` is not a protocol name; it begins with /")]
    BadProtocol(String),
    /// The node has left the network.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What was refused since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Inbound streams whose connection was not admitted to what they wanted, or not yet.
    pub unadmitted: u64,
    /// Inbound streams that waited for an acceptor that had no room for 30 seconds, or their connection closed meanwhile.
    pub abandoned: u64,
    /// A second control stream on one connection, or one from the wrong side.
    pub surplus_control: u64,
    /// Outbound streams whose negotiation ended without a protocol that the peer speaks.
    pub unsupported: u64,
    /// Outbound streams whose negotiation broke off, or took too long.
    pub unopened: u64,
    /// Inbound connections at the gate.
    pub gate: GateCounts,
    /// Inbound connections of peers that are banned by their id.
    pub banned_peers: u64,
    /// Inbound connections whose cipher and multiplexer took too long.
    pub timed_out: u64,
    /// What came of relays and hole punching.
    pub nat: NatCounters,
}

/// What came of relays and hole punching, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NatCounters {
    /// Relayed connections that became direct ones.
    pub punched: u64,
    /// Relayed connections for which that failed.
    pub unpunched: u64,
    /// Requests for a place at this relay that were granted, renewals included.
    pub reservations: u64,
    /// Connections that this relay passed on.
    pub circuits: u64,
    /// Requests that this relay refused.
    pub relay_refusals: u64,
    /// Peers for which this node tried whether they can be dialled.
    pub dial_backs: u64,
}

/// Room for one command.
#[derive(Debug)]
pub struct Permit<'a>(Option<mpsc::Permit<'a, Request>>);

// === impl Permit ===

impl Permit<'_> {
    /// Has a command carried out.
    pub fn send(self, command: Command) {
        if let Some(permit) = self.0 {
            permit.send(Request::Command(command));
        }
    }
}

// === impl Net ===

impl Net {
    /// The id of this node.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Has a command carried out. Waits while very many are queued.
    pub async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.requests
            .send(Request::Command(command))
            .await
            .map_err(|_| Stopped)
    }

    /// Room for one command, if there is some now. After the stop there is always room, and nothing is carried out.
    pub fn try_reserve(&self) -> Option<Permit<'_>> {
        match self.requests.try_reserve() {
            Ok(permit) => Some(Permit(Some(permit))),
            Err(mpsc::error::TrySendError::Full(())) => None,
            Err(mpsc::error::TrySendError::Closed(())) => Some(Permit(None)),
        }
    }

    /// Waits until there is room for a command, or the node has left the network.
    pub async fn ready(&self) {
        // An error means that nothing will be carried out any more, so that nothing need wait.
        let _ = self.requests.reserve().await;
    }

    /// Opens a stream to a connected peer, on the oldest connection, for the first of `protocols` that it speaks. Gives
    /// the stream and the protocol that was agreed on. Any number may be opened at the same time.
    ///
    /// Direct connections come first. Where only a relayed one stands, the stream waits up to five seconds for a direct
    /// one; content waits in vain then, other streams go over the relay, which cuts the connection after two minutes or
    /// 128 KiB.
    pub async fn open(&self, peer: PeerId, protocols: &[String]) -> Result<(Stream, String), OpenError> {
        let names = protocols
            .iter()
            .map(|name| {
                let bad = |_| OpenError::BadProtocol(name.clone());
                StreamProtocol::try_from_owned(name.clone()).map_err(bad)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if names.is_empty() {
            return Err(OpenError::BadProtocol(String::new()));
        }
        tokio::time::timeout(STREAM_OPEN_TIMEOUT, self.open_named(peer, names))
            .await
            .unwrap_or(Err(OpenError::Timeout))
    }

    /// Takes the inbound streams of a further protocol from now on, until it is dismissed. Connected peers are told its name.
    pub fn accept(&self, acceptor: Acceptor) -> Result<(), StartError> {
        Ok(self.routes.add(acceptor)?)
    }

    /// Takes no more streams of a protocol that was accepted later. Those that were taken are not touched.
    pub fn dismiss(&self, protocol: &str) {
        self.routes.remove(protocol);
    }

    async fn open_named(
        &self,
        peer: PeerId,
        names: Vec<StreamProtocol>,
    ) -> Result<(Stream, String), OpenError> {
        open_on(&self.places(peer, &names).await?, names).await
    }

    /// Where to ask for a stream, after a wait where that may be worth while. The caller bounds it.
    async fn places(&self, peer: PeerId, names: &[StreamProtocol]) -> Result<Vec<Opener>, OpenError> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the question, so that no change falls between the two.
            changed.as_mut().enable();
            let (reply, places) = oneshot::channel();
            let names = names.to_vec();
            let request = Request::Places { peer, names, reply };
            self.requests.send(request).await.map_err(|_| Stopped)?;
            match places.await.map_err(|_| Stopped)? {
                Places::Now(places) => return Ok(places),
                Places::Relayed => return Err(OpenError::Relayed),
                Places::Later(wait) => {
                    // Either way the question is put again.
                    let _ = tokio::time::timeout(wait, changed).await;
                }
            }
        }
    }

    /// What was refused since the start.
    pub fn counters(&self) -> Counters {
        Counters {
            unadmitted: self.counts.unadmitted.load(Ordering::Relaxed),
            abandoned: self.counts.abandoned.load(Ordering::Relaxed),
            surplus_control: self.counts.surplus_control.load(Ordering::Relaxed),
            unsupported: self.counts.unsupported.load(Ordering::Relaxed),
            unopened: self.counts.unopened.load(Ordering::Relaxed),
            gate: self.door.counts(),
            banned_peers: self.door.banned_peers(),
            timed_out: self.door.timed_out(),
            nat: self.nat_counts.counters(),
        }
    }

    /// Leaves the network: closes listeners and connections, within two seconds. No event comes any more.
    pub async fn shutdown(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.requests.send(Request::Shutdown { reply }).await.is_ok() {
            // An error means that the task has ended already, which is what was asked for.
            let _ = stopped.await;
        }
    }
}

/// Opens a stream on the first connection that still stands, for the first of `names` that the peer speaks.
pub(crate) async fn open_on(
    openers: &[Opener],
    names: Vec<StreamProtocol>,
) -> Result<(Stream, String), OpenError> {
    for opener in openers {
        let (reply, opened) = oneshot::channel();
        let protocols = names.clone();
        // A connection that is gone does not take the request, or drops it: then the next one has its turn.
        if opener
            .clone()
            .send(OpenRequest { protocols, reply })
            .await
            .is_ok()
            && let Ok(result) = opened.await
        {
            return result;
        }
    }
    Err(OpenError::NotConnected)
}
