//! Which acceptor gets a stream, and may it have it yet?

use std::sync::atomic::{AtomicU64, Ordering};

use libp2p::StreamProtocol;

use crate::admission::Shared;
use crate::config::CONTROL_PROTOCOL;
use crate::{Acceptor, Inbound, Scope};

/// The protocols that are served, the same for all connections. The control protocol is the first.
#[derive(Debug)]
pub(crate) struct Routes {
    names: Vec<StreamProtocol>,
    acceptors: Vec<Acceptor>,
}

/// Why acceptors cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RouteError {
    /// Protocol names begin with `/`.
    BadName(String),
    /// Two acceptors for one protocol.
    Twice(String),
}

/// Counts a stream that is given up while it waits, whatever the reason.
struct Waiting<'a>(Option<&'a AtomicU64>);

// === impl Routes ===

impl Routes {
    pub(crate) fn new(acceptors: Vec<Acceptor>) -> Result<Self, RouteError> {
        let mut names = vec![StreamProtocol::new(CONTROL_PROTOCOL)];
        for acceptor in &acceptors {
            let name = StreamProtocol::try_from_owned(acceptor.protocol.clone())
                .map_err(|_| RouteError::BadName(acceptor.protocol.clone()))?;
            if names.contains(&name) {
                return Err(RouteError::Twice(acceptor.protocol.clone()));
            }
            names.push(name);
        }
        Ok(Self { names, acceptors })
    }

    pub(crate) fn name(&self, index: usize) -> Option<StreamProtocol> {
        self.names.get(index).cloned()
    }

    /// What a protocol belongs to, where it is served here.
    pub(crate) fn scope(&self, protocol: &StreamProtocol) -> Option<Scope> {
        self.acceptor(protocol).map(|acceptor| acceptor.scope)
    }

    /// The acceptor of a protocol; `None` for the control protocol.
    fn acceptor(&self, protocol: &StreamProtocol) -> Option<&Acceptor> {
        self.acceptors
            .iter()
            .find(|acceptor| acceptor.protocol == protocol.as_ref())
    }

    /// Hands `stream` over once it may be served and its acceptor has room; gives it back where it is the control stream.
    /// Dropping the future resets the stream.
    pub(super) async fn deliver(
        &self,
        shared: &Shared,
        protocol: &StreamProtocol,
        stream: crate::Stream,
    ) -> Option<crate::Stream> {
        let Some(acceptor) = self.acceptor(protocol) else {
            return Some(stream);
        };
        // A relay cuts a connection that carries more than a little.
        if shared.relayed && acceptor.scope == Scope::Content {
            tracing::debug!(peer = %shared.peer, %protocol, "refused a stream over a relay");
            return None;
        }
        if !shared.serves(acceptor.scope).await {
            tracing::debug!(peer = %shared.peer, %protocol, "refused a stream");
            return None;
        }
        let mut waiting = Waiting(Some(&shared.counts().abandoned));
        // Only fails where the acceptor is gone, that is, where the node is stopping.
        let Ok(permit) = acceptor.streams.reserve().await else {
            return None;
        };
        waiting.0 = None;
        let (peer, connection) = (shared.peer, shared.connection);
        permit.send(Inbound {
            peer,
            connection,
            address: shared.address.clone(),
            protocol: acceptor.protocol.clone(),
            stream,
        });
        None
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn acceptor(protocol: &str) -> Acceptor {
        Acceptor {
            protocol: protocol.to_owned(),
            scope: Scope::Content,
            streams: mpsc::channel(1).0,
        }
    }

    #[test]
    fn refuses_names_that_cannot_be_negotiated_and_doubles() {
        let routes =
            |names: &[&str]| Routes::new(names.iter().map(|name| acceptor(name)).collect()).map(|_| ());
        assert_eq!(routes(&["/a/1", "/b/1"]), Ok(()));
        assert_eq!(routes(&["a/1"]), Err(RouteError::BadName("a/1".to_owned())));
        assert_eq!(
            routes(&["/a/1", "/a/1"]),
            Err(RouteError::Twice("/a/1".to_owned()))
        );
        assert_eq!(
            routes(&[CONTROL_PROTOCOL]),
            Err(RouteError::Twice(CONTROL_PROTOCOL.to_owned()))
        );
    }
}
