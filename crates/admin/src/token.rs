//! Who may call over TCP? Whoever can read the token file.
//!
//! The file is made once with mode 0600 and stays, so that a restart of the daemon does not lock its clients out.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use subtle::ConstantTimeEq as _;

/// Longest token file that is read: the token, and room for stray line ends.
const FILE_BYTES_MAX: u64 = 128;

/// The secret of the daemon's TCP door: 32 random bytes, written as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or made.
    #[error("cannot use the token file {path}: {cause}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// There is no such file.
    #[error("there is no token file {path}; start the daemon with --admin ADDR, or name its token with --token-file", path = .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the file.
    #[error("the token file {path} has mode {mode:o}, others may read it; run `chmod 600 {path}`", path = .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("the token file {path} does not hold 64 hexadecimal digits; remove it and start the daemon again", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

// === impl Token ===

impl Token {
    /// Reads a token as a client does.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let open = File::open(path).map_err(|cause| {
            let path = path.to_owned();
            match cause.kind() {
                io::ErrorKind::NotFound => TokenError::Missing { path },
                _ => TokenError::File { path, cause },
            }
        });
        Self::read(path, open?)
    }

    /// Reads the daemon's token; makes one where there is none. A file that others can read is refused.
    pub fn load_or_create(path: &Path) -> Result<Self, TokenError> {
        let file = |cause| TokenError::File {
            path: path.to_owned(),
            cause,
        };
        match File::open(path) {
            Ok(open) => {
                let mode = open.metadata().map_err(file)?.mode() & 0o777;
                if mode & 0o077 != 0 {
                    return Err(TokenError::Exposed {
                        path: path.to_owned(),
                        mode,
                    });
                }
                Self::read(path, open)
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Self::create(path).map_err(file),
            Err(cause) => Err(file(cause)),
        }
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this token, in a time that does not tell how much of it is right.
    pub fn matches(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }

    fn read(path: &Path, file: File) -> Result<Self, TokenError> {
        let mut text = Vec::new();
        file.take(FILE_BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(|cause| TokenError::File {
                path: path.to_owned(),
                cause,
            })?;
        match HEXLOWER_PERMISSIVE.decode(text.trim_ascii()) {
            Ok(secret) if secret.len() == 32 => Ok(Self(HEXLOWER_PERMISSIVE.encode(&secret))),
            _ => Err(TokenError::Malformed {
                path: path.to_owned(),
            }),
        }
    }

    fn create(path: &Path) -> io::Result<Self> {
        let token = Self(HEXLOWER_PERMISSIVE.encode(&rand::random::<[u8; 32]>()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(format!("{}\n", token.0).as_bytes())?;
        file.sync_all()?;
        Ok(token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");

        let token = Token::load_or_create(&path).unwrap();

        assert_eq!(Token::load_or_create(&path).unwrap(), token);
        assert_eq!(Token::load(&path).unwrap(), token);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(format!("{token:?}"), "Token(…)", "a log must not tell it");
    }

    #[test]
    fn only_the_whole_token_matches() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::load_or_create(&folder.path().join("admin.token")).unwrap();

        assert!(token.matches(token.as_str().as_bytes()));
        assert!(!token.matches(b""));
        assert!(!token.matches(&token.as_str().as_bytes()[..63]));
        assert!(!token.matches("0".repeat(64).as_bytes()));
    }

    #[test]
    fn a_missing_file_tells_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = Token::load(&folder.path().join("admin.token")).unwrap_err();
        assert!(matches!(error, TokenError::Missing { .. }), "{error}");
        assert!(error.to_string().contains("--admin"), "{error}");
    }

    #[test]
    fn exposed_and_malformed_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        Token::load_or_create(&path).unwrap();

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            Token::load_or_create(&path),
            Err(TokenError::Exposed { mode: 0o640, .. })
        ));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "secret").unwrap();
        assert!(matches!(
            Token::load_or_create(&path),
            Err(TokenError::Malformed { .. })
        ));
    }
}
