//! Can programs of any language drive a node?

use rustle_admin::views::Profile;
use rustle_admin::{Client, Endpoint, FaultKind, location};
use rustle_tests::{Cluster, Daemon, Finished, Setup, rustle, rustle_at};
use serde_json::Value;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::{ONCE, named, refused};

/// The JSON lines of a command that succeeded.
#[track_caller]
fn json(finished: &Finished) -> Vec<Value> {
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (Some(0), ""),
        "{finished:?}"
    );
    finished
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn health_answers_over_the_unix_socket() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let uri = format!("unix:{}", node.socket().display());
    let channel = tonic::transport::Endpoint::from_shared(uri)
        .unwrap()
        .connect()
        .await
        .unwrap();

    for service in ["", "rustle.admin.v1.Node", "rustle.admin.v1.Chains"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = HealthClient::new(channel.clone())
            .check(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.status().as_str_name(), "SERVING", "{service}");
    }
}

#[tokio::test]
async fn tcp_wants_the_token() {
    let node = Daemon::start("A", Setup::default().admin_tcp()).await.unwrap();
    let http = node.admin_http().expect("an address is printed").to_owned();
    let token_file = location::token_path(node.data_dir());

    let client = Client::connect(&Endpoint::parse(&http, &token_file).unwrap())
        .await
        .unwrap();
    assert_eq!(client.id().await.unwrap().peer, node.peer());
    let shown = rustle_at(node.data_dir(), ["--endpoint", &http, "--json", "id"])
        .await
        .unwrap();
    assert_eq!(json(&shown)[0]["peer_id"], node.peer().to_string());

    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("token");
    std::fs::write(&wrong, "0".repeat(64)).unwrap();
    let client = Client::connect(&Endpoint::parse(&http, &wrong).unwrap())
        .await
        .unwrap();
    assert_eq!(refused(client.id().await).kind, FaultKind::Unauthenticated);
    let arguments = [
        "--endpoint".as_ref(),
        http.as_ref(),
        "--token-file".as_ref(),
        wrong.as_os_str(),
        "id".as_ref(),
    ];
    rustle(arguments).await.unwrap().refusal(1);

    let bare = tonic::transport::Endpoint::from_shared(http)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let status = HealthClient::new(bare)
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn the_socket_serves_beside_tcp() {
    let node = Daemon::start("A", Setup::default().admin_tcp()).await.unwrap();

    assert!(node.client().await.unwrap().status().await.unwrap().ready);
}

#[tokio::test]
async fn every_command_speaks_json() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    let run = async |index: usize, arguments: &[&str]| -> Vec<Value> {
        let arguments = std::iter::once(&"--json").chain(arguments);
        json(
            &rustle_at(cluster.node(index).data_dir(), arguments)
                .await
                .unwrap(),
        )
    };
    let a = cluster.node(0);

    assert_eq!(run(0, &["id"]).await[0]["network"], "tests");
    assert_eq!(run(0, &["status"]).await[0]["ready"], true);
    let connected = run(1, &["connect", &a.address().to_string()]).await;
    assert_eq!(connected[0]["peer_id"], a.peer().to_string());
    let peers = run(1, &["peers"]).await;
    assert_eq!(peers[0]["peers"][0]["class"], "rustle");
    assert_eq!(peers[0]["peers"][0]["direction"], "outbound");

    let chain = run(0, &["chain", "create", "chat"]).await[0]["chain"]
        .as_str()
        .unwrap()
        .to_owned();
    let invitation = run(0, &["chain", "invite", "chat"]).await[0]["invitation"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(invitation.starts_with("rustle1"), "{invitation}");
    assert_eq!(run(1, &["chain", "join", &invitation]).await[0]["chain"], chain);
    let appended = run(1, &["chain", "append", "chat", "--topic", "t", "hello"]).await;
    let block = appended[0]["block"].as_str().unwrap().to_owned();
    assert_eq!(appended[0]["height"], 1);
    assert_eq!(run(1, &["chain", "leaves", "chat"]).await[0]["blocks"][0], block);
    assert_eq!(run(1, &["chain", "digest", "chat"]).await[0]["blocks"], 2);
    assert_eq!(run(1, &["chain", "list"]).await[0]["chains"][0]["name"], "chat");

    let log = run(1, &["chain", "log", "chat"]).await;
    assert_eq!(
        (log.len(), &log[0]["text"], &log[1]["kind"]),
        (2, &"hello".into(), &"genesis".into())
    );
    assert_eq!(log[0]["topics"][0], "t");
    assert_eq!(log[0]["author"], cluster.node(1).peer().to_string());
    assert_eq!(run(1, &["chain", "log", "chat", "--limit", "1"]).await.len(), 1);
    let followed = run(0, &["chain", "follow", "chat", "--from", "start", "--limit", "2"]).await;
    assert_eq!(
        (&followed[1]["sequence"], &followed[1]["block"]),
        (&1.into(), &block.into())
    );
}

#[tokio::test]
async fn json_of_files_has_their_cid() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hello world\n").unwrap();

    let arguments = ["--json".as_ref(), "add".as_ref(), file.path().as_os_str()];
    let added = json(&rustle_at(node.data_dir(), arguments).await.unwrap());

    assert_eq!(added[0]["cid"], "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o");
    assert_eq!(added[0]["bytes"], 12);
    let client = node.client().await.unwrap();
    let again = client
        .add_bytes(Profile::V0, "hello world\n".into())
        .await
        .unwrap();
    assert_eq!(added[0]["cid"], again.cid.to_string());
}

#[tokio::test]
async fn an_invitation_can_be_piped() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    client.create_chain("chat").await.unwrap();
    let invitation = client.invite(&named("chat"), ONCE).await.unwrap();

    let shown = rustle_at(node.data_dir(), ["chain", "invite", "chat"])
        .await
        .unwrap();

    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(
        shown.text().starts_with("rustle1") && shown.text().lines().count() == 1,
        "one word"
    );
    assert_ne!(shown.text(), invitation, "each invitation has a key of its own");
}
