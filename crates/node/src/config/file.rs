//! What may stand in the configuration file, and in which line is what must not?

use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;

use rustle_types::{Multiaddr, NetworkName};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Admin, ConfigError, parse_address, parse_admin, parse_network};

/// Largest configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The configuration file: each value within its bounds. What is absent keeps its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Name of the network.
    #[serde(deserialize_with = "network")]
    pub network: Option<NetworkName>,
    /// Where to listen.
    #[serde(deserialize_with = "addresses")]
    pub listen: Option<Vec<Multiaddr>>,
    /// Whom to dial.
    #[serde(deserialize_with = "addresses")]
    pub bootstrap: Option<Vec<Multiaddr>>,
    /// Where to serve administration: `unix`, or a loopback address with port.
    #[serde(deserialize_with = "admin")]
    pub admin: Option<Admin>,
    /// How the log looks.
    pub log_format: Option<LogFormat>,
    /// Levels of the log, as in `RUST_LOG`, and where they stand in the file.
    pub log: Option<toml::Spanned<String>>,
    /// Settings of the peer manager.
    pub peers: PeersSection,
}

/// The section `[peers]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeersSection {
    /// A connection that was silent for so many seconds is pinged.
    #[serde(deserialize_with = "seconds")]
    pub ping_idle_seconds: Option<NonZeroU64>,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

// === impl ConfigFile ===

impl ConfigFile {
    /// Reads a file. `check_log` says what is wrong with levels of the log, which are the business of whoever logs.
    pub fn read(path: &Path, check_log: impl Fn(&str) -> Result<(), String>) -> Result<Self, ConfigError> {
        let unreadable = |why: String| ConfigError::Unreadable {
            path: path.display().to_string(),
            why,
        };
        let size = std::fs::metadata(path)
            .map_err(|error| unreadable(error.to_string()))?
            .len();
        if FILE_BYTES_MAX < size {
            return Err(unreadable(format!(
                "it has {size} bytes, at most {FILE_BYTES_MAX} are read"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        Self::parse(&text, &path.display().to_string(), check_log)
    }

    /// Reads the text of a file; `path` is for messages, `check_log` as for [`ConfigFile::read`].
    pub fn parse(
        text: &str,
        path: &str,
        check_log: impl Fn(&str) -> Result<(), String>,
    ) -> Result<Self, ConfigError> {
        let malformed = |span: Option<Range<usize>>, why: &str| {
            let before = span.and_then(|span| text.get(..span.start)).unwrap_or("");
            ConfigError::Malformed {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                why: why.split_whitespace().collect::<Vec<_>>().join(" "),
            }
        };
        let file: Self = toml::from_str(text).map_err(|error| malformed(error.span(), error.message()))?;
        if let Some(log) = &file.log {
            check_log(log.get_ref()).map_err(|why| malformed(Some(log.span()), &why))?;
        }
        Ok(file)
    }
}

/// One address of a list, so that a mistake is told with the line of that one.
#[derive(Deserialize)]
struct Address(#[serde(deserialize_with = "address")] Multiaddr);

fn address<'de, D: Deserializer<'de>>(value: D) -> Result<Multiaddr, D::Error> {
    parse_address(&String::deserialize(value)?).map_err(D::Error::custom)
}

fn addresses<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<Multiaddr>>, D::Error> {
    let addresses = Vec::<Address>::deserialize(value)?;
    Ok(Some(addresses.into_iter().map(|address| address.0).collect()))
}

fn network<'de, D: Deserializer<'de>>(value: D) -> Result<Option<NetworkName>, D::Error> {
    let parsed = parse_network(&String::deserialize(value)?);
    parsed.map(Some).map_err(D::Error::custom)
}

fn admin<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Admin>, D::Error> {
    let parsed = parse_admin(&String::deserialize(value)?);
    parsed.map(Some).map_err(D::Error::custom)
}

fn seconds<'de, D: Deserializer<'de>>(value: D) -> Result<Option<NonZeroU64>, D::Error> {
    let seconds = NonZeroU64::new(u64::deserialize(value)?);
    let why = "ping_idle_seconds: must be at least 1";
    seconds.map(Some).ok_or_else(|| D::Error::custom(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
        let check_log = |levels: &str| match levels {
            "info" => Ok(()),
            other => Err(format!("`{other}` is no level")),
        };
        ConfigFile::parse(text, "f", check_log)
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let file = parse(
            "network = \"test\"\nlog_format = \"json\"\nlog = \"info\"\n[peers]\nping_idle_seconds = 2\n",
        );
        let file = file.unwrap();
        assert_eq!(file.network.unwrap().as_str(), "test");
        assert_eq!(file.log_format, Some(LogFormat::Json));
        assert_eq!(file.log.unwrap().into_inner(), "info");
        assert_eq!(file.peers.ping_idle_seconds, NonZeroU64::new(2));
        assert_eq!((file.listen, file.bootstrap, file.admin), (None, None, None));
        assert_eq!(parse("").unwrap(), ConfigFile::default());
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let cases = [
            ("network = ", 1, ""),
            ("network = \"a\"\nlissten = []\n", 2, "lissten"),
            ("network = \"a\"\n\nlisten = \"x\"\n", 3, ""),
            ("\nnetwork = \"No Way\"", 2, "network: "),
            (
                "listen = [\n  \"/ip4/127.0.0.1/tcp/0\",\n  \"nope\",\n]",
                3,
                "`nope` is not a multiaddr",
            ),
            ("bootstrap = [\"localhost:1\"]", 1, "not a multiaddr"),
            ("\n\nadmin = \"10.0.0.1:1\"", 3, "loopback"),
            ("\nlog_format = \"x\"", 2, "`text` or `json`"),
            ("network = \"a\"\nlog = \"==\"", 2, "`==` is no level"),
            ("[peers]\n\nping_idle_seconds = 0", 3, "at least 1"),
            ("[peers]\nping_idle_seconds = \"soon\"", 2, ""),
        ];
        for (text, expected, part) in cases {
            let error = parse(text).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(part) && !message.contains('\n'), "{message}");
            match error {
                ConfigError::Malformed { line, .. } => assert_eq!(line, expected, "{message}"),
                other => panic!("{other}"),
            }
        }
    }
}
