//! How long nothing has gone over a connection.

use std::time::{Duration, Instant};

use futures::AsyncWriteExt;
use rustle_net::{Command, Event, Scope};
use rustle_types::ConnectionId;

use crate::peer::{Peer, QUIC, TCP, acceptor, config, within};

async fn idle(peer: &mut Peer, on: ConnectionId) -> Duration {
    peer.send(Command::Probe { connection: on }).await;
    peer.wait("an answer to the probe", |event| match event {
        Event::Activity { connection, idle } if *connection == on => Some(*idle),
        _ => None,
    })
    .await
}

/// Bytes on any stream count, for the end that sends and for the end that receives.
#[expect(
    clippy::disallowed_methods,
    reason = "compared with what the sockets do in real time"
)]
async fn bytes_of_any_stream_are_activity(listen: &str) {
    let (sink, mut streams) = acceptor("/test/sink/1", Scope::Content, 1);
    let mut client = Peer::start(config(listen)).await;
    let mut server = Peer::start({
        let mut config = config(listen);
        config.acceptors = vec![sink];
        config
    })
    .await;
    let (ours, theirs) = client.connect(&mut server).await;
    let (mut stream, _) = client
        .net
        .open(server.id(), &["/test/sink/1".to_owned()])
        .await
        .unwrap();
    // What the two negotiate at the start dies down.
    for (peer, connection) in [(&mut client, ours), (&mut server, theirs)] {
        while idle(peer, connection).await < Duration::from_millis(200) {
            tokio::task::yield_now().await;
        }
    }

    let before = Instant::now();
    stream.write_all(b"a byte is enough").await.unwrap();
    stream.flush().await.unwrap();
    let mut inbound = within("the stream", streams.recv()).await.unwrap();
    let mut got = [0; 16];
    within(
        "the bytes",
        futures::AsyncReadExt::read_exact(&mut inbound.stream, &mut got),
    )
    .await
    .unwrap();

    for (peer, connection) in [(&mut client, ours), (&mut server, theirs)] {
        let idle = idle(peer, connection).await;
        assert!(idle <= before.elapsed() + Duration::from_millis(1), "{idle:?}");
    }
}

#[tokio::test]
async fn bytes_of_any_stream_are_activity_over_tcp() {
    bytes_of_any_stream_are_activity(TCP).await;
}

#[tokio::test]
async fn bytes_of_any_stream_are_activity_over_quic() {
    bytes_of_any_stream_are_activity(QUIC).await;
}
