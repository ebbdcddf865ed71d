//! TCP connections that go through streams of peers, as Kubo's stream mounting has it.
//!
//! A stream of the protocol `/x/NAME` carries the raw bytes of one TCP connection, without any header. Whoever offers a
//! service connects each stream to it; whoever wants it accepts TCP connections and opens a stream for each. Both ways are
//! bounded: tunnels, connections of one tunnel, of one peer and of all, and how long a connection may say nothing. A side
//! that is slow slows down the other, as no more than one buffer lies between.

mod joined;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustle_admin::fault::reason;
use rustle_admin::parse::tcp_text;
use rustle_admin::views::{Tunnel, TunnelAccess, TunnelEnd, TunnelFilter, TunnelSide};
use rustle_admin::{Fault, FaultKind};
use rustle_net::{Acceptor, Inbound, Scope, Stream};
use rustle_types::PeerId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use self::joined::join;
use crate::faults;
use crate::guests::Guests;
use crate::people;
use crate::shared::Shared;

/// Tunnels of a node.
const TUNNELS_MAX: usize = 64;
/// Connections of one tunnel at the same time.
const CONNECTIONS_PER_TUNNEL_MAX: usize = 128;
/// Connections of peers with services of this node at the same time, over all tunnels.
const INBOUND_MAX: usize = 512;
/// Of those, connections of one peer.
const INBOUND_PER_PEER_MAX: usize = 64;
/// Streams of one tunnel that wait to be looked at.
const STREAMS_QUEUED_MAX: usize = 16;
/// How long it may take to reach a service, or the peer that offers it.
const REACH_TIMEOUT: Duration = Duration::from_secs(20);

/// All tunnels of the node.
#[derive(Debug)]
pub(crate) struct Tunnels {
    /// At most `TUNNELS_MAX`, the oldest first.
    entries: Mutex<Vec<Arc<Entry>>>,
    last: AtomicU64,
    guests: Arc<Guests>,
}

/// One tunnel.
#[derive(Debug)]
struct Entry {
    id: u64,
    protocol: String,
    side: TunnelSide,
    /// Ends the tunnel and all its connections.
    end: CancellationToken,
    places: Arc<Semaphore>,
    counts: Counts,
}

/// What went through a tunnel.
#[derive(Debug, Default)]
pub(super) struct Counts {
    open: AtomicU32,
    total: AtomicU64,
    refused: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
}

/// Offers a TCP service of this machine.
pub(crate) fn listen(
    shared: &Shared,
    protocol: String,
    target: SocketAddr,
    access: TunnelAccess,
) -> Result<Tunnel, Fault> {
    if shared.is_light {
        return Err(faults::light("offers no services"));
    }
    let (streams, inbound) = mpsc::channel(STREAMS_QUEUED_MAX);
    let acceptor = Acceptor {
        protocol: protocol.clone(),
        scope: Scope::Tunnel,
        streams,
    };
    let side = TunnelSide::Listen { target, access };
    let entry = shared.tunnels.add(protocol, side, |entry| {
        shared.net.accept(acceptor).map_err(|_| {
            let message = format!(
                "{} is offered already; close that tunnel, or take another name",
                entry.protocol
            );
            Fault::new(FaultKind::AlreadyExists, reason::TUNNEL_EXISTS, message)
        })
    })?;
    let view = entry.view();
    shared.spawn(serve(shared.clone(), entry, target, inbound));
    Ok(view)
}

/// Listens for TCP connections that are to go to a service of a peer.
pub(crate) async fn forward(
    shared: &Shared,
    protocol: String,
    listen: SocketAddr,
    end: TunnelEnd,
) -> Result<Tunnel, Fault> {
    let failed = |error: std::io::Error| {
        let place = tcp_text(listen);
        let message =
            format!("cannot listen on {place}: {error}; choose another, or port 0 for any free one");
        Fault::new(FaultKind::Unavailable, reason::UNREACHABLE, message)
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let side = TunnelSide::Forward {
        listen: listener.local_addr().map_err(failed)?,
        peer: end.peer,
    };
    let entry = shared.tunnels.add(protocol, side, |_| Ok(()))?;
    let view = entry.view();
    shared.spawn(accept(shared.clone(), entry, listener, end));
    Ok(view)
}

/// Takes the streams of peers to one service.
async fn serve(shared: Shared, entry: Arc<Entry>, target: SocketAddr, mut inbound: mpsc::Receiver<Inbound>) {
    loop {
        let Inbound {
            peer,
            stream,
            is_foreign,
            ..
        } = tokio::select! {
            () = entry.end.cancelled() => break,
            inbound = inbound.recv() => match inbound {
                Some(inbound) => inbound,
                None => break,
            },
        };
        entry.counts.total.fetch_add(1, Ordering::Relaxed);
        if !entry.allows(peer, is_foreign) {
            entry.refuse();
            tracing::debug!(name = entry.protocol, %peer, "the peer may not use the tunnel");
            continue;
        }
        let place = Arc::clone(&entry.places).try_acquire_owned();
        let (Ok(place), Some(guest)) = (place, shared.tunnels.guests.admit(peer)) else {
            entry.refuse();
            tracing::debug!(name = entry.protocol, %peer, "too many connections through tunnels at once");
            continue;
        };
        let (entry, shared) = (Arc::clone(&entry), shared.clone());
        shared.clone().spawn(async move {
            let _places = (place, guest);
            match reach(target).await {
                Ok(socket) => pass(&shared, &entry, socket, stream).await,
                // The stream is dropped, which resets it.
                Err(error) => {
                    entry.refuse();
                    let target = tcp_text(target);
                    tracing::warn!(name = entry.protocol, %peer, target, %error, "the service of a tunnel cannot be reached");
                }
            }
        });
    }
}

async fn reach(target: SocketAddr) -> std::io::Result<TcpStream> {
    match tokio::time::timeout(REACH_TIMEOUT, TcpStream::connect(target)).await {
        Ok(connected) => connected,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

/// Takes the connections of programs to the service of a peer.
async fn accept(shared: Shared, entry: Arc<Entry>, listener: TcpListener, end: TunnelEnd) {
    loop {
        let accepted = tokio::select! {
            () = entry.end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(name = entry.protocol, %error, "a tunnel has trouble accepting connections");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        entry.counts.total.fetch_add(1, Ordering::Relaxed);
        let Ok(place) = Arc::clone(&entry.places).try_acquire_owned() else {
            entry.refuse();
            joined::reset(&socket);
            continue;
        };
        let (shared, entry, end) = (shared.clone(), Arc::clone(&entry), end.clone());
        shared.clone().spawn(async move {
            let _place = place;
            match open(&shared, &end, &entry.protocol).await {
                Ok(stream) => pass(&shared, &entry, socket, stream).await,
                Err(fault) => {
                    entry.refuse();
                    joined::reset(&socket);
                    let peer = end.peer;
                    tracing::warn!(name = entry.protocol, %peer, %fault, "the peer's end of a tunnel cannot be reached");
                }
            }
        });
    }
}

/// A stream to the peer, which is dialled where it is not connected.
async fn open(shared: &Shared, end: &TunnelEnd, protocol: &str) -> Result<Stream, Fault> {
    let names = [protocol.to_owned()];
    let opening = async {
        if let Ok((stream, _)) = shared.net.open(end.peer, &names).await {
            return Ok(stream);
        }
        if !people::is_connected(shared, end.peer).await? {
            people::reach(shared, end.peer, end.address.clone()).await?;
        }
        let opened = shared.net.open(end.peer, &names).await;
        opened
            .map(|(stream, _)| stream)
            .map_err(|error| Fault::new(FaultKind::Unavailable, reason::UNREACHABLE, error.to_string()))
    };
    let late = || {
        Fault::new(
            FaultKind::DeadlineExceeded,
            reason::TIMEOUT,
            "the peer did not answer in time",
        )
    };
    tokio::time::timeout(REACH_TIMEOUT, opening)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// Passes bytes on until both sides have ended, or the tunnel has, or the node.
async fn pass(shared: &Shared, entry: &Entry, socket: TcpStream, stream: Stream) {
    entry.counts.open.fetch_add(1, Ordering::Relaxed);
    let broken_off = async {
        tokio::select! {
            () = entry.end.cancelled() => {}
            () = shared.shutdown.cancelled() => {}
        }
    };
    join(&entry.counts, socket, stream, broken_off).await;
    entry.counts.open.fetch_sub(1, Ordering::Relaxed);
}

// === impl Tunnels ===

impl Default for Tunnels {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            last: AtomicU64::new(0),
            guests: Guests::new(INBOUND_MAX, INBOUND_PER_PEER_MAX),
        }
    }
}

impl Tunnels {
    fn add(
        &self,
        protocol: String,
        side: TunnelSide,
        begin: impl FnOnce(&Entry) -> Result<(), Fault>,
    ) -> Result<Arc<Entry>, Fault> {
        let mut entries = self.entries.lock();
        if TUNNELS_MAX <= entries.len() {
            let message = format!("there are {TUNNELS_MAX} tunnels, the most of a node; close one");
            return Err(Fault::new(
                FaultKind::ResourceExhausted,
                reason::TOO_MANY_TUNNELS,
                message,
            ));
        }
        let entry = Entry {
            id: self.last.fetch_add(1, Ordering::Relaxed) + 1,
            protocol,
            side,
            end: CancellationToken::new(),
            places: Arc::new(Semaphore::new(CONNECTIONS_PER_TUNNEL_MAX)),
            counts: Counts::default(),
        };
        begin(&entry)?;
        let entry = Arc::new(entry);
        entries.push(Arc::clone(&entry));
        Ok(entry)
    }

    /// The oldest first.
    pub(crate) fn list(&self) -> Vec<Tunnel> {
        self.entries.lock().iter().map(|entry| entry.view()).collect()
    }

    /// Ends those that fit, and tells how many.
    pub(crate) fn close(&self, shared: &Shared, filter: &TunnelFilter) -> Result<usize, Fault> {
        let mut entries = self.entries.lock();
        let gone: Vec<_> = entries
            .extract_if(.., |entry| filter.takes(&entry.view()))
            .collect();
        for entry in &gone {
            if matches!(entry.side, TunnelSide::Listen { .. }) {
                // Before the answer, so that the name is free again.
                shared.net.dismiss(&entry.protocol);
            }
            entry.end.cancel();
        }
        if gone.is_empty() {
            let message = "there is no such tunnel; `rustle tunnel ls` shows them";
            return Err(Fault::new(FaultKind::NotFound, reason::TUNNEL_NOT_FOUND, message));
        }
        Ok(gone.len())
    }
}

// === impl Entry ===

impl Entry {
    fn allows(&self, peer: PeerId, is_foreign: bool) -> bool {
        match &self.side {
            TunnelSide::Listen { access, .. } => match access {
                TunnelAccess::Network => !is_foreign,
                TunnelAccess::Peers(peers) => peers.contains(&peer),
                TunnelAccess::Anybody => true,
            },
            TunnelSide::Forward { .. } => false,
        }
    }

    fn refuse(&self) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn view(&self) -> Tunnel {
        let counts = &self.counts;
        Tunnel {
            id: self.id,
            protocol: self.protocol.clone(),
            side: self.side.clone(),
            open: counts.open.load(Ordering::Relaxed),
            total: counts.total.load(Ordering::Relaxed),
            refused: counts.refused.load(Ordering::Relaxed),
            bytes_out: counts.bytes_out.load(Ordering::Relaxed),
            bytes_in: counts.bytes_in.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(access: TunnelAccess) -> TunnelSide {
        let target = "127.0.0.1:1".parse().unwrap();
        TunnelSide::Listen { target, access }
    }

    #[test]
    fn only_so_many_tunnels() {
        let tunnels = Tunnels::default();
        for _ in 0..TUNNELS_MAX {
            tunnels
                .add("/x/a".to_owned(), side(TunnelAccess::Network), |_| Ok(()))
                .unwrap();
        }
        let fault = tunnels
            .add("/x/a".to_owned(), side(TunnelAccess::Network), |_| Ok(()))
            .unwrap_err();
        assert_eq!(fault.reason, reason::TOO_MANY_TUNNELS);
        assert_eq!(tunnels.list().len(), TUNNELS_MAX);
    }

    #[test]
    fn who_may_use_a_tunnel_is_what_was_said() {
        let (friend, other) = (PeerId::random(), PeerId::random());
        let tunnels = Tunnels::default();
        let allowed = |access: TunnelAccess| {
            let entry = tunnels.add("/x/a".to_owned(), side(access), |_| Ok(())).unwrap();
            [(friend, true), (other, true), (other, false)].map(|(peer, foreign)| entry.allows(peer, foreign))
        };
        assert_eq!(allowed(TunnelAccess::Network), [false, false, true]);
        assert_eq!(allowed(TunnelAccess::Peers(vec![friend])), [true, false, false]);
        assert_eq!(allowed(TunnelAccess::Anybody), [true; 3]);
    }
}
