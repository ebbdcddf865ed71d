//! Does a node show its numbers, and to slow readers no longer than to others?

use std::time::Duration;

use rustle_tests::waiting::within;
use rustle_tests::{Daemon, Setup};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::SOON;

pub(crate) fn setup() -> Setup {
    Setup::default().flag("--metrics").flag("127.0.0.1:0")
}

/// Status line, headers and body of one answer.
pub(crate) async fn get(node: &Daemon, path: &str) -> String {
    let mut stream = TcpStream::connect(node.metrics().unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// One sample; `None` where there is none.
pub(crate) fn sample(answer: &str, name: &str) -> Option<f64> {
    let line = answer.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

#[tokio::test]
async fn connections_show_in_the_numbers() {
    let node = Daemon::start("A", setup()).await.unwrap();
    let other = Daemon::start("B", Setup::default()).await.unwrap();
    let client = other.client().await.unwrap();
    client.connect_peer(node.address(), None).await.unwrap();

    assert!(get(&node, "/health").await.starts_with("HTTP/1.1 200 OK"));
    let page = get(&node, "/metrics").await;
    assert!(
        page.starts_with("HTTP/1.1 200 OK") && page.ends_with("# EOF\n"),
        "{page}"
    );
    let inbound = "rustle_connections{class=\"rustle\",direction=\"inbound\",reach=\"local\"}";
    for (name, value) in [
        ("rustle_peers_up", 1.0),
        (inbound, 1.0),
        ("rustle_healthy", 1.0),
        ("rustle_handshakes_total{outcome=\"complete\"}", 1.0),
        ("rustle_connections_made_total{direction=\"inbound\"}", 1.0),
    ] {
        assert_eq!(sample(&page, name), Some(value), "{name} in {page}");
    }
    assert!(sample(&page, "rustle_store_bytes").unwrap() > 0.0);
    assert!(sample(&page, "rustle_resident_memory_bytes").unwrap() > 1e6);
}

#[tokio::test]
async fn slow_readers_keep_nobody_out() {
    let node = Daemon::start("A", setup()).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(node.metrics().unwrap()).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
        slow.push(stream);
    }

    let page = within("the numbers", Duration::from_secs(2), get(&node, "/metrics"));
    assert!(page.await.unwrap().starts_with("HTTP/1.1 200 OK"));

    for mut stream in slow {
        let mut answer = Vec::new();
        let end = within("the end of a slow reader", SOON, stream.read_to_end(&mut answer));
        // A reset is an end, too.
        let _ = end.await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_taken_metrics_port_is_refused() {
    let node = Daemon::start("A", setup()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let taken = node.metrics().unwrap().to_owned();

    let arguments = Setup::default().flag("--metrics").flag(&taken);
    let refused = rustle_tests::rustled(arguments.arguments(&folder.path().join("data")))
        .await
        .unwrap();

    let line = refused.refusal(1);
    assert!(line.contains(&taken) && line.contains("--metrics"), "{line}");
}
