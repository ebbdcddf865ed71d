//! Blocks that belong together, wanted by one caller.

use std::collections::HashSet;

use bytes::Bytes;
use rustle_bitswap::client::RequestId;
use rustle_types::{Cid, PeerId};
use tokio::sync::{mpsc, oneshot};

use super::Told;

/// Peers that are named to whoever asks in vain.
pub(super) const NAMED_MAX: usize = 3;
/// Providers of one session that are counted.
const PROVIDERS_MAX: usize = 1024;

/// Whom a session has asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Asked {
    /// Peers that were asked for any of its blocks.
    pub(crate) peers: usize,
    /// Of those, peers that said of one that they have it not.
    pub(crate) refused: usize,
    /// Providers that the DHT named.
    pub(crate) providers: usize,
    /// Some of the peers.
    pub(crate) named: Vec<PeerId>,
}

/// Wants blocks and takes them as they come. Dropping it withdraws what is still wanted.
#[derive(Debug)]
pub(crate) struct Session {
    request: RequestId,
    told: mpsc::Sender<Told>,
    arrivals: mpsc::Receiver<(Cid, Bytes)>,
    /// Handed over with the first want: a session that finds everything in the store never bothers the exchange.
    unopened: Option<mpsc::Sender<(Cid, Bytes)>>,
}

/// Who was found to provide what a session wants, each once.
#[derive(Debug, Default)]
pub(super) struct Providers(HashSet<PeerId>);

// === impl Providers ===

impl Providers {
    pub(super) fn extend(&mut self, peers: impl IntoIterator<Item = PeerId>) {
        for peer in peers {
            if self.0.len() < PROVIDERS_MAX {
                self.0.insert(peer);
            }
        }
    }

    /// At most `PROVIDERS_MAX`.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

// === impl Asked ===

impl std::fmt::Display for Asked {
    /// As the end of a sentence: `asked 2 peers (12D3…, 12D3…), 1 said no; the DHT named 0 providers`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.peers {
            0 => f.write_str("no peer could be asked")?,
            1 => f.write_str("asked 1 peer")?,
            peers => write!(f, "asked {peers} peers")?,
        }
        if !self.named.is_empty() {
            let names: Vec<String> = self.named.iter().map(PeerId::to_string).collect();
            let more = if self.named.len() < self.peers {
                ", …"
            } else {
                ""
            };
            write!(f, " ({}{more})", names.join(", "))?;
            write!(f, ", {} said no", self.refused)?;
        }
        write!(f, "; the DHT named {} providers", self.providers)
    }
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

    /// Who was asked so far.
    pub(crate) async fn asked(&self) -> Asked {
        let (reply, asked) = oneshot::channel();
        let request = self.request;
        // Without the exchange nobody was asked.
        let _ = self.told.send(Told::Asked { request, reply }).await;
        asked.await.unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_counts_once_whoever_names_it_and_there_are_bounds() {
        let mut providers = Providers::default();
        let twice = PeerId::random();
        providers.extend([twice, PeerId::random()]);
        providers.extend([twice]);
        assert_eq!(providers.count(), 2);
        providers.extend(std::iter::repeat_with(PeerId::random).take(PROVIDERS_MAX));
        assert_eq!(providers.count(), PROVIDERS_MAX);
    }
}
