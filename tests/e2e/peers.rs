//! Can an operator see the peers of a node, and decide about them?

use rustle_admin::FaultKind;
use rustle_admin::fault::reason;
use rustle_tests::waiting::peers_are;
use rustle_tests::{Cluster, Daemon, Finished, Setup, rustle_at};
use serde_json::Value;

use crate::{SOON, refused};

/// The JSON object of a command that succeeded.
async fn json(node: &Daemon, arguments: &[&str]) -> Value {
    let arguments = std::iter::once(&"--json").chain(arguments);
    let finished: Finished = rustle_at(node.data_dir(), arguments).await.unwrap();
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (Some(0), ""),
        "{finished:?}"
    );
    serde_json::from_str(&finished.text()).unwrap()
}

/// Whether whoever is kept out reads so: from the node itself, or as the likely reason of a silent end.
fn is_about_a_ban(message: &str) -> bool {
    let is_silent = message.contains("hung up before the handshake") && message.contains("refuse this node");
    message.contains("banned there") || is_silent
}

async fn two() -> Cluster {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    cluster
}

#[tokio::test]
async fn a_peer_is_listed_and_examined() {
    let cluster = two().await;
    let (a, b) = (cluster.node(0), cluster.node(1));
    let id = b.peer().to_string();

    let listed = json(a, &["peer", "ls", "--class", "rustle", "--direction", "inbound"]).await;
    assert_eq!(listed["peers"][0]["peer_id"], *id);
    assert_eq!(listed["peers"][0]["reach"], "local");
    assert_eq!(listed["peers"][0]["relayed"], false);
    let none = json(a, &["peer", "ls", "--class", "foreign"]).await;
    assert_eq!(none["peers"].as_array().unwrap().len(), 0);

    let info = json(a, &["peer", "info", &id]).await;
    assert_eq!(info["peer_id"], *id);
    assert_eq!(info["score"], 0.0);
    let connection = &info["connections"][0];
    assert_eq!(connection["why"], "inbound");
    assert_eq!(connection["version_min"], 1);
    let services = connection["service_names"].as_array().unwrap();
    assert!(services.contains(&"content".into()), "{services:?}");
    assert!(
        connection["listen_addresses"][0]
            .as_str()
            .unwrap()
            .starts_with("/ip4/127")
    );
    let why = json(b, &["peer", "info", &a.peer().to_string()]).await;
    assert_eq!(why["connections"][0]["why"], "asked");

    let text = rustle_at(a.data_dir(), ["peer", "info", &id]).await.unwrap();
    assert!(text.text().contains("inbound, local"), "{text:?}");
}

#[tokio::test]
async fn a_peer_can_be_disconnected_once() {
    let cluster = two().await;
    let (a, b) = (cluster.node(0), cluster.node(1));
    let id = b.peer().to_string();

    assert_eq!(json(a, &["peer", "disconnect", &id]).await["peer_id"], *id);

    let client = a.client().await.unwrap();
    peers_are(&client, "the peer to be gone", SOON, <[_]>::is_empty)
        .await
        .unwrap();
    let again = refused(client.disconnect_peer(&b.peer()).await);
    assert_eq!(
        (again.kind, again.reason.as_str()),
        (FaultKind::NotFound, reason::PEER_NOT_CONNECTED)
    );
    let shown = rustle_at(a.data_dir(), ["peer", "disconnect", &id])
        .await
        .unwrap();
    assert!(shown.refusal(1).contains("rustle peer ls"));
}

#[tokio::test]
async fn a_ban_closes_keeps_out_and_survives_a_kill() {
    let mut cluster = two().await;
    let id = cluster.node(1).peer();

    let ban = [
        "peer",
        "ban",
        &id.to_string(),
        "--expires",
        "1h",
        "--reason",
        "too loud",
    ];
    let rule = json(cluster.node(0), &ban).await;
    assert_eq!(
        (&rule["kind"], &rule["origin"]),
        (&"ban".into(), &"operator".into())
    );
    let hour = rule["until_ms"].as_u64().unwrap() - rule["since_ms"].as_u64().unwrap();
    assert_eq!(hour, 3_600_000);
    let client = cluster.client(0).await.unwrap();
    peers_are(&client, "the banned peer to be gone", SOON, <[_]>::is_empty)
        .await
        .unwrap();

    cluster.node_mut(0).kill().await.unwrap();
    cluster.node_mut(0).restart().await.unwrap();

    let (a, b) = (cluster.node(0), cluster.node(1));
    let rules = json(a, &["peer", "bans"]).await;
    assert_eq!(rules["rules"][0]["reason"], "too loud");
    let stranger = b.client().await.unwrap();
    let kept_out = refused(stranger.connect_peer(a.address(), None).await);
    assert!(is_about_a_ban(&kept_out.message), "{kept_out}");
    let client = a.client().await.unwrap();
    let own = refused(client.connect_peer(b.address(), None).await);
    assert_eq!(own.reason, reason::BANNED, "{own}");

    json(a, &["peer", "unban", &id.to_string()]).await;
    client.connect_peer(b.address(), None).await.unwrap();
    let gone = refused(client.unban(&id.into()).await);
    assert_eq!(gone.reason, reason::RULE_NOT_FOUND);
}

#[tokio::test]
async fn of_a_ban_and_a_permission_the_nearer_one_holds() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    let (a, b) = (cluster.node(0), cluster.node(1));
    let stranger = b.client().await.unwrap();

    json(a, &["peer", "ban", "127.0.0.0/8", "--expires", "never"]).await;
    let kept_out = refused(stranger.connect_peer(a.address(), None).await);
    assert!(is_about_a_ban(&kept_out.message), "{kept_out}");
    let text = rustle_at(a.data_dir(), ["peer", "bans"]).await.unwrap();
    assert!(
        text.text().contains("127.0.0.0/8") && text.text().contains("for ever"),
        "{text:?}"
    );

    // A peer that is welcome can be dialled wherever it is.
    let welcome = b.peer().to_string();
    let client = a.client().await.unwrap();
    refused(client.connect_peer(b.address(), None).await);
    json(a, &["peer", "allow", &welcome, "--reason", "friend"]).await;
    client.connect_peer(b.address(), None).await.unwrap();
    let info = json(a, &["peer", "info", &welcome]).await;
    let kinds: Vec<&Value> = info["rules"].as_array().unwrap().iter().collect();
    assert!(
        kinds
            .iter()
            .any(|rule| rule["kind"] == "allow" && rule["reason"] == "friend"),
        "{info}"
    );
    json(a, &["peer", "disallow", &welcome]).await;

    // A single address within is nearer than the network around it.
    json(a, &["peer", "allow", "127.0.0.1"]).await;
    stranger.connect_peer(a.address(), None).await.unwrap();
}

#[tokio::test]
async fn nobody_bans_himself_or_nobody() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let id = node.peer().to_string();
    for (arguments, code) in [
        (&["peer", "ban", &id][..], 2),
        (&["peer", "ban", "example.com"], 2),
        (&["peer", "ban", "192.0.2.0/33"], 2),
        (&["peer", "ban", "192.0.2.7", "--expires", "soon"], 2),
        (&["peer", "ban", "192.0.2.7", "--reason", &"x".repeat(129)], 2),
        (&["peer", "info", "nobody"], 2),
        (&["peer", "unban", "192.0.2.7"], 1),
        (&["peer", "disallow", "192.0.2.7"], 1),
        (
            &[
                "peer",
                "info",
                "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
            ],
            1,
        ),
    ] {
        rustle_at(node.data_dir(), arguments).await.unwrap().refusal(code);
    }
}

#[tokio::test]
async fn the_address_book_and_the_own_addresses_are_shown() {
    let cluster = two().await;
    let (a, b) = (cluster.node(0), cluster.node(1));

    let book = json(b, &["peer", "addresses", "--limit", "10"]).await;
    let listen = book["own"]["listen"][0].as_str().unwrap();
    assert!(b.address().to_string().starts_with(listen), "{book}");
    assert_eq!(book["own"]["reachability"], "unknown");
    let known = &book["peers"][0];
    assert_eq!(known["peer_id"], a.peer().to_string());
    assert_eq!(known["failures"], 0);
    assert!(known["seen_ms"].as_u64().is_some(), "{book}");
    let table = known["table"].as_str().unwrap();

    let same = json(b, &["peer", "addresses", "--table", table]).await;
    assert_eq!(same["peers"].as_array().unwrap().len(), 1);
    let text = rustle_at(b.data_dir(), ["peer", "addresses"]).await.unwrap();
    assert!(text.text().contains(&a.peer().to_string()), "{text:?}");
}
