//! How do we come to those who have what nobody of our peers has?

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rustle_engine::Ask;
use rustle_types::{Multiaddr, PeerId};
use tokio::sync::Semaphore;

use crate::shared::Shared;

/// Providers that are dialled at the same time.
const DIALS_MAX: usize = 16;
/// Providers of one search that are dialled.
const PROVIDERS_MAX: usize = 10;
/// Addresses of one provider that are tried.
const ADDRESSES_MAX: usize = 16;
/// After so long the next address is tried beside those that have not answered yet (as in RFC 8305): providers tell many,
/// and the first may be one that only works at their home.
const STAGGER: Duration = Duration::from_millis(250);

/// Dials providers, no more than so many at once.
#[derive(Debug)]
pub(super) struct Dialer {
    places: Arc<Semaphore>,
}

// === impl Dialer ===

impl Dialer {
    pub(super) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(DIALS_MAX)),
        }
    }

    /// Dials those of a search that are not connected. Whether it works is seen when a connection stands.
    pub(super) fn dial(
        &self,
        shared: &Shared,
        providers: Vec<(PeerId, Vec<Multiaddr>)>,
        is_connected: impl Fn(&PeerId) -> bool,
    ) {
        for (peer, addresses) in providers.into_iter().take(PROVIDERS_MAX) {
            let whole: Vec<Multiaddr> = addresses
                .into_iter()
                .take(ADDRESSES_MAX)
                .filter_map(|address| whole(address, &peer))
                .collect();
            if whole.is_empty() || peer == shared.net.peer_id() || is_connected(&peer) {
                continue;
            }
            // Without a place it is dialled after the next search.
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                return;
            };
            let asker = shared.clone();
            shared.spawn(async move {
                let _place = place;
                let connect = |address| {
                    let shared = asker.clone();
                    async move { shared.ask(Ask::Connect(address)).await.is_ok() }
                };
                if !any(whole, STAGGER, connect).await {
                    tracing::debug!(%peer, "a provider was not reached at any of its addresses");
                }
            });
        }
    }
}

/// The address with the id of who is there.
fn whole(address: Multiaddr, peer: &PeerId) -> Option<Multiaddr> {
    let text = address.to_string();
    if text.ends_with(&format!("/p2p/{peer}")) {
        Some(address)
    } else {
        format!("{text}/p2p/{peer}").parse().ok()
    }
}

/// Tries one after the other, the next as soon as one has failed or `stagger` is over; whether one has worked.
async fn any<T, F: Future<Output = bool>>(
    all: Vec<T>,
    stagger: Duration,
    mut attempt: impl FnMut(T) -> F,
) -> bool {
    let mut waiting = all.into_iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        match waiting.next() {
            Some(next) => under_way.push(attempt(next)),
            None if under_way.is_empty() => return false,
            None => {}
        }
        let is_last = waiting.len() == 0;
        tokio::select! {
            Some(worked) = under_way.next() => {
                if worked {
                    return true;
                }
            }
            () = tokio::time::sleep(stagger), if !is_last => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn an_address_gets_the_peer_that_it_lacks() {
        let peer = PeerId::random();
        let relayed: Multiaddr = format!("/ip4/1.2.3.4/tcp/1/p2p/{}/p2p-circuit", PeerId::random())
            .parse()
            .unwrap();
        let complete = whole(relayed, &peer).unwrap();
        assert!(
            complete
                .to_string()
                .ends_with(&format!("/p2p-circuit/p2p/{peer}"))
        );
        assert_eq!(whole(complete.clone(), &peer), Some(complete));
    }

    #[tokio::test]
    async fn an_address_that_never_answers_holds_up_the_next_for_a_moment_only() {
        let tried = RefCell::new(Vec::new());
        let attempt = |number: u32| {
            tried.borrow_mut().push(number);
            async move {
                match number {
                    0 => std::future::pending().await,
                    1 => false,
                    _ => true,
                }
            }
        };

        assert!(any(vec![0, 1, 2, 3], Duration::from_millis(1), attempt).await);

        assert_eq!(*tried.borrow(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn where_none_works_the_end_is_told() {
        assert!(!any(vec![0, 1, 2], STAGGER, |_| async { false }).await);
    }
}
