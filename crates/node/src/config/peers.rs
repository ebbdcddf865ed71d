//! How many peers, of which kind, and how patiently?

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::Wrong;

/// Most connections that any of the numbers may ask for.
const CONNECTIONS_MAX: u32 = 100_000;
/// Most connections per second that may be let in.
const ACCEPT_RATE_MAX: u32 = 100_000;
/// Most memory that can be named, 1 TiB.
const MEMORY_MIB_MAX: u32 = 1024 * 1024;
/// Longest silence before a ping, one day.
const PING_IDLE_SECONDS_MAX: u32 = 24 * 60 * 60;
/// Longest wait for the answer to one ping.
const PING_TIMEOUT_SECONDS_MAX: u32 = 10 * 60;

/// The section `[peers]` of the file, and the flags `--peers.*`. What is absent follows from what is not: see
/// [`PeersConfig::of`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeersSection {
    /// Below so many peers, known ones are dialled.
    pub lower: Option<u32>,
    /// So many peers are wanted; above it the least useful go.
    pub target: Option<u32>,
    /// With so many peers, new inbound connections are refused.
    pub upper: Option<u32>,
    /// So many of them are peers that this node has dialled, whoever dials it.
    pub outbound: Option<u32>,
    /// Connections to peers that do not speak our protocol; counted apart from all others.
    pub foreign: Option<u32>,
    /// Connections with one IPv4 address or IPv6 /64.
    pub per_ip: Option<u32>,
    /// Connections with one IPv4 /16 or IPv6 /32.
    pub per_group: Option<u32>,
    /// Inbound connections whose handshake is not complete.
    pub pending: Option<u32>,
    /// Inbound connections that are let in per second.
    pub accept_rate: Option<u32>,
    /// Above so much memory of the process no connection is let in, in MiB; 0 is no limit.
    pub memory_mib: Option<u32>,
    /// A connection that was silent for so many seconds is pinged.
    pub ping_idle_seconds: Option<u32>,
    /// A ping that is not answered within so many seconds has failed; the third failure closes.
    pub ping_timeout_seconds: Option<u32>,
}

/// The bounds of the connection set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeersConfig {
    /// Below so many handshaken peers, known ones are dialled.
    pub lower: u32,
    /// So many handshaken peers are wanted, `lower` at least; above it the least useful go.
    pub target: u32,
    /// With so many handshaken peers, `target` at least, new inbound connections are refused.
    pub upper: u32,
    /// So many of them, `target` at most, are peers that this node has dialled.
    pub outbound: u32,
    /// Connections to peers that do not speak our protocol; counted apart from all others.
    pub foreign: u32,
    /// Connections with one IPv4 address or IPv6 /64.
    pub per_ip: u32,
    /// Connections with one IPv4 /16 or IPv6 /32.
    pub per_group: u32,
    /// Inbound connections whose handshake is not complete.
    pub pending: u32,
    /// Inbound connections that are let in per second.
    pub accept_rate: u32,
    /// Above so much memory of the process no connection is let in, in MiB; `None` is no limit.
    pub memory_mib: Option<u32>,
    /// A connection that was silent so long is pinged.
    pub ping_idle: Duration,
    /// A ping that is not answered within this time has failed.
    pub ping_timeout: Duration,
}

// === impl PeersSection ===

impl PeersSection {
    /// What is set here, and where nothing is, what is set `below`.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        Self {
            lower: self.lower.or(below.lower),
            target: self.target.or(below.target),
            upper: self.upper.or(below.upper),
            outbound: self.outbound.or(below.outbound),
            foreign: self.foreign.or(below.foreign),
            per_ip: self.per_ip.or(below.per_ip),
            per_group: self.per_group.or(below.per_group),
            pending: self.pending.or(below.pending),
            accept_rate: self.accept_rate.or(below.accept_rate),
            memory_mib: self.memory_mib.or(below.memory_mib),
            ping_idle_seconds: self.ping_idle_seconds.or(below.ping_idle_seconds),
            ping_timeout_seconds: self.ping_timeout_seconds.or(below.ping_timeout_seconds),
        }
    }

    /// Whether each number is within its bounds, and no two contradict each other.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let connections = 0..=CONNECTIONS_MAX;
        let some_connections = 1..=CONNECTIONS_MAX;
        let bounds: [(_, _, &RangeInclusive<u32>); 12] = [
            ("peers.lower", self.lower, &connections),
            ("peers.target", self.target, &some_connections),
            ("peers.upper", self.upper, &some_connections),
            ("peers.outbound", self.outbound, &connections),
            ("peers.foreign", self.foreign, &connections),
            ("peers.per_ip", self.per_ip, &some_connections),
            ("peers.per_group", self.per_group, &some_connections),
            ("peers.pending", self.pending, &some_connections),
            ("peers.accept_rate", self.accept_rate, &(1..=ACCEPT_RATE_MAX)),
            ("peers.memory_mib", self.memory_mib, &(0..=MEMORY_MIB_MAX)),
            (
                "peers.ping_idle_seconds",
                self.ping_idle_seconds,
                &(1..=PING_IDLE_SECONDS_MAX),
            ),
            (
                "peers.ping_timeout_seconds",
                self.ping_timeout_seconds,
                &(1..=PING_TIMEOUT_SECONDS_MAX),
            ),
        ];
        for (field, value, range) in bounds {
            if let Some(value) = value.filter(|value| !range.contains(value)) {
                let (min, max) = (range.start(), range.end());
                let why = format!("{value} is out of bounds; it must be at least {min} and at most {max}");
                return Err(Wrong { field, why });
            }
        }
        at_most(("peers.lower", self.lower), ("peers.target", self.target))?;
        at_most(("peers.target", self.target), ("peers.upper", self.upper))?;
        at_most(("peers.lower", self.lower), ("peers.upper", self.upper))?;
        at_most(("peers.outbound", self.outbound), ("peers.target", self.target))?;
        at_most(("peers.outbound", self.outbound), ("peers.upper", self.upper))
    }
}

/// Whether two numbers, where both are set, stand in their order.
fn at_most(less: (&'static str, Option<u32>), more: (&'static str, Option<u32>)) -> Result<(), Wrong> {
    match (less, more) {
        ((field, Some(low)), (other, Some(high))) if high < low => {
            let why = format!("{low} is more than {other}, which is {high}");
            Err(Wrong { field, why })
        }
        _ => Ok(()),
    }
}

// === impl PeersConfig ===

impl Default for PeersConfig {
    fn default() -> Self {
        Self::of(&PeersSection::default(), false)
    }
}

impl PeersConfig {
    /// The numbers of a section that was checked. Of those that are absent each is its default, or as near to it as
    /// `lower <= target <= upper` and `outbound <= target` allow; a light node has few peers by default.
    pub(super) fn of(section: &PeersSection, is_light: bool) -> Self {
        let (lower, target, upper, outbound) = if is_light { (2, 4, 6, 4) } else { (8, 32, 40, 8) };
        let floor = section.lower.max(section.outbound).unwrap_or(0);
        let ceiling = section.upper.unwrap_or(CONNECTIONS_MAX);
        let target = section.target.unwrap_or(target.clamp(floor, ceiling));
        // A quarter above the target, so that peers are not closed and dialled in turns.
        let upper = section
            .upper
            .unwrap_or(upper.max((target + target / 4).min(CONNECTIONS_MAX)));
        let seconds = |value: Option<u32>, default| Duration::from_secs(value.unwrap_or(default).into());
        Self {
            lower: section.lower.unwrap_or(lower.min(target)),
            target,
            upper,
            outbound: section.outbound.unwrap_or(outbound.min(target)),
            foreign: section.foreign.unwrap_or(32),
            per_ip: section.per_ip.unwrap_or(8),
            per_group: section.per_group.unwrap_or(64),
            pending: section.pending.unwrap_or(32),
            accept_rate: section.accept_rate.unwrap_or(64),
            memory_mib: section.memory_mib.filter(|mib| *mib != 0),
            ping_idle: seconds(section.ping_idle_seconds, 60),
            ping_timeout: seconds(section.ping_timeout_seconds, 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(lower: Option<u32>, target: Option<u32>, upper: Option<u32>) -> PeersSection {
        PeersSection {
            lower,
            target,
            upper,
            ..PeersSection::default()
        }
    }

    fn numbers(section: &PeersSection, is_light: bool) -> (u32, u32, u32, u32) {
        let config = PeersConfig::of(section, is_light);
        (config.lower, config.target, config.upper, config.outbound)
    }

    #[test]
    fn what_is_absent_follows_from_what_is_set() {
        let cases = [
            (section(None, None, None), false, (8, 32, 40, 8)),
            (section(None, None, None), true, (2, 4, 6, 4)),
            (section(None, Some(4), None), false, (4, 4, 40, 4)),
            (section(None, Some(100), None), false, (8, 100, 125, 8)),
            (section(None, None, Some(10)), false, (8, 10, 10, 8)),
            (section(None, None, Some(1)), true, (1, 1, 1, 1)),
            (section(Some(50), None, None), false, (50, 50, 62, 8)),
            (section(Some(0), Some(1), Some(1)), false, (0, 1, 1, 1)),
            (section(Some(5), None, None), true, (5, 5, 6, 4)),
        ];
        for (section, is_light, expected) in cases {
            assert_eq!(section.check(), Ok(()));
            assert_eq!(numbers(&section, is_light), expected, "{section:?}");
        }
        let many = PeersSection {
            outbound: Some(64),
            ..PeersSection::default()
        };
        assert_eq!(numbers(&many, false), (8, 64, 80, 64));
    }

    #[test]
    fn whatever_is_accepted_is_in_order() {
        let values = [None, Some(0), Some(1), Some(7), Some(33), Some(CONNECTIONS_MAX)];
        let mut accepted = 0;
        for lower in values {
            for target in values {
                for upper in values {
                    for outbound in values {
                        let mut section = section(lower, target, upper);
                        section.outbound = outbound;
                        if section.check().is_err() {
                            continue;
                        }
                        accepted += 1;
                        for is_light in [false, true] {
                            let (lower, target, upper, outbound) = numbers(&section, is_light);
                            assert!(lower <= target && target <= upper, "{section:?}");
                            assert!(outbound <= target && upper <= CONNECTIONS_MAX, "{section:?}");
                        }
                    }
                }
            }
        }
        assert!(accepted > 100, "{accepted}");
    }

    #[test]
    fn contradictions_and_bounds_are_named() {
        let outbound = |outbound, target| PeersSection {
            outbound: Some(outbound),
            target: Some(target),
            ..PeersSection::default()
        };
        let rate = PeersSection {
            accept_rate: Some(0),
            ..PeersSection::default()
        };
        let cases = [
            (section(Some(9), Some(8), None), "peers.lower", "peers.target"),
            (section(None, Some(9), Some(8)), "peers.target", "peers.upper"),
            (section(Some(9), None, Some(8)), "peers.lower", "peers.upper"),
            (section(None, Some(0), None), "peers.target", "at least 1"),
            (section(None, None, Some(100_001)), "peers.upper", "100000"),
            (outbound(9, 8), "peers.outbound", "peers.target"),
            (rate, "peers.accept_rate", "at least 1"),
        ];
        for (section, field, part) in cases {
            let wrong = section.check().unwrap_err();
            assert_eq!(wrong.field, field);
            assert!(wrong.why.contains(part), "{}", wrong.why);
        }
    }
}
