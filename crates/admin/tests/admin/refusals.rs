//! What is refused, and how a program can tell.

use rustle_admin::fault::reason;
use rustle_admin::proto::chains_client::ChainsClient;
use rustle_admin::proto::content_add_request::Request as Part;
use rustle_admin::proto::content_client::ContentClient;
use rustle_admin::proto::peers_client::PeersClient;
use rustle_admin::proto::{
    AddEnd, AddOptions, ChainsAppendRequest, ChainsCreateRequest, ChainsJoinRequest, ChainsLogRequest,
    ContentAddRequest, ContentCatRequest, PeersAddressesRequest, PeersBanRequest, PeersConnectRequest,
    PeersInfoRequest, PeersListRequest,
};
use rustle_admin::{CHUNK_BYTES_MAX, ClientError, FaultKind, parse};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{Running, SOON};

/// A connection without the typed client, as a program in another language has it.
pub(crate) async fn raw(running: &Running) -> Channel {
    let uri = format!("unix:{}", running.socket().display());
    Endpoint::from_shared(uri)
        .expect("a URI")
        .connect()
        .await
        .expect("the socket answers")
}

/// Sends all of an import, and takes all of its answer.
async fn add(content: &mut ContentClient<Channel>, parts: Vec<ContentAddRequest>) -> Result<(), Status> {
    let mut answers = content.add(tokio_stream::iter(parts)).await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

fn assert_bad_argument(what: &str, status: &Status) {
    assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status}");
    let info = status
        .get_details_error_info()
        .expect("every refusal has details");
    assert_eq!(
        (info.domain.as_str(), info.reason.as_str()),
        ("rustle", reason::BAD_ARGUMENT),
        "{what}"
    );
    assert!(!status.message().contains('\n'), "{what}: {status}");
}

#[tokio::test]
async fn malformed_arguments_are_invalid_and_say_why() {
    let running = Running::start().await;
    let channel = raw(&running).await;
    let mut chains = ChainsClient::new(channel.clone());
    let mut peers = PeersClient::new(channel.clone());
    let mut content = ContentClient::new(channel);

    let request = PeersConnectRequest {
        address: "127.0.0.1:4001".to_owned(),
        timeout_ms: 0,
    };
    assert_bad_argument("address", &peers.connect(request).await.unwrap_err());
    let request = PeersConnectRequest {
        address: "/ip4/127.0.0.1/tcp/1".to_owned(),
        timeout_ms: 120_001,
    };
    assert_bad_argument("time limit", &peers.connect(request).await.unwrap_err());
    let request = ContentCatRequest {
        cid: "Qmnothing".to_owned(),
        ..Default::default()
    };
    assert_bad_argument("cid", &content.cat(request).await.unwrap_err());
    let request = ChainsCreateRequest {
        name: "a\tb".to_owned(),
    };
    assert_bad_argument("name", &chains.create(request).await.unwrap_err());
    let request = ChainsJoinRequest {
        invitation: "rustle9x".to_owned(),
        timeout_ms: 0,
    };
    assert_bad_argument("invitation", &chains.join(request).await.unwrap_err());
    let request = ChainsLogRequest {
        chain: "chat".to_owned(),
        after: "x".to_owned(),
        ..Default::default()
    };
    assert_bad_argument("after", &chains.log(request).await.unwrap_err());
    let request = ChainsLogRequest {
        chain: "chat".to_owned(),
        order: 77,
        ..Default::default()
    };
    assert_bad_argument("order", &chains.log(request).await.unwrap_err());
    let request = ChainsAppendRequest {
        chain: "chat".to_owned(),
        topics: Vec::new(),
        body: vec![0; 256 * 1024 + 1].into(),
    };
    assert_bad_argument("body", &chains.append(request).await.unwrap_err());
}

#[tokio::test]
async fn malformed_questions_about_peers_are_invalid() {
    let running = Running::start().await;
    let mut peers = PeersClient::new(raw(&running).await);

    for filter in [(9, 0), (0, 9)] {
        let request = PeersListRequest {
            class: filter.0,
            direction: filter.1,
        };
        assert_bad_argument("filter", &peers.list(request).await.unwrap_err());
    }
    let request = PeersInfoRequest {
        peer_id: "12D3Koo".to_owned(),
    };
    assert_bad_argument("peer", &peers.info(request).await.unwrap_err());
    let ban = |target: &str, duration_ms, reason: &str| PeersBanRequest {
        target: target.to_owned(),
        duration_ms,
        reason: reason.to_owned(),
    };
    for request in [
        ban("example.com", 0, ""),
        ban("192.0.2.0/33", 0, ""),
        ban("192.0.2.1", 999, ""),
        ban("192.0.2.1", 0, "a\nb"),
        ban("192.0.2.1", 0, &"x".repeat(129)),
    ] {
        let what = format!("{request:?}");
        assert_bad_argument(&what, &peers.ban(request).await.unwrap_err());
    }
    for (table, after, limit) in [(9, "", 0), (0, "x", 0), (0, "", 1001)] {
        let after = after.to_owned();
        let request = PeersAddressesRequest { table, after, limit };
        assert_bad_argument("page", &peers.addresses(request).await.unwrap_err());
    }
    assert_eq!(running.fake.rules.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn an_upload_has_options_first_and_small_chunks() {
    let running = Running::start().await;
    let mut content = ContentClient::new(raw(&running).await);
    let part = |part| ContentAddRequest { request: Some(part) };
    let options = |profile| {
        part(Part::Options(AddOptions {
            profile,
            ..AddOptions::default()
        }))
    };
    let chunk = |len: usize| part(Part::Chunk(vec![0; len].into()));
    let end = |bytes| part(Part::End(AddEnd { bytes }));

    for (what, parts) in [
        ("no options", vec![chunk(1)]),
        ("nothing", vec![]),
        (
            "an empty message",
            vec![options(0), ContentAddRequest { request: None }],
        ),
        ("options twice", vec![options(0), options(0)]),
        ("an unknown profile", vec![options(9), chunk(1)]),
        ("a chunk too large", vec![options(0), chunk(CHUNK_BYTES_MAX + 1)]),
        ("only an end", vec![end(0)]),
    ] {
        assert_bad_argument(what, &add(&mut content, parts).await.unwrap_err());
    }
    for (what, parts) in [
        ("no end", vec![options(0), chunk(1)]),
        ("a chunk is missing", vec![options(0), chunk(1), end(2)]),
    ] {
        let status = add(&mut content, parts).await.unwrap_err();
        assert_eq!(
            status.get_details_error_info().unwrap().reason,
            reason::UPLOAD_BROKEN,
            "{what}"
        );
    }
    assert!(running.fake.files.lock().unwrap().is_empty());

    let huge = add(&mut content, vec![options(0), chunk(5 << 20)])
        .await
        .unwrap_err();
    assert!(
        matches!(
            huge.code(),
            Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument
        ),
        "{huge}"
    );
    let whole = vec![options(0), chunk(CHUNK_BYTES_MAX), end(CHUNK_BYTES_MAX as u64)];
    add(&mut content, whole).await.unwrap();
}

#[tokio::test]
async fn failures_of_the_node_keep_kind_reason_and_facts() {
    let running = Running::start().await;
    let client = running.client().await;
    let refusal = |error: ClientError| error.refusal().cloned().unwrap();

    let unknown = refusal(client.leaves(&parse::chain("nobody").unwrap()).await.unwrap_err());
    assert_eq!(
        (unknown.kind, unknown.reason.as_str()),
        (FaultKind::NotFound, reason::CHAIN_NOT_FOUND)
    );

    let to = |port| {
        format!("/ip4/127.0.0.1/tcp/{port}/p2p/{}", crate::fake::PEER)
            .parse()
            .unwrap()
    };
    let dead = refusal(client.connect_peer(&to(1), None).await.unwrap_err());
    assert_eq!(
        (dead.kind, dead.reason.as_str()),
        (FaultKind::Unavailable, reason::UNREACHABLE)
    );
    let other = refusal(client.connect_peer(&to(2), None).await.unwrap_err());
    assert_eq!(
        (other.kind, other.reason.as_str()),
        (FaultKind::FailedPrecondition, reason::INCOMPATIBLE_NETWORK)
    );
    assert_eq!(
        (other.metadata["ours"].as_str(), other.metadata["theirs"].as_str()),
        ("test", "other")
    );

    let stranger = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
        .parse()
        .unwrap();
    let target = parse::target("192.0.2.7").unwrap();
    for (answer, expected) in [
        (client.peer(&stranger).await.map(drop), reason::PEER_NOT_FOUND),
        (
            client.disconnect_peer(&stranger).await,
            reason::PEER_NOT_CONNECTED,
        ),
        (client.unban(&target).await, reason::RULE_NOT_FOUND),
        (client.disallow(&target).await, reason::RULE_NOT_FOUND),
    ] {
        let refused = refusal(answer.unwrap_err());
        assert_eq!(
            (refused.kind, refused.reason.as_str()),
            (FaultKind::NotFound, expected)
        );
    }

    let nowhere = rustle_types::BlockId::of(b"nowhere").cid();
    let missing = refusal(client.cat_whole(nowhere, SOON, 1).await.unwrap_err());
    assert_eq!(
        (missing.kind, missing.reason.as_str()),
        (FaultKind::DeadlineExceeded, reason::CONTENT_NOT_FOUND)
    );
}
