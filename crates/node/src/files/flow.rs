//! How does long work hand out what it finds, at the caller's pace?

use futures::StreamExt as _;
use rustle_admin::{Fault, Flow};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::faults;
use crate::shared::Shared;

/// Pieces that wait for a slow caller.
const PIECES_MAX: usize = 8;

/// Where work puts its pieces. It waits while the caller is slow, and ends the work when the caller is gone.
#[derive(Debug, Clone)]
pub(super) struct Outlet<T>(mpsc::Sender<Result<T, Fault>>);

// === impl Outlet ===

impl<T> Outlet<T> {
    /// Hands out one piece.
    pub(super) async fn send(&self, piece: T) -> Result<(), Fault> {
        // Without a caller nobody hears of the fault either.
        self.0.send(Ok(piece)).await.map_err(|_| faults::stopping())
    }
}

/// Runs `work` and gives what it hands out, from its first piece on.
pub(super) fn produce<T, W>(shared: &Shared, work: impl FnOnce(Outlet<T>) -> W) -> Flow<T>
where
    T: Send + 'static,
    W: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let (pieces, output) = mpsc::channel(PIECES_MAX);
    let work = work(Outlet(pieces.clone()));
    shared.spawn(async move {
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = pieces.closed() => return,
        };
        if let Err(fault) = outcome {
            // An error means that the caller has gone, who then needs no reason.
            let _ = pieces.send(Err(fault)).await;
        }
    });
    ReceiverStream::new(output).boxed()
}

/// As [`produce`], but work that fails at once fails the call.
pub(super) async fn produce_checked<T, W>(
    shared: &Shared,
    work: impl FnOnce(Outlet<T>) -> W,
) -> Result<Flow<T>, Fault>
where
    T: Send + 'static,
    W: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let mut output = produce(shared, work).peekable();
    match std::pin::Pin::new(&mut output).next_if(Result::is_err).await {
        Some(Err(fault)) => Err(fault),
        _ => Ok(output.boxed()),
    }
}
