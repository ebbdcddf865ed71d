//! How does one message of a rendezvous stream get across?

use std::io;

use bytes::{Bytes, BytesMut};
use futures::{AsyncReadExt, AsyncWriteExt};
use rustle_wire::frame;

use crate::Stream;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 1024;

/// The reading end of a stream, in frames.
pub(super) struct Frames {
    decoder: frame::Decoder,
}

// === impl Frames ===

impl Frames {
    /// Frames of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            decoder: frame::Decoder::new(max),
        }
    }

    /// The next frame; `None` where the stream ends between two.
    pub(super) async fn next(&mut self, stream: &mut Stream) -> io::Result<Option<Bytes>> {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            let bad = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            if let Some(frame) = self.decoder.next().map_err(bad)? {
                return Ok(Some(frame));
            }
            match stream.read(&mut chunk).await? {
                0 if self.decoder.is_mid_frame() => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => return Ok(None),
                count => self.decoder.push(&chunk[..count]),
            }
        }
    }
}

/// Writes one frame out.
pub(super) async fn send(stream: &mut Stream, message: &[u8]) -> io::Result<()> {
    let mut bytes = BytesMut::with_capacity(message.len() + 10);
    frame::encode(message, &mut bytes);
    stream.write_all(&bytes).await?;
    stream.flush().await
}
