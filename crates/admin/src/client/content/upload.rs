//! How does an upload say that it is complete, or that it never will be?

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use tokio::sync::oneshot;

use crate::CHUNK_BYTES_MAX;
use crate::proto;

/// What is sent.
pub(super) enum Piece {
    Entry(proto::AddEntry),
    Chunk(Bytes),
    End(proto::AddEnd),
}

// === impl Piece ===

impl Piece {
    /// Bytes of the message, roughly.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Entry(entry) => entry.path.len() + entry.target.len(),
            Self::Chunk(chunk) => chunk.len(),
            Self::End(_) => 0,
        }
    }
}

/// The pieces with chunks of a length that messages may have, and then the end. After an error, which goes to the
/// receiver, nothing comes any more.
pub(super) fn unbroken(
    pieces: impl Stream<Item = io::Result<Piece>> + Send + 'static,
) -> (
    impl Stream<Item = Piece> + Send + 'static,
    oneshot::Receiver<io::Error>,
) {
    let (broken, breaks) = oneshot::channel();
    let upload = Upload {
        pieces: Box::pin(pieces),
        rest: Bytes::new(),
        sent: 0,
        broken: Some(broken),
    };
    let whole = stream::unfold(Some(upload), |upload| async {
        let mut upload = upload?;
        while upload.rest.is_empty() {
            match upload.pieces.next().await {
                Some(Ok(Piece::Chunk(more))) => upload.rest = more,
                Some(Ok(other)) => return Some((other, Some(upload))),
                Some(Err(cause)) => {
                    if let Some(broken) = upload.broken.take() {
                        // Nobody waits only when the call has ended already.
                        let _ = broken.send(cause);
                    }
                    futures::future::pending::<()>().await;
                }
                None => return Some((Piece::End(proto::AddEnd { bytes: upload.sent }), None)),
            }
        }
        let chunk = upload.rest.split_to(upload.rest.len().min(CHUNK_BYTES_MAX));
        upload.sent += chunk.len() as u64;
        Some((Piece::Chunk(chunk), Some(upload)))
    });
    (whole, breaks)
}

/// What is on its way to the daemon.
struct Upload<S> {
    pieces: Pin<Box<S>>,
    rest: Bytes,
    sent: u64,
    broken: Option<oneshot::Sender<io::Error>>,
}
