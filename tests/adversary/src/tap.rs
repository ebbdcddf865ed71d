//! A socket that can turn deaf, and what can be done with raw bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

/// A TCP connection.
#[derive(Debug)]
pub struct Tap {
    inner: Compat<TcpStream>,
    ear: Ear,
}

/// The reading side of a [`Tap`], to be closed from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Ear(Arc<AtomicBool>);

// === impl Ear ===

impl Ear {
    /// From now on nothing is read: the other end writes until the buffers of both systems are full.
    pub fn close(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

// === impl Tap ===

impl Tap {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            inner: stream.compat(),
            ear: Ear::default(),
        }
    }

    /// The ear, to be closed while others hold the connection.
    pub fn ear(&self) -> Ear {
        self.ear.clone()
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.ear.0.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// Reads until the other end closes, and gives how much came.
pub async fn drained(stream: &mut (impl AsyncRead + Unpin)) -> usize {
    let mut piece = [0; 4096];
    let mut count = 0;
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        count += read;
    }
    count
}

/// Writes the bytes one at a time, with `pause` between them, until the other end closes; gives how long that took.
///
/// After the last byte it goes on with zeros: whoever dribbles does not want to come to an end.
pub async fn dribble(stream: Tap, bytes: &[u8], pause: Duration) -> Duration {
    let began = Instant::now();
    let (mut reader, mut writer) = stream.split();
    let write = async {
        let endless = bytes.iter().copied().chain(std::iter::repeat(0));
        for byte in endless {
            let sent = writer.write_all(&[byte]).await;
            if sent.is_err() || writer.flush().await.is_err() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = write => {}
        _ = drained(&mut reader) => {}
    }
    began.elapsed()
}
