//! Does a node behind a proxy keep to itself where it is?

use std::net::{Ipv4Addr, SocketAddr};

use rustle_admin::views::PeerClass;
use rustle_tests::waiting::peers_are;
use rustle_tests::{Daemon, Setup};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::SOON;

/// A SOCKS5 proxy without logins that leads to IPv4 addresses (RFC 1928); gives where it listens.
async fn socks5() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // A client that goes away early harms nobody else.
            tokio::spawn(lead(client));
        }
    });
    address
}

async fn lead(mut client: TcpStream) -> std::io::Result<()> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).await?;
    client.read_exact(&mut vec![0; greeting[1].into()]).await?;
    client.write_all(&[5, 0]).await?;
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    assert_eq!(head, [5, 1, 0, 1], "a connection to an IPv4 address");
    let (host, port) = (client.read_u32().await?, client.read_u16().await?);
    let mut far = TcpStream::connect((Ipv4Addr::from(host), port)).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    tokio::io::copy_bidirectional(&mut client, &mut far).await?;
    Ok(())
}

#[tokio::test]
async fn a_node_behind_a_proxy_tells_its_peers_no_address() {
    let proxy = socks5().await;
    let open = Daemon::start("A", Setup::default()).await.unwrap();
    // It listens, as nodes do unless told otherwise.
    let setup = Setup::default().flag("--proxy").flag(format!("socks5://{proxy}"));
    let hidden = Daemon::start("B", setup).await.unwrap();
    assert!(!hidden.addresses().is_empty());

    let client = hidden.client().await.unwrap();
    client.connect_peer(open.address(), None).await.unwrap();

    let client = open.client().await.unwrap();
    peers_are(&client, "the hidden node to be a peer", SOON, |peers| {
        peers.iter().any(|one| one.class == PeerClass::Rustle)
    })
    .await
    .unwrap();
    let info = client.peer(&hidden.peer()).await.unwrap();
    let connection = &info.connections[0];
    let told = &connection.listen_addresses;
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(connection.observed_address, None);
    let services = &connection.service_names;
    assert!(!services.iter().any(|name| name == "inbound"), "{services:?}");
    let known = info.known.map(|known| known.addresses).unwrap_or_default();
    assert!(known.is_empty(), "nothing to dial it by: {known:?}");
}
