//! Nodes of one local network find each other with nothing configured.
//!
//! A machine may have no network at all, and must not meet nodes of others while it is tested. So the test starts itself
//! again in a network of its own, which the system must let it make.

use std::process::Command as Process;

use rustle_net::{Command, Config, Event, Identity, Source};
use rustle_types::{Multiaddr, PeerId};

use crate::peer::Peer;

/// Set within the network of the test.
const INSIDE: &str = "RUSTLE_TEST_LOCAL_NETWORK";
/// A cable with both ends in this machine; one of them has an address.
const NETWORK: &str = "ip link set lo up && ip link add here type veth peer name there && \
    ip address add 10.77.0.1/24 dev here && ip link set here up && ip link set there up && exec \"$0\" \"$@\"";

/// Runs a test of this file again within a network of its own.
fn run_in_own_network(test: &str) {
    let tried = Process::new("unshare")
        .args(["--map-root-user", "--net", "ip", "link"])
        .output();
    // Not passed over: a test that was not run must not look like one that passed.
    let tried = tried.expect("`unshare` and `ip` are needed: apt-get install util-linux iproute2");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        tried.status.success(),
        "no network of its own without namespaces; run as root (in a container: with the capability SYS_ADMIN), or where \
         users may have namespaces of their own: {}",
        text(&tried.stderr).trim()
    );
    let program = std::env::current_exe().unwrap();
    let output = Process::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", NETWORK])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(text(&output.stdout).contains("1 passed"), "the test ran");
}

fn unconfigured() -> Config {
    Config {
        listen: vec!["/ip4/0.0.0.0/tcp/0".parse().unwrap()],
        mdns: true,
        ..Config::new(Identity::generate(), "test".parse().unwrap())
    }
}

async fn sighted(at: &mut Peer, other: PeerId) -> Vec<Multiaddr> {
    at.wait("a neighbour", |event| match event {
        Event::Discovered {
            peer,
            addresses,
            source: Source::Mdns,
        } if *peer == other => Some(addresses.clone()),
        _ => None,
    })
    .await
}

#[test]
fn two_nodes_on_one_network_find_each_other() {
    if std::env::var_os(INSIDE).is_none() {
        run_in_own_network("mdns::two_nodes_on_one_network_find_each_other");
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut a = Peer::start(unconfigured()).await;
        let mut b = Peer::start(unconfigured()).await;
        let (a_id, b_id) = (a.id(), b.id());

        let addresses = sighted(&mut a, b_id).await;
        let at_b = sighted(&mut b, a_id).await;
        for address in addresses.iter().chain(&at_b) {
            assert!(
                address.to_string().starts_with("/ip4/10.77.0.1/tcp/"),
                "{address}"
            );
        }
        let peer = Some(b_id);
        let dial = Command::Dial {
            request: 1,
            peer,
            addresses,
        };
        a.send(dial).await;
        a.wait("connected", |event| match event {
            Event::Connected {
                peer,
                request: Some(1),
                ..
            } if *peer == b_id => Some(()),
            Event::DialFailed { error, .. } => panic!("{error}"),
            _ => None,
        })
        .await;
    });
}

/// A response as a node would send it: a pointer to one more peer, and where that is said to be.
fn announcement(peer: PeerId) -> Vec<u8> {
    fn name(labels: &[&str]) -> Vec<u8> {
        let parts = labels
            .iter()
            .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        parts.chain([0]).collect()
    }
    fn record(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u16).to_be_bytes();
        let ttl = 3600_u32.to_be_bytes();
        [
            name,
            &kind.to_be_bytes(),
            &1_u16.to_be_bytes(),
            &ttl,
            &length,
            data,
        ]
        .concat()
    }
    let service = name(&["_p2p", "_udp", "local"]);
    let instance = name(&[&peer.to_base58()[..20], "_p2p", "_udp", "local"]);
    let text = format!("dnsaddr=/ip4/10.77.0.1/tcp/1/p2p/{peer}");
    let text = [&[text.len() as u8], text.as_bytes()].concat();
    // Identifier, flags of an authoritative response, no question, one answer, no authority, one additional record.
    let header = [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let answer = record(&service, 12, &instance);
    let additional = record(&instance, 16, &text);
    [&header[..], &answer, &additional].concat()
}

#[test]
fn a_flood_of_announcements_is_cut() {
    if std::env::var_os(INSIDE).is_none() {
        run_in_own_network("mdns::a_flood_of_announcements_is_cut");
        return;
    }
    const FLOOD: usize = 5000;
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut node = Peer::start(unconfigured()).await;
        let liar = tokio::net::UdpSocket::bind("10.77.0.1:0").await.unwrap();
        let mut told = 0;
        let mut sent = 0;
        while sent < FLOOD || told == 0 {
            liar.send_to(&announcement(PeerId::random()), "224.0.0.251:5353")
                .await
                .unwrap();
            sent += 1;
            // The node is not hurried, so that it reads all.
            node.settle().await;
            while let Ok(event) = node.events.try_recv() {
                told += usize::from(matches!(event, Event::Discovered { .. }));
            }
        }
        assert!((1..=128 + 30).contains(&told), "told of {told} of {sent}");
        node.net.shutdown().await;
    });
}
