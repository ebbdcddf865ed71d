//! What does a node know of a Kubo that is connected?

use rustle_admin::views::PeerClass;
use rustle_tests::kubo::Kubo;
use rustle_tests::waiting::peers_are;

use crate::{SOON, rustle};

#[tokio::test]
async fn program_version_and_addresses_are_what_identify_told() {
    let node = rustle("r").await;
    let client = node.client().await.unwrap();
    let kubo = Kubo::start(&["--key", "rsa"]).await.unwrap();
    let peer = client.connect_peer(&kubo.tcp(), None).await.unwrap();
    peers_are(&client, "what Kubo is", SOON, |peers| {
        peers.iter().any(|peer| {
            peer.agent
                .as_deref()
                .is_some_and(|agent| agent.starts_with("kubo/0.22"))
        })
    })
    .await
    .unwrap();
    let details = client.peer(&peer).await.unwrap();
    let connection = &details.connections[0];
    assert_eq!(connection.peer.class, PeerClass::Foreign);
    assert_eq!(connection.peer.version.as_deref(), Some("0.22.0"));
    let tcp = kubo.tcp().to_string();
    let told = connection.listen_addresses.iter();
    assert!(
        told.map(ToString::to_string)
            .any(|address| tcp.starts_with(&address)),
        "{details:?}"
    );
}
