//! Who is this node?
//!
//! One Ed25519 key is the peer id on the network and the author key of the blocks that the node signs. It is kept in
//! libp2p's protobuf encoding, so a key file holds the same bytes as Kubo's `Identity.PrivKey` (there in base64).

use std::fmt;

use libp2p::identity::{KeyType, Keypair};
use rustle_types::{Author, PeerId};
use zeroize::Zeroizing;

/// The Ed25519 key pair of a node. Never shown by `Debug`.
#[derive(Clone)]
pub struct Identity {
    keypair: Keypair,
}

/// Why bytes are not an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a private key in libp2p's protobuf encoding.
    #[error("not a libp2p private key: {0}")]
    Malformed(String),
    /// A private key of another kind.
    #[error("a {0} key; a node needs an Ed25519 key")]
    NotEd25519(String),
}

// === impl Identity ===

impl Identity {
    /// A new identity from the operating system's randomness.
    pub fn generate() -> Self {
        Self {
            keypair: Keypair::generate_ed25519(),
        }
    }

    /// Reads a private key in libp2p's protobuf encoding.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, IdentityError> {
        let keypair = Keypair::from_protobuf_encoding(bytes)
            .map_err(|error| IdentityError::Malformed(error.to_string()))?;
        match keypair.key_type() {
            KeyType::Ed25519 => Ok(Self { keypair }),
            other => Err(IdentityError::NotEd25519(other.to_string())),
        }
    }

    /// The private key in libp2p's protobuf encoding; wiped from memory when dropped.
    pub fn to_protobuf(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(
            self.keypair
                .to_protobuf_encoding()
                .expect("an Ed25519 key always has an encoding"),
        )
    }

    /// The id under which peers know the node.
    pub fn peer_id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    /// The author of the blocks that the node signs.
    pub fn author(&self) -> Author {
        let key = self
            .keypair
            .public()
            .try_into_ed25519()
            .expect("an identity is Ed25519 by construction");
        Author::from_bytes(key.to_bytes())
    }

    /// The 32 secret bytes (the seed of RFC 8032) to sign blocks with; wiped from memory when dropped.
    pub fn ed25519_secret(&self) -> Zeroizing<[u8; 32]> {
        let key = self
            .keypair
            .clone()
            .try_into_ed25519()
            .expect("an identity is Ed25519 by construction");
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(key.secret().as_ref());
        secret
    }

    pub(crate) fn keypair(&self) -> &Keypair {
        &self.keypair
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.peer_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_its_protobuf_and_names_peer_and_author_alike() {
        let identity = Identity::generate();
        let again = Identity::from_protobuf(&identity.to_protobuf()).unwrap();

        assert_eq!(again.peer_id(), identity.peer_id());
        assert_eq!(again.author().peer_id(), Some(identity.peer_id()));
        assert_eq!(*again.ed25519_secret(), *identity.ed25519_secret());
        assert!(!format!("{identity:?}").contains("secret"));
    }

    #[test]
    fn encodes_as_kubo_does() {
        // PrivateKey { Type: Ed25519 (1), Data: secret ‖ public (64 bytes) }: the format of the libp2p peer id spec.
        let bytes = Identity::generate().to_protobuf();

        assert_eq!(bytes[..4], [0x08, 0x01, 0x12, 0x40]);
        assert_eq!(bytes.len(), 68);
    }

    #[test]
    fn refuses_garbage_and_other_keys() {
        assert!(matches!(
            Identity::from_protobuf(b"garbage"),
            Err(IdentityError::Malformed(_))
        ));
        let secp256k1 = Keypair::generate_secp256k1().to_protobuf_encoding().unwrap();
        assert!(matches!(
            Identity::from_protobuf(&secp256k1),
            Err(IdentityError::NotEd25519(_))
        ));
    }
}
