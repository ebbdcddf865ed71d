//! Do invitations let in whom they should, and nobody else?

use std::time::Duration;

use rustle_admin::FaultKind;
use rustle_admin::fault::reason;
use rustle_admin::views::InviteTerms;
use rustle_tests::waiting::{append, converged};
use rustle_tests::{Cluster, Setup, rustle_at};

use crate::{ONCE, SOON, named, refused};

#[tokio::test]
async fn a_tampered_invitation_is_refused() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    let a = cluster.client(0).await.unwrap();
    let b = cluster.client(1).await.unwrap();
    a.create_chain("chat").await.unwrap();
    let invitation = a.invite(&named("chat"), ONCE).await.unwrap();

    // One character at a time: the chain, the key, the signature, the end.
    for place in [
        10,
        invitation.len() / 3,
        invitation.len() / 2,
        invitation.len() - 2,
    ] {
        let mut tampered = invitation.clone().into_bytes();
        tampered[place] = if tampered[place] == b'a' { b'b' } else { b'a' };
        let tampered = String::from_utf8(tampered).unwrap();
        let refusal = refused(b.join(&tampered, Some(Duration::from_secs(3))).await);
        assert_ne!(refusal.kind, FaultKind::Internal, "{refusal}");
    }

    assert!(b.chains().await.unwrap().is_empty(), "no part of the chain came");
    b.join(&invitation, None)
        .await
        .expect("the whole one is still good");
}

#[tokio::test]
async fn an_expired_invitation_is_refused() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    let a = cluster.client(0).await.unwrap();
    let b = cluster.client(1).await.unwrap();
    a.create_chain("chat").await.unwrap();
    let terms = InviteTerms {
        expires_in: Some(Duration::from_secs(1)),
        uses: 1,
    };
    let invitation = a.invite(&named("chat"), terms).await.unwrap();

    // The end of an invitation is a time and no event.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let refusal = refused(b.join(&invitation, Some(SOON)).await);

    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::FailedPrecondition, reason::INVITATION_EXPIRED),
        "{refusal}"
    );
    assert!(b.chains().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_invitation_for_one_lets_in_one() {
    let cluster = Cluster::start(["A", "B", "C"], &Setup::default()).await.unwrap();
    let clients = cluster.clients().await.unwrap();
    let [a, b, c] = &clients[..] else {
        panic!("three nodes")
    };
    a.create_chain("chat").await.unwrap();
    let invitation = a.invite(&named("chat"), ONCE).await.unwrap();
    b.join(&invitation, None).await.unwrap();

    let refusal = refused(c.join(&invitation, Some(SOON)).await);

    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::FailedPrecondition, reason::INVITATION_USED),
        "{refusal}"
    );
    assert!(c.chains().await.unwrap().is_empty());
    let shown = rustle_at(cluster.node(2).data_dir(), ["chain", "join", &invitation])
        .await
        .unwrap();
    shown.refusal(1);
}

#[tokio::test]
async fn a_used_invitation_stays_used_after_a_kill() {
    let mut cluster = Cluster::start(["A", "B", "C"], &Setup::default()).await.unwrap();
    let a = cluster.client(0).await.unwrap();
    a.create_chain("chat").await.unwrap();
    let invitation = a.invite(&named("chat"), ONCE).await.unwrap();
    cluster
        .client(1)
        .await
        .unwrap()
        .join(&invitation, None)
        .await
        .unwrap();

    cluster.node_mut(0).kill().await.unwrap();
    let port = rustle_tests::tcp_of(cluster.node(0).address());
    cluster.node_mut(0).set_up(Setup::default().listen(&port));
    cluster.node_mut(0).restart().await.unwrap();
    let refusal = refused(
        cluster
            .client(2)
            .await
            .unwrap()
            .join(&invitation, Some(SOON))
            .await,
    );

    assert_eq!(refusal.reason, reason::INVITATION_USED, "{refusal}");
}

#[tokio::test]
async fn an_open_invitation_lets_in_any_number() {
    let cluster = Cluster::start(["A", "B", "C"], &Setup::default()).await.unwrap();
    let clients = cluster.clients().await.unwrap();
    let chain = rustle_admin::views::ChainRef::Id(clients[0].create_chain("chat").await.unwrap());
    let terms = InviteTerms {
        expires_in: Some(Duration::from_secs(3600)),
        uses: 0,
    };
    let invitation = clients[0].invite(&chain, terms).await.unwrap();

    for client in &clients[1..] {
        client.join(&invitation, None).await.unwrap();
        append(client, &chain, "here").await.unwrap();
    }

    let digest = converged(&clients, &chain, SOON).await.unwrap();
    assert_eq!(digest.blocks, 3);
}

#[tokio::test]
async fn joining_again_changes_nothing() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    let clients = cluster.clients().await.unwrap();
    let chain = rustle_admin::views::ChainRef::Id(clients[0].create_chain("chat").await.unwrap());
    let terms = InviteTerms {
        expires_in: None,
        uses: 0,
    };
    let invitation = clients[0].invite(&chain, terms).await.unwrap();
    let first = clients[1].join(&invitation, None).await.unwrap();
    append(&clients[1], &chain, "here").await.unwrap();

    let refusal = refused(clients[1].join(&invitation, None).await);

    assert_eq!(refusal.kind, FaultKind::AlreadyExists, "{refusal}");
    assert!(refusal.message.contains(&first.chain.to_string()), "{refusal}");
    let digest = converged(&clients, &chain, SOON).await.unwrap();
    assert_eq!(digest.blocks, 2);
}

#[tokio::test]
async fn a_join_ends_at_its_deadline_when_nobody_is_there() {
    let mut cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    let a = cluster.client(0).await.unwrap();
    a.create_chain("chat").await.unwrap();
    let invitation = a.invite(&named("chat"), ONCE).await.unwrap();
    cluster.node_mut(0).kill().await.unwrap();

    let node = cluster.node(1);
    let arguments = ["chain", "join", &invitation, "--timeout", "2s"];
    let refused = rustle_at(node.data_dir(), arguments).await.unwrap();

    refused.refusal(1);
    assert!(node.client().await.unwrap().chains().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_silent_member_does_not_hide_the_others() {
    let mut cluster = Cluster::start(["A", "B", "C"], &Setup::default()).await.unwrap();
    let chain = {
        let a = cluster.client(0).await.unwrap();
        rustle_admin::views::ChainRef::Id(a.create_chain("chat").await.unwrap())
    };
    let terms = InviteTerms {
        expires_in: None,
        uses: 0,
    };
    let (a, b) = (cluster.client(0).await.unwrap(), cluster.client(1).await.unwrap());
    let first = a.invite(&chain, terms).await.unwrap();
    b.join(&first, None).await.unwrap();
    append(&b, &chain, "here").await.unwrap();
    converged(&[a.clone(), b.clone()], &chain, SOON).await.unwrap();
    // Made while B is connected, so that it names both.
    let invitation = a.invite(&chain, terms).await.unwrap();

    // A is gone, and its port swallows whatever comes, as a firewall would.
    let address = cluster.node(0).address().to_string();
    let port: u16 = address.split('/').nth(4).unwrap().parse().unwrap();
    cluster.node_mut(0).kill().await.unwrap();
    let _silent = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();

    let c = cluster.client(2).await.unwrap();
    c.join(&invitation, Some(SOON)).await.expect("B can answer");
    let digest = converged(&[b, c], &chain, SOON).await.unwrap();
    assert_eq!(digest.blocks, 2);
}
