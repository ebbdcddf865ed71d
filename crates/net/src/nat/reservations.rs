//! How does a node keep its places at relays?

use libp2p::relay::client::Behaviour;
use libp2p::swarm::FromSwarm;

use super::around::{Around, Rules};

/// The part of a relay's client.
pub(crate) type Client = Around<Behaviour, Deaf>;

/// libp2p's client forgets its place when the listener of it ends, and panics when the relay's answer to a request that
/// was under way comes afterwards. So it is not told; it forgets the place with the connection.
pub(crate) struct Deaf;

pub(super) fn client(inner: Behaviour) -> Client {
    Around::new(inner, Deaf)
}

// === impl Deaf ===

impl Rules<Behaviour> for Deaf {
    fn hears(&mut self, _: &mut Behaviour, event: &FromSwarm<'_>) -> bool {
        !matches!(event, FromSwarm::ListenerClosed(_))
    }
}
