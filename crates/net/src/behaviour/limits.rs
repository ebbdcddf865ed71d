//! How many connections are there at most?

use libp2p::connection_limits::{Behaviour, ConnectionLimits};

use crate::Config;

pub(super) fn behaviour(config: &Config) -> Behaviour {
    let limits = config.limits;
    Behaviour::new(
        ConnectionLimits::default()
            .with_max_pending_incoming(Some(limits.pending_inbound))
            .with_max_established(Some(limits.established))
            .with_max_established_incoming(Some(limits.established_inbound))
            .with_max_established_per_peer(Some(limits.established_per_peer)),
    )
}
