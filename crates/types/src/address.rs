//! What does an address say: whose is it, where is it, and which addresses stand or fall together?
//!
//! Bounds against floods count by what an attacker cannot have many of. One machine has one IPv4 address but a whole IPv6
//! /64; one provider has many of both, so that tables and targets count by [`Group`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};

/// Through which kind of network a place is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// This machine or a private network: loopback, link-local, RFC 1918, unique local addresses.
    Local,
    /// The public internet, by address or name.
    Clear,
    /// A Tor onion service.
    Tor,
    /// An I2P destination.
    I2p,
    /// The Yggdrasil network, `200::/7`.
    Yggdrasil,
}

/// Addresses that one party is likely to hold together: an IPv4 /16, an IPv6 /32, one sixteenth of an anonymous network;
/// all names are one group, because what they resolve to is the choice of whoever wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group([u8; 5]);

/// What one machine is likely to have for itself: one IPv4 address, or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host([u8; 9]);

/// The IP address at the head of an address; an IPv4 address mapped into IPv6 is given as IPv4.
pub fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(canonical(IpAddr::V6(ip))),
        _ => None,
    }
}

/// The TCP socket at the head of an address: `/ip4/…/tcp/…` or `/ip6/…/tcp/…`.
pub fn tcp(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// An IPv4 address mapped into IPv6 as what it is.
pub fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// The peer that an address says is behind it: its last `/p2p/…`.
pub fn peer(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    }
}

/// Whether an address leads through a relay.
pub fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::P2pCircuit))
}

/// The relay that an address leads through: the last peer before the circuit.
pub fn relay(address: &Multiaddr) -> Option<PeerId> {
    let mut relay = None;
    for part in address {
        match part {
            Protocol::P2p(peer) => relay = Some(peer),
            Protocol::P2pCircuit => return relay,
            _ => {}
        }
    }
    None
}

/// Whether an address begins with a name that must be resolved.
pub fn is_name(address: &Multiaddr) -> bool {
    use Protocol::{Dns, Dns4, Dns6, Dnsaddr};
    matches!(
        address.iter().next(),
        Some(Dns(_) | Dns4(_) | Dns6(_) | Dnsaddr(_))
    )
}

/// Whether an address can be dialled at all: an IP address that one machine can have, a name or an onion service, and a
/// port that is not zero.
pub fn is_dialable(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let is_place = match parts.next() {
        Some(Protocol::Ip4(ip)) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
        Some(Protocol::Ip6(ip)) => !(ip.is_unspecified() || ip.is_multicast()),
        // The port of an onion service stands within.
        Some(Protocol::Onion3(_)) => return true,
        _ => is_name(address),
    };
    let is_port = match parts.next() {
        Some(Protocol::Tcp(port) | Protocol::Udp(port)) => port != 0,
        None | Some(_) => matches!(address.iter().next(), Some(Protocol::Dnsaddr(_))),
    };
    is_place && is_port
}

/// What an address that somebody wrote lacks, so that it leads nowhere from any machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// A host at its head.
    #[error("names no host; begin with /ip4, /ip6, /dns or /onion3")]
    Host,
    /// A transport behind the host.
    #[error("names no port; write /tcp/PORT or /udp/PORT/quic-v1 behind the host")]
    Port,
    /// A port that one can dial.
    #[error("names port 0, which nobody can dial; write the port where the node listens")]
    PortZero,
    /// QUIC on top of UDP.
    #[error("names a UDP port without a protocol; write /quic-v1 behind it")]
    Quic,
}

/// What an address lacks for being dialled. Transports that a node may or may not have are not judged.
pub fn lack(address: &Multiaddr) -> Option<Lack> {
    let mut parts = address.iter();
    let port = match parts.next() {
        Some(
            Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_),
        ) => parts.next(),
        // A relay that is known already.
        Some(Protocol::P2p(_)) if is_relayed(address) => return None,
        None | Some(Protocol::Tcp(_) | Protocol::Udp(_) | Protocol::P2p(_)) => return Some(Lack::Host),
        Some(_) => return None,
    };
    match port {
        Some(Protocol::Tcp(0) | Protocol::Udp(0)) => Some(Lack::PortZero),
        Some(Protocol::Udp(_)) => match parts.next() {
            None | Some(Protocol::P2p(_) | Protocol::P2pCircuit) => Some(Lack::Quic),
            Some(_) => None,
        },
        None | Some(Protocol::P2p(_) | Protocol::P2pCircuit) => Some(Lack::Port),
        Some(_) => None,
    }
}

// === impl Reach ===

impl Reach {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Local, Self::Clear, Self::Tor, Self::I2p, Self::Yggdrasil];

    /// Through which network an address is reached; `None` where it names no place.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        Some(match address.iter().next()? {
            Protocol::Ip4(ip) => Self::of_ip(ip.into()),
            Protocol::Ip6(ip) => Self::of_ip(ip.into()),
            Protocol::Onion(..) | Protocol::Onion3(_) => Self::Tor,
            Protocol::Garlic32(_) | Protocol::Garlic64(_) => Self::I2p,
            _ if is_name(address) => Self::Clear,
            _ => return None,
        })
    }

    /// Through which network an IP address is reached.
    pub fn of_ip(ip: IpAddr) -> Self {
        match canonical(ip) {
            IpAddr::V4(ip) if is_local_v4(ip) => Self::Local,
            IpAddr::V6(ip) if is_local_v6(ip) => Self::Local,
            IpAddr::V6(ip) if ip.segments()[0] & 0xfe00 == 0x0200 => Self::Yggdrasil,
            IpAddr::V4(_) | IpAddr::V6(_) => Self::Clear,
        }
    }

    /// The name of the class in lists and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Clear => "clear",
            Self::Tor => "tor",
            Self::I2p => "i2p",
            Self::Yggdrasil => "yggdrasil",
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn is_local_v4(ip: Ipv4Addr) -> bool {
    // 100.64/10 is what providers give to customers behind their own NAT (RFC 6598).
    let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || is_shared
}

fn is_local_v6(ip: Ipv6Addr) -> bool {
    let first = ip.segments()[0];
    ip.is_loopback() || ip.is_unspecified() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
}

// === impl Group ===

impl Group {
    /// The group of an address.
    pub fn of(address: &Multiaddr) -> Self {
        match address.iter().next() {
            Some(Protocol::Ip4(ip)) => Self::of_ip(ip.into()),
            Some(Protocol::Ip6(ip)) => Self::of_ip(ip.into()),
            Some(Protocol::Onion3(onion)) => Self([3, onion.hash()[0] >> 4, 0, 0, 0]),
            Some(Protocol::Garlic64(garlic)) => {
                Self([4, garlic.first().map_or(0, |byte| byte >> 4), 0, 0, 0])
            }
            Some(Protocol::Garlic32(garlic)) => {
                Self([5, garlic.first().map_or(0, |byte| byte >> 4), 0, 0, 0])
            }
            _ => Self([0; 5]),
        }
    }

    /// The group of an IP address.
    pub fn of_ip(ip: IpAddr) -> Self {
        match canonical(ip) {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                Self([1, a, b, 0, 0])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.octets();
                Self([2, a, b, c, d])
            }
        }
    }

    /// The bytes, to be hashed or written down.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The group that has these bytes; `None` where their number is not that of a group.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

// === impl Host ===

impl Host {
    /// The machine that has an IP address.
    pub fn of_ip(ip: IpAddr) -> Self {
        let mut bytes = [0; 9];
        match canonical(ip) {
            IpAddr::V4(ip) => {
                bytes[0] = 4;
                bytes[1..5].copy_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                bytes[0] = 6;
                bytes[1..].copy_from_slice(&ip.octets()[..8]);
            }
        }
        Self(bytes)
    }

    /// Its IP address; of an IPv6 /64 the first.
    pub fn ip(self) -> IpAddr {
        let [family, a, b, c, d, e, f, g, h] = self.0;
        match family {
            4 => Ipv4Addr::new(a, b, c, d).into(),
            _ => Ipv6Addr::from([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]).into(),
        }
    }

    /// Whether it is this machine itself, or a proxy on it that speaks for somebody else.
    pub fn is_loopback(self) -> bool {
        let [family, ip @ ..] = self.0;
        match family {
            4 => ip[0] == 127,
            // `::1` is all that lives in its /64.
            _ => ip == [0; 8],
        }
    }

    /// The machine at an address, where it begins with an IP address.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        ip(address).map(Self::of_ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn mapped_addresses_are_the_ipv4_addresses_they_hide() {
        let (plain, mapped) = (at("/ip4/8.8.4.4/tcp/1"), at("/ip6/::ffff:8.8.4.4/tcp/1"));
        assert_eq!(ip(&plain), ip(&mapped));
        assert_eq!(Group::of(&plain), Group::of(&mapped));
        assert_eq!(Host::of(&plain), Host::of(&mapped));
        assert_eq!(Reach::of(&at("/ip6/::ffff:10.0.0.1/tcp/1")), Some(Reach::Local));
    }

    #[test]
    fn groups_and_hosts_have_the_width_of_what_one_party_holds() {
        let group = |text| Group::of(&at(text));
        assert_eq!(group("/ip4/8.8.1.1/tcp/1"), group("/ip4/8.8.9.9/udp/2/quic-v1"));
        assert_ne!(group("/ip4/8.8.1.1/tcp/1"), group("/ip4/8.9.1.1/tcp/1"));
        assert_eq!(
            group("/ip6/2001:db8:1::1/tcp/1"),
            group("/ip6/2001:db8:2::1/tcp/1")
        );
        assert_eq!(group("/dns4/a.example/tcp/1"), group("/dns/b.example/tcp/1"));
        let host = |text| Host::of(&at(text));
        assert_eq!(
            host("/ip6/2001:db8:1:1::1/tcp/1"),
            host("/ip6/2001:db8:1:1:ffff::/tcp/1")
        );
        assert_ne!(
            host("/ip6/2001:db8:1:1::1/tcp/1"),
            host("/ip6/2001:db8:1:2::1/tcp/1")
        );
        assert_eq!(host("/dns/a.example/tcp/1"), None);
        for text in ["/ip4/20.1.2.3/tcp/1", "/ip6/2001:db8:1:1::/tcp/1"] {
            assert_eq!(host(text).map(Host::ip), ip(&at(text)));
        }
        let is_loopback = |text| host(text).unwrap().is_loopback();
        assert!(is_loopback("/ip4/127.0.0.9/tcp/1") && is_loopback("/ip6/::1/tcp/1"));
        assert!(!is_loopback("/ip4/10.0.0.9/tcp/1") && !is_loopback("/ip6/fe80::1/tcp/1"));
    }

    #[test]
    fn each_network_is_told_from_the_others() {
        let onion = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234";
        let cases = [
            ("/ip4/127.0.0.1/tcp/1", Some(Reach::Local)),
            ("/ip4/100.64.0.1/tcp/1", Some(Reach::Local)),
            ("/ip6/fd00::1/tcp/1", Some(Reach::Local)),
            ("/ip4/8.8.8.8/tcp/1", Some(Reach::Clear)),
            ("/dns4/a.example/tcp/1", Some(Reach::Clear)),
            ("/ip6/201::1/tcp/1", Some(Reach::Yggdrasil)),
            ("/ip6/2001:db8::1/tcp/1", Some(Reach::Clear)),
            (onion, Some(Reach::Tor)),
            ("/tcp/1", None),
        ];
        for (text, reach) in cases {
            assert_eq!(Reach::of(&at(text)), reach, "{text}");
        }
    }

    #[test]
    fn the_relay_of_an_address_is_the_peer_before_the_circuit() {
        let (near, far) = (
            "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
            "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu",
        );
        let direct = format!("/ip4/8.8.8.8/tcp/1/p2p/{near}");
        let relayed = format!("{direct}/p2p-circuit/p2p/{far}");
        assert_eq!(relay(&at(&direct)), None);
        assert_eq!(relay(&at(&relayed)), near.parse().ok());
        assert_eq!(peer(&at(&relayed)), far.parse().ok());
        assert_eq!(relay(&at("/p2p-circuit")), None);
    }

    #[test]
    fn addresses_that_lead_nowhere_are_not_dialled() {
        for text in [
            "/ip4/8.8.8.8/tcp/1",
            "/dns/a.example/tcp/1",
            "/dnsaddr/a.example",
            "/ip6/::1/udp/1/quic-v1",
        ] {
            assert!(is_dialable(&at(text)), "{text}");
        }
        for text in [
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/8.8.8.8/tcp/0",
            "/ip4/224.0.0.1/tcp/1",
            "/ip4/8.8.8.8",
            "/tcp/1",
        ] {
            assert!(!is_dialable(&at(text)), "{text}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_told_with_what_it_lacks() {
        let id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        for (text, lacking) in [
            ("/ip4/127.0.0.1", Lack::Port),
            (&format!("/ip6/::1/p2p/{id}"), Lack::Port),
            ("/dns/a.example", Lack::Port),
            ("/ip4/127.0.0.1/tcp/0", Lack::PortZero),
            ("/ip4/127.0.0.1/udp/1", Lack::Quic),
            (&format!("/ip4/127.0.0.1/udp/1/p2p/{id}"), Lack::Quic),
            ("/tcp/1", Lack::Host),
            (&format!("/p2p/{id}"), Lack::Host),
        ] {
            assert_eq!(lack(&at(text)), Some(lacking), "{text}");
        }
        assert_eq!(lack(&Multiaddr::empty()), Some(Lack::Host));
        for text in [
            "/ip4/127.0.0.1/tcp/1",
            &format!("/ip6/::1/udp/1/quic-v1/p2p/{id}"),
            "/dnsaddr/a.example",
            "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
            &format!("/p2p/{id}/p2p-circuit/p2p/{id}"),
            &format!("/ip4/127.0.0.1/tcp/1/p2p/{id}/p2p-circuit"),
        ] {
            assert_eq!(lack(&at(text)), None, "{text}");
        }
    }
}
