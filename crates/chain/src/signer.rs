//! Who signs?
//!
//! Every signature of this crate covers a domain tag first, so that a signature made for one purpose is worth nothing
//! for another, here or in another program that uses the same key.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rustle_types::Author;

/// An Ed25519 key that signs: the node's identity, or the capability of an invitation. Wiped from memory when dropped.
#[derive(Clone)]
pub struct Signer(SigningKey);

// === impl Signer ===

impl Signer {
    /// The key with this 32-byte secret. The caller wipes its own copy.
    pub fn from_secret(secret: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&secret))
    }

    /// The public half.
    pub fn author(&self) -> Author {
        Author::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs `domain` followed by the parts.
    pub(crate) fn sign(&self, domain: &str, parts: &[&[u8]]) -> [u8; 64] {
        self.0.sign(&message(domain, parts)).to_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.author())
    }
}

/// Whether `author` signed `domain` followed by the parts.
///
/// Strict (`verify_strict`): small-order keys and malleable signatures are refused, so that all nodes agree on what is
/// valid. Batch verification has a looser rule that could split them, so signatures are checked one by one.
pub(crate) fn is_signed_by(author: &Author, domain: &str, parts: &[&[u8]], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(author.as_bytes()) else {
        return false;
    };
    key.verify_strict(&message(domain, parts), &Signature::from_bytes(signature))
        .is_ok()
}

fn message(domain: &str, parts: &[&[u8]]) -> Vec<u8> {
    let length = domain.len() + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(domain.as_bytes());
    parts.iter().for_each(|part| message.extend_from_slice(part));
    message
}
