//! The interface over real sockets: each call, each door, each kind of failure.

mod calls;
mod content;
mod doors;
mod fake;
mod refusals;
mod routing;
mod store;
mod trees;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustle_admin::{Client, Endpoint, ServeError, Server, ServerConfig, TcpDoor, Token, location};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use fake::Fake;

/// Longest wait for something that happens at once, on a machine that does much else.
const SOON: Duration = Duration::from_secs(20);

/// A server over a fake node, with both doors open.
struct Running {
    folder: tempfile::TempDir,
    fake: Arc<Fake>,
    tcp: Endpoint,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let token_file = location::token_path(folder.path());
        let config = ServerConfig {
            unix: Some(location::socket_path(folder.path())),
            tcp: Some(TcpDoor {
                address: ([127, 0, 0, 1], 0).into(),
                token_file: token_file.clone(),
            }),
        };
        let server = Server::bind(config).await.expect("both doors open");
        let address = server.tcp_address().expect("the TCP door");
        let token = Token::load(&token_file).expect("bind made the token");
        let fake = Arc::new(Fake::default());
        let (stop, stopped) = oneshot::channel();
        let backend = fake.clone();
        let shutdown = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(server.run(backend, shutdown, SOON));
        Self {
            folder,
            fake,
            tcp: Endpoint::Tcp { address, token },
            stop,
            task,
        }
    }

    fn socket(&self) -> PathBuf {
        location::socket_path(self.folder.path())
    }

    async fn client(&self) -> Client {
        Client::connect(&Endpoint::of_data_dir(self.folder.path()))
            .await
            .expect("the socket answers")
    }

    /// Stops the server and waits for its end.
    async fn stop(self) -> tempfile::TempDir {
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(SOON / 2, self.task)
            .await
            .expect("it stops before its grace is over");
        ended.expect("no panic").expect("no error");
        self.folder
    }
}
