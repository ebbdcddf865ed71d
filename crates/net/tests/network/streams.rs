//! Raw streams of any protocol.

use futures::{AsyncReadExt, AsyncWriteExt};
use rustle_net::{OpenError, Scope};
use rustle_types::PeerId;

use crate::peer::{Peer, QUIC, TCP, acceptor, config, within};

async fn ten_megabytes_come_back(listen: &str) {
    let (echo, mut streams) = acceptor("/test/echo/1", Scope::Content, 1);
    let mut client = Peer::start(config(listen)).await;
    let mut server = Peer::start({
        let mut config = config(listen);
        config.acceptors = vec![echo];
        config
    })
    .await;
    let (_, theirs) = client.connect(&mut server).await;
    let client_id = client.id();
    let echoing = tokio::spawn(async move {
        let inbound = streams.recv().await.unwrap();
        assert_eq!((inbound.peer, inbound.connection), (client_id, theirs));
        assert_eq!(inbound.protocol, "/test/echo/1");
        let (reader, mut writer) = inbound.stream.split();
        futures::io::copy_buf(futures::io::BufReader::new(reader), &mut writer)
            .await
            .unwrap();
        writer.close().await.unwrap();
    });

    let names = ["/test/unknown/1".to_owned(), "/test/echo/1".to_owned()];
    let (stream, agreed) = client.net.open(server.id(), &names).await.unwrap();
    assert_eq!(agreed, "/test/echo/1");
    let sent: Vec<u8> = (0..10_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let (mut reader, mut writer) = stream.split();
    let write = async {
        writer.write_all(&sent).await.unwrap();
        writer.close().await.unwrap();
    };
    let mut got = Vec::new();
    let (read, ()) = within(
        "the echo",
        futures::future::join(reader.read_to_end(&mut got), write),
    )
    .await;

    read.unwrap();
    assert!(
        got == sent,
        "{} of {} bytes came back, or others",
        got.len(),
        sent.len()
    );
    within("the server", echoing).await.unwrap();
}

#[tokio::test]
async fn ten_megabytes_come_back_over_tcp() {
    ten_megabytes_come_back(TCP).await;
}

#[tokio::test]
async fn ten_megabytes_come_back_over_quic() {
    ten_megabytes_come_back(QUIC).await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_told_why() {
    let mut client = Peer::start(config(TCP)).await;
    let mut server = Peer::start(config(TCP)).await;
    client.connect(&mut server).await;

    let open = |peer: PeerId, name: &str| {
        let (net, names) = (client.net.clone(), [name.to_owned()]);
        async move { within("the answer", net.open(peer, &names)).await.map(|_| ()) }
    };
    assert_eq!(open(server.id(), "/none/1").await, Err(OpenError::Unsupported));
    assert_eq!(
        open(PeerId::random(), "/none/1").await,
        Err(OpenError::NotConnected)
    );
    assert_eq!(
        open(server.id(), "none").await,
        Err(OpenError::BadProtocol("none".to_owned()))
    );
}

#[tokio::test]
async fn a_burst_of_streams_loses_none_although_the_acceptor_is_slow() {
    const STREAMS: u32 = 200;
    let (slow, mut streams) = acceptor("/test/burst/1", Scope::Content, 1);
    let mut client = Peer::start(config(TCP)).await;
    let mut server = Peer::start({
        let mut config = config(TCP);
        config.acceptors = vec![slow];
        config
    })
    .await;
    client.connect(&mut server).await;

    let opened = (0..STREAMS).map(|number| {
        let (net, peer) = (client.net.clone(), server.id());
        async move {
            let (mut stream, _) = net.open(peer, &["/test/burst/1".to_owned()]).await.unwrap();
            stream.write_all(&number.to_be_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            stream
        }
    });
    // Nothing is taken before all are open.
    let opened = within("the burst", futures::future::join_all(opened)).await;
    let mut numbers = Vec::new();
    for _ in 0..STREAMS {
        let mut inbound = within("a stream", streams.recv()).await.unwrap();
        let mut number = [0; 4];
        within("its number", inbound.stream.read_exact(&mut number))
            .await
            .unwrap();
        numbers.push(u32::from_be_bytes(number));
    }

    numbers.sort_unstable();
    assert_eq!(numbers, (0..STREAMS).collect::<Vec<_>>());
    assert_eq!(server.net.counters().abandoned, 0);
    drop(opened);
}
