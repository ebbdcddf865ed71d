//! Which addresses of a node are worth a place in an invitation?

use std::collections::BTreeSet;

use multiaddr::Protocol;
use rustle_types::Multiaddr;
use rustle_types::limits::INVITATION_ADDRESSES_MAX;

/// How much a place is worth; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The first of its transport at its host.
    First,
    /// Another way to where one leads already.
    Further,
    /// Leads nowhere from another machine; it serves where there is nothing else, as in tests on one machine.
    Local,
}

/// The addresses under which others most likely reach a node, at most 4.
///
/// One of each transport per host, in the order in which the hosts come, so that neither TCP nor QUIC of an interface is
/// crowded out by another interface; loopback, link-local and unspecified addresses last.
pub(crate) fn reachable(addresses: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut hosts: Vec<Option<Protocol<'_>>> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut ranked = Vec::new();
    for address in addresses {
        let host = address.iter().next();
        let at = hosts.iter().position(|other| *other == host).unwrap_or_else(|| {
            hosts.push(host.clone());
            hosts.len() - 1
        });
        let is_first = seen.insert((at, is_tcp(address)));
        let rank = match (host.is_some_and(is_local), is_first) {
            (true, _) => Rank::Local,
            (false, true) => Rank::First,
            (false, false) => Rank::Further,
        };
        ranked.push((rank, at, address));
    }
    // Stable, so that the order of a host's addresses stays.
    ranked.sort_by_key(|(rank, at, _)| (*rank, *at));
    let best = ranked.into_iter().take(INVITATION_ADDRESSES_MAX);
    best.map(|(_, _, address)| address.clone()).collect()
}

fn is_tcp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Tcp(_)))
}

fn is_local(host: Protocol<'_>) -> bool {
    match host {
        Protocol::Ip4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        Protocol::Ip6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
        Protocol::Ip6zone(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(texts: &[&str]) -> Vec<String> {
        let addresses: Vec<Multiaddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        reachable(&addresses).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn other_machines_come_before_this_one() {
        let tcp = "/ip4/127.0.0.1/tcp/1";
        let lan = ["/ip4/192.168.0.7/tcp/1", "/ip4/192.168.0.7/udp/1/quic-v1"];
        assert_eq!(
            chosen(&[tcp, "/ip4/127.0.0.1/udp/1/quic-v1", lan[0], lan[1]]),
            [lan[0], lan[1], tcp, "/ip4/127.0.0.1/udp/1/quic-v1"]
        );
        let link = ["/ip6/fe80::1/tcp/1", "/ip4/169.254.1.1/tcp/1", "/ip6/::1/tcp/1"];
        assert_eq!(chosen(&[link[0], link[1], link[2], lan[0]])[0], lan[0]);
        assert_eq!(chosen(&[tcp]), [tcp], "there is nothing else");
        assert!(chosen(&[]).is_empty());
    }

    #[test]
    fn each_host_has_both_transports_before_others_have_theirs() {
        // A node tells all its TCP addresses first.
        let tcp = |host: u8| format!("/ip4/10.0.0.{host}/tcp/4747");
        let quic = |host: u8| format!("/ip4/10.0.0.{host}/udp/4747/quic-v1");
        let told: Vec<String> = (1..5).map(tcp).chain((1..5).map(quic)).collect();
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        assert_eq!(chosen(&told), [tcp(1), quic(1), tcp(2), quic(2)]);
    }

    #[test]
    fn a_second_port_comes_after_another_host() {
        let told = [
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/10.0.0.1/tcp/2",
            "/ip4/127.0.0.1/tcp/1",
            "/dns4/example.org/tcp/1",
        ];
        assert_eq!(chosen(&told), [told[0], told[3], told[1], told[2]]);
    }
}
