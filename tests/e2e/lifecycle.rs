//! Does a node start and stop as a service should?

use std::os::unix::fs::MetadataExt as _;

use rustle_admin::{Client, ClientError, Endpoint};
use rustle_tests::{Daemon, Setup, rustle_at, rustled};

#[tokio::test]
async fn sigterm_ends_cleanly() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    let socket = node.socket();
    assert!(socket.exists());

    // Fails after five seconds.
    let status = node.terminate().await.unwrap();

    assert_eq!(status.code(), Some(0), "{}", node.log());
    assert!(!socket.exists(), "the socket is removed");
}

#[tokio::test]
async fn sigint_ends_cleanly() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    let socket = node.socket();

    let status = node.interrupt().await.unwrap();

    assert_eq!(status.code(), Some(0), "{}", node.log());
    assert!(!socket.exists(), "the socket is removed");
}

#[tokio::test]
async fn peers_and_followers_do_not_hold_up_the_end() {
    let mut cluster = rustle_tests::Cluster::start(["A", "B"], &Setup::default())
        .await
        .unwrap();
    cluster.connect_to_first().await.unwrap();
    let chain = cluster.share_chain("chat").await.unwrap();
    let client = cluster.client(0).await.unwrap();
    let _follower = client
        .follow(&chain, rustle_admin::views::FollowFrom::Start)
        .await
        .unwrap();

    let status = cluster.node_mut(0).terminate().await.unwrap();

    assert_eq!(status.code(), Some(0), "{}", cluster.node(0).log());
}

#[tokio::test]
async fn a_light_client_listens_nowhere() {
    let full = Daemon::start("A", Setup::default()).await.unwrap();
    let light = Setup::default().light().bootstrap(full.address());
    let light = Daemon::start("B", light).await.unwrap();

    let client = light.client().await.unwrap();
    client.connect_peer(full.address(), None).await.unwrap();
    let peers = full.client().await.unwrap().peers().await.unwrap();

    assert!(light.addresses().is_empty());
    assert_eq!(peers.first().map(|peer| peer.peer), Some(light.peer()));
}

#[tokio::test]
async fn a_light_client_gets_content_and_gives_none() {
    let full = Daemon::start("A", Setup::default()).await.unwrap();
    let light = Daemon::start("B", Setup::default().light()).await.unwrap();
    let client = light.client().await.unwrap();
    client.connect_peer(full.address(), None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    std::fs::write(&ours, "of a light client").unwrap();
    std::fs::write(&theirs, "of a full node").unwrap();
    let add = async |node: &Daemon, path: &std::path::Path| {
        let added = rustle_at(node.data_dir(), ["add".as_ref(), path.as_os_str()])
            .await
            .unwrap();
        assert_eq!(added.code, Some(0), "{added:?}");
        added.text().trim().to_owned()
    };
    let (ours, theirs) = (add(&light, &ours).await, add(&full, &theirs).await);

    // Asked first, so that the connection has carried content when the other is refused.
    let got = rustle_at(light.data_dir(), ["cat", &theirs]).await.unwrap();
    assert_eq!(got.text(), "of a full node", "{got:?}");
    let refused = rustle_at(full.data_dir(), ["cat", &ours, "--timeout", "2s"])
        .await
        .unwrap();
    refused.refusal(1);
    let own = rustle_at(light.data_dir(), ["cat", &ours]).await.unwrap();
    assert_eq!(own.text(), "of a light client", "{own:?}");
}

#[tokio::test]
async fn a_light_client_says_why_it_cannot_invite() {
    let light = Daemon::start("A", Setup::default().light()).await.unwrap();
    light.client().await.unwrap().create_chain("chat").await.unwrap();

    let refused = rustle_at(light.data_dir(), ["chain", "invite", "chat"])
        .await
        .unwrap();

    let line = refused.refusal(1);
    assert!(
        line.contains("light client") && !line.contains("--listen"),
        "{line}"
    );
}

#[tokio::test]
async fn a_node_starts_from_nothing_and_says_where_it_is() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();

    let id = node.client().await.unwrap().id().await.unwrap();

    assert_eq!(id.peer, node.peer());
    assert_eq!(id.addresses, node.addresses());
    assert_eq!(id.network.as_str(), "tests");
    let mode = |path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(node.data_dir().to_owned()), 0o700);
    assert_eq!(mode(node.socket()), 0o600);
    let status = node.client().await.unwrap().status().await.unwrap();
    assert!(status.ready && status.health == "ok", "{status:?}");
    assert!(!node.log().contains("ERROR"), "{}", node.log());
}

#[tokio::test]
async fn a_start_from_nothing_takes_less_than_a_second() {
    // Ready in 1 s is promised; on a busy machine one of several starts shows it.
    let mut quickest = std::time::Duration::MAX;
    for _ in 0..5 {
        let began = tokio::time::Instant::now();
        let node = Daemon::start("A", Setup::default()).await.unwrap();
        quickest = quickest.min(began.elapsed());
        drop(node);
    }

    assert!(quickest < std::time::Duration::from_secs(1), "{quickest:?}");
}

#[tokio::test]
async fn a_killed_daemon_leaves_no_lock_and_no_dead_socket() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    node.kill().await.unwrap();
    assert!(node.socket().exists(), "a killed daemon cannot remove its socket");
    let error = Client::connect(&Endpoint::of_data_dir(node.data_dir()))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error}");

    node.restart().await.unwrap();

    node.client().await.unwrap().status().await.unwrap();
}

#[tokio::test]
async fn help_and_version_are_no_failures() {
    for flag in ["--help", "--version"] {
        let shown = rustled([flag]).await.unwrap();
        assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""), "{shown:?}");
        assert!(
            shown.text().contains("rustled") || shown.text().contains("--data-dir"),
            "{shown:?}"
        );
    }
}
