//! Who told us of a peer?

use rustle_types::{Group, Multiaddr};

/// By which way a peer became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// Another peer, on the peer exchange.
    Exchange,
    /// The distributed hash table.
    Dht,
    /// The local network, by multicast DNS.
    Mdns,
    /// A rendezvous point.
    Rendezvous,
    /// The peer itself, over a connection that proved who it is.
    Hello,
    /// An invitation or a chain's list of members.
    Invitation,
    /// The operator: settings or a command.
    Operator,
}

/// Who told us of a peer. What all members of one group tell lands in the same few buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// By which way.
    pub kind: SourceKind,
    /// Where the teller lives; `None` where that is not known: all such tellers of a kind count as one.
    pub group: Option<Group>,
}

// === impl SourceKind ===

impl SourceKind {
    /// All of them, in the order of their codes in records.
    pub const ALL: [Self; 7] = [
        Self::Exchange,
        Self::Dht,
        Self::Mdns,
        Self::Rendezvous,
        Self::Hello,
        Self::Invitation,
        Self::Operator,
    ];

    /// The name of the kind in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Dht => "dht",
            Self::Mdns => "mdns",
            Self::Rendezvous => "rendezvous",
            Self::Hello => "hello",
            Self::Invitation => "invitation",
            Self::Operator => "operator",
        }
    }

    /// Whether what comes this way is believed more than hearsay.
    pub(super) const fn is_word(self) -> bool {
        matches!(self, Self::Hello | Self::Invitation | Self::Operator)
    }
}

// === impl Source ===

impl Source {
    /// A teller whose address is not known.
    pub const fn of_kind(kind: SourceKind) -> Self {
        Self { kind, group: None }
    }

    /// A teller at an address.
    pub fn at(kind: SourceKind, address: &Multiaddr) -> Self {
        Self {
            kind,
            group: Some(Group::of(address)),
        }
    }

    /// What stands for the teller in the hash that chooses the bucket.
    pub(super) fn hashed(&self) -> Vec<u8> {
        match &self.group {
            Some(group) => group.as_bytes().to_vec(),
            None => vec![self.kind as u8],
        }
    }
}
