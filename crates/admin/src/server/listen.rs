//! May we listen here?
//!
//! A unix socket outlives a daemon that was killed. Whether the file is a left-over is not a matter of its age: a
//! left-over refuses connections.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::TcpDoor;
use crate::location::{LocationError, check_socket_path};
use crate::token::{Token, TokenError};

/// Why the interface cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path cannot be a unix socket's.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// Another daemon listens there.
    #[error("another daemon listens at {path}; stop it, or use another data directory", path = .0.display())]
    SocketBusy(PathBuf),
    /// Something else has the path.
    #[error("{path} exists and is not a socket; move it away, or use another data directory", path = .0.display())]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen at {path}: {cause}", path = .path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// An address that other machines can reach.
    #[error("{0} is not a loopback address; use 127.0.0.1 or [::1], and ssh to come from elsewhere")]
    NotLoopback(SocketAddr),
    /// The port is taken.
    #[error("{0} is taken by another program; use another port, or 0 for any free one")]
    PortTaken(SocketAddr),
    /// The address cannot be used.
    #[error("cannot listen at {address}: {cause}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// The file of our socket; removed when dropped, unless someone else has put another in its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    owner: u32,
}

pub(super) async fn bind_unix(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    check_socket_path(path)?;
    let failed = |cause| BindError::Socket {
        path: path.to_owned(),
        cause,
    };
    match std::fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(failed(cause)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => match UnixStream::connect(path).await {
            Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
                tracing::debug!(path = %path.display(), "removing the socket of a daemon that is gone");
                std::fs::remove_file(path).map_err(failed)?;
            }
            // A full queue (EAGAIN) also means that someone listens.
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {
                return Err(BindError::SocketBusy(path.to_owned()));
            }
            Err(cause) => return Err(failed(cause)),
            Ok(_) => return Err(BindError::SocketBusy(path.to_owned())),
        },
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Whoever comes in between bind and this line is in the 0700 folder already, and is asked for its user id.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let metadata = std::fs::symlink_metadata(path).map_err(failed)?;
    let file = SocketFile {
        path: path.to_owned(),
        device: metadata.dev(),
        inode: metadata.ino(),
        owner: metadata.uid(),
    };
    Ok((listener, file))
}

pub(super) async fn bind_tcp(door: &TcpDoor) -> Result<(TcpListener, SocketAddr, Token), BindError> {
    let address = door.address;
    if !address.ip().is_loopback() {
        return Err(BindError::NotLoopback(address));
    }
    let token = Token::load_or_create(&door.token_file)?;
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AddrInUse => BindError::PortTaken(address),
        _ => BindError::Tcp { address, cause },
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let actual = listener.local_addr().map_err(failed)?;
    Ok((listener, actual, token))
}

// === impl SocketFile ===

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The user who made the socket: the one who runs this process.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode));
        if ours && let Err(cause) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %cause, "the administration socket stays behind");
        }
    }
}
