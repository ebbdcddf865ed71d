//! Which acceptor gets a stream, and may it have it yet?

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use libp2p::StreamProtocol;

use crate::admission::Shared;
use crate::config::CONTROL_PROTOCOL;
use crate::{Acceptor, Admission, Inbound, Scope, StartError};

/// What the names of tunnels begin with.
const TUNNEL_PREFIX: &str = "/x/";

/// The protocols that are served, the same for all connections. The control protocol is the first.
#[derive(Debug)]
pub(crate) struct Routes {
    names: Vec<StreamProtocol>,
    acceptors: Vec<Acceptor>,
    /// Protocols that came later and may go again. The swarm asks for all names at each poll of a connection, so that their
    /// number is kept apart.
    further: RwLock<Vec<(StreamProtocol, Acceptor)>>,
    further_len: AtomicUsize,
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

impl From<RouteError> for StartError {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::BadName(name) => Self::BadProtocol(name),
            RouteError::Twice(name) => Self::ProtocolTwice(name),
        }
    }
}

impl Acceptor {
    fn is_bulky(&self) -> bool {
        matches!(self.scope, Scope::Content | Scope::Tunnel)
    }
}

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
        Ok(Self {
            names,
            acceptors,
            further: RwLock::default(),
            further_len: AtomicUsize::new(0),
        })
    }

    /// Serves a further protocol, on connections that stand as well.
    pub(crate) fn add(&self, acceptor: Acceptor) -> Result<(), RouteError> {
        let name = StreamProtocol::try_from_owned(acceptor.protocol.clone())
            .map_err(|_| RouteError::BadName(acceptor.protocol.clone()))?;
        let mut further = self.further.write().unwrap_or_else(PoisonError::into_inner);
        let is_taken = self.names.contains(&name) || further.iter().any(|(known, _)| *known == name);
        if is_taken {
            return Err(RouteError::Twice(acceptor.protocol));
        }
        further.push((name, acceptor));
        self.further_len.store(further.len(), Ordering::Release);
        Ok(())
    }

    /// Serves a protocol no more that was added.
    pub(crate) fn remove(&self, protocol: &str) {
        let mut further = self.further.write().unwrap_or_else(PoisonError::into_inner);
        further.retain(|(name, _)| name.as_ref() != protocol);
        self.further_len.store(further.len(), Ordering::Release);
    }

    pub(crate) fn name(&self, index: usize) -> Option<StreamProtocol> {
        let Some(beyond) = index.checked_sub(self.names.len()) else {
            return self.names.get(index).cloned();
        };
        if self.further_len.load(Ordering::Acquire) <= beyond {
            return None;
        }
        let further = self.further.read().unwrap_or_else(PoisonError::into_inner);
        further.get(beyond).map(|(name, _)| name.clone())
    }

    /// Whether streams of a protocol may carry more than a relay passes on.
    pub(crate) fn is_bulky(&self, protocol: &StreamProtocol) -> bool {
        let served = self.acceptor(protocol);
        served.is_some_and(|acceptor| acceptor.is_bulky()) || protocol.as_ref().starts_with(TUNNEL_PREFIX)
    }

    /// The acceptor of a protocol; `None` for the control protocol.
    fn acceptor(&self, protocol: &StreamProtocol) -> Option<Acceptor> {
        let is_it = |acceptor: &&Acceptor| acceptor.protocol == protocol.as_ref();
        if let Some(acceptor) = self.acceptors.iter().find(is_it) {
            return Some(acceptor.clone());
        }
        let further = self.further.read().unwrap_or_else(PoisonError::into_inner);
        let mut further = further.iter().map(|(_, acceptor)| acceptor);
        further.find(is_it).cloned()
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
        if shared.relayed && acceptor.is_bulky() {
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
            is_foreign: shared.admission() != Some(Admission::Rustle),
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

    #[test]
    fn protocols_come_and_go() {
        let routes = Routes::new(vec![acceptor("/a/1")]).unwrap();
        let names = || (0..).map_while(|index| routes.name(index)).collect::<Vec<_>>();
        assert_eq!(routes.add(acceptor("/x/b")), Ok(()));
        assert_eq!(routes.add(acceptor("/x/c")), Ok(()));
        assert_eq!(
            routes.add(acceptor("/x/b")),
            Err(RouteError::Twice("/x/b".to_owned()))
        );
        assert!(routes.add(acceptor("/a/1")).is_err());
        assert_eq!(names(), [CONTROL_PROTOCOL, "/a/1", "/x/b", "/x/c"]);
        let b = StreamProtocol::new("/x/b");
        assert!(routes.acceptor(&b).is_some());
        routes.remove("/x/b");
        assert_eq!(names(), [CONTROL_PROTOCOL, "/a/1", "/x/c"]);
        assert!(routes.acceptor(&b).is_none());
    }
}
