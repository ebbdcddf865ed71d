//! How does a rendezvous point answer?
//!
//! Each stream is a task of its own, over one directory. What the directory holds is bounded there; here, streams and the
//! time they may take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustle_peers::directory::{Applicant, Directory};
use rustle_types::address::Group;
use rustle_types::{PeerId, Uptime};
use rustle_wire::rendezvous::{REQUEST_BYTES_MAX, Refusal, Registration, Request, Response};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::exchange::{self, Frames};
use super::record::{self, Style};
use crate::{Inbound, clock};

/// Streams that are served at the same time; further ones wait to be accepted.
const STREAMS_SERVED_MAX: usize = 256;
/// Those of one peer; further ones are reset.
const STREAMS_PER_PEER_MAX: usize = 4;
/// How long a request, and the writing of its answer, may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What all streams share.
struct Point {
    directory: Mutex<Directory>,
    start: Instant,
}

/// Serves a directory until nobody can open a stream any more.
pub(crate) async fn serve(directory: Directory, mut inbound: mpsc::Receiver<Inbound>) {
    let point = Arc::new(Point {
        directory: Mutex::new(directory),
        start: clock::now(),
    });
    let mut streams = JoinSet::<PeerId>::new();
    let mut by_peer = HashMap::<PeerId, usize>::new();
    loop {
        tokio::select! {
            Some(ended) = streams.join_next() => {
                // A stream that panicked leaves its peer with one place less, and is in the log.
                if let Ok(peer) = ended
                    && let Some(count) = by_peer.get_mut(&peer)
                {
                    *count -= 1;
                    if *count == 0 {
                        by_peer.remove(&peer);
                    }
                }
            }
            next = inbound.recv(), if streams.len() < STREAMS_SERVED_MAX => {
                let Some(inbound) = next else { return };
                let count = by_peer.entry(inbound.peer).or_default();
                if *count < STREAMS_PER_PEER_MAX {
                    *count += 1;
                    streams.spawn(converse(Arc::clone(&point), inbound));
                }
            }
        }
    }
}

/// Answers what comes on one stream: one request from rust-libp2p, several one after the other from go-libp2p.
async fn converse(point: Arc<Point>, mut inbound: Inbound) -> PeerId {
    let mut frames = Frames::new(REQUEST_BYTES_MAX);
    loop {
        let turn = async {
            let frame = frames.next(&mut inbound.stream).await.ok()??;
            let request = Request::decode(frame).ok()?;
            match point.answer(inbound.peer, Group::of(&inbound.address), request) {
                Some(answer) => exchange::send(&mut inbound.stream, &answer.encode()).await.ok(),
                None => Some(()),
            }
        };
        if tokio::time::timeout(REQUEST_TIMEOUT, turn).await != Ok(Some(())) {
            return inbound.peer;
        }
    }
}

// === impl Point ===

impl Point {
    fn answer(&self, peer: PeerId, group: Group, request: Request) -> Option<Response> {
        let now = Uptime::from_duration(clock::now() - self.start);
        let admitted = self.directory().admits(now, peer);
        Some(match request {
            Request::Register(_) if !admitted => Response::Registered(Err(Refusal::Unavailable)),
            Request::Discover { .. } if !admitted => Response::Discovered(Err(Refusal::Unavailable)),
            Request::Register(registration) => {
                Response::Registered(self.register(now, peer, group, registration))
            }
            Request::Discover {
                namespace,
                limit,
                cookie,
            } => {
                let mut directory = self.directory();
                let page = directory.discover(now, &peer, namespace.as_ref(), limit, &cookie);
                Response::Discovered(page)
            }
            Request::Unregister { namespace } => {
                self.directory().unregister(&peer, &namespace);
                return None;
            }
        })
    }

    fn register(
        &self,
        now: Uptime,
        peer: PeerId,
        group: Group,
        registration: Registration,
    ) -> Result<u64, Refusal> {
        let proven = record::read(&registration.record).ok_or(Refusal::Record)?;
        if proven.peer != peer {
            return Err(Refusal::NotAuthorized);
        }
        let applicant = Applicant {
            peer,
            group,
            record: registration.record,
            is_legacy: proven.style == Style::Legacy,
        };
        let ttl = registration.ttl.map(Duration::from_secs);
        let mut directory = self.directory();
        let held = directory.register(now, applicant, registration.namespace, ttl)?;
        Ok(held.as_secs())
    }

    fn directory(&self) -> std::sync::MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
