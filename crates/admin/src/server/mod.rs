//! Where is the interface served, and for how long?
//!
//! Binding and running are apart: what can fail for reasons of the machine (a taken port, another daemon) fails in
//! [`Server::bind`], before anything else of the node starts; callers that come before [`Server::run`] wait in the
//! socket's queue.

mod admitted;
mod guard;
mod listen;
mod services;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tonic::service::{InterceptorLayer, Routes};
use tonic::transport::Server as Transport;
use tonic_health::ServingStatus;

use self::guard::Guard;
pub use self::listen::BindError;
use self::listen::SocketFile;
use crate::backend::Backend;
use crate::proto::{
    DESCRIPTORS, chains_server::ChainsServer, content_server::ContentServer, node_server::NodeServer,
    peers_server::PeersServer, routing_server::RoutingServer, store_server::StoreServer,
    tunnels_server::TunnelsServer,
};
use crate::token::Token;

/// Largest request message: a chunk of 1 MiB, or a block's body with its topics, and room.
pub const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Largest request message of service `Content`: a value of 4 MiB as text, or a block of 2 MiB, and room.
pub const CONTENT_REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024 + 64 * 1024;
/// Largest answer message; lists are the largest.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Calls at once on one connection. Further ones wait in the client.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 64;
/// Connections at once on one listener. Further ones wait in its queue.
pub const CONNECTIONS_MAX: usize = 64;
/// Largest header list of a call (RFC 9113, SETTINGS_MAX_HEADER_LIST_SIZE).
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Bytes of one stream that may be on their way to this side: a few chunks, so that files come at the pace of memory.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes of all streams of a connection that may be on their way to this side.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Largest HTTP/2 frame: each costs a turn through the layers.
pub(crate) const FRAME_BYTES_MAX: u32 = 256 * 1024;
/// Streams that a client may open and reset before they are looked at (the "rapid reset" attack, CVE-2023-44487).
const RESET_STREAMS_MAX: usize = 20;
/// A silent connection is asked whether it lives after this time ...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// ... and closed when it does not answer for this time.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the backend is asked whether it is well.
const HEALTH_PACE: Duration = Duration::from_millis(500);

/// Where to serve. Without any door nothing is served.
#[derive(Debug, Clone, Default)]
pub struct ServerConfig {
    /// A unix socket at this path, for the user who runs the daemon. Its folder should have mode 0700.
    pub unix: Option<PathBuf>,
    /// Loopback TCP, for whoever can read the token file.
    pub tcp: Option<TcpDoor>,
}

/// How to serve over TCP.
#[derive(Debug, Clone)]
pub struct TcpDoor {
    /// A loopback address; port 0 for any free one.
    pub address: SocketAddr,
    /// File with the token that callers must bring; made with mode 0600 where there is none.
    pub token_file: PathBuf,
}

/// The interface, listening but not yet answering.
#[derive(Debug)]
pub struct Server {
    unix: Option<(UnixListener, SocketFile)>,
    tcp: Option<(TcpListener, SocketAddr, Token)>,
}

/// Why the interface stopped by itself.
#[derive(Debug, thiserror::Error)]
#[error("the administration interface stopped: {0}")]
pub struct ServeError(#[from] tonic::transport::Error);

// === impl Server ===

impl Server {
    /// Opens the doors.
    pub async fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let unix = match &config.unix {
            Some(path) => Some(listen::bind_unix(path).await?),
            None => None,
        };
        let tcp = match &config.tcp {
            Some(door) => Some(listen::bind_tcp(door).await?),
            None => None,
        };
        Ok(Self { unix, tcp })
    }

    /// The path of the unix socket, where there is one.
    pub fn socket_path(&self) -> Option<&Path> {
        self.unix.as_ref().map(|(_, file)| file.path())
    }

    /// The address of the TCP door with its actual port, where there is one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().map(|(_, address, _)| *address)
    }

    /// Answers until `shutdown`; then takes no new calls, ends streams with `Unavailable`, and gives the calls under way
    /// up to `grace` to finish. Removes the unix socket at the end.
    pub async fn run<B: Backend>(
        self,
        backend: Arc<B>,
        shutdown: impl Future<Output = ()> + Send,
        grace: Duration,
    ) -> Result<(), ServeError> {
        let (stop, stopping) = watch::channel(false);
        let (health, routes) = routes(Arc::clone(&backend), &stopping).await;

        let serve_unix = async {
            let Some((listener, file)) = self.unix else {
                return Ok(());
            };
            let incoming = admitted::incoming(listener, CONNECTIONS_MAX);
            transport(Guard::Owner { uid: file.owner() })
                .add_routes(routes.clone())
                .serve_with_incoming_shutdown(incoming, stopped(stopping.clone()))
                .await
        };
        let serve_tcp = async {
            let Some((listener, _, token)) = self.tcp else {
                return Ok(());
            };
            let incoming = admitted::incoming(listener, CONNECTIONS_MAX);
            transport(Guard::Bearer { token })
                .add_routes(routes.clone())
                .serve_with_incoming_shutdown(incoming, stopped(stopping.clone()))
                .await
        };
        let overdue = async {
            shutdown.await;
            health.set_service_status("", ServingStatus::NotServing).await;
            stop.send_replace(true);
            tokio::time::sleep(grace).await;
        };
        let watched = async {
            let mut healthy = true;
            loop {
                tokio::time::sleep(HEALTH_PACE).await;
                if backend.is_healthy() != healthy && !*stopping.borrow() {
                    healthy = !healthy;
                    let status = match healthy {
                        true => ServingStatus::Serving,
                        false => ServingStatus::NotServing,
                    };
                    health.set_service_status("", status).await;
                }
            }
        };
        tokio::select! {
            () = watched => Ok(()),
            ended = futures::future::try_join(serve_unix, serve_tcp) => ended.map(|_| ()).map_err(ServeError),
            () = overdue => {
                tracing::warn!(?grace, "administration calls were cut off at shutdown");
                Ok(())
            }
        }
    }
}

/// Ends once the server is stopping, or has been dropped.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    stopping.wait_for(|stopping| *stopping).map(|_| ()).await;
}

fn transport(
    guard: Guard,
) -> Transport<tower::layer::util::Stack<InterceptorLayer<Guard>, tower::layer::util::Identity>> {
    Transport::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS_MAX))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(InterceptorLayer::new(guard))
}

async fn routes<B: Backend>(
    backend: Arc<B>,
    stopping: &watch::Receiver<bool>,
) -> (tonic_health::server::HealthReporter, Routes) {
    let service = services::Service::new(backend, stopping.clone());
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<NodeServer<services::Service<B>>>().await;
    reporter.set_serving::<PeersServer<services::Service<B>>>().await;
    reporter
        .set_serving::<ContentServer<services::Service<B>>>()
        .await;
    reporter.set_serving::<ChainsServer<services::Service<B>>>().await;
    reporter
        .set_serving::<RoutingServer<services::Service<B>>>()
        .await;
    reporter
        .set_serving::<TunnelsServer<services::Service<B>>>()
        .await;
    reporter.set_serving::<StoreServer<services::Service<B>>>().await;

    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let checked_in = "the descriptor set is checked in, and a test asks for it";
    let routes = Routes::new(health)
        .add_service(reflection().build_v1().expect(checked_in))
        .add_service(reflection().build_v1alpha().expect(checked_in))
        .add_service(
            NodeServer::new(service.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .max_encoding_message_size(ANSWER_BYTES_MAX),
        )
        .add_service(
            PeersServer::new(service.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .max_encoding_message_size(ANSWER_BYTES_MAX),
        )
        .add_service(
            ContentServer::new(service.clone())
                .max_decoding_message_size(CONTENT_REQUEST_BYTES_MAX)
                .max_encoding_message_size(ANSWER_BYTES_MAX),
        )
        .add_service(
            ChainsServer::new(service.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .max_encoding_message_size(ANSWER_BYTES_MAX),
        )
        .add_service(
            RoutingServer::new(service.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .max_encoding_message_size(ANSWER_BYTES_MAX),
        )
        .add_service(
            StoreServer::new(service.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .max_encoding_message_size(ANSWER_BYTES_MAX),
        )
        .add_service(
            TunnelsServer::new(service)
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .max_encoding_message_size(ANSWER_BYTES_MAX),
        );
    (reporter, routes)
}
