//! Where do a daemon and its clients find each other?
//!
//! In the data directory. Both sides ask here, so that `rustle` finds the `rustled` that was started without flags.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Longest path of a unix socket: `sockaddr_un.sun_path` holds 108 bytes, the last a zero (unix(7)).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Why there is no usable place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// The environment names no home.
    #[error("neither HOME, XDG_DATA_HOME nor RUSTLE_DATA_DIR is set; give --data-dir")]
    NoHome,
    /// A unix socket cannot have this path.
    #[error(
        "the socket path {path} has {bytes} bytes, a unix socket allows {SOCKET_PATH_BYTES_MAX}; \
         use a data directory with a shorter path",
        path = .path.display()
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
}

/// The data directory where none is given: `$RUSTLE_DATA_DIR`, else `$XDG_DATA_HOME/rustle`, else
/// `~/.local/share/rustle`.
pub fn default_data_dir() -> Result<PathBuf, LocationError> {
    data_dir_from(|name| env::var_os(name))
}

/// The socket of the daemon with this data directory.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.sock")
}

/// The token file of the daemon with this data directory.
pub fn token_path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

/// Refuses a path that no unix socket can have.
pub fn check_socket_path(path: &Path) -> Result<(), LocationError> {
    let bytes = path.as_os_str().len();
    if bytes <= SOCKET_PATH_BYTES_MAX {
        Ok(())
    } else {
        Err(LocationError::SocketPathTooLong {
            path: path.to_owned(),
            bytes,
        })
    }
}

/// Empty variables count as unset, and relative ones of the XDG family too (XDG Base Directory Specification).
fn data_dir_from(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, LocationError> {
    let path = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = path("RUSTLE_DATA_DIR") {
        return Ok(folder);
    }
    if let Some(folder) = path("XDG_DATA_HOME").filter(|folder| folder.is_absolute()) {
        return Ok(folder.join("rustle"));
    }
    match path("HOME") {
        Some(home) => Ok(home.join(".local/share/rustle")),
        None => Err(LocationError::NoHome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<PathBuf, LocationError> {
        data_dir_from(|name| {
            variables
                .iter()
                .find(|(set, _)| *set == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_nearest_variable_wins() {
        let home = ("HOME", "/users/ada");
        assert_eq!(with(&[home]), Ok("/users/ada/.local/share/rustle".into()));
        assert_eq!(
            with(&[home, ("XDG_DATA_HOME", "/data")]),
            Ok("/data/rustle".into())
        );
        assert_eq!(
            with(&[home, ("XDG_DATA_HOME", "relative")]),
            Ok("/users/ada/.local/share/rustle".into())
        );
        assert_eq!(
            with(&[home, ("XDG_DATA_HOME", "/data"), ("RUSTLE_DATA_DIR", "/r")]),
            Ok("/r".into())
        );
        assert_eq!(
            with(&[home, ("RUSTLE_DATA_DIR", "")]),
            Ok("/users/ada/.local/share/rustle".into())
        );
        assert_eq!(with(&[]), Err(LocationError::NoHome));
    }

    #[test]
    fn a_socket_path_has_107_bytes_at_most() {
        assert_eq!(check_socket_path(Path::new(&"/".repeat(107))), Ok(()));
        let error = check_socket_path(Path::new(&"/".repeat(108))).unwrap_err();
        assert!(error.to_string().contains("108 bytes"), "{error}");
    }
}
