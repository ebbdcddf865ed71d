//! Is a silent connection asked whether it lives?

use rustle_tests::waiting::peers_are;
use rustle_tests::{Daemon, Setup};

use crate::SOON;

#[tokio::test]
async fn a_silent_connection_is_pinged_and_its_round_trip_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rustled.toml");
    std::fs::write(&file, "[peers]\nping_idle_seconds = 1\n").unwrap();
    let setup = Setup::default().flag("--config").flag(file);
    let left = Daemon::start("left", setup.clone()).await.unwrap();
    let right = Daemon::start("right", setup).await.unwrap();
    let client = left.client().await.unwrap();
    client.connect_peer(right.address(), None).await.unwrap();

    for node in [&left, &right] {
        let client = node.client().await.unwrap();
        let pinged = peers_are(&client, "a ping to be answered", SOON, |peers| {
            peers.first().is_some_and(|peer| peer.ping_rtt.is_some())
        });
        pinged.await.unwrap();
    }
}
