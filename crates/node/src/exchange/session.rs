//! Blocks that belong together, wanted by one caller.

use bytes::Bytes;
use rustle_bitswap::client::RequestId;
use rustle_types::Cid;
use tokio::sync::mpsc;

use super::Told;

/// Wants blocks and takes them as they come. Dropping it withdraws what is still wanted.
#[derive(Debug)]
pub(crate) struct Session {
    request: RequestId,
    told: mpsc::Sender<Told>,
    arrivals: mpsc::Receiver<(Cid, Bytes)>,
    /// Handed over with the first want: a session that finds everything in the store never bothers the exchange.
    unopened: Option<mpsc::Sender<(Cid, Bytes)>>,
}

// === impl Session ===

impl Session {
    pub(super) fn new(
        request: RequestId,
        told: mpsc::Sender<Told>,
        blocks: mpsc::Sender<(Cid, Bytes)>,
        arrivals: mpsc::Receiver<(Cid, Bytes)>,
    ) -> Self {
        Self {
            request,
            told,
            arrivals,
            unopened: Some(blocks),
        }
    }

    /// Wants blocks. At most `rustle_unixfs::WINDOW_BLOCKS_MAX` may be wanted at once.
    pub(crate) async fn want(&mut self, cids: Vec<Cid>) {
        let request = self.request;
        // Without the exchange `next` gives `None`, which the caller sees.
        if let Some(blocks) = self.unopened.take() {
            let _ = self.told.send(Told::Open { request, blocks }).await;
        }
        let _ = self.told.send(Told::Want { request, cids }).await;
    }

    /// The next block that has come; `None` when the node is shutting down.
    pub(crate) async fn next(&mut self) -> Option<(Cid, Bytes)> {
        self.arrivals.recv().await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.unopened.is_some() {
            return;
        }
        let close = Told::Close {
            request: self.request,
        };
        if let Err(mpsc::error::TrySendError::Full(close)) = self.told.try_send(close) {
            let told = self.told.clone();
            tokio::spawn(async move {
                // Without the exchange nothing is wanted any more.
                let _ = told.send(close).await;
            });
        }
    }
}
