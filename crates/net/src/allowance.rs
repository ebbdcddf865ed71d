//! How much may a peer say before it is admitted?
//!
//! A multiplexer keeps what nobody reads, a window for each stream that the peer opens. Before the admission hardly
//! anything is read, so that a stranger could make us keep many megabytes. Therefore the socket itself is read only so
//! far; the rest stays with the peer until its connection is admitted. QUIC has its own windows, which do not change.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use futures::{AsyncRead, AsyncWrite};

/// What is read from the socket of a connection before its admission: enough for all that an honest peer says until then,
/// and for a first window of what it has to say.
const UNADMITTED_BYTES_MAX: usize = 256 * 1024;
/// The value of `left` that means no bound.
const LIFTED: usize = usize::MAX;

tokio::task_local! {
    /// That of the connection which is being made.
    static CURRENT: Arc<Allowance>;
}

/// What one connection may still say.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: AtomicUsize,
    waker: AtomicWaker,
}

/// A socket of which only so much is read.
pub(crate) struct Metered<S> {
    inner: S,
    /// Until it is lifted.
    allowance: Option<Arc<Allowance>>,
}

// === impl Allowance ===

impl Allowance {
    pub(crate) fn new() -> Arc<Self> {
        Self::of(UNADMITTED_BYTES_MAX)
    }

    fn of(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(bytes),
            waker: AtomicWaker::new(),
        })
    }

    /// The socket that `making` opens is read only so far.
    pub(crate) async fn bounds<T>(self: &Arc<Self>, making: impl Future<Output = T>) -> T {
        CURRENT.scope(Arc::clone(self), making).await
    }

    /// From now on there is no bound.
    pub(crate) fn lift(&self) {
        self.left.store(LIFTED, Ordering::Release);
        self.waker.wake();
    }

    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::Acquire)
    }

    /// Ready with how much may be read, once anything may.
    fn poll_left(&self, cx: &Context<'_>) -> Poll<usize> {
        match self.left.load(Ordering::Acquire) {
            0 => self.waker.register(cx.waker()),
            left => return Poll::Ready(left),
        }
        // It may have been lifted meanwhile.
        match self.left.load(Ordering::Acquire) {
            0 => Poll::Pending,
            left => Poll::Ready(left),
        }
    }

    fn spend(&self, bytes: usize) {
        // Only the reader of the socket takes from it; it may be lifted at any time.
        let _ = self
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                (left != LIFTED).then(|| left.saturating_sub(bytes))
            });
    }
}

// === impl Metered ===

impl<S> Metered<S> {
    /// A socket of the connection that is being made.
    pub(crate) fn new(inner: S) -> Self {
        let allowance = CURRENT.try_with(Arc::clone).ok();
        Self { inner, allowance }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(allowance) = &this.allowance else {
            return Pin::new(&mut this.inner).poll_read(cx, buffer);
        };
        let left = ready!(allowance.poll_left(cx));
        if left == LIFTED {
            this.allowance = None;
            return Pin::new(&mut this.inner).poll_read(cx, buffer);
        }
        let room = left.min(buffer.len());
        let read = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buffer[..room]))?;
        allowance.spend(read);
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;
    use futures::{AsyncReadExt, FutureExt};

    use super::*;

    #[tokio::test]
    async fn a_socket_is_read_so_far_and_on_once_it_is_admitted() {
        let allowance = Allowance::of(10);
        let mut socket = allowance
            .bounds(async { Metered::new(Cursor::new([7; 30])) })
            .await;
        let mut got = [0; 20];
        assert_eq!(socket.read(&mut got[..4]).await.unwrap(), 4);
        assert_eq!(socket.read(&mut got).await.unwrap(), 6);
        assert!(socket.read(&mut got).now_or_never().is_none());

        let rest = tokio::spawn(async move {
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).await.map(|_| rest.len())
        });
        tokio::task::yield_now().await;
        allowance.lift();
        assert_eq!(rest.await.unwrap().unwrap(), 20);
    }

    #[tokio::test]
    async fn what_is_lifted_stays_so_and_what_was_never_bound_is_not() {
        let allowance = Allowance::of(10);
        let mut socket = allowance
            .bounds(async { Metered::new(Cursor::new([7; 30])) })
            .await;
        allowance.lift();
        allowance.spend(100);
        let mut all = Vec::new();
        assert_eq!(socket.read_to_end(&mut all).await.unwrap(), 30);
        assert!(socket.allowance.is_none());
        assert!(Metered::new(Cursor::new([7; 30])).allowance.is_none());
    }
}
