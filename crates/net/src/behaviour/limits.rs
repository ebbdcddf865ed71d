//! How many connections are there at most, whatever was decided?
//!
//! The gate decides on inbound connections and the manager of peers on all that stand. This is the last resort behind
//! both: it leaves room for all that they allow.

use libp2p::connection_limits::{Behaviour, ConnectionLimits};

use crate::Config;

/// Connections with one peer: one from each side when both dial at once, and one through a relay that is being replaced.
const PER_PEER_MAX: u32 = 4;
/// Connections beyond the bounds of the gate: dials of our own, and what is on its way out.
const RESERVE: usize = 128;

pub(super) fn behaviour(config: &Config) -> Behaviour {
    let gate = &config.gate;
    let count = |connections: usize| Some(u32::try_from(connections).unwrap_or(u32::MAX));
    Behaviour::new(
        ConnectionLimits::default()
            .with_max_pending_incoming(count(gate.pending + RESERVE))
            .with_max_established_incoming(count(gate.established_inbound + gate.pending + RESERVE))
            .with_max_established(count(gate.established + gate.pending + RESERVE))
            .with_max_established_per_peer(Some(PER_PEER_MAX)),
    )
}
