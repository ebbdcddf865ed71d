//! A peer that writes name and message of a stream in one go, closes, and reads nothing: so Kubo before 0.33 sends each
//! message of bitswap.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::Endpoint;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _};
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::identity::Keypair;
use libp2p::{Transport as _, quic};
use rustle_net::{Event, Inbound, Scope};
use rustle_types::Multiaddr;
use tokio::sync::mpsc;

use crate::peer::{Peer, QUIC, acceptor, admit, config, within};

const PROTOCOL: &str = "/test/lazy/1";
/// Each may lose the race between data and the end of reading, and one that is lost is a failure.
const STREAMS: usize = 200;

/// A node that is reached over QUIC and takes streams of [`PROTOCOL`].
async fn node() -> (Peer, mpsc::Receiver<Inbound>) {
    let (streams, inbound) = acceptor(PROTOCOL, Scope::Content, 4);
    let node = Peer::start({
        let mut config = config(QUIC);
        config.acceptors = vec![streams];
        config
    })
    .await;
    (node, inbound)
}

/// A connection of QUIC, and nothing of libp2p above it.
async fn dial(to: &Multiaddr) -> StreamMuxerBox {
    let mut transport = quic::tokio::Transport::new(quic::Config::new(&Keypair::generate_ed25519()));
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let (_, connection) = transport.dial(to.clone(), options).unwrap().await.unwrap();
    StreamMuxerBox::new(connection)
}

/// Name and message of one stream; both directions end with it.
async fn say(connection: &mut StreamMuxerBox, message: &[u8]) {
    let mut stream = poll_fn(|cx| Pin::new(&mut *connection).poll_outbound_unpin(cx))
        .await
        .unwrap();
    let mut bytes = Vec::new();
    for line in ["/multistream/1.0.0", PROTOCOL] {
        bytes.push(line.len() as u8 + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await.unwrap();
    stream.close().await.unwrap();
}

#[tokio::test]
async fn a_message_arrives_whose_sender_does_not_wait_for_the_negotiation() {
    let (mut node, mut inbound) = node().await;
    let mut connection = dial(&node.address).await;
    let id = node
        .wait("connected", |event| match event {
            Event::Connected { connection, .. } => Some(*connection),
            _ => None,
        })
        .await;
    node.send(admit(id)).await;
    node.settle().await;

    let talking = tokio::spawn(async move {
        for number in 0..STREAMS {
            say(&mut connection, &number.to_be_bytes()).await;
        }
        // The connection stands until the node has read all of it.
        poll_fn(|cx| {
            let _ = connection.poll_unpin(cx);
            Poll::<()>::Pending
        })
        .await;
    });

    let mut heard = Vec::new();
    while heard.len() < STREAMS {
        let mut one = within("each message", inbound.recv()).await.unwrap();
        let mut message = Vec::new();
        within("its end", one.stream.read_to_end(&mut message))
            .await
            .unwrap();
        heard.push(usize::from_be_bytes(message.try_into().unwrap()));
    }
    heard.sort_unstable();
    assert!(heard.into_iter().eq(0..STREAMS), "each has come once");
    talking.abort();
}
