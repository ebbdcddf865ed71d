//! The node's key and its data directory: made once, kept private, used by one process.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use rustle_net::{Identity, IdentityError};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The system refused.
    #[error(
        "data directory {path}: {error}; check its owner and permissions or choose another with --data-dir"
    )]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Another node runs in it.
    #[error(
        "data directory {0} is in use by another rustled; stop that one or choose another with --data-dir"
    )]
    Busy(PathBuf),
    /// The key file is damaged.
    #[error("identity {path}: {error}; restore the file from a backup, or remove it for a new identity")]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: IdentityError,
    },
}

/// A data directory that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

// === impl DataDir ===

impl DataDir {
    /// Makes the directory where it is missing (mode 0700), and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let io = |error| DataDirError::Io {
            path: path.to_owned(),
            error,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io)?;
        let file = path.join("lock");
        let mut options = OpenOptions::new();
        let lock = options
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&file)
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::Busy(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// A path below the directory.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads the node's key, or makes one.
    pub(crate) fn identity(&self) -> Result<Identity, DataDirError> {
        let path = self.join("identity.key");
        let io = |error| DataDirError::Io {
            path: path.clone(),
            error,
        };
        match std::fs::read(&path) {
            Ok(bytes) => {
                let mode = std::fs::metadata(&path).map_err(io)?.permissions().mode();
                if mode & 0o077 != 0 {
                    tracing::warn!(path = %path.display(), "others could read the identity; making it private");
                    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).map_err(io)?;
                }
                let damaged = |error| DataDirError::Identity {
                    path: path.clone(),
                    error,
                };
                Identity::from_protobuf(&bytes).map_err(damaged)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let identity = Identity::generate();
                self.write_whole("identity.key", &identity.to_protobuf())
                    .map_err(io)?;
                Ok(identity)
            }
            Err(error) => Err(io(error)),
        }
    }

    /// Writes a private file so that after a loss of power it is there whole or not at all.
    fn write_whole(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let fresh = self.join(&format!("{name}.new"));
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, self.join(name))?;
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_private_and_stays() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b");
        let peer = DataDir::open(&path).unwrap().identity().unwrap().peer_id();
        let file = path.join("identity.key");
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(DataDir::open(&path).unwrap().identity().unwrap().peer_id(), peer);
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_second_process_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let first = DataDir::open(temp.path()).unwrap();
        assert!(matches!(DataDir::open(temp.path()), Err(DataDirError::Busy(_))));
        drop(first);
        assert!(DataDir::open(temp.path()).is_ok());
    }

    #[test]
    fn a_damaged_identity_is_not_replaced() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("identity.key"), b"garbage").unwrap();
        let error = DataDir::open(temp.path()).unwrap().identity().unwrap_err();
        assert!(matches!(error, DataDirError::Identity { .. }), "{error}");
        let told = error.to_string();
        assert_eq!(told.matches("restore").count(), 1, "what to do, once: {told}");
        assert_eq!(
            std::fs::read(temp.path().join("identity.key")).unwrap(),
            b"garbage"
        );
    }
}
