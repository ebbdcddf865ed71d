//! Whom does a rule mean?
//!
//! A prefix is kept in one form only: an IPv4 address that hides in IPv6 is IPv4, and the bits behind the prefix are
//! zero. Otherwise a banned host would come back in other clothes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use rustle_types::{Host, Multiaddr, PeerId, address};

/// Whom a rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A peer, wherever it is.
    Peer(PeerId),
    /// Every address that begins so.
    Prefix(Prefix),
}

/// The first bits of IP addresses. All other bits are zero, and IPv4 is never written as IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    ip: IpAddr,
    bits: u8,
}

/// Why a text names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a peer id nor an IP address nor a prefix; write `12D3Koo…`, `192.0.2.7`, `192.0.2.0/24` or `2001:db8::/48`"
)]
pub struct TargetError(String);

// === impl Target ===

impl Target {
    /// The host at an IP address: one IPv4 address, or the whole /64 of an IPv6 address.
    pub fn host(ip: IpAddr) -> Self {
        Self::Prefix(Prefix::host(ip))
    }
}

impl From<PeerId> for Target {
    fn from(peer: PeerId) -> Self {
        Self::Peer(peer)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    /// Reads a peer id, an IP address (its host), a prefix, or a multiaddr: its peer where it names one, or its host.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let error = || TargetError(text.chars().take(80).collect());
        if let Ok(peer) = text.parse() {
            return Ok(Self::Peer(peer));
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::host(ip));
        }
        if let Ok(place) = text.parse::<Multiaddr>() {
            let peer = address::peer(&place).map(Self::Peer);
            let target = peer.or_else(|| address::ip(&place).map(Self::host));
            return target.ok_or_else(error);
        }
        let (ip, bits) = text.split_once('/').ok_or_else(error)?;
        let ip = ip.parse().map_err(|_| error())?;
        let bits = bits.parse().map_err(|_| error())?;
        Prefix::new(ip, bits).map(Self::Prefix).ok_or_else(error)
    }
}

// === impl Prefix ===

impl Prefix {
    /// The first `bits` bits of `ip`; `None` where the address has fewer.
    pub fn new(ip: IpAddr, bits: u8) -> Option<Self> {
        let (ip, bits) = match (address::canonical(ip), ip) {
            // A prefix that is wider than the mapped range means IPv6.
            (IpAddr::V4(_), IpAddr::V6(_)) if bits < 96 => (ip, bits),
            (IpAddr::V4(v4), IpAddr::V6(_)) => (v4.into(), bits - 96),
            (ip, _) => (ip, bits),
        };
        (bits <= width(ip)).then(|| Self {
            ip: masked(ip, bits),
            bits,
        })
    }

    /// What one machine is likely to have for itself: its IPv4 address, or its IPv6 /64.
    pub fn host(ip: IpAddr) -> Self {
        let ip = address::canonical(ip);
        let bits = match ip {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 64,
        };
        Self {
            ip: masked(ip, bits),
            bits,
        }
    }

    /// The first address.
    pub const fn ip(self) -> IpAddr {
        self.ip
    }

    /// How many bits all addresses have in common.
    pub const fn bits(self) -> u8 {
        self.bits
    }

    /// Whether a host begins so, or holds what does.
    pub fn holds(self, host: Host) -> bool {
        self.contains(host.ip()) || (64 <= self.bits && Host::of_ip(self.ip) == host)
    }

    /// Whether an address begins so.
    pub fn contains(self, ip: IpAddr) -> bool {
        let ip = address::canonical(ip);
        ip.is_ipv4() == self.ip.is_ipv4() && masked(ip, self.bits) == self.ip
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ip.is_ipv4() && self.bits == 32 {
            self.ip.fmt(f)
        } else {
            write!(f, "{}/{}", self.ip, self.bits)
        }
    }
}

/// Bits of an address of this family.
pub(super) const fn width(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn every_way_to_write_a_host_is_the_same_host() {
        let plain = target("192.0.2.7");
        for text in [
            "192.0.2.7/32",
            "::ffff:192.0.2.7",
            "::ffff:192.0.2.7/128",
            "/ip4/192.0.2.7/tcp/4001",
            "/ip6/::ffff:192.0.2.7/udp/1/quic-v1",
        ] {
            assert_eq!(target(text), plain, "{text}");
        }
        assert_eq!(target("192.0.2.7/24"), target("192.0.2.0/24"));
        assert_eq!(target("2001:db8::7"), target("2001:db8::/64"));
        assert_ne!(target("2001:db8::7/128"), target("2001:db8::/64"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let peer = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        for text in [
            peer,
            "192.0.2.7",
            "192.0.2.0/24",
            "0.0.0.0/0",
            "2001:db8::/48",
            "::/0",
        ] {
            assert_eq!(target(text).to_string(), text);
        }
        assert_eq!(target(&format!("/ip4/192.0.2.7/tcp/1/p2p/{peer}")), target(peer));
        for text in [
            "",
            "192.0.2.0/33",
            "2001:db8::/129",
            "192.0.2/24",
            "nobody",
            "/tcp/1",
            "1.2.3.4/-1",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_contains_its_own_family_only() {
        let all = Prefix::new("::".parse().unwrap(), 0).unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        assert!(!all.contains("::ffff:192.0.2.7".parse().unwrap()));
        let wide = Prefix::new("::ffff:192.0.2.7".parse().unwrap(), 95).unwrap();
        assert!(wide.ip().is_ipv6());
    }
}
