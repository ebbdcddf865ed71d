//! What if a peer says all that it has to say, and wants no answer, not even that we know the protocol?
//!
//! go-multistream proposes a protocol lazily: name and message leave together, and until November 2024 (its issue 115)
//! whoever closes the stream then was not made to wait for the answer. So does Kubo 0.22 with each message of bitswap. Over
//! QUIC that is a STOP_SENDING behind the data, which often reaches us before our part of the negotiation is written. The
//! negotiation would then fail with the write, and with it the block would be lost that came with it. Here the few bytes
//! of such an answer go nowhere instead, and what the peer said is read (as go-multistream does itself, its issue 87).
//!
//! Only QUIC needs it: Yamux has no word for a reader who has gone, only one for the end of both directions.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox};

/// Bytes at the start of an inbound stream that may be lost: the header and the name of a protocol, and the refusal of
/// some others before.
const FORGIVEN_BYTES_MAX: usize = 1024;

/// A connection whose inbound streams may lose our part of the negotiation.
pub(crate) struct Forgiving(pub(crate) StreamMuxerBox);

/// A stream of such a connection.
pub(crate) struct ForgivingStream<S> {
    inner: S,
    /// Bytes that may still be lost; 0 for a stream that we opened.
    forgiven: usize,
}

// === impl Forgiving ===

impl StreamMuxer for Forgiving {
    type Substream = ForgivingStream<SubstreamBox>;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
        let inner = ready!(Pin::new(&mut self.0).poll_inbound(cx))?;
        Poll::Ready(Ok(ForgivingStream::inbound(inner)))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
        let inner = ready!(Pin::new(&mut self.0).poll_outbound(cx))?;
        Poll::Ready(Ok(ForgivingStream { inner, forgiven: 0 }))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.0).poll(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

// === impl ForgivingStream ===

impl<S> ForgivingStream<S> {
    fn inbound(inner: S) -> Self {
        Self {
            inner,
            forgiven: FORGIVEN_BYTES_MAX,
        }
    }

    /// What is said of a write of `length` bytes that came out as `written`.
    fn forgive(&mut self, written: io::Result<usize>, length: usize) -> io::Result<usize> {
        let written = match written {
            // Where the connection itself is gone, reading tells.
            Err(error) if is_stop(&error) && length <= self.forgiven => length,
            other => other?,
        };
        self.forgiven = self.forgiven.saturating_sub(written);
        Ok(written)
    }
}

/// Whether the peer does not read the stream any more: quinn's word for STOP_SENDING.
fn is_stop(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}

impl<S: AsyncRead + Unpin> AsyncRead for ForgivingStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read_vectored(cx, buffers)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ForgivingStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes));
        Poll::Ready(self.forgive(written, bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, buffers));
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        Poll::Ready(self.forgive(written, length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(cx));
        Poll::Ready(match flushed {
            Err(error) if is_stop(&error) && 0 < self.forgiven => Ok(()),
            other => other,
        })
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::AsyncWriteExt as _;
    use futures::FutureExt as _;

    use super::*;

    /// A stream whose reader has gone.
    struct Stopped;

    impl AsyncWrite for Stopped {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }

    fn written(stream: &mut ForgivingStream<Stopped>, length: usize) -> bool {
        let bytes = vec![0; length];
        stream
            .write_all(&bytes)
            .now_or_never()
            .expect("it never waits")
            .is_ok()
    }

    #[test]
    fn the_start_of_an_inbound_stream_may_be_lost_and_nothing_behind_it() {
        let mut stream = ForgivingStream::inbound(Stopped);
        assert!(written(&mut stream, 20));
        assert!(stream.flush().now_or_never().expect("it never waits").is_ok());
        assert!(
            !written(&mut stream, FORGIVEN_BYTES_MAX - 19),
            "more than is forgiven"
        );
        assert!(written(&mut stream, FORGIVEN_BYTES_MAX - 20));
        assert!(!written(&mut stream, 1));
        assert!(stream.flush().now_or_never().expect("it never waits").is_err());
    }

    #[test]
    fn of_a_stream_of_our_own_nothing_may_be_lost() {
        let mut stream = ForgivingStream {
            inner: Stopped,
            forgiven: 0,
        };
        assert!(!written(&mut stream, 1));
    }
}
