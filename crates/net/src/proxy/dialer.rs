//! How is an address dialled through the proxy?

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Pending};
use libp2p::core::Endpoint;
use libp2p::core::transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use rustle_types::Multiaddr;
use tokio::net::TcpStream;
use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::{NAME_BYTES_MAX, Proxy};

/// How long the proxy may take. Tor builds a circuit meanwhile.
pub(crate) const PROXY_TIMEOUT: Duration = Duration::from_secs(30);

/// A transport that dials through a proxy, and listens nowhere.
#[derive(Debug)]
pub(crate) struct Dialer(Arc<Proxy>);

/// A transport that listens as `T` does, and never dials.
pub(crate) struct ListenOnly<T>(pub(crate) T);

/// Why the proxy gave no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyError {
    /// It is not there, or is no SOCKS5 proxy.
    #[error("{proxy}: {reason}")]
    Unreachable { proxy: String, reason: String },
    /// It does not do what it was asked for.
    #[error("{proxy}: {reason}")]
    Refused { proxy: String, reason: String },
    /// It did, and says that nobody listens at the far end.
    #[error("connection refused at the far end of the proxy")]
    NobodyListens,
    /// It found no way to the far end.
    #[error("the proxy found no way there: {0}")]
    NoWay(&'static str),
    /// It did not answer in time.
    #[error("timeout of the proxy")]
    Timeout,
}

/// Wraps the error once more: some layers of the transport pass on only what an error was caused by.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(#[source] ProxyError);

// === impl Dialer ===

impl Dialer {
    pub(crate) fn new(proxy: Proxy) -> Self {
        Self(Arc::new(proxy))
    }
}

impl Transport for Dialer {
    type Output = Compat<TcpStream>;
    /// Always a [`ProxyError`], deep down.
    type Error = io::Error;
    type ListenerUpgrade = Pending<Result<Self::Output, io::Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, io::Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        // A hole is punched from the own address, which is what the proxy hides.
        let target = target(&address).filter(|_| options.role == Endpoint::Dialer);
        let Some(target) = target else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let proxy = Arc::clone(&self.0);
        Ok(async move {
            let connected = tokio::time::timeout(PROXY_TIMEOUT, connect(&proxy, target)).await;
            connected
                .unwrap_or(Err(ProxyError::Timeout))
                .map(TokioAsyncReadCompatExt::compat)
                .map_err(|error| io::Error::other(Told(error)))
        }
        .boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Poll::Pending
    }
}

async fn connect(proxy: &Proxy, target: TargetAddr<'static>) -> Result<TcpStream, ProxyError> {
    let unreachable = |error: io::Error| ProxyError::Unreachable {
        proxy: proxy.place(),
        reason: error.to_string(),
    };
    let socket = TcpStream::connect(proxy.socket()).await.map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    let name = match &target {
        TargetAddr::Ip(ip) => ip.to_string(),
        TargetAddr::Domain(name, port) => format!("{name}:{port}"),
    };
    let connected = match proxy.login(&name) {
        Some(login) => {
            let (user, password) = (&login.user, &login.password);
            Socks5Stream::connect_with_password_and_socket(socket, target, user, password).await
        }
        None => Socks5Stream::connect_with_socket(socket, target).await,
    };
    connected
        .map(Socks5Stream::into_inner)
        .map_err(|error| told(proxy, error))
}

/// What the answer of the proxy means.
fn told(proxy: &Proxy, error: tokio_socks::Error) -> ProxyError {
    use tokio_socks::Error;
    let proxy = proxy.place();
    let reason = match error {
        Error::ConnectionRefused => return ProxyError::NobodyListens,
        Error::TtlExpired => return ProxyError::Timeout,
        Error::HostUnreachable => return ProxyError::NoWay("host unreachable"),
        Error::NetworkUnreachable => return ProxyError::NoWay("network unreachable"),
        // What proxies also say where the far end did not answer, or a name does not exist.
        Error::GeneralSocksServerFailure => return ProxyError::NoWay("general failure"),
        Error::Io(error) => {
            let reason = error.to_string();
            return ProxyError::Unreachable { proxy, reason };
        }
        Error::InvalidResponseVersion | Error::InvalidReservedByte | Error::UnknownAddressType => {
            let reason = "it does not answer as a SOCKS5 proxy does".to_owned();
            return ProxyError::Unreachable { proxy, reason };
        }
        Error::NoAcceptableAuthMethods | Error::UnknownAuthMethod | Error::AuthorizationRequired => {
            "it wants a user name and password, or others".to_owned()
        }
        Error::PasswordAuthFailure(_) => "wrong user name or password".to_owned(),
        error => error.to_string(),
    };
    ProxyError::Refused { proxy, reason }
}

/// What to ask the proxy for; `None` where it is nothing that goes over TCP.
fn target(address: &Multiaddr) -> Option<TargetAddr<'static>> {
    let mut parts = address.iter();
    let tcp = |part: Option<Protocol<'_>>| match part? {
        Protocol::Tcp(port) if port != 0 => Some(port),
        _ => None,
    };
    let ip = |ip: IpAddr, port| (!ip.is_unspecified()).then_some(TargetAddr::Ip(SocketAddr::new(ip, port)));
    let target = match parts.next()? {
        Protocol::Ip4(v4) => ip(v4.into(), tcp(parts.next())?)?,
        Protocol::Ip6(v6) => ip(v6.into(), tcp(parts.next())?)?,
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
            let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
            let port = tcp(parts.next())?;
            fits.then(|| TargetAddr::Domain(name.into_owned().into(), port))?
        }
        Protocol::Onion3(onion) => {
            // Written as `/onion3/KEY:PORT`, and the key is all of the name but its end.
            let text = Protocol::Onion3(onion.clone()).to_string().to_lowercase();
            let key = text.strip_prefix("/onion3/")?.split(':').next()?;
            TargetAddr::Domain(format!("{key}.onion").into(), onion.port())
        }
        _ => return None,
    };
    match parts.next() {
        None | Some(Protocol::P2p(_)) => parts.next().is_none().then_some(target),
        Some(_) => None,
    }
}

// === impl ListenOnly ===

impl<T: Transport + Unpin> Transport for ListenOnly<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_over_tcp_can_be_asked_for() {
        let key = "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd";
        let id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        let cases = [
            (
                "/ip4/192.0.2.1/tcp/4001".to_owned(),
                Some("192.0.2.1:4001".to_owned()),
            ),
            (
                "/ip6/2001:db8::1/tcp/1".to_owned(),
                Some("[2001:db8::1]:1".to_owned()),
            ),
            (
                format!("/dns4/a.example/tcp/1/p2p/{id}"),
                Some("a.example:1".to_owned()),
            ),
            (format!("/onion3/{key}:1234"), Some(format!("{key}.onion:1234"))),
            ("/ip4/192.0.2.1/udp/4001/quic-v1".to_owned(), None),
            ("/ip4/0.0.0.0/tcp/1".to_owned(), None),
            ("/ip4/192.0.2.1/tcp/0".to_owned(), None),
            ("/ip4/192.0.2.1/tcp/1/ws".to_owned(), None),
            (format!("/ip4/192.0.2.1/tcp/1/p2p/{id}/p2p-circuit"), None),
            ("/dnsaddr/a.example".to_owned(), None),
            (format!("/dns/{}/tcp/1", "x".repeat(NAME_BYTES_MAX + 1)), None),
        ];
        for (text, wanted) in cases {
            let got = target(&text.parse().unwrap()).map(|target| match target {
                TargetAddr::Ip(ip) => ip.to_string(),
                TargetAddr::Domain(name, port) => format!("{name}:{port}"),
            });
            assert_eq!(got, wanted, "{text}");
        }
    }
}
