//! One TCP connection and one stream, joined.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{AsyncRead as FuturesRead, AsyncWrite as FuturesWrite};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

use super::Counts;

/// Bytes that are read from one side before they are written to the other.
const BUFFER_BYTES: usize = 64 * 1024;
/// A connection on which nothing moved for so long is broken off: a peer must not hold places for ever.
const IDLE_MAX: Duration = Duration::from_secs(60 * 60);

/// The TCP side, with what goes over it counted.
struct Metered<'a> {
    socket: TcpStream,
    counts: &'a Counts,
    /// Bytes of this connection, in both directions.
    moved: &'a AtomicU64,
}

/// Passes bytes on until both sides have ended. The end of one direction is passed on as such, so that the other may go on;
/// a failure of one side is a reset of the other, and so is `broken_off`.
///
/// Over TCP the end of a stream whose other direction was ended here before may also be that of the whole connection:
/// Yamux does not tell one from the other.
pub(super) async fn join(
    counts: &Counts,
    socket: TcpStream,
    stream: impl FuturesRead + FuturesWrite + Unpin,
    broken_off: impl Future<Output = ()>,
) {
    // Small writes are those of a program that waits for the answer.
    let _ = socket.set_nodelay(true);
    let moved = AtomicU64::new(0);
    let mut socket = Metered {
        socket,
        counts,
        moved: &moved,
    };
    let mut stream = Ended::new(stream).compat();
    let joined = {
        let copying = copy_bidirectional_with_sizes(&mut socket, &mut stream, BUFFER_BYTES, BUFFER_BYTES);
        tokio::select! {
            copied = copying => copied.map(drop),
            () = silence(&moved, IDLE_MAX) => Err(io::ErrorKind::TimedOut.into()),
            () = broken_off => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    };
    if let Err(error) = joined {
        tracing::debug!(%error, "a connection through a tunnel broke off");
        reset(&socket.socket);
    }
}

/// Has a connection end with a reset, so that its program does not take the end for a regular one.
pub(super) fn reset(socket: &TcpStream) {
    // Where it cannot be set, the connection ends in the regular way.
    let _ = socket.set_zero_linger();
}

/// Waits until nothing has moved for `limit`, or half as long again.
async fn silence(moved: &AtomicU64, limit: Duration) {
    let mut last = moved.load(Ordering::Relaxed);
    let mut quiet = 0;
    while quiet < 2 {
        tokio::time::sleep(limit / 2).await;
        let now = moved.load(Ordering::Relaxed);
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
    }
}

/// The side of the peer. Yamux tells whoever reads that a stream was reset, or its connection lost, as if the peer had
/// ended it; but who may not write any more, though nobody ended that direction here, knows better.
struct Ended<S> {
    stream: S,
    /// Whether our direction was ended here.
    is_closed: bool,
}

// === impl Ended ===

impl<S> Ended<S> {
    const fn new(stream: S) -> Self {
        let is_closed = false;
        Self { stream, is_closed }
    }
}

impl<S: FuturesRead + FuturesWrite + Unpin> FuturesRead for Ended<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(pin!(&mut self.stream).poll_read(cx, buffer))?;
        if read == 0 && !buffer.is_empty() && !self.is_closed {
            let probe = pin!(&mut self.stream).poll_write(cx, &[]);
            // QUIC has a word of its own for a reset, and another error for a peer that reads no more.
            if matches!(&probe, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::WriteZero) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
        Poll::Ready(Ok(read))
    }
}

impl<S: FuturesWrite + Unpin> FuturesWrite for Ended<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_closed = true;
        pin!(&mut self.stream).poll_close(cx)
    }
}

// === impl Metered ===

impl Metered<'_> {
    fn count(&self, total: &AtomicU64, bytes: usize) {
        total.fetch_add(bytes as u64, Ordering::Relaxed);
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl AsyncRead for Metered<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(pin!(&mut self.socket).poll_read(cx, buffer))?;
        self.count(&self.counts.bytes_out, buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(pin!(&mut self.socket).poll_write(cx, bytes))?;
        self.count(&self.counts.bytes_in, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_ends_a_connection_and_a_failure_of_one_side_is_no_end_of_the_other() {
        silence(&AtomicU64::new(7), Duration::from_millis(10)).await;

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let program = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        join(&Counts::default(), socket, Broken, std::future::pending()).await;
        let mut byte = [0];
        program.readable().await.unwrap();
        assert!(program.try_read(&mut byte).is_err(), "a reset, not an end");
    }

    #[tokio::test]
    async fn an_end_of_both_directions_at_once_is_a_reset_and_one_of_a_tunnel_too() {
        for (stream, is_over) in [
            (Lost { is_readable: true }, false),
            (Lost { is_readable: false }, true),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let program = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let end = async {
                if !is_over {
                    std::future::pending::<()>().await;
                }
            };
            join(&Counts::default(), socket, stream, end).await;
            program.readable().await.unwrap();
            assert!(program.try_read(&mut [0]).is_err(), "a reset, not an end");
        }
    }

    /// A stream of Yamux whose connection is lost, or one on which nothing comes.
    struct Lost {
        is_readable: bool,
    }

    impl FuturesRead for Lost {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            if self.is_readable {
                Poll::Ready(Ok(0))
            } else {
                Poll::Pending
            }
        }
    }

    impl FuturesWrite for Lost {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::WriteZero.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A stream that the peer has reset.
    struct Broken;

    impl FuturesRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }

    impl FuturesWrite for Broken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
