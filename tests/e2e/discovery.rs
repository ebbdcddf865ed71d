//! Do nodes find each other that were not told of each other?

use std::process::Command;

use rustle_admin::views::PeerClass;
use rustle_tests::waiting::peers_are;
use rustle_tests::{Daemon, Setup};

use crate::SOON;

/// Set within a network of the test's own.
const INSIDE: &str = "RUSTLE_TEST_LOCAL_NETWORK";
/// A cable with both ends in this machine; one of them has an address.
const NETWORK: &str = "ip link set lo up && ip link add here type veth peer name there && \
    ip address add 10.77.0.1/24 dev here && ip link set here up && ip link set there up && exec \"$0\" \"$@\"";

/// Waits until the two are peers.
async fn have_met(a: &Daemon, b: &Daemon) {
    let client = a.client().await.unwrap();
    peers_are(&client, "the other to be a peer", SOON, |peers| {
        peers
            .iter()
            .any(|one| one.peer == b.peer() && one.class == PeerClass::Rustle)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn nodes_find_each_other_at_a_rendezvous_point() {
    let point = Daemon::start("point", Setup::default().flag("--rendezvous-server"))
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("rustled.toml");
    std::fs::write(&settings, "log = \"info,rustle_node=debug\"\n").unwrap();
    let address = format!("{}/p2p/{}", point.address(), point.peer());
    let setup = Setup::default()
        .flag("--rendezvous")
        .flag(address)
        .flag("--config")
        .flag(settings);
    let a = Daemon::start("A", setup.clone()).await.unwrap();
    let b = Daemon::start("B", setup).await.unwrap();
    have_met(&a, &b).await;
    // The point itself may have told them of each other too, as any peer does.
    let logs = [a.log(), b.log()];
    assert!(
        logs.iter().any(|log| log.contains("source=Rendezvous")),
        "{logs:?}"
    );
}

/// The test runs again in a network of its own.
#[test]
fn nodes_with_nothing_configured_find_each_other_on_their_network() {
    let own_network = || {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--net"]);
        unshare
    };
    if std::env::var_os(INSIDE).is_none() {
        let tried = own_network().args(["ip", "link"]).output();
        // Not passed over: a test that was not run must not look like one that passed.
        let tried = tried.expect("`unshare` and `ip` are needed: apt-get install util-linux iproute2");
        assert!(
            tried.status.success(),
            "no network of its own without namespaces; run as root (in a container: with the capability SYS_ADMIN), \
             or where users may have namespaces of their own: {}",
            String::from_utf8_lossy(&tried.stderr).trim()
        );
        let output = own_network()
            .args(["sh", "-c", NETWORK])
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "discovery::nodes_with_nothing_configured_find_each_other_on_their_network",
            ])
            .arg("--nocapture")
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let problems = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}\n{problems}"
        );
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let a = Daemon::start("A", Setup::default().mdns()).await.unwrap();
        let b = Daemon::start("B", Setup::default().mdns()).await.unwrap();
        have_met(&a, &b).await;
        have_met(&b, &a).await;
    });
}
