//! Who has some content, for somebody who waits for the answer?

use std::collections::HashMap;

use futures::StreamExt as _;
use rustle_admin::fault::reason;
use rustle_admin::views::{DhtNodes, Provided, Provider, ProviderQuery};
use rustle_admin::{Fault, FaultKind, Flow};
use rustle_net::Asked;
use rustle_types::{Cid, Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Found, PROVIDES_MAX, contents, find_providers, provide};
use crate::shared::Shared;

/// A search under way.
struct Search {
    query: ProviderQuery,
    deadline: Instant,
    answers: mpsc::Receiver<Found>,
    /// Found and not told yet.
    found: Vec<(PeerId, Vec<Multiaddr>)>,
    /// Who was told, and with how many addresses.
    told: HashMap<PeerId, usize>,
    /// Nodes that have answered, once the search is over.
    done: Option<Vec<Asked>>,
    is_over: bool,
}

/// Who has some content, as it is found. Ends with a fault where nobody does.
pub(crate) async fn search(shared: &Shared, query: ProviderQuery) -> Flow<Provider> {
    let search = Search {
        deadline: Instant::now() + query.timeout,
        answers: find_providers(shared, query.cid).await,
        query,
        found: Vec::new(),
        told: HashMap::new(),
        done: None,
        is_over: false,
    };
    futures::stream::unfold(search, |mut search| async move {
        let next = search.next().await?;
        Some((next, search))
    })
    .boxed()
}

/// Tells the DHTs of a block, or of that and all below it.
pub(crate) fn provide_all(shared: Shared, root: Cid, is_recursive: bool) -> Flow<Provided> {
    let first = futures::stream::iter([root]);
    let cids = match is_recursive {
        true => first
            .chain(contents::below(&shared, &shared.routing.asked_walks, root))
            .boxed(),
        false => first.boxed(),
    };
    cids.map(move |cid| {
        let shared = shared.clone();
        async move {
            let told = provide(&shared, cid).await;
            Ok(Provided {
                cid,
                told: told.into_iter().map(nodes).collect(),
            })
        }
    })
    .buffered(PROVIDES_MAX)
    .boxed()
}

fn nodes(asked: Asked) -> DhtNodes {
    DhtNodes {
        dht: asked.dht.name().to_owned(),
        nodes: asked.nodes,
    }
}

// === impl Search ===

impl Search {
    async fn next(&mut self) -> Option<Result<Provider, Fault>> {
        loop {
            if self.is_over || self.query.limit <= self.told.len() {
                return None;
            }
            if let Some((peer, addresses)) = self.found.pop() {
                // Told again only with more of use.
                let known = self.told.get(&peer).copied();
                if known.is_none_or(|known| known < addresses.len()) {
                    self.told.insert(peer, addresses.len());
                    return Some(Ok(Provider { peer, addresses }));
                }
                continue;
            }
            if self.done.is_some() {
                self.is_over = true;
                return self.told.is_empty().then(|| Err(self.nobody()));
            }
            match tokio::time::timeout_at(self.deadline, self.answers.recv()).await {
                Ok(Some(Found { providers, done })) => {
                    self.found = providers;
                    self.done = done;
                }
                Ok(None) => self.done = Some(Vec::new()),
                Err(_) => {
                    self.is_over = true;
                    return self.told.is_empty().then(|| Err(self.late()));
                }
            }
        }
    }

    fn nobody(&self) -> Fault {
        let asked: Vec<String> = self
            .done
            .iter()
            .flatten()
            .map(|asked| format!("{} of {}", asked.nodes, asked.dht))
            .collect();
        let asked = match asked.as_slice() {
            [] => "too many searches are under way; try again".to_owned(),
            asked => format!("of the DHTs these nodes answered: {}", asked.join(", ")),
        };
        let message = format!("nobody is known to have {}: {asked}", self.query.cid);
        Fault::new(FaultKind::NotFound, reason::CONTENT_NOT_FOUND, message)
    }

    fn late(&self) -> Fault {
        let message = format!(
            "nobody is known to have {} after {:?}, and the DHTs are still being asked; allow more with --timeout",
            self.query.cid, self.query.timeout
        );
        Fault::new(FaultKind::DeadlineExceeded, reason::CONTENT_NOT_FOUND, message)
    }
}
