//! Who was turned away lately? One line of the log every ten seconds, however many they were.

use std::collections::BTreeMap;
use std::time::Duration;

use rustle_engine::{Ask, PeerAsk, Reply};
use rustle_peers::Refusal;

use crate::shared::Shared;

/// How often it is told.
const EVERY: Duration = Duration::from_secs(10);

/// Counts of refusals by place and reason, since the start.
type Counts = BTreeMap<(&'static str, &'static str), u64>;

/// Tells until the shutdown.
pub(crate) async fn tell(shared: Shared) {
    let mut told = Counts::new();
    loop {
        tokio::time::sleep(EVERY).await;
        if !tracing::enabled!(tracing::Level::DEBUG) {
            continue;
        }
        let Ok(Reply::Numbers(numbers)) = shared.ask(Ask::Peer(PeerAsk::Numbers)).await else {
            continue;
        };
        let counts = counts(&numbers.counters, &shared.net.counters());
        if let Some(line) = since(&told, &counts) {
            tracing::debug!(refused = line, "peers were turned away");
        }
        told = counts;
    }
}

fn counts(peers: &rustle_peers::Counters, net: &rustle_net::Counters) -> Counts {
    let gate = Refusal::ALL
        .into_iter()
        .map(|refusal| (("gate", refusal.name()), net.gate.refused(refusal)));
    let further = [
        (("gate", "banned peer"), net.banned_peers),
        (("gate", "cut off"), net.gate.cut_off),
        (("gate", "timeout"), net.timed_out),
    ];
    let greeted = peers
        .refusals
        .iter()
        .map(|(reason, count)| (("manager", reason), count));
    gate.chain(further).chain(greeted).collect()
}

/// What has been counted since then, as `gate banned 3, manager full 12`.
fn since(then: &Counts, now: &Counts) -> Option<String> {
    let grown = now.iter().filter_map(|(case, count)| {
        let new = count.saturating_sub(then.get(case).copied().unwrap_or(0));
        let (place, reason) = case;
        (new != 0).then(|| format!("{place} {reason} {new}"))
    });
    let parts: Vec<String> = grown.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let (mut peers, net) = Default::default();
        let start = counts(&peers, &net);
        assert_eq!(since(&Counts::new(), &start), None);

        peers.on_refused("full");
        let then = counts(&peers, &net);
        peers.on_refused("full");
        peers.on_refused("light");
        let net = rustle_net::Counters {
            banned_peers: 3,
            ..net
        };
        let now = counts(&peers, &net);
        let told = since(&then, &now);
        assert_eq!(
            told.as_deref(),
            Some("gate banned peer 3, manager full 1, manager light 1")
        );
        assert_eq!(since(&now, &now), None);
    }
}
