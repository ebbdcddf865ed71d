//! Which protocol is a new stream for?
//!
//! multistream-select settles the name; what follows the name is the business of whoever gets the stream.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::StreamProtocol;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};

use super::routes::Routes;
use crate::Stream;
use crate::admission::Shared;

/// Accepts a stream for any of the served protocols and delivers it.
pub(crate) struct Accept {
    pub(super) routes: Arc<Routes>,
    pub(super) shared: Arc<Shared>,
}

/// Offers a stream for one of some protocols, the most wanted first.
pub(crate) struct Offer {
    pub(super) names: Vec<StreamProtocol>,
}

/// The names of the served protocols, without a copy of the list: the swarm asks at each poll of a connection.
pub(crate) struct Names {
    routes: Arc<Routes>,
    next: usize,
}

// === impl Accept ===

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = Names;

    fn protocol_info(&self) -> Names {
        Names {
            routes: Arc::clone(&self.routes),
            next: 0,
        }
    }
}

impl InboundUpgrade<Stream> for Accept {
    /// The stream where it is the control stream; nothing where it was delivered or refused.
    type Output = Option<Stream>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Option<Stream>, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        async move { Ok(self.routes.deliver(&self.shared, &protocol, stream).await) }.boxed()
    }
}

// === impl Offer ===

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = Vec<StreamProtocol>;

    fn protocol_info(&self) -> Vec<StreamProtocol> {
        self.names.clone()
    }
}

impl OutboundUpgrade<Stream> for Offer {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<(Stream, StreamProtocol), Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

// === impl Names ===

impl Iterator for Names {
    type Item = StreamProtocol;

    fn next(&mut self) -> Option<StreamProtocol> {
        let name = self.routes.name(self.next)?;
        self.next += 1;
        Some(name)
    }
}
