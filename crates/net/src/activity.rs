//! When did bytes last go over a connection, whoever's stream they were on?
//!
//! The transport wraps each connection's streams so that every read and write that moves bytes is noted. The swarm gives
//! a connection its id only later, so that a note waits under peer and address until the connection claims it. What the
//! muxer sends for itself (keep-alives, window updates) does not count: it says nothing about the peer's program.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox};
use libp2p::multiaddr::Protocol;
use rustle_types::{Multiaddr, PeerId};

use crate::allowance::Allowance;
use crate::door::Entry;
use crate::guarded::cut_off;

/// Connections that wait to be claimed; those that were refused meanwhile are swept out beyond.
const UNCLAIMED_MAX: usize = 1024;

/// The last moment at which bytes went over one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    /// When its socket was accepted, or when its dial began.
    start: Instant,
    /// The name of an inbound connection at the gate.
    token: Option<u64>,
    /// Milliseconds since `start`.
    last: AtomicU64,
}

/// The notes of connections that have no id yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    unclaimed: Arc<Mutex<Unclaimed>>,
    bound: Arc<Mutex<Bound>>,
}

/// By who is there, and at which address.
type Unclaimed = HashMap<(PeerId, Multiaddr), Vec<Weak<Activity>>>;

/// The connections of each peer that may say only so much before it is admitted.
type Bound = HashMap<PeerId, Vec<Weak<Allowance>>>;

/// A connection whose bytes are noted.
pub(crate) struct Watched {
    inner: StreamMuxerBox,
    activity: Arc<Activity>,
    /// Of an inbound connection.
    entry: Option<Entry>,
}

/// A stream of such a connection.
pub(crate) struct WatchedStream {
    inner: SubstreamBox,
    activity: Arc<Activity>,
}

// === impl Activity ===

impl Activity {
    fn new(start: Instant, token: Option<u64>) -> Self {
        let activity = Self {
            start,
            token,
            last: AtomicU64::new(0),
        };
        activity.touch();
        activity
    }

    /// For how long there has been something of the connection, from before its cipher.
    pub(crate) fn age(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn token(&self) -> Option<u64> {
        self.token
    }

    /// How long nothing has gone over the connection.
    pub(crate) fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }

    fn touch(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }
}

// === impl Registry ===

impl Registry {
    /// Begins to note the bytes of a connection, of which there has been something since `since`.
    pub(crate) fn watch(
        &self,
        peer: PeerId,
        inner: StreamMuxerBox,
        remote: &Multiaddr,
        since: Instant,
        entry: Option<Entry>,
    ) -> Watched {
        let activity = Arc::new(Activity::new(since, entry.as_ref().map(Entry::token)));
        let mut unclaimed = self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner);
        if UNCLAIMED_MAX <= unclaimed.len() {
            unclaimed.retain(|_, notes| notes.iter().any(|note| 0 < note.strong_count()));
        }
        let notes = unclaimed.entry((peer, bare(remote))).or_default();
        notes.retain(|note| 0 < note.strong_count());
        notes.push(Arc::downgrade(&activity));
        Watched {
            inner,
            activity,
            entry,
        }
    }

    /// A new connection with a peer may say only so much until the peer is admitted.
    pub(crate) fn bind(&self, peer: PeerId, allowance: &Arc<Allowance>) {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if UNCLAIMED_MAX <= bound.len() {
            bound.retain(|_, its| its.iter().any(|allowance| 0 < allowance.strong_count()));
        }
        let its = bound.entry(peer).or_default();
        its.retain(|allowance| 0 < allowance.strong_count());
        its.push(Arc::downgrade(allowance));
    }

    /// A peer was admitted. Which of its connections it was does not matter: it is the same peer on all.
    pub(crate) fn unbind(&self, peer: &PeerId) {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let its = bound.remove(peer).into_iter().flatten();
        its.filter_map(|allowance| allowance.upgrade())
            .for_each(|allowance| allowance.lift());
    }

    /// What the oldest connection with a peer that was not admitted may still say.
    #[cfg(test)]
    pub(crate) fn left(&self, peer: &PeerId) -> Option<usize> {
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        Some(bound.get(peer)?.first()?.upgrade()?.left())
    }

    /// The notes of a connection that has got its id.
    pub(crate) fn claim(&self, peer: PeerId, address: &Multiaddr) -> Option<Arc<Activity>> {
        let mut unclaimed = self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (peer, bare(address));
        let notes = unclaimed.get_mut(&key)?;
        let claimed = loop {
            if notes.is_empty() {
                break None;
            }
            // The oldest first; one whose connection has gone meanwhile is passed over.
            if let Some(activity) = notes.remove(0).upgrade() {
                break Some(activity);
            }
        };
        if notes.is_empty() {
            unclaimed.remove(&key);
        }
        claimed
    }
}

/// An address without the peer id at its end, which some layers append.
fn bare(address: &Multiaddr) -> Multiaddr {
    let mut bare = address.clone();
    if let Some(Protocol::P2p(_)) = bare.iter().last() {
        bare.pop();
    }
    bare
}

// === impl Watched ===

impl Watched {
    fn wrap(&self, inner: SubstreamBox) -> WatchedStream {
        WatchedStream {
            inner,
            activity: Arc::clone(&self.activity),
        }
    }
}

impl StreamMuxer for Watched {
    type Substream = WatchedStream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<WatchedStream>> {
        let stream = ready!(Pin::new(&mut self.inner).poll_inbound(cx))?;
        Poll::Ready(Ok(self.wrap(stream)))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<WatchedStream>> {
        let stream = ready!(Pin::new(&mut self.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(self.wrap(stream)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        if self
            .entry
            .as_mut()
            .is_some_and(|entry| entry.poll_cut(cx).is_ready())
        {
            return Poll::Ready(Err(cut_off()));
        }
        Pin::new(&mut self.inner).poll(cx)
    }
}

// === impl WatchedStream ===

impl WatchedStream {
    fn note(&self, moved: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(1..)) = moved {
            self.activity.touch();
        }
        moved
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.inner).poll_read(cx, buffer);
        self.note(moved)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.inner).poll_write(cx, buffer);
        self.note(moved)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.inner).poll_write_vectored(cx, buffers);
        self.note(moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
