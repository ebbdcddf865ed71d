//! Who may come in, and what happens when the server comes and goes.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use futures::StreamExt as _;
use rustle_admin::fault::reason;
use rustle_admin::views::FollowFrom;
use rustle_admin::{
    BindError, Client, ClientError, Endpoint, FaultKind, Server, ServerConfig, TcpDoor, Token, location,
    parse,
};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::Running;
use crate::fake::{Fake, peer};

fn only_unix(folder: &std::path::Path) -> ServerConfig {
    ServerConfig {
        unix: Some(location::socket_path(folder)),
        tcp: None,
    }
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_goes_with_the_server() {
    let running = Running::start().await;
    let socket = running.socket();
    assert_eq!(std::fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);

    let folder = running.stop().await;

    assert!(!socket.exists());
    let error = Client::connect(&Endpoint::of_data_dir(folder.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error}");
    let expected = format!("start it with `rustled --data-dir {}`", folder.path().display());
    assert!(error.to_string().ends_with(&expected), "{error}");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_busy_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = location::socket_path(folder.path());
    drop(UnixListener::bind(&path).unwrap());
    assert!(
        path.exists(),
        "a closed listener leaves its file, as a killed daemon does"
    );

    let server = Server::bind(only_unix(folder.path())).await.unwrap();

    let second = Server::bind(only_unix(folder.path())).await.unwrap_err();
    assert!(matches!(second, BindError::SocketBusy(_)), "{second}");
    drop(server);
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    let file = Server::bind(only_unix(folder.path())).await.unwrap_err();
    assert!(matches!(file, BindError::NotASocket(_)), "{file}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_said_so_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("d".repeat(100));

    let error = Server::bind(only_unix(&deep)).await.unwrap_err();
    assert!(error.to_string().contains("107"), "{error}");
    let error = Client::connect(&Endpoint::of_data_dir(&deep)).await.unwrap_err();
    assert!(error.to_string().contains("107") && error.is_usage(), "{error}");
}

#[tokio::test]
async fn tcp_wants_loopback_a_free_port_and_a_private_token() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = location::token_path(folder.path());
    let config = |address: &str| ServerConfig {
        unix: None,
        tcp: Some(TcpDoor {
            address: address.parse().unwrap(),
            token_file: token_file.clone(),
        }),
    };

    let open = Server::bind(config("0.0.0.0:0")).await.unwrap_err();
    assert!(matches!(open, BindError::NotLoopback(_)), "{open}");
    assert!(!token_file.exists());
    let server = Server::bind(config("127.0.0.1:0")).await.unwrap();
    let taken = server.tcp_address().unwrap().to_string();
    assert!(matches!(
        Server::bind(config(&taken)).await,
        Err(BindError::PortTaken(_))
    ));
    std::fs::set_permissions(&token_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        Server::bind(config("127.0.0.1:0")).await,
        Err(BindError::Token(_))
    ));
}

#[tokio::test]
async fn tcp_callers_need_the_right_token() {
    let running = Running::start().await;
    let Endpoint::Tcp { address, .. } = running.tcp.clone() else {
        panic!("the TCP door")
    };
    assert_eq!(
        Client::connect(&running.tcp)
            .await
            .unwrap()
            .id()
            .await
            .unwrap()
            .peer,
        peer()
    );

    let other = Token::load_or_create(&running.folder.path().join("other.token")).unwrap();
    let wrong = Client::connect(&Endpoint::Tcp {
        address,
        token: other,
    })
    .await
    .unwrap();
    let refusal = wrong.status().await.unwrap_err().refusal().cloned().unwrap();
    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::Unauthenticated, reason::TOKEN_WRONG)
    );

    let uri = format!("http://{address}");
    let bare = tonic::transport::Endpoint::from_shared(uri)
        .unwrap()
        .connect()
        .await
        .unwrap();
    for service in ["", "rustle.admin.v1.Node"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let status = HealthClient::new(bare.clone()).check(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unauthenticated);
    }
}

#[tokio::test]
async fn health_and_reflection_answer() {
    let running = Running::start().await;
    let uri = format!("unix:{}", running.socket().display());
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
        assert_eq!(answer.status, 1, "{service} is serving");
    }

    let ask = |message| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let asked = tokio_stream::iter([ask(MessageRequest::ListServices(String::new()))]);
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection
        .server_reflection_info(asked)
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.next().await.unwrap().unwrap().message_response
    else {
        panic!("a list of services");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["Node", "Peers", "Content", "Chains", "Store"] {
        assert!(
            names.contains(&format!("rustle.admin.v1.{service}").as_str()),
            "{names:?}"
        );
    }
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
}

#[tokio::test]
async fn a_follower_does_not_hold_up_the_shutdown() {
    let running = Running::start().await;
    let client = running.client().await;
    client.create_chain("chat").await.unwrap();
    let mut deliveries = client
        .follow(&parse::chain("chat").unwrap(), FollowFrom::Start)
        .await
        .unwrap();
    deliveries.next().await.unwrap().unwrap();

    running.stop().await;

    let refusal = deliveries
        .next()
        .await
        .unwrap()
        .unwrap_err()
        .refusal()
        .cloned()
        .unwrap();
    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::Unavailable, reason::STOPPING)
    );
    assert!(deliveries.next().await.is_none());
}

#[tokio::test]
async fn a_server_without_doors_runs_until_it_is_stopped() {
    let server = Server::bind(ServerConfig::default()).await.unwrap();
    server
        .run(Arc::new(Fake::default()), async {}, crate::SOON)
        .await
        .unwrap();
}
