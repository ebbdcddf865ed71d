//! How does a Rust program talk to a daemon?
//!
//! With typed calls that take and give domain types. Arguments that parse are sent; what the daemon refuses comes back as
//! a [`Refusal`] with the same kind and reason for every language.

mod chains;
mod content;
mod endpoint;
mod error;
mod peers;
mod routing;
mod store;
mod tunnels;

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint as Transport};
use tonic::{Request, Response, Status, Streaming};

pub use self::content::chunks;
pub use self::endpoint::Endpoint;
pub use self::error::{ClientError, Refusal};
pub use crate::convert::Unreadable;
use crate::location::check_socket_path;
use crate::proto;
use crate::proto::node_client::NodeClient;
use crate::proto::peers_client::PeersClient;
use crate::server::{ANSWER_BYTES_MAX, CONNECTION_WINDOW_BYTES, FRAME_BYTES_MAX, STREAM_WINDOW_BYTES};
use crate::views::{NodeIdentity, NodeStatus};

/// Time to connect: the daemon is on this machine.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// While calls are under way, a silent daemon is asked whether it lives after this time ...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// ... and given up when it does not answer for this time.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a daemon. Clones share it; it comes back by itself after the daemon was restarted.
#[derive(Debug, Clone)]
pub struct Client {
    service: Door,
    endpoint: Endpoint,
}

/// A long answer. Dropping it ends the call.
pub type Answers<T> = BoxStream<'static, Result<T, ClientError>>;

type Door = InterceptedService<Channel, Credentials>;

/// Adds the token to each call.
#[derive(Debug, Clone)]
struct Credentials(Option<MetadataValue<Ascii>>);

// === impl Client ===

impl Client {
    /// Connects to a daemon.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, ClientError> {
        let (channel, credentials) = match endpoint {
            Endpoint::Unix(path) => {
                check_socket_path(path)?;
                let path = path.clone();
                // The URI only fills the `:authority` header; a path with any bytes reaches the socket unescaped.
                let connector = tower::service_fn(move |_: tonic::transport::Uri| {
                    let path = path.clone();
                    async move { UnixStream::connect(path).await.map(TokioIo::new) }
                });
                let uri = Transport::from_static("http://localhost");
                (
                    transport(uri).connect_with_connector(connector).await,
                    Credentials(None),
                )
            }
            Endpoint::Tcp { address, token } => {
                let mut bearer: MetadataValue<Ascii> = format!("Bearer {}", token.as_str())
                    .parse()
                    .expect("hexadecimal digits are allowed in a header");
                bearer.set_sensitive(true);
                let uri = Transport::from_shared(format!("http://{address}"))
                    .expect("a socket address makes a valid URI");
                (transport(uri).connect().await, Credentials(Some(bearer)))
            }
        };
        let channel = channel.map_err(|error| ClientError::of_connection(endpoint, &error))?;
        Ok(Self {
            service: InterceptedService::new(channel, credentials),
            endpoint: endpoint.clone(),
        })
    }

    /// Where the daemon is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Who the node is.
    pub async fn id(&self) -> Result<NodeIdentity, ClientError> {
        self.read(self.node().id(proto::NodeIdRequest {}).await)
    }

    /// How the node is doing.
    pub async fn status(&self) -> Result<NodeStatus, ClientError> {
        self.read(self.node().status(proto::NodeStatusRequest {}).await)
    }

    fn node(&self) -> NodeClient<Door> {
        NodeClient::new(self.service.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    fn peers_service(&self) -> PeersClient<Door> {
        PeersClient::new(self.service.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    fn take<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, ClientError> {
        answer
            .map(Response::into_inner)
            .map_err(|status| ClientError::of_status(&self.endpoint, &status))
    }

    fn read<T, U>(&self, answer: Result<Response<T>, Status>) -> Result<U, ClientError>
    where
        U: TryFrom<T, Error = Unreadable>,
    {
        Ok(U::try_from(self.take(answer)?)?)
    }

    fn read_all<T, U>(
        &self,
        answer: Result<Response<Streaming<T>>, Status>,
    ) -> Result<Answers<U>, ClientError>
    where
        T: Send + 'static,
        U: TryFrom<T, Error = Unreadable> + Send + 'static,
    {
        let endpoint = self.endpoint.clone();
        let answers = self.take(answer)?.map(move |item| match item {
            Ok(item) => Ok(U::try_from(item)?),
            Err(status) => Err(ClientError::of_status(&endpoint, &status)),
        });
        Ok(answers.boxed())
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

fn transport(endpoint: Transport) -> Transport {
    endpoint
        .connect_timeout(CONNECT_TIME)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
}
