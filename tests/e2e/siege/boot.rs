//! Does a node find its way where those who should show it are dead or lie?

use std::time::Duration;

use rustle_adversary::{Adversary, Heard, Listener, hello};
use rustle_tests::waiting::{peers_are, within};
use rustle_tests::{Cluster, Daemon, Setup, tcp_of};
use rustle_types::Multiaddr;
use rustle_wire::Control;

use super::source;
use crate::SOON;

/// Time to find a known peer among those that do not answer.
const RECOVERY: Duration = Duration::from_secs(30);

/// How a boot node lies.
#[derive(Debug, Clone, Copy)]
enum Lie {
    /// It accepts and says nothing.
    Silence,
    /// It says what nobody understands.
    Garbage,
    /// It claims to be of another network.
    Elsewhere,
    /// It shakes hands and hangs up.
    HangUp,
}

/// Lies to whoever comes, for as long as the test runs.
async fn liar(lie: Lie, host: u8) -> Multiaddr {
    let listener = Listener::bind(source(6, host)).await.unwrap();
    let adversary = Adversary::new();
    let address = listener.address_of(adversary.peer_id());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            match lie {
                Lie::Silence => kept.push(listener.accept().await),
                Lie::Garbage | Lie::Elsewhere | Lie::HangUp => {
                    let Ok((peer, mut control)) = listener.accept_control(&adversary).await else {
                        continue;
                    };
                    let Heard::Message(Control::Hello(_)) = control.next().await else {
                        continue;
                    };
                    let _ = match lie {
                        Lie::Elsewhere => control.send(&Control::HelloAck(hello("elsewhere"))).await,
                        Lie::HangUp => control.send(&Control::HelloAck(hello("tests"))).await,
                        Lie::Silence | Lie::Garbage => control.bytes(&[0xff; 32]).await,
                    };
                    drop(peer);
                }
            }
        }
    });
    address
}

#[tokio::test]
async fn a_node_recovers_from_its_book_where_all_boot_nodes_are_dead_or_lie() {
    let friends = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    let mut node = Daemon::start("target", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    for friend in friends.nodes() {
        client.connect_peer(friend.address(), None).await.unwrap();
    }

    let gone = Daemon::start("gone", Setup::default()).await.unwrap();
    let mut setup = Setup::default().bootstrap(gone.address());
    drop(gone);
    for (host, lie) in (1..).zip([Lie::Silence, Lie::Garbage, Lie::Elsewhere, Lie::HangUp]) {
        setup = setup.bootstrap(&liar(lie, host).await);
    }
    node.set_up(setup.listen(&tcp_of(node.address())));
    node.restart().await.unwrap();

    let client = node.client().await.unwrap();
    let found = peers_are(&client, "the peers of the book", RECOVERY, |peers| {
        let is_there = |friend: &Daemon| peers.iter().any(|peer| peer.peer == friend.peer());
        friends.nodes().iter().all(is_there)
    });
    found.await.unwrap();
}

#[tokio::test]
async fn a_boot_node_that_comes_late_is_found() {
    let mut late = Daemon::start("late", Setup::default()).await.unwrap();
    late.set_up(Setup::default().listen(&tcp_of(late.address())));
    late.kill().await.unwrap();
    let setup = Setup::default().bootstrap(late.address());
    let node = Daemon::start("target", setup).await.unwrap();
    assert_eq!(node.client().await.unwrap().peers().await.unwrap(), []);

    late.restart().await.unwrap();

    let client = node.client().await.unwrap();
    let found = peers_are(&client, "the boot node", RECOVERY, |peers| peers.len() == 1);
    within("the boot node", SOON + RECOVERY, found)
        .await
        .unwrap()
        .unwrap();
}
