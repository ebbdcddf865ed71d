//! Which addresses do we believe when a peer names them?
//!
//! Each address that is believed is dialled sooner or later, so whoever names one chooses where this node connects to.
//! Nobody from outside may point it at a service of its own machine or of the private network around it, nor make it ask
//! name servers of his choice.

use rustle_types::limits::HELLO_ADDRESSES_MAX;
use rustle_types::{Multiaddr, PeerId, Reach, address};

/// Addresses that are taken of one `Hello`.
pub(crate) const OWN_TAKEN_MAX: usize = HELLO_ADDRESSES_MAX;

/// Whether an address in a list is worth an entry. Names are left out, as each dial would be a query to a name server of the
/// teller's choice; so are ways through a relay, and private addresses of other networks than our own.
pub(crate) fn is_sane(address: &Multiaddr, of: &PeerId, is_local: bool) -> bool {
    !address::is_relayed(address) && is_credible(address, of, is_local)
}

/// Of the addresses at which a peer says that it lives, those that are believed. Unlike in lists, a way through a relay is
/// one of them: it is how a peer behind a NAT is reached. `is_local` is whether the peer is in a private network with us.
pub(crate) fn credible(addresses: &[Multiaddr], of: &PeerId, is_local: bool) -> Vec<Multiaddr> {
    let credible = addresses
        .iter()
        .filter(|address| is_credible(address, of, is_local));
    credible.take(OWN_TAKEN_MAX).cloned().collect()
}

fn is_credible(address: &Multiaddr, of: &PeerId, is_local: bool) -> bool {
    address::is_dialable(address)
        && !address::is_name(address)
        && !has_second_place(address)
        && address::peer(address).is_none_or(|peer| peer == *of)
        && may_tell(address, is_local)
}

/// Whether a place is named behind the first one, where no check of the first one sees it.
fn has_second_place(address: &Multiaddr) -> bool {
    let parts: Vec<Multiaddr> = address.iter().skip(1).map(Multiaddr::from).collect();
    parts.iter().any(|part| Reach::of(part).is_some())
}

/// Whether an address is of use to somebody who is, or is not, in a private network with us.
pub(crate) fn may_tell(address: &Multiaddr, is_local: bool) -> bool {
    match Reach::of(address) {
        Some(Reach::Local) => is_local,
        Some(_) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

    fn peer() -> PeerId {
        PeerId::from_bytes(&[0, 2, 0, 1]).unwrap()
    }

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_that_lead_nowhere_are_left_out() {
        let sane = |text: &str, is_local| is_sane(&at(text), &peer(), is_local);
        assert!(sane("/ip4/20.1.1.1/tcp/1", false));
        assert!(sane("/ip4/10.0.0.1/tcp/1", true));
        let refused = [
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/20.1.1.1/tcp/0",
            "/dns4/victim.example/tcp/1",
            "/ip4/20.1.1.1/tcp/1/p2p-circuit",
            &format!("/ip4/20.1.1.1/tcp/1/p2p/{OTHER}"),
        ];
        for text in refused {
            assert!(!sane(text, false), "{text}");
        }
    }

    #[test]
    fn of_its_own_addresses_a_stranger_is_believed_the_public_ones() {
        let believed = |texts: &[&str], is_local| {
            let addresses: Vec<Multiaddr> = texts.iter().map(|text| at(text)).collect();
            credible(&addresses, &peer(), is_local)
        };
        let private = [
            "/ip4/192.168.1.1/tcp/80",
            "/ip4/127.0.0.1/tcp/22",
            "/ip4/169.254.169.254/tcp/80",
            "/ip4/100.64.0.1/tcp/80",
            "/ip6/::1/tcp/22",
            "/ip6/fe80::1/tcp/22",
            "/ip6/fc00::1/tcp/22",
            "/ip6/::ffff:10.0.0.1/tcp/22",
        ];
        assert_eq!(believed(&private, false), []);
        assert_eq!(believed(&private, true).len(), private.len());
        let nowhere = [
            "/dns4/victim.example/tcp/25",
            "/dnsaddr/victim.example",
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/224.0.0.1/tcp/1",
            "/ip6/ff02::1/tcp/1",
            "/ip4/20.1.1.1/tcp/0",
            &format!("/ip4/20.1.1.1/tcp/1/p2p/{OTHER}"),
            &format!("/ip4/20.1.1.1/tcp/1/p2p/{OTHER}/p2p-circuit/ip4/10.0.0.1/tcp/22"),
            &format!("/ip4/20.1.1.1/tcp/1/p2p/{OTHER}/p2p-circuit/dns4/victim.example/tcp/25"),
        ];
        for is_local in [false, true] {
            assert_eq!(believed(&nowhere, is_local), []);
        }
        let public = [
            "/ip4/20.1.1.1/tcp/1",
            "/ip6/2001:db8::1/udp/1/quic-v1",
            &format!("/ip4/20.1.1.1/tcp/1/p2p/{OTHER}/p2p-circuit"),
        ];
        assert_eq!(believed(&public, false).len(), public.len());
        let many = vec!["/ip4/20.1.1.1/tcp/1"; 3 * OWN_TAKEN_MAX];
        assert_eq!(believed(&many, false).len(), OWN_TAKEN_MAX);
    }
}
