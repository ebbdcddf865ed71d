//! How does a socket become a connection, or not?
//!
//! Outermost of all transports. A socket that was accepted is shown to the gate before a byte is read from it; refused, it
//! is closed and the swarm never hears of it. Let in, it has so long for cipher and multiplexer, and is closed at once
//! where the gate needs its place.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::Transport;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, PortUse, TransportError, TransportEvent};
use rustle_types::{Multiaddr, PeerId, address};

use crate::activity::Registry;
use crate::allowance::Allowance;
use crate::clock;
use crate::door::{Door, Entry};

/// Sockets that are refused in a row before others have their turn.
const REFUSED_IN_A_ROW_MAX: usize = 64;

/// How long dialling an address may take that a peer asked us to try.
const DIAL_BACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Who is there, and the streams.
type Connection = (PeerId, StreamMuxerBox);

/// Transports behind the gate.
pub(crate) struct Guarded {
    inner: Boxed<Connection>,
    door: Door,
    registry: Registry,
    accept_timeout: Duration,
    dial_timeout: Duration,
}

// === impl Guarded ===

impl Guarded {
    pub(crate) fn new(
        inner: Boxed<Connection>,
        door: Door,
        registry: Registry,
        accept_timeout: Duration,
        dial_timeout: Duration,
    ) -> Self {
        Self {
            inner,
            door,
            registry,
            accept_timeout,
            dial_timeout,
        }
    }

    /// What becomes of a socket that was let in.
    fn accept(
        &self,
        mut entry: Entry,
        upgrade: <Boxed<Connection> as Transport>::ListenerUpgrade,
        from: Multiaddr,
    ) -> BoxFuture<'static, io::Result<Connection>> {
        let (door, registry, timeout) = (self.door.clone(), self.registry.clone(), self.accept_timeout);
        async move {
            let allowance = Allowance::new();
            let (peer, muxer) = tokio::select! {
                () = poll_fn(|cx| entry.poll_cut(cx)) => return Err(cut_off()),
                upgraded = tokio::time::timeout(timeout, allowance.bounds(upgrade)) => match upgraded {
                    Ok(upgraded) => upgraded?,
                    Err(_) => {
                        entry.timed_out();
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                },
            };
            door.check_peer(&peer, &from).map_err(io::Error::other)?;
            entry.proved();
            let since = entry.since();
            registry.bind(peer, &allowance);
            let watched = registry.watch(peer, muxer, &from, since, Some(entry));
            Ok((peer, StreamMuxerBox::new(watched)))
        }
        .boxed()
    }
}

impl Transport for Guarded {
    type Output = Connection;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Connection>>;
    type Dial = BoxFuture<'static, io::Result<Connection>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, to: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let dial = self.inner.dial(to.clone(), options)?;
        let timeout = match options.port_use {
            PortUse::Reuse => self.dial_timeout,
            // Only to tell somebody whether that can be done; they wait ten seconds for the answer.
            PortUse::New => self.dial_timeout.min(DIAL_BACK_TIMEOUT),
        };
        let registry = self.registry.clone();
        Ok(async move {
            // Where many addresses are dialled, some have to wait for their turn.
            let since = clock::now();
            let allowance = Allowance::new();
            let (peer, muxer) = tokio::time::timeout(timeout, allowance.bounds(dial)).await??;
            registry.bind(peer, &allowance);
            let watched = registry.watch(peer, muxer, &to, since, None);
            Ok((peer, StreamMuxerBox::new(watched)))
        }
        .boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        for _ in 0..REFUSED_IN_A_ROW_MAX {
            let event = ready!(Pin::new(&mut self.inner).poll(cx));
            let TransportEvent::Incoming {
                listener_id,
                upgrade,
                local_addr,
                send_back_addr,
            } = event
            else {
                return Poll::Ready(event.map_upgrade(FutureExt::boxed));
            };
            let relayed = address::is_relayed(&local_addr);
            let came_from = if relayed { &local_addr } else { &send_back_addr };
            match self.door.knock(came_from) {
                Ok(entry) => {
                    let upgrade = self.accept(entry, upgrade, send_back_addr.clone());
                    return Poll::Ready(TransportEvent::Incoming {
                        listener_id,
                        upgrade,
                        local_addr,
                        send_back_addr,
                    });
                }
                // Dropped, the socket is closed. Counted, too: at levels that are in use, a flood would fill the log.
                Err(refusal) => tracing::trace!(from = %send_back_addr, %refusal, "refused a connection"),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The place of an inbound connection was needed for another.
pub(crate) fn cut_off() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "cut off to make room for another",
    )
}
