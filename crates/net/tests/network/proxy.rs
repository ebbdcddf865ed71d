//! Dialling through a SOCKS5 proxy: a real one (microsocks), and one that notes what it is asked for.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use rustle_net::{Command, DialError, Event, Proxy};
use rustle_types::{Direction, Multiaddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::peer::{Peer, QUIC, TCP, config, within};

/// Its connections come from here, so that whoever is dialled sees that they do.
const PROXY_FROM: Ipv4Addr = Ipv4Addr::new(127, 9, 8, 7);

/// A running microsocks; ended when dropped.
struct Microsocks {
    child: Child,
    port: u16,
}

impl Microsocks {
    async fn start(login: Option<(&str, &str)>) -> Self {
        // Another program may take the port before microsocks does, which cannot choose one itself.
        for _ in 0..16 {
            let port = free_port();
            let mut program = Program::new("microsocks");
            program.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
            program.args(["-b", &PROXY_FROM.to_string()]);
            if let Some((user, password)) = login {
                program.args(["-u", user, "-P", password]);
            }
            let child = program.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
            let child = child.expect("microsocks is needed: apt-get install microsocks");
            let mut started = Self { child, port };
            if started.answers().await {
                return started;
            }
        }
        panic!("microsocks found no port to listen on");
    }

    /// Whether it listens; it does not, once it has ended.
    async fn answers(&mut self) -> bool {
        within("microsocks", async {
            while self.child.try_wait().unwrap().is_none() {
                if tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                    .await
                    .is_ok()
                {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            false
        })
        .await
    }

    fn proxy(&self) -> Proxy {
        Proxy::new("127.0.0.1", self.port).unwrap()
    }
}

impl Drop for Microsocks {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A node that dials through `proxy`; it listens for nobody.
async fn hidden(proxy: Proxy) -> Peer {
    let mut hidden = config(TCP);
    hidden.proxy = Some(proxy);
    Peer::start(hidden).await
}

async fn dial(dialer: &mut Peer, to: &Peer, address: Multiaddr) -> Result<Multiaddr, DialError> {
    dialer
        .send(Command::Dial {
            request: 7,
            peer: Some(to.id()),
            addresses: vec![address],
        })
        .await;
    dialer
        .wait("the dial", |event| match event {
            Event::Connected {
                request: Some(7),
                address,
                ..
            } => Some(Ok(address.clone())),
            Event::DialFailed {
                request: 7, error, ..
            } => Some(Err(error.clone())),
            _ => None,
        })
        .await
}

/// Where the next inbound connection comes from.
async fn inbound_from(peer: &mut Peer) -> Multiaddr {
    peer.wait("an inbound connection", |event| match event {
        Event::Connected {
            direction: Direction::Inbound,
            address,
            ..
        } => Some(address.clone()),
        _ => None,
    })
    .await
}

fn port(peer: &Peer) -> String {
    peer.address.to_string().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn peers_are_reached_by_address_and_by_name_through_the_proxy_alone() {
    let microsocks = Microsocks::start(None).await;
    let mut hidden = hidden(microsocks.proxy()).await;
    for place in ["ip4/127.0.0.1", "dns4/localhost", "dns/localhost"] {
        let mut target = Peer::start(config(TCP)).await;
        let address: Multiaddr = format!("/{place}/tcp/{}", port(&target)).parse().unwrap();

        let connected = dial(&mut hidden, &target, address.clone()).await.unwrap();

        assert!(
            connected.to_string().starts_with(&address.to_string()),
            "{connected}"
        );
        let from = inbound_from(&mut target).await.to_string();
        assert!(from.starts_with(&format!("/ip4/{PROXY_FROM}/tcp/")), "{from}");
    }
}

#[tokio::test]
async fn a_login_is_shown_and_a_wrong_one_is_told() {
    let microsocks = Microsocks::start(Some(("me", "secret"))).await;
    let target = Peer::start(config(TCP)).await;

    let right = microsocks.proxy().with_login("me", "secret").unwrap();
    let mut right = hidden(right).await;
    dial(&mut right, &target, target.address.clone()).await.unwrap();

    let wrong = microsocks.proxy().with_login("me", "guess").unwrap();
    for proxy in [wrong, microsocks.proxy()] {
        let mut refused = hidden(proxy).await;
        let error = dial(&mut refused, &target, target.address.clone())
            .await
            .unwrap_err();
        assert!(matches!(error, DialError::ProxyRefused(_)), "{error:?}");
    }
}

#[tokio::test]
async fn each_trouble_with_the_proxy_has_its_error() {
    let target = Peer::start(config(TCP)).await;
    let mut lost = hidden(Proxy::new("127.0.0.1", free_port()).unwrap()).await;
    let error = dial(&mut lost, &target, target.address.clone())
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::ProxyUnreachable(_)), "{error:?}");
    assert!(error.to_string().contains("--proxy"), "{error}");

    let microsocks = Microsocks::start(None).await;
    let mut hidden = hidden(microsocks.proxy()).await;
    let nobody = format!("/ip4/127.0.0.1/tcp/{}", free_port()).parse().unwrap();
    let error = dial(&mut hidden, &target, nobody).await.unwrap_err();
    assert!(matches!(error, DialError::Refused(_)), "{error:?}");
    let nowhere = "/dns4/name.invalid/tcp/1".parse().unwrap();
    let error = dial(&mut hidden, &target, nowhere).await.unwrap_err();
    assert!(matches!(error, DialError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn what_no_proxy_carries_is_not_dialled_at_all() {
    let microsocks = Microsocks::start(None).await;
    let mut hidden = hidden(microsocks.proxy()).await;
    let mut target = Peer::start(config(QUIC)).await;

    let quic = target.address.clone();
    let error = dial(&mut hidden, &target, quic).await.unwrap_err();
    assert!(matches!(error, DialError::Unsupported(_)), "{error:?}");
    assert!(error.to_string().contains("only TCP"), "{error}");
    let dnsaddr = "/dnsaddr/localhost".parse().unwrap();
    let error = dial(&mut hidden, &target, dnsaddr).await.unwrap_err();
    assert!(matches!(error, DialError::Unsupported(_)), "{error:?}");

    // A connection of another peer comes next, so none came before.
    let mut other = Peer::start(config(QUIC)).await;
    other.connect(&mut target).await;
}

/// What a SOCKS5 client asked for: the name or address, and the user name where it showed one.
type Asked = (String, Option<String>);

/// A proxy that leads every request to `target`, and tells what was asked for.
async fn noting(target: SocketAddr) -> (Proxy, mpsc::Receiver<Asked>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::new("127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
    let (asked, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let asked = asked.clone();
            tokio::spawn(async move {
                asked.send(greet(&mut client).await.unwrap()).await.unwrap();
                let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
                client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut far).await;
            });
        }
    });
    (proxy, receiver)
}

/// The server's part of RFC 1928 and RFC 1929, as far as a node needs it.
async fn greet(client: &mut tokio::net::TcpStream) -> std::io::Result<Asked> {
    assert_eq!(client.read_u8().await?, 5);
    let methods = text(client).await?;
    let user = if methods.contains('\u{2}') {
        client.write_all(&[5, 2]).await?;
        assert_eq!(client.read_u8().await?, 1);
        let user = text(client).await?;
        text(client).await?;
        client.write_all(&[1, 0]).await?;
        Some(user)
    } else {
        client.write_all(&[5, 0]).await?;
        None
    };
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    assert_eq!(head, [5, 1, 0, 3], "a connection to a name");
    let name = text(client).await?;
    client.read_u16().await?;
    Ok((name, user))
}

async fn text(client: &mut tokio::net::TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn names_go_to_the_proxy_as_they_are() {
    let key = "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd";
    let target = Peer::start(config(TCP)).await;
    let socket = format!("127.0.0.1:{}", port(&target)).parse().unwrap();
    let (proxy, mut asked) = noting(socket).await;
    let mut hidden = hidden(proxy).await;

    for (address, name) in [
        (
            "/dns4/nobody.invalid/tcp/1".to_owned(),
            "nobody.invalid".to_owned(),
        ),
        (format!("/onion3/{key}:4747"), format!("{key}.onion")),
    ] {
        dial(&mut hidden, &target, address.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(within("the request", asked.recv()).await.unwrap(), (name, None));
    }
}

#[tokio::test]
async fn isolated_dials_show_a_login_for_each_place() {
    let target = Peer::start(config(TCP)).await;
    let socket = format!("127.0.0.1:{}", port(&target)).parse().unwrap();
    let (proxy, mut asked) = noting(socket).await;
    let mut hidden = hidden(proxy.isolated().unwrap()).await;

    let mut users = Vec::new();
    for name in ["a.invalid", "b.invalid"] {
        let address = format!("/dns4/{name}/tcp/1").parse().unwrap();
        dial(&mut hidden, &target, address).await.unwrap();
        users.push(within("the request", asked.recv()).await.unwrap().1.unwrap());
    }

    assert_ne!(users[0], users[1]);
}

#[tokio::test]
async fn a_hidden_node_tells_nobody_where_it_listens() {
    let microsocks = Microsocks::start(None).await;
    let mut hidden = hidden(microsocks.proxy()).await;
    let mut target = Peer::start(config(TCP)).await;
    dial(&mut hidden, &target, target.address.clone()).await.unwrap();

    let told = target
        .wait("identified", |event| match event {
            Event::Identified {
                listen_addresses,
                protocols,
                ..
            } => Some((listen_addresses.clone(), protocols.clone())),
            _ => None,
        })
        .await;

    assert_eq!(told.0, Vec::<Multiaddr>::new());
    assert!(!told.1.iter().any(|name| name.contains("/kad/")), "{:?}", told.1);
}
