//! One rule: whom it means, why, since when and until when; and its record on disk.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustle_types::{PeerId, Timestamp};

use super::{Prefix, Target};

/// Longest reason of a rule.
pub const REASON_BYTES_MAX: usize = 128;

/// The layout of the values in [`rustle_store::Table::Rules`].
const RECORD_VERSION: u8 = 1;

/// Who is banned, or always welcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whom it means.
    pub target: Target,
    /// What it says of them.
    pub kind: RuleKind,
    /// When it ends; `None` for never.
    pub until: Option<Timestamp>,
    /// Why, for people.
    pub reason: Reason,
    /// Who made it.
    pub origin: Origin,
    /// When it was made.
    pub since: Timestamp,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleKind {
    /// Neither dialled nor accepted.
    Ban,
    /// Always welcome: no limit by host, group or rate, never dropped to make room, never banned by score.
    Allow,
}

/// Who made a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A person, by command or configuration.
    Operator,
    /// The node itself, because of what the peer did.
    Score,
}

/// Text that ends up in logs and on terminals: at most 128 bytes, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reason(Arc<str>);

/// Why a record of the rules is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of the ban list is damaged; it is left out")]
pub struct RuleRecordError;

// === impl Rule ===

impl Rule {
    /// Whether it holds no more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The key of its record: kind and family (1 byte), then the peer id, or the address (4 or 16 bytes) and its bits
    /// (1 byte).
    pub fn key(&self) -> Vec<u8> {
        key(self.kind, &self.target)
    }

    /// The record of [`rustle_store::Table::Rules`]; the value is the version (1 byte), the origin (1 byte), since and
    /// until (8 bytes each, BE, milliseconds; an until of zero is never), then the reason.
    pub fn to_record(&self) -> (Vec<u8>, Vec<u8>) {
        let origin = match self.origin {
            Origin::Operator => 0,
            Origin::Score => 1,
        };
        let mut value = vec![RECORD_VERSION, origin];
        value.extend(self.since.as_millis().to_be_bytes());
        value.extend(self.until.map_or(0, Timestamp::as_millis).to_be_bytes());
        value.extend(self.reason.as_str().as_bytes());
        (self.key(), value)
    }

    /// Reads a record.
    pub fn from_record(key: &[u8], value: &[u8]) -> Result<Self, RuleRecordError> {
        let (kind, target) = parse_key(key).ok_or(RuleRecordError)?;
        // Under another key than its own a rule could not be removed.
        if self::key(kind, &target) != key {
            return Err(RuleRecordError);
        }
        let [RECORD_VERSION, origin, rest @ ..] = value else {
            return Err(RuleRecordError);
        };
        let (since, rest) = rest.split_first_chunk().ok_or(RuleRecordError)?;
        let (until, reason) = rest.split_first_chunk().ok_or(RuleRecordError)?;
        let until = Some(u64::from_be_bytes(*until)).filter(|ms| *ms != 0);
        Ok(Self {
            target,
            kind,
            until: until.map(Timestamp::from_millis),
            reason: Reason::new(std::str::from_utf8(reason).map_err(|_| RuleRecordError)?),
            origin: match origin {
                0 => Origin::Operator,
                1 => Origin::Score,
                _ => return Err(RuleRecordError),
            },
            since: Timestamp::from_millis(u64::from_be_bytes(*since)),
        })
    }
}

/// The key of the record of a rule.
pub(super) fn key(kind: RuleKind, target: &Target) -> Vec<u8> {
    let kind = match kind {
        RuleKind::Ban => 0,
        RuleKind::Allow => 0x10,
    };
    match target {
        Target::Peer(peer) => [vec![kind], peer.to_bytes()].concat(),
        Target::Prefix(prefix) => match prefix.ip() {
            IpAddr::V4(ip) => [&[kind | 4][..], &ip.octets(), &[prefix.bits()]].concat(),
            IpAddr::V6(ip) => [&[kind | 6][..], &ip.octets(), &[prefix.bits()]].concat(),
        },
    }
}

fn parse_key(key: &[u8]) -> Option<(RuleKind, Target)> {
    let (&first, rest) = key.split_first()?;
    let kind = match first >> 4 {
        0 => RuleKind::Ban,
        1 => RuleKind::Allow,
        _ => return None,
    };
    let prefix = |ip, bits| Some(Target::Prefix(Prefix::new(ip, bits)?));
    let target = match (first & 0x0f, rest) {
        (0, peer) => Target::Peer(PeerId::from_bytes(peer).ok()?),
        (4, [ip @ .., bits]) => prefix(<[u8; 4]>::try_from(ip).ok()?.into(), *bits)?,
        (6, [ip @ .., bits]) => prefix(<[u8; 16]>::try_from(ip).ok()?.into(), *bits)?,
        _ => return None,
    };
    Some((kind, target))
}

// === impl RuleKind ===

impl RuleKind {
    /// The word for lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Allow => "allow",
        }
    }
}

impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Origin ===

impl Origin {
    /// The word for lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Score => "score",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Reason ===

impl Reason {
    /// The beginning of `text` that fits, without its control characters.
    pub fn new(text: &str) -> Self {
        let mut clean: String = text.chars().filter(|c| !c.is_control()).collect();
        clean.truncate(clean.floor_char_boundary(REASON_BYTES_MAX));
        Self(clean.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
