//! Where does an attempt come from, for counting?

use std::net::IpAddr;

use rustle_types::{Group, Host, Multiaddr, PeerId, address};

/// What counts as one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Machine {
    /// An IPv4 address or an IPv6 /64.
    Host(Host),
    /// Everything that comes through one relay: where it really comes from, only the relay could say. It does not count
    /// as the relay's own address, so a relay that carries much can still dial us itself.
    Relay(PeerId),
    /// No place that could be told from others.
    Nowhere,
}

/// What counts as one neighbourhood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Neighbourhood {
    Group(Group),
    /// All relays together.
    Relays,
}

/// Where an attempt comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) machine: Machine,
    pub(super) neighbourhood: Neighbourhood,
    /// Neither counted nor limited by machine, neighbourhood and rate.
    pub(super) is_allowed: bool,
    /// What rules are about; `None` behind a relay.
    pub(super) ip: Option<IpAddr>,
}

// === impl Place ===

impl Place {
    pub(super) fn of(from: &Multiaddr, is_allowed: bool) -> Self {
        let (machine, neighbourhood) = if address::is_relayed(from) {
            let relay = address::relay(from).map_or(Machine::Nowhere, Machine::Relay);
            (relay, Neighbourhood::Relays)
        } else {
            let host = Host::of(from).map_or(Machine::Nowhere, Machine::Host);
            (host, Neighbourhood::Group(Group::of(from)))
        };
        Self {
            machine,
            neighbourhood,
            is_allowed,
            ip: address::ip(from).filter(|_| !address::is_relayed(from)),
        }
    }
}
