//! What if the port from which a node dials stands in its way?
//!
//! TCP is dialled from the port at which the node listens, so that others, and routers that translate addresses, see one
//! port for one node. That can go wrong where nothing is wrong with the remote. Two nodes that dial each other at the same
//! moment meet in one connection (RFC 9293, 3.5: simultaneous open) in which each is the dialer, and no cipher comes about.
//! And some other program may have the port at another address of this machine. Such a dial is made once more, from a port
//! of its own.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::core::Endpoint;
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent};
use libp2p::{Multiaddr, Transport, noise};

/// A transport that dials once more where only the port was at fault.
pub(crate) struct Crossing<T> {
    inner: T,
    /// Only dials; shared with the dials that are under way.
    again: Arc<Mutex<T>>,
    is_fault_of_port: fn(&io::Error) -> bool,
}

// === impl Crossing ===

impl<T> Crossing<T> {
    /// For sockets. `again` is the same as `inner`, with no listeners.
    pub(crate) fn of_sockets(inner: T, again: T) -> Self {
        Self::new(inner, again, |error| error.kind() == io::ErrorKind::AddrInUse)
    }

    /// For connections with a cipher. `again` is the same as `inner`, with no listeners.
    pub(crate) fn of_ciphers(inner: T, again: T) -> Self {
        Self::new(inner, again, is_no_answer)
    }

    fn new(inner: T, again: T, is_fault_of_port: fn(&io::Error) -> bool) -> Self {
        Self {
            inner,
            again: Arc::new(Mutex::new(again)),
            is_fault_of_port,
        }
    }
}

impl<T> Transport for Crossing<T>
where
    T: Transport<Error = io::Error> + Send + Unpin + 'static,
    T::Dial: Send,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<T::Output>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, to: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let dial = self.inner.dial(to.clone(), options)?;
        // A hole is punched from this port and no other, and one of the two is told to be no dialer.
        if options.role != Endpoint::Dialer || options.port_use != PortUse::Reuse {
            return Ok(dial.boxed());
        }
        let (again, is_fault_of_port) = (self.again.clone(), self.is_fault_of_port);
        Ok(async move {
            let error = match dial.await {
                Err(error) if is_fault_of_port(&error) => error,
                dialled => return dialled,
            };
            tracing::debug!(%to, %error, "dialling once more, from another port");
            let options = DialOpts {
                port_use: PortUse::New,
                ..options
            };
            let dial = again
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .dial(to, options);
            match dial {
                Ok(dial) => dial.await,
                Err(_) => Err(error),
            }
        }
        .boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

/// Whether somebody was there whose words made no sense as an answer: in a connection in which each is the dialer, the
/// first words of one cipher meet those of another. Whoever refuses hangs up instead.
fn is_no_answer(error: &io::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<noise::Error>() {
            Some(noise::Error::Noise(_)) => return true,
            Some(noise::Error::Io(error)) => return error.kind() == io::ErrorKind::InvalidData,
            Some(_) => return false,
            None => {}
        }
        // The source of an error of input and output would be the source of what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped));
    }
    false
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use libp2p::core::multiaddr::Protocol;
    use tokio::io::copy_bidirectional;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::Identity;
    use crate::transport::{Connections, tcp};

    /// A transport that listens, and where.
    async fn listening() -> (Connections, SocketAddr) {
        let mut transport = tcp(&Identity::generate()).unwrap();
        let address = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        transport.listen_on(ListenerId::next(), address).unwrap();
        let event = poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await;
        let TransportEvent::NewAddress { listen_addr, .. } = event else {
            panic!("{event:?}")
        };
        let Some(Protocol::Tcp(port)) = listen_addr.iter().nth(1) else {
            panic!("{listen_addr}")
        };
        (transport, (Ipv4Addr::LOCALHOST, port).into())
    }

    async fn accepts(mut transport: Connections) {
        loop {
            let event = poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await;
            if let Some((upgrade, _)) = event.into_incoming() {
                tokio::spawn(upgrade);
            }
        }
    }

    async fn dial(transport: &mut Connections, to: SocketAddr) -> io::Result<()> {
        let to = Multiaddr::from(to.ip()).with(Protocol::Tcp(to.port()));
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::Reuse,
        };
        transport.dial(to, options).unwrap().await.map(drop)
    }

    async fn echo(mut stream: TcpStream) {
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    }

    #[tokio::test]
    async fn two_dialers_in_one_connection_are_followed_by_a_dial_from_another_port() {
        let (remote, behind) = listening().await;
        tokio::spawn(accepts(remote));
        let (mut local, own) = listening().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let middle = listener.local_addr().unwrap();
        let between = async {
            // Who hears their own words hears what another dialer would say.
            let (stream, first) = listener.accept().await.unwrap();
            echo(stream).await;
            let (mut stream, second) = listener.accept().await.unwrap();
            let mut onward = TcpStream::connect(behind).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut stream, &mut onward).await });
            (first, second)
        };

        let (dialled, (first, second)) = tokio::join!(dial(&mut local, middle), between);

        dialled.unwrap();
        assert_eq!(first.port(), own.port());
        assert_ne!(second.port(), own.port());
    }

    #[tokio::test]
    async fn a_port_that_another_program_has_elsewhere_is_not_needed_to_dial() {
        let (remote, address) = listening().await;
        tokio::spawn(accepts(remote));
        let (mut local, own) = listening().await;
        let elsewhere = IpAddr::from([127, 77, 0, 1]);
        let _taken = std::net::TcpListener::bind((elsewhere, own.port())).unwrap();

        dial(&mut local, address).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_hangs_up_is_dialled_once() {
        let (mut local, _) = listening().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = listener.local_addr().unwrap();
        let hang_up = async { drop(listener.accept().await.unwrap()) };

        let (dialled, ()) = tokio::join!(dial(&mut local, refusing), hang_up);

        dialled.unwrap_err();
        let again = tokio::select! {
            biased;
            _ = listener.accept() => true,
            () = tokio::task::yield_now() => false,
        };
        assert!(!again, "dialled a second time");
    }
}
