//! Who is let in before anything is known of him but where he comes from.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustle_net::{Command, Config, Event};
use rustle_peers::{GateLimits, Origin, Reason, Refusal, Rule, RuleKind, Rules, Target};
use rustle_types::{ConnectionId, Multiaddr, PeerId, Timestamp};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::peer::{Peer, QUIC, TCP, admit, config, within};

/// A node that dials from the host it listens on: 127.0.0.`host`.
async fn on_host(host: u8, listen: &str) -> Peer {
    let listen = listen.replace("127.0.0.1", &format!("127.0.0.{host}"));
    Peer::start(config(&listen)).await
}

async fn gated(listen: &str, gate: GateLimits) -> Peer {
    Peer::start(Config {
        gate,
        ..config(listen)
    })
    .await
}

/// Lets bytes through to `to`, as if they came from 127.0.0.`host`; gives the address to dial. QUIC dials from where it
/// listens and needs no such detour.
async fn detour(host: u8, to: &Multiaddr) -> Multiaddr {
    if tcp_port(to).is_none() {
        return to.clone();
    }
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", between.local_addr().unwrap().port());
    let to = to.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = between.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                let mut there = silent(host, &to).await;
                let _ = tokio::io::copy_bidirectional(&mut from, &mut there).await;
            });
        }
    });
    address.parse().unwrap()
}

fn tcp_port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
        _ => None,
    })
}

/// Dials and does not come in, or not for long.
async fn refused(dialer: &mut Peer, at: &Peer) {
    dialer
        .send(Command::Dial {
            request: 5,
            peer: Some(at.id()),
            addresses: vec![at.address.clone()],
        })
        .await;
    dialer
        .wait("the refusal", |event| match event {
            Event::DialFailed { request: 5, .. } | Event::Disconnected { .. } => Some(()),
            _ => None,
        })
        .await;
}

async fn one_per_host(listen: &str) {
    let limits = GateLimits {
        per_host: 1,
        ..GateLimits::default()
    };
    let mut node = gated(listen, limits).await;
    let mut first = on_host(2, listen).await;
    let mut second = on_host(2, listen).await;
    let mut other = on_host(3, listen).await;
    let (from_2, from_3) = (detour(2, &node.address).await, detour(3, &node.address).await);
    node.address = from_2.clone();
    let (connection, theirs) = first.connect(&mut node).await;

    refused(&mut second, &node).await;
    assert_eq!(node.net.counters().gate.refused(Refusal::Host), 1);
    node.address = from_3;
    other.connect(&mut node).await;

    node.address = from_2;
    first.send(Command::Close { connection }).await;
    node.disconnected(theirs).await;
    second.connect(&mut node).await;
}

#[tokio::test]
async fn a_host_has_its_share_and_gets_it_back_over_tcp() {
    one_per_host(TCP).await;
}

#[tokio::test]
async fn a_host_has_its_share_and_gets_it_back_over_quic() {
    one_per_host(QUIC).await;
}

fn banning(target: Target) -> Command {
    let mut rules = Rules::default();
    let now = Timestamp::default();
    let rule = Rule {
        target,
        kind: RuleKind::Ban,
        origin: Origin::Operator,
        reason: Reason::new("a test"),
        since: now,
        until: None,
    };
    rules.add(now, rule).unwrap();
    Command::Rules(rules)
}

async fn bans_hold(listen: &str) {
    let mut node = Peer::start(config(listen)).await;
    let mut by_host = on_host(2, listen).await;
    let mut by_id = on_host(3, listen).await;

    let (from_2, from_3) = (detour(2, &node.address).await, detour(3, &node.address).await);
    node.send(banning("127.0.0.2".parse().unwrap())).await;
    node.settle().await;
    node.address = from_2.clone();
    refused(&mut by_host, &node).await;
    assert_eq!(node.net.counters().gate.refused(Refusal::Banned), 1);
    node.address = from_3;
    by_id.connect(&mut node).await;

    let mut by_id = on_host(3, listen).await;
    node.send(banning(Target::Peer(by_id.id()))).await;
    node.settle().await;
    refused(&mut by_id, &node).await;
    assert_eq!(node.net.counters().banned_peers, 1);
    node.address = from_2;
    by_host.connect(&mut node).await;
}

#[tokio::test]
async fn bans_of_hosts_and_of_peers_hold_over_tcp() {
    bans_hold(TCP).await;
}

#[tokio::test]
async fn bans_of_hosts_and_of_peers_hold_over_quic() {
    bans_hold(QUIC).await;
}

/// Connects from 127.0.0.`host` and says nothing.
async fn silent(host: u8, to: &Multiaddr) -> TcpStream {
    let port = tcp_port(to).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    let from = SocketAddr::new(Ipv4Addr::new(127, 0, 0, host).into(), 0);
    socket.bind(from).unwrap();
    socket
        .connect(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
        .await
        .unwrap()
}

/// Waits until the other end has hung up.
async fn hung_up(mut stream: TcpStream) {
    let mut said = Vec::new();
    // A reset is as good as an end.
    let _ = within("the end", stream.read_to_end(&mut said)).await;
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on_in_time() {
    let node = Peer::start(Config {
        accept_timeout: Duration::from_millis(100),
        ..config(TCP)
    })
    .await;

    hung_up(silent(2, &node.address).await).await;

    assert_eq!(node.net.counters().timed_out, 1);
}

#[tokio::test]
async fn an_honest_dial_comes_in_although_silent_ones_hold_all_places() {
    let limits = GateLimits {
        pending: 4,
        ..GateLimits::default()
    };
    let mut node = gated(TCP, limits).await;
    let mut honest = Peer::start(config(TCP)).await;
    let mut crowd = Vec::new();
    for _ in 0..4 {
        crowd.push(silent(2, &node.address).await);
    }
    while node.net.counters().gate.admitted < 4 {
        tokio::task::yield_now().await;
    }

    honest.connect(&mut node).await;

    assert_eq!(node.net.counters().gate.cut_off, 1);
    let ends = crowd.into_iter().map(|stream| Box::pin(hung_up(stream)));
    futures::future::select_all(ends).await;
}

/// Dials until it comes in.
async fn insist(dialer: &mut Peer, to: &mut Peer) -> ConnectionId {
    let (here, there) = (dialer.id(), to.id());
    loop {
        dialer
            .send(Command::Dial {
                request: 6,
                peer: Some(there),
                addresses: vec![to.address.clone()],
            })
            .await;
        let came_in = dialer
            .wait("an answer", |event| match event {
                Event::Connected { request: Some(6), .. } => Some(true),
                Event::DialFailed { request: 6, .. } => Some(false),
                _ => None,
            })
            .await;
        if came_in {
            return connected_from(to, here).await;
        }
    }
}

async fn connected_from(at: &mut Peer, who: PeerId) -> ConnectionId {
    at.wait("connected", |event| match event {
        Event::Connected { connection, peer, .. } if *peer == who => Some(*connection),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn who_does_not_greet_makes_room_and_who_was_admitted_stays() {
    let limits = GateLimits {
        pending: 1,
        ..GateLimits::default()
    };
    let mut node = gated(TCP, limits).await;
    let mut mute = Peer::start(config(TCP)).await;
    let mut second = Peer::start(config(TCP)).await;
    let mut third = Peer::start(config(TCP)).await;
    let (_, mute_there) = mute.dial(&mut node).await;

    let second_there = insist(&mut second, &mut node).await;
    assert_eq!(
        node.disconnected(mute_there).await,
        "cut off to make room for another"
    );

    node.send(admit(second_there)).await;
    node.settle().await;
    insist(&mut third, &mut node).await;
    node.settle().await;
    while let Ok(event) = node.events.try_recv() {
        assert!(!matches!(event, Event::Disconnected { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn nobody_comes_in_where_no_memory_is_left() {
    for listen in [TCP, QUIC] {
        let limits = GateLimits {
            memory_bytes: Some(1),
            ..GateLimits::default()
        };
        let node = gated(listen, limits).await;
        let mut dialer = Peer::start(config(listen)).await;
        refused(&mut dialer, &node).await;
        assert_eq!(node.net.counters().gate.refused(Refusal::Memory), 1);
    }
}

/// A dial that stalls before the cipher is older, when it stands, than its connection.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "compared with what the sockets do in real time"
)]
async fn the_age_counts_from_the_socket_on() {
    let stall = Duration::from_millis(300);
    let mut node = Peer::start(config(TCP)).await;
    let mut dialer = Peer::start(config(TCP)).await;
    // In between, somebody who lets no byte through for a while.
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", between.local_addr().unwrap().port());
    let begin = std::time::Instant::now();
    dialer
        .send(Command::Dial {
            request: 1,
            peer: Some(node.id()),
            addresses: vec![address.parse().unwrap()],
        })
        .await;
    let (mut from, _) = within("the dial", between.accept()).await.unwrap();
    let mut to = silent(2, &node.address).await;
    tokio::spawn(async move {
        tokio::time::sleep(stall).await;
        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
    });

    for peer in [&mut dialer, &mut node] {
        let age = peer
            .wait("connected", |event| match event {
                Event::Connected { age, .. } => Some(*age),
                _ => None,
            })
            .await;
        assert!((stall..=begin.elapsed()).contains(&age), "{age:?}");
    }
}
