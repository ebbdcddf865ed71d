//! A multiplexed connection: streams by the name of their protocol, in both directions.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result, anyhow};
use futures::AsyncWriteExt as _;
use libp2p::core::muxing::StreamMuxerExt as _;
use libp2p::{PeerId, yamux};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::{Ear, IDENTIFY, MESHSUB, Secured, answer, drained, propose};

/// Streams that the node opened and nobody has taken yet; further ones are reset.
const INBOUND_MAX: usize = 32;
/// Streams that are being opened at once.
const ORDERS_MAX: usize = 4;

/// A stream of bytes within a connection.
pub type Stream = yamux::Stream;

type Muxer = yamux::Muxer<Secured>;
type Order = oneshot::Sender<Result<Stream>>;

/// What becomes of the streams that the node opens.
#[derive(Debug, Clone, Default)]
pub enum Manners {
    /// They wait for [`Peer::inbound`], unanswered until then.
    #[default]
    Silent,
    /// Each protocol that the node offers is refused.
    Refuse,
    /// Identify is answered with these bytes, gossip is heard and ignored, all else is refused: as a node that has
    /// nothing to say.
    Polite(Vec<u8>),
}

/// The other end of a connection that a task of ours keeps going. Dropping it drops the connection.
#[derive(Debug)]
pub struct Peer {
    remote: PeerId,
    orders: mpsc::Sender<Order>,
    inbound: mpsc::Receiver<Stream>,
    ear: Ear,
    closed: watch::Receiver<bool>,
    driver: AbortHandle,
}

// === impl Peer ===

impl Peer {
    pub(crate) fn drive(remote: PeerId, muxer: Muxer, ear: Ear, manners: Manners) -> Self {
        let (orders, orders_receiver) = mpsc::channel(ORDERS_MAX);
        let (incoming, inbound) = mpsc::channel(INBOUND_MAX);
        let (closing, closed) = watch::channel(false);
        let mut driver = Driver {
            muxer,
            orders: orders_receiver,
            order: None,
            incoming,
            manners,
        };
        let task = tokio::spawn(async move {
            poll_fn(|cx| driver.poll(cx)).await;
            // Fails only where nobody asks any more.
            let _ = closing.send(true);
        });
        Self {
            remote,
            orders,
            inbound,
            ear,
            closed,
            driver: task.abort_handle(),
        }
    }

    /// Who is there.
    pub fn remote(&self) -> PeerId {
        self.remote
    }

    /// Opens a stream for this protocol; fails where it is refused or the connection ends.
    pub async fn open(&self, protocol: &str) -> Result<Stream> {
        let mut stream = self.open_raw().await?;
        propose(&mut stream, protocol)
            .await
            .with_context(|| format!("a stream for {protocol}"))?;
        Ok(stream)
    }

    /// Opens a stream on which nothing is said.
    pub async fn open_raw(&self) -> Result<Stream> {
        let (answer, opened) = oneshot::channel();
        let gone = || anyhow!("the connection is closed");
        self.orders.send(answer).await.map_err(|_| gone())?;
        opened.await.map_err(|_| gone())?
    }

    /// The next stream that the node opened, with nothing read from it; `None` once the connection has ended.
    pub async fn inbound(&mut self) -> Option<Stream> {
        self.inbound.recv().await
    }

    /// Waits until the node has closed the connection.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        // An error means that the task has ended, too.
        let _ = closed.wait_for(|is_closed| *is_closed).await;
    }

    /// Whether the node has closed the connection.
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Reads nothing any more, on any stream; writing goes on.
    pub fn turn_deaf(&self) {
        self.ear.close();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Keeps the multiplexer going.
struct Driver {
    muxer: Muxer,
    orders: mpsc::Receiver<Order>,
    order: Option<Order>,
    incoming: mpsc::Sender<Stream>,
    manners: Manners,
}

// === impl Driver ===

impl Driver {
    /// Ready once the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.order.is_none()
                && let Poll::Ready(Some(order)) = self.orders.poll_recv(cx)
            {
                self.order = Some(order);
            }
            if self.order.is_some()
                && let Poll::Ready(opened) = Pin::new(&mut self.muxer).poll_outbound_unpin(cx)
                && let Some(order) = self.order.take()
            {
                // Whoever asked may have given up.
                let _ = order.send(opened.map_err(Into::into));
                continue;
            }
            match self.muxer.poll_inbound_unpin(cx) {
                Poll::Ready(Ok(stream)) => self.on_inbound(stream),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn on_inbound(&mut self, mut stream: Stream) {
        match &self.manners {
            Manners::Silent => {
                // Where nobody takes them they are reset.
                let _ = self.incoming.try_send(stream);
            }
            Manners::Refuse => {
                tokio::spawn(async move { answer(&mut stream, |_| false).await });
            }
            Manners::Polite(identify) => {
                let identify = identify.clone();
                tokio::spawn(polite(stream, identify));
            }
        }
    }
}

async fn polite(mut stream: Stream, identify: Vec<u8>) -> Result<()> {
    let protocol = answer(&mut stream, |protocol| [IDENTIFY, MESHSUB].contains(&protocol)).await?;
    if protocol == IDENTIFY {
        stream.write_all(&identify).await?;
        stream.close().await?;
    }
    drained(&mut stream).await;
    Ok(())
}
