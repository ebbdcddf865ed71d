//! The peer exchange stream, from both ends: one question, one list.

use std::time::Duration;

use rustle_net::Inbound;
use rustle_peers::Fault;
use rustle_types::PeerId;
use rustle_types::limits::PEERS_FRAME_BYTES_MAX;
use rustle_wire::{PeersList, PeersRequest};
use tokio::sync::{mpsc, oneshot};

use crate::framed::{Framed, FramedError};
use crate::guests::Guests;
use crate::shared::Shared;

/// Name of the protocol below `/rustle/<network>/`.
pub(crate) const PROTOCOL: &str = "peers";
/// Its version.
pub(crate) const VERSION: u32 = 1;
/// Questions that wait for their stream; for a further one the answer is that none came.
pub(crate) const QUESTIONS_MAX: usize = 64;
/// Facts of this kind that may wait for the core.
pub(crate) const FACTS_MAX: usize = 32;
/// Peers that are answered at the same time; the streams of others are reset, and they ask later.
const SERVED_MAX: usize = 32;
/// How long a frame may take.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// A question that the node has decided to ask.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) peer: PeerId,
    pub(crate) ask: PeersRequest,
}

/// What such a stream tells the core.
#[derive(Debug)]
pub(crate) enum ListFact {
    /// A peer asks; the answer goes onto its stream, or none does.
    Asked {
        peer: PeerId,
        asked: PeersRequest,
        reply: oneshot::Sender<Option<PeersList>>,
    },
    /// A peer has answered.
    Heard { peer: PeerId, list: PeersList },
    /// A peer has not answered.
    Unheard { peer: PeerId },
    /// A peer has sent garbage.
    Garbage { peer: PeerId, fault: Fault },
}

/// Answers everyone who opens such a stream.
pub(crate) async fn serve(shared: Shared, mut inbound: mpsc::Receiver<Inbound>) {
    let guests = Guests::new(SERVED_MAX, 1);
    while let Some(Inbound { peer, stream, .. }) = inbound.recv().await {
        let Some(guest) = guests.admit(peer) else {
            tracing::debug!(%peer, "too many questions for peers at once");
            continue;
        };
        let (spawner, shared) = (shared.clone(), shared.clone());
        spawner.spawn(async move {
            let _guest = guest;
            let stream = Framed::new(stream, PEERS_FRAME_BYTES_MAX, FRAME_TIMEOUT);
            if let Err(error) = answer(&shared, peer, stream).await {
                shared.tell_garbage(peer, &error).await;
            }
        });
    }
}

async fn answer(shared: &Shared, peer: PeerId, mut stream: Framed) -> Result<(), FramedError> {
    let asked = PeersRequest::decode(stream.read().await?)?;
    let (reply, answer) = oneshot::channel();
    let fact = ListFact::Asked { peer, asked, reply };
    // Without an answer the stream is dropped, which resets it.
    if shared.lists.send(fact).await.is_ok()
        && let Ok(Some(list)) = answer.await
    {
        stream.write(&list.encode()).await?;
        stream.close().await;
    }
    Ok(())
}

/// Asks whomever the core wants asked.
pub(crate) async fn ask(shared: Shared, mut questions: mpsc::Receiver<Question>) {
    while let Some(Question { peer, ask }) = questions.recv().await {
        let (spawner, shared) = (shared.clone(), shared.clone());
        spawner.spawn(async move {
            let fact = match ask_one(&shared, peer, ask).await {
                Ok(list) => ListFact::Heard { peer, list },
                Err(error) => {
                    tracing::debug!(%peer, %error, "no list of peers came");
                    shared.tell_garbage(peer, &error).await;
                    ListFact::Unheard { peer }
                }
            };
            // Only fails where the core is gone, that is, where the node is stopping.
            let _ = shared.lists.send(fact).await;
        });
    }
}

async fn ask_one(shared: &Shared, peer: PeerId, ask: PeersRequest) -> Result<PeersList, FramedError> {
    let protocol = shared.network.protocol(PROTOCOL, VERSION);
    let (stream, _) = shared
        .net
        .open(peer, &[protocol])
        .await
        .map_err(std::io::Error::other)?;
    let mut stream = Framed::new(stream, PEERS_FRAME_BYTES_MAX, FRAME_TIMEOUT);
    stream.write(&ask.encode()).await?;
    let list = PeersList::decode(stream.read().await?)?;
    Ok(list)
}

// === impl Shared ===

impl Shared {
    /// Tells the core where a peer has sent something that cannot be read; that it was slow or gone is no fault.
    async fn tell_garbage(&self, peer: PeerId, error: &FramedError) {
        let fault = match error {
            FramedError::Frame(_) => Fault::OversizeList,
            FramedError::Message(_) => Fault::GarbageList,
            FramedError::Io(_) | FramedError::Ended | FramedError::Late => return,
        };
        let _ = self.lists.send(ListFact::Garbage { peer, fault }).await;
    }
}
