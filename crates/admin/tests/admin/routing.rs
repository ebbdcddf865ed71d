//! The calls about who has which content, and about tunnels.

use std::time::Duration;

use futures::StreamExt as _;
use rustle_admin::fault::reason;
use rustle_admin::views::*;
use rustle_admin::{ClientError, FaultKind, TunnelsBackend as _, parse};

use crate::Running;
use crate::fake::{address, peer};

const CID: &str = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";

fn refusal(error: &ClientError) -> (FaultKind, String) {
    match error {
        ClientError::Refused(refusal) => (refusal.kind, refusal.reason.clone()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn providers_are_told_and_found() {
    let running = Running::start().await;
    let client = running.client().await;
    let cid = parse::cid(CID).unwrap();

    let told: Vec<_> = client.provide(cid, true).await.unwrap().collect().await;
    assert_eq!(told.len(), 2);
    let first = told[0].as_ref().unwrap();
    assert_eq!((first.cid, first.told[0].nodes), (cid, 7));
    assert_eq!(first.told[0].dht, "ipfs-lan");

    let query = ProviderQuery {
        limit: 3,
        timeout: Duration::from_secs(9),
        ..ProviderQuery::new(cid)
    };
    let found: Vec<_> = client.find_providers(query).await.unwrap().collect().await;
    let found: Vec<Provider> = found.into_iter().map(Result::unwrap).collect();
    let expected = Provider {
        peer: peer(),
        addresses: vec![address()],
    };
    assert_eq!(found, [expected]);
    assert!(running.fake.asked().contains("limit: 3, timeout: 9s"));

    let nobody = ProviderQuery {
        limit: 1,
        ..ProviderQuery::new(cid)
    };
    let mut found = client.find_providers(nobody).await.unwrap();
    let error = found.next().await.unwrap().unwrap_err();
    assert_eq!(
        refusal(&error),
        (FaultKind::NotFound, reason::CONTENT_NOT_FOUND.to_owned())
    );
    let many = ProviderQuery {
        limit: ProviderQuery::LIMIT_MAX + 1,
        ..ProviderQuery::new(cid)
    };
    let error = client.find_providers(many).await.err().unwrap();
    assert_eq!(refusal(&error).0, FaultKind::InvalidArgument);
}

#[tokio::test]
async fn tunnels_come_back_as_they_were_asked_for() {
    let running = Running::start().await;
    let client = running.client().await;
    let target = parse::tcp("/ip6/::1/tcp/80").unwrap();

    for access in [
        TunnelAccess::Network,
        TunnelAccess::Anybody,
        TunnelAccess::Peers(vec![peer()]),
    ] {
        let tunnel = client.tunnel_listen("/x/web", target, &access).await.unwrap();
        assert_eq!(tunnel.side, TunnelSide::Listen { target, access });
    }
    let crowd = TunnelAccess::Peers(vec![peer(); Tunnel::ALLOWED_MAX + 1]);
    let error = client.tunnel_listen("/x/web", target, &crowd).await.unwrap_err();
    assert_eq!(refusal(&error).0, FaultKind::InvalidArgument);

    for text in [peer().to_string(), address().to_string()] {
        let end = parse::tunnel_end(&text).unwrap();
        let tunnel = client.tunnel_forward("/x/web", target, &end).await.unwrap();
        let expected = TunnelSide::Forward {
            listen: target,
            peer: peer(),
        };
        assert_eq!((tunnel.side, tunnel.id), (expected, 2));
    }
    assert_eq!(
        client.tunnels().await.unwrap(),
        running.fake.tunnels().await.unwrap()
    );
    let by_name = |name: &str| TunnelFilter {
        protocol: Some(name.to_owned()),
        listens: Some(true),
        ..TunnelFilter::default()
    };
    assert_eq!(client.close_tunnels(by_name("/x/web")).await.unwrap(), 1);
    let error = client.close_tunnels(by_name("/x/other")).await.unwrap_err();
    assert_eq!(refusal(&error).1, reason::TUNNEL_NOT_FOUND);
}
