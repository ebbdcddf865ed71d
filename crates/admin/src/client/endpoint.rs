//! Where is the daemon?

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::ClientError;
use crate::location;
use crate::token::Token;

/// A daemon's door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Its unix socket.
    Unix(PathBuf),
    /// Its TCP door, and the token for it.
    Tcp {
        /// The address.
        address: SocketAddr,
        /// The token.
        token: Token,
    },
}

// === impl Endpoint ===

impl Endpoint {
    /// The unix socket of the daemon with this data directory.
    pub fn of_data_dir(data_dir: &Path) -> Self {
        Self::Unix(location::socket_path(data_dir))
    }

    /// Reads `unix:/path/admin.sock` or `http://127.0.0.1:PORT`; the latter takes its token from `token_file`.
    pub fn parse(text: &str, token_file: &Path) -> Result<Self, ClientError> {
        let bad = || ClientError::BadEndpoint(text.chars().take(120).collect());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(bad())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        let address = text.strip_prefix("http://").ok_or_else(bad)?;
        let address = address
            .strip_suffix('/')
            .unwrap_or(address)
            .parse()
            .map_err(|_| bad())?;
        Ok(Self::Tcp {
            address,
            token: Token::load(token_file)?,
        })
    }

    pub(super) fn start_hint(&self) -> String {
        match self {
            Self::Unix(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                format!(
                    "`rustled --data-dir {}`",
                    folder.unwrap_or(Path::new(".")).display()
                )
            }
            Self::Tcp { address, .. } => format!("`rustled --admin {address}`"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp { address, .. } => write!(f, "http://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_a_socket_or_an_address() {
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("admin.token");
        Token::load_or_create(&token_file).unwrap();
        let parse = |text| Endpoint::parse(text, &token_file);

        assert_eq!(
            parse("unix:/run/a.sock").unwrap(),
            Endpoint::Unix("/run/a.sock".into())
        );
        assert_eq!(
            parse("unix:///run/a.sock").unwrap(),
            Endpoint::Unix("/run/a.sock".into())
        );
        assert_eq!(
            parse("http://127.0.0.1:7070/").unwrap().to_string(),
            "http://127.0.0.1:7070"
        );
        for bad in [
            "",
            "unix:",
            "127.0.0.1:7070",
            "http://localhost",
            "https://127.0.0.1:1",
        ] {
            assert!(matches!(parse(bad), Err(ClientError::BadEndpoint(_))), "{bad}");
        }
        let missing = Endpoint::parse("http://127.0.0.1:1", &folder.path().join("none"));
        assert!(matches!(missing, Err(ClientError::Token(_))));
    }
}
