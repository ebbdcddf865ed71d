//! What does a node do at a rendezvous point, one thing after the other?

use std::time::Duration;

use bytes::Bytes;
use libp2p::StreamProtocol;
use rustle_types::{Multiaddr, PeerId};
use rustle_wire::rendezvous::{
    Namespace, PAGE_MAX, PROTOCOL, Page, RESPONSE_BYTES_MAX, Refusal, Registration, Request, Response,
};

use super::exchange::{self, Frames};
use super::record::{self, Style};
use crate::Identity;
use crate::handle::open_on;
use crate::streams::Opener;

/// How long one request may take, opening its stream included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Pages that are read under one namespace at once; what is behind them is for the next visit.
const PAGES_MAX: usize = 4;
/// Peers that one visit may bring home.
const FOUND_MAX: usize = PAGE_MAX * PAGES_MAX;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Errand {
    Register { namespace: Namespace },
    Unregister { namespace: Namespace },
    Discover { namespace: Namespace, cookie: Bytes },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Registered, for so long.
    Holds(Duration),
    /// Unregistered.
    Left,
    /// All was read that came after the cookie; the new one.
    Read(Bytes),
    /// The point does not want to.
    Refused(Refusal),
    /// The stream broke, or nothing came in time.
    Broken,
}

/// A list of errands, and all that is needed for them.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(super) point: PeerId,
    pub(super) identity: Identity,
    pub(super) style: Style,
    pub(super) ttl: Duration,
    pub(super) errands: Vec<Errand>,
}

/// What a visit came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) point: PeerId,
    pub(super) outcomes: Vec<(Errand, Outcome)>,
    /// What was read, by the question it answers; at most `FOUND_MAX` peers in all.
    pub(crate) found: Vec<Found>,
}

/// Who is registered under a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) namespace: Namespace,
    /// Peers and where they sign to be, each of them proven.
    pub(crate) peers: Vec<(PeerId, Vec<Multiaddr>)>,
}

// === impl Visit ===

impl Visit {
    /// Where it goes.
    pub(crate) fn point(&self) -> PeerId {
        self.point
    }

    /// Goes through the errands. `openers` open streams to the point; `addresses` are this node's, as the point is to
    /// tell them.
    pub(crate) async fn run(self, openers: Vec<Opener>, addresses: Vec<Multiaddr>) -> Report {
        let mut report = Report {
            point: self.point,
            outcomes: Vec::new(),
            found: Vec::new(),
        };
        for errand in &self.errands {
            let outcome = match errand {
                Errand::Register { namespace } => self.register(&openers, &addresses, namespace).await,
                Errand::Unregister { namespace } => {
                    let namespace = namespace.clone();
                    match ask(&openers, Request::Unregister { namespace }, false).await {
                        Some(_) => Outcome::Left,
                        None => Outcome::Broken,
                    }
                }
                Errand::Discover { namespace, cookie } => {
                    let before: usize = report.found.iter().map(|found| found.peers.len()).sum();
                    let room = FOUND_MAX.saturating_sub(before);
                    let (found, outcome) = discover(&openers, namespace, cookie.clone(), room).await;
                    report.found.push(found);
                    outcome
                }
            };
            report.outcomes.push((errand.clone(), outcome));
        }
        report
    }

    async fn register(&self, openers: &[Opener], addresses: &[Multiaddr], namespace: &Namespace) -> Outcome {
        let Some(record) = record::sign(&self.identity, addresses, self.style) else {
            return Outcome::Refused(Refusal::Record);
        };
        let registration = Registration {
            namespace: namespace.clone(),
            record,
            ttl: Some(self.ttl.as_secs()),
        };
        match ask(openers, Request::Register(registration), true).await {
            Some(Some(Response::Registered(Ok(held)))) => Outcome::Holds(Duration::from_secs(held)),
            Some(Some(Response::Registered(Err(refusal)))) => Outcome::Refused(refusal),
            _ => Outcome::Broken,
        }
    }
}

// === impl Report ===

impl Report {
    /// Whether the point does not register anybody for so long, or for so short.
    pub(super) fn dislikes_ttl(&self) -> bool {
        let mut outcomes = self.outcomes.iter();
        outcomes.any(|(_, outcome)| *outcome == Outcome::Refused(Refusal::Ttl))
    }

    /// Whether the point seems not to know the style of this node's record. It may say so; rust-libp2p's just resets the
    /// stream, while it answers whatever else it is asked.
    pub(super) fn dislikes_record(&self) -> bool {
        let is_register = |(errand, _): &&(Errand, Outcome)| matches!(errand, Errand::Register { .. });
        let answers = self.outcomes.iter().any(|(errand, outcome)| {
            matches!(
                (errand, outcome),
                (Errand::Discover { .. }, Outcome::Read(_) | Outcome::Refused(_))
            )
        });
        self.outcomes
            .iter()
            .filter(is_register)
            .any(|(_, outcome)| match outcome {
                Outcome::Refused(refusal) => *refusal == Refusal::Record,
                Outcome::Broken => answers,
                _ => false,
            })
    }
}

async fn discover(
    openers: &[Opener],
    namespace: &Namespace,
    mut cookie: Bytes,
    room: usize,
) -> (Found, Outcome) {
    let mut found = Found {
        namespace: namespace.clone(),
        peers: Vec::new(),
    };
    for _ in 0..PAGES_MAX {
        let request = Request::Discover {
            namespace: Some(namespace.clone()),
            limit: Some(PAGE_MAX as u64),
            cookie,
        };
        let page = match ask(openers, request, true).await {
            Some(Some(Response::Discovered(Ok(page)))) => page,
            Some(Some(Response::Discovered(Err(refusal)))) => return (found, Outcome::Refused(refusal)),
            _ => return (found, Outcome::Broken),
        };
        let is_last = page.registrations.len() < PAGE_MAX;
        let left = room.saturating_sub(found.peers.len());
        found.peers.extend(proven(&page, namespace).take(left));
        cookie = page.cookie;
        if is_last {
            break;
        }
    }
    (found, Outcome::Read(cookie))
}

/// The registrations of a page that are signed by their peers.
fn proven<'a>(
    page: &'a Page,
    namespace: &'a Namespace,
) -> impl Iterator<Item = (PeerId, Vec<Multiaddr>)> + 'a {
    let fitting = page
        .registrations
        .iter()
        .filter(move |one| one.namespace == *namespace);
    fitting.filter_map(|one| record::read(&one.record).map(|proven| (proven.peer, proven.addresses)))
}

/// One request on a stream of its own, and its answer where there is to be one; `None` where that failed.
async fn ask(openers: &[Opener], request: Request, is_answered: bool) -> Option<Option<Response>> {
    let exchange = async {
        let names = vec![StreamProtocol::new(PROTOCOL)];
        let (mut stream, _) = open_on(openers, names).await.ok()?;
        exchange::send(&mut stream, &request.encode()).await.ok()?;
        if !is_answered {
            futures::AsyncWriteExt::close(&mut stream).await.ok()?;
            return Some(None);
        }
        let frame = Frames::new(RESPONSE_BYTES_MAX).next(&mut stream).await.ok()??;
        Some(Some(Response::decode(frame).ok()?))
    };
    tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.ok()?
}
