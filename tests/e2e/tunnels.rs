//! Do TCP connections go through streams between nodes as if the two ends were side by side?

use std::net::SocketAddr;

use rustle_admin::fault::reason;
use rustle_admin::views::{Tunnel, TunnelAccess, TunnelEnd, TunnelFilter, TunnelSide};
use rustle_admin::{Client, FaultKind};
use rustle_tests::waiting::{log_says, within};
use rustle_tests::{Cluster, Setup, content, rustle_at};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::{SOON, refused};

const NAME: &str = "/x/echo";

/// A service that reads all, then answers how much it was and sends it back.
async fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut all = Vec::new();
                // A connection that breaks off is the business of the test.
                if socket.read_to_end(&mut all).await.is_ok() {
                    let _ = socket.write_all(format!("{}:", all.len()).as_bytes()).await;
                    let _ = socket.write_all(&all).await;
                }
            });
        }
    });
    address
}

fn listening(tunnel: &Tunnel) -> SocketAddr {
    match tunnel.side {
        TunnelSide::Forward { listen, .. } => listen,
        TunnelSide::Listen { .. } => panic!("{tunnel:?}"),
    }
}

async fn exchange(place: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(place).await?;
    socket.write_all(bytes).await?;
    socket.shutdown().await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Yamux tells whoever reads that a stream was reset as if it had ended.
fn assert_nothing_comes(answer: std::io::Result<Vec<u8>>) {
    assert!(answer.as_ref().map_or(true, Vec::is_empty), "{answer:?}");
}

async fn forwarded(cluster: &Cluster, from: usize, name: &str) -> SocketAddr {
    let client = cluster.client(from).await.unwrap();
    let end = TunnelEnd {
        peer: cluster.node(0).peer(),
        address: Some(cluster.node(0).address().clone()),
    };
    let any = "127.0.0.1:0".parse().unwrap();
    listening(&client.tunnel_forward(name, any, &end).await.unwrap())
}

async fn one(client: &Client) -> Tunnel {
    client.tunnels().await.unwrap().remove(0)
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways_over_tcp_and_quic() {
    for setup in [Setup::default(), Setup::default().quic()] {
        let cluster = Cluster::start(["A", "B"], &setup).await.unwrap();
        let a = cluster.client(0).await.unwrap();
        a.tunnel_listen(NAME, service().await, &TunnelAccess::Network)
            .await
            .unwrap();
        // B has not met A: it is dialled when the first connection comes.
        let place = forwarded(&cluster, 1, NAME).await;
        for size in [0, 5, 3_000_000] {
            let sent = content::pattern(size);
            let answer = within("the answer", SOON, exchange(place, &sent))
                .await
                .unwrap()
                .unwrap();
            let head = format!("{size}:");
            assert!(answer.starts_with(head.as_bytes()), "{size} bytes");
            assert_eq!(&answer[head.len()..], &sent[..]);
        }
        let all = within("many at once", SOON, async {
            let each =
                (0..32).map(|number: u8| async move { exchange(place, &[number; 1000]).await.unwrap() });
            futures::future::join_all(each).await
        });
        assert!(all.await.unwrap().iter().all(|answer| answer.len() == 1005));

        let tunnel = one(&a).await;
        assert_eq!((tunnel.total, tunnel.refused), (35, 0));
        let bytes = 3_000_005 + 32_000;
        assert_eq!(tunnel.bytes_in, bytes);
        assert_eq!(tunnel.bytes_out, bytes + 2 + 2 + 8 + 32 * 5);
    }
}

#[tokio::test]
async fn who_may_not_use_a_tunnel_and_what_leads_nowhere_is_reset() {
    let cluster = Cluster::start(["A", "B", "C"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let a = cluster.client(0).await.unwrap();
    let only_b = TunnelAccess::Peers(vec![cluster.node(1).peer()]);
    a.tunnel_listen(NAME, service().await, &only_b).await.unwrap();
    let (b, c) = (
        forwarded(&cluster, 1, NAME).await,
        forwarded(&cluster, 2, NAME).await,
    );
    assert_eq!(exchange(b, b"x").await.unwrap(), b"1:x");
    assert_nothing_comes(exchange(c, b"x").await);
    assert_eq!((one(&a).await.total, one(&a).await.refused), (2, 1));

    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    a.tunnel_listen("/x/gone", gone, &TunnelAccess::Anybody)
        .await
        .unwrap();
    let place = forwarded(&cluster, 1, "/x/gone").await;
    assert_nothing_comes(exchange(place, b"x").await);
    log_says(cluster.node(0), "the service of a tunnel cannot be reached", SOON)
        .await
        .unwrap();
    // Nobody offers that.
    let place = forwarded(&cluster, 1, "/x/none").await;
    assert!(exchange(place, b"x").await.is_err());
    log_says(
        cluster.node(1),
        "the peer's end of a tunnel cannot be reached",
        SOON,
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn tunnels_are_listed_and_closed_with_their_connections() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let folder = cluster.node(0).data_dir();
    let target = format!("/ip4/127.0.0.1/tcp/{}", service().await.port());
    let shown = rustle_at(
        folder,
        ["tunnel", "listen", NAME, &target, "--allow", "any", "--json"],
    )
    .await;
    let tunnel: Value = serde_json::from_str(&shown.unwrap().text()).unwrap();
    assert_eq!(
        (tunnel["name"].as_str(), tunnel["allow_any"].as_bool()),
        (Some(NAME), Some(true))
    );

    let a = cluster.client(0).await.unwrap();
    let twice = a.tunnel_listen(NAME, "127.0.0.1:1".parse().unwrap(), &TunnelAccess::Network);
    let refusal = refused(twice.await);
    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::AlreadyExists, reason::TUNNEL_EXISTS)
    );

    let place = forwarded(&cluster, 1, NAME).await;
    let mut open = TcpStream::connect(place).await.unwrap();
    open.write_all(b"x").await.unwrap();
    let opened = async {
        while one(&a).await.open != 1 {
            tokio::task::yield_now().await;
        }
    };
    within("the connection to be open", SOON, opened).await.unwrap();
    let listed = rustle_at(folder, ["tunnel", "ls", "--json"])
        .await
        .unwrap()
        .text();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["tunnels"][0]["target"], target.as_str());

    let closed = rustle_at(folder, ["tunnel", "close", NAME, "--json"])
        .await
        .unwrap();
    assert_eq!(closed.text().trim(), r#"{"closed":1}"#);
    let mut rest = Vec::new();
    let ended = within("the connection to end", SOON, open.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(ended.is_err() || rest.is_empty());
    assert_eq!(
        refused(a.close_tunnels(TunnelFilter::default()).await).reason,
        reason::TUNNEL_NOT_FOUND
    );
    // The name is free again.
    let again = a.tunnel_listen(NAME, service().await, &TunnelAccess::Network);
    assert_eq!(again.await.unwrap().protocol, NAME);
    assert_eq!(exchange(place, b"x").await.unwrap(), b"1:x");
}
