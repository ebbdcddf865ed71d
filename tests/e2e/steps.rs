//! Do the steps of the demo come out as they should?

use std::io::Write as _;

use rustle_tests::demo::{self, CrashPlan};
use rustle_tests::{Cluster, content};

#[tokio::test]
async fn a_file_added_on_one_node_is_read_on_another() {
    let cluster = Cluster::start(["A", "C"], &demo::setup()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&content::pattern(3_000_000)).unwrap();

    let facts = demo::share_file(&cluster, file.path()).await.unwrap();

    assert!(facts.starts_with("3000000 bytes"), "{facts}");
}

#[tokio::test]
async fn invited_nodes_join_a_chain() {
    let cluster = Cluster::start(demo::NAMES, &demo::setup()).await.unwrap();
    cluster.connect_to_first().await.unwrap();

    demo::create_and_join(&cluster, "demo").await.unwrap();
}

#[tokio::test]
async fn an_invitation_alone_is_enough_to_find_the_inviter() {
    let cluster = Cluster::start(demo::NAMES, &demo::setup()).await.unwrap();

    demo::create_and_join(&cluster, "demo").await.unwrap();
}

#[tokio::test]
async fn blocks_appended_at_the_same_time_end_in_the_same_order() {
    let cluster = Cluster::start(demo::NAMES, &demo::setup()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let chain = cluster.share_chain("demo").await.unwrap();

    demo::append_together(&cluster, &chain, 100).await.unwrap();
}

#[tokio::test]
async fn the_same_holds_over_quic() {
    let cluster = Cluster::start(demo::NAMES, &demo::setup().quic()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let chain = cluster.share_chain("demo").await.unwrap();

    demo::append_together(&cluster, &chain, 20).await.unwrap();
}

#[tokio::test]
async fn a_killed_node_catches_up_and_lost_nothing() {
    let mut cluster = Cluster::start(demo::NAMES, &demo::setup()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let chain = cluster.share_chain("demo").await.unwrap();
    let plan = CrashPlan {
        acknowledged: 20,
        meanwhile: 20,
    };

    demo::crash(&mut cluster, &chain, plan).await.unwrap();
}
