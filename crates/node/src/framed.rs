//! One message at a time over a raw stream, with a bound and a deadline.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use rustle_net::Stream;
use rustle_wire::WireError;
use rustle_wire::frame::{self, FrameError};

/// Bytes read from a stream at once.
const READ_BYTES: usize = 64 * 1024;

/// A raw stream cut into frames.
pub(crate) struct Framed {
    stream: Stream,
    decoder: frame::Decoder,
    piece: Vec<u8>,
    deadline: Duration,
}

/// Why a frame did not come or go.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FramedError {
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Io(#[from] std::io::Error),
    /// The peer ended the stream.
    #[error("the peer ended the stream")]
    Ended,
    /// The peer did not read or write in time.
    #[error("the peer was silent for too long")]
    Late,
    /// The peer sent an oversize or malformed frame.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The peer sent a malformed message.
    #[error("{0}")]
    Message(#[from] WireError),
}

// === impl Framed ===

impl Framed {
    /// Frames of at most `max` bytes; each must come or go within `deadline`.
    pub(crate) fn new(stream: Stream, max: usize, deadline: Duration) -> Self {
        Self {
            stream,
            decoder: frame::Decoder::new(max),
            piece: vec![0; READ_BYTES],
            deadline,
        }
    }

    /// Reads one frame.
    pub(crate) async fn read(&mut self) -> Result<Bytes, FramedError> {
        tokio::time::timeout(self.deadline, self.read_whole())
            .await
            .map_err(|_| FramedError::Late)?
    }

    async fn read_whole(&mut self) -> Result<Bytes, FramedError> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            match self.stream.read(&mut self.piece).await? {
                0 => return Err(FramedError::Ended),
                read => self.decoder.push(&self.piece[..read]),
            }
        }
    }

    /// Writes one frame and flushes it.
    pub(crate) async fn write(&mut self, message: &[u8]) -> Result<(), FramedError> {
        let mut bytes = BytesMut::with_capacity(message.len() + 10);
        frame::encode(message, &mut bytes);
        let write = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(self.deadline, write)
            .await
            .map_err(|_| FramedError::Late)??;
        Ok(())
    }

    /// Ends our half of the stream, so that the peer knows that nothing is missing.
    pub(crate) async fn close(mut self) {
        // The peer may be gone already, which is no loss: everything has been written.
        let _ = tokio::time::timeout(self.deadline, self.stream.close()).await;
    }
}
