//! Which acceptor gets a stream, and may it have it yet?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libp2p::StreamProtocol;
use rustle_types::{ConnectionId, Direction, PeerId};
use tokio::sync::watch;

use crate::config::{ADMISSION_TIMEOUT, CONTROL_PROTOCOL};
use crate::{Acceptor, Inbound};

/// The protocols that are served, the same for all connections. The control protocol is the first.
#[derive(Debug)]
pub(crate) struct Routes {
    names: Vec<StreamProtocol>,
    acceptors: Vec<Acceptor>,
    counts: Arc<Counts>,
}

/// Why acceptors cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RouteError {
    /// Protocol names begin with `/`.
    BadName(String),
    /// Two acceptors for one protocol.
    Twice(String),
}

/// Inbound streams that did not reach an acceptor.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) unadmitted: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) surplus_control: AtomicU64,
}

/// What the handler of a connection shares with the streams that it negotiates.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connection: ConnectionId,
    pub(crate) peer: PeerId,
    pub(crate) direction: Direction,
    pub(crate) admitted: watch::Sender<bool>,
}

/// Counts a stream that is given up while it waits, whatever the reason.
struct Waiting<'a>(Option<&'a AtomicU64>);

// === impl Routes ===

impl Routes {
    pub(crate) fn new(acceptors: Vec<Acceptor>, counts: Arc<Counts>) -> Result<Self, RouteError> {
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
            counts,
        })
    }

    pub(crate) fn name(&self, index: usize) -> Option<StreamProtocol> {
        self.names.get(index).cloned()
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
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
        if acceptor.needs_handshake {
            let mut waiting = Waiting(Some(&self.counts.unadmitted));
            if !shared.is_admitted().await {
                tracing::debug!(peer = %shared.peer, %protocol, "refused a stream before the handshake");
                return None;
            }
            waiting.0 = None;
        }
        let mut waiting = Waiting(Some(&self.counts.abandoned));
        // Only fails where the acceptor is gone, that is, where the node is stopping.
        let Ok(permit) = acceptor.streams.reserve().await else {
            return None;
        };
        waiting.0 = None;
        let (peer, connection) = (shared.peer, shared.connection);
        permit.send(Inbound {
            peer,
            connection,
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

// === impl Shared ===

impl Shared {
    /// Whether the handshake is complete. Where we dialled, the peer has completed its end first, so its streams may
    /// be here before our own end is: they wait. Where the peer dialled, it is early: no wait.
    async fn is_admitted(&self) -> bool {
        let wait = match self.direction {
            Direction::Inbound => Duration::ZERO,
            Direction::Outbound => ADMISSION_TIMEOUT,
        };
        let mut admitted = self.admitted.subscribe();
        if *admitted.borrow() {
            return true;
        }
        tokio::time::timeout(wait, admitted.wait_for(|admitted| *admitted))
            .await
            .is_ok_and(|seen| seen.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn acceptor(protocol: &str) -> Acceptor {
        Acceptor {
            protocol: protocol.to_owned(),
            needs_handshake: false,
            streams: mpsc::channel(1).0,
        }
    }

    #[test]
    fn refuses_names_that_cannot_be_negotiated_and_doubles() {
        let routes = |names: &[&str]| {
            Routes::new(names.iter().map(|name| acceptor(name)).collect(), Arc::default()).map(|_| ())
        };
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

    #[tokio::test]
    async fn an_accepted_connection_is_not_waited_for() {
        let shared = |direction| Shared {
            connection: ConnectionId(1),
            peer: PeerId::random(),
            direction,
            admitted: watch::Sender::new(false),
        };
        assert!(!shared(Direction::Inbound).is_admitted().await);

        let dialled = shared(Direction::Outbound);
        let (admitted, ()) = tokio::join!(dialled.is_admitted(), async {
            dialled.admitted.send_replace(true);
        });
        assert!(admitted);
    }
}
