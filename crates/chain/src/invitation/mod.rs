//! What is in an invitation, and how does it survive copy and paste?
//!
//! One string: `rustle1` and lower-case base32 (RFC 4648, without padding) of a payload and its checksum. The payload names
//! the chain and members to ask, and carries the secret key of a capability, certified by the inviter: whoever holds the
//! string can prove it to any member, without the inviter being there. Whoever reads the string can use it.
//!
//! Base32 is a third longer than base64, and needs no care for case, line breaks, shells or QR codes (alphanumeric mode).

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use rustle_types::limits::{CHAIN_NAME_BYTES_MAX, INVITATION_CHARS_MAX, INVITATION_PEERS_MAX};
use rustle_types::{Author, BlockId, ChainId, PeerId, Timestamp};
use rustle_wire::{JoinRequest, Member};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::encoding::{self, Raw};
use crate::genesis::is_chain_name;
use crate::records::{bounded, member_bytes, member_from_bytes};
use crate::signer::{Signer, is_signed_by};

mod redemption;

pub use redemption::{RequestCheck, check_request, record_issued, redeem};

/// Uses of one counted invitation.
pub const INVITATION_USES_MAX: u32 = 10_000;

/// How every invitation begins; the digit is the version.
const PREFIX: &str = "rustle1";
/// How invitations of any version begin.
const ANY_PREFIX: &str = "rustle";
/// Bytes of sha2-256 over the payload, behind it.
const CHECKSUM_BYTES: usize = 4;

/// What the inviter's certificate covers first.
const CERTIFICATE_DOMAIN: &str = "rustle/invite/1";
/// What the joiner's proof covers first.
const PROOF_DOMAIN: &str = "rustle/join/1";

/// A checked invitation: the inviter's certificate is right, whether it may invite is for the members to say.
#[derive(Clone)]
pub struct Invitation {
    chain: ChainId,
    name: String,
    inviter: Author,
    secret: Zeroizing<[u8; 32]>,
    capability: Author,
    expires: Option<Timestamp>,
    uses: Option<u32>,
    members: Vec<Member>,
    certificate: [u8; 64],
}

/// Why an invitation cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// No use, or too many to count.
    #[error("an invitation is for 1 to {INVITATION_USES_MAX} uses, or for any number")]
    BadUses,
    /// The end of time is also its beginning.
    #[error("an invitation cannot expire before it is made")]
    BadExpiry,
    /// The chain's name has a wrong length or character.
    #[error("a chain's name must have 1 to {CHAIN_NAME_BYTES_MAX} bytes and no control characters")]
    BadName,
}

/// Why a text is not an invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// Something else.
    #[error("this is not an invitation: it begins with `rustle1`")]
    NotAnInvitation,
    /// Longer than any invitation.
    #[error("too long for an invitation: at most {INVITATION_CHARS_MAX} characters")]
    TooLong,
    /// Made by a later version.
    #[error("the invitation was made by a newer version; update the program")]
    Newer,
    /// The checksum or the certificate is wrong.
    #[error("the invitation was cut off or altered; copy the whole text again")]
    Altered,
}

/// The payload: keys by length, then bytes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded<'a> {
    #[serde(borrow)]
    by: Raw<'a>,
    #[serde(borrow)]
    key: Raw<'a>,
    name: &'a str,
    uses: u32,
    #[serde(borrow)]
    cert: Raw<'a>,
    #[serde(borrow)]
    chain: Raw<'a>,
    expires: u64,
    #[serde(borrow)]
    members: Vec<(Raw<'a>, Vec<Raw<'a>>)>,
}

// === impl Invitation ===

impl Invitation {
    /// Makes an invitation. `secret` is random and becomes the capability's key; `None` for `expires` and `uses` means no
    /// end. At most 8 members with 4 addresses each are kept, fewer where the text would be too long.
    pub fn issue(
        signer: &Signer,
        chain: ChainId,
        name: &str,
        expires: Option<Timestamp>,
        uses: Option<u32>,
        members: Vec<Member>,
        secret: [u8; 32],
    ) -> Result<Self, InviteError> {
        if uses.is_some_and(|uses| !(1..=INVITATION_USES_MAX).contains(&uses)) {
            return Err(InviteError::BadUses);
        }
        if expires == Some(Timestamp::default()) {
            return Err(InviteError::BadExpiry);
        }
        if !is_chain_name(name) {
            return Err(InviteError::BadName);
        }
        let capability = Signer::from_secret(secret).author();
        let certificate = signer.sign(
            CERTIFICATE_DOMAIN,
            &[&certified(&chain, &capability, expires, uses)],
        );
        let mut invitation = Self {
            chain,
            name: name.to_owned(),
            inviter: signer.author(),
            secret: Zeroizing::new(secret),
            capability,
            expires,
            uses,
            members: bounded(&members).to_vec(),
            certificate,
        };
        while INVITATION_CHARS_MAX < invitation.text().len() && invitation.members.pop().is_some() {}
        Ok(invitation)
    }

    /// The chain.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// What the inviter calls the chain. Not certified: a hint for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who made it.
    pub const fn inviter(&self) -> Author {
        self.inviter
    }

    /// Public key of the capability, which names the invitation.
    pub const fn capability(&self) -> Author {
        self.capability
    }

    /// When it ends; `None` for never.
    pub const fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// How many nodes may join with it; `None` for any number.
    pub const fn uses(&self) -> Option<u32> {
        self.uses
    }

    /// At most 8 members to ask, in this order. Not certified: hints.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The request of `joiner` to `member`, good for these two only.
    pub fn to_request(&self, joiner: PeerId, member: PeerId) -> JoinRequest {
        let capability = Signer::from_secret(*self.secret);
        JoinRequest {
            chain: self.chain,
            inviter: self.inviter,
            capability: self.capability,
            expires: self.expires,
            uses: self.uses,
            certificate: self.certificate,
            proof: capability.sign(PROOF_DOMAIN, &[&proved(&self.chain, &joiner, &member)]),
        }
    }

    /// The string to hand on; whoever has it can join.
    fn text(&self) -> Zeroizing<String> {
        let members: Vec<_> = self.members.iter().map(member_bytes).collect();
        let encoded = Encoded {
            by: Raw(self.inviter.as_bytes()),
            key: Raw(&*self.secret),
            name: &self.name,
            uses: self.uses.unwrap_or(0),
            cert: Raw(&self.certificate),
            chain: Raw(self.chain.digest()),
            expires: self.expires.map_or(0, Timestamp::as_millis),
            members: members
                .iter()
                .map(|(peer, addresses)| (Raw(peer), addresses.iter().map(|address| Raw(address)).collect()))
                .collect(),
        };
        // One allocation, so that no copy of the secret is left behind by growth.
        let buffer = Vec::with_capacity(2 * INVITATION_CHARS_MAX);
        let mut payload = Zeroizing::new(encoding::write(&encoded, buffer));
        let checksum = checksum(&payload);
        payload.extend_from_slice(&checksum);
        let mut base32 = Zeroizing::new(BASE32_NOPAD.encode(&payload));
        base32.make_ascii_lowercase();
        Zeroizing::new([PREFIX, &base32].concat())
    }

    fn from_payload(payload: &[u8]) -> Option<Self> {
        let encoded: Encoded<'_> = encoding::read(payload).ok()?;
        if INVITATION_PEERS_MAX < encoded.members.len() || !is_chain_name(encoded.name) {
            return None;
        }
        let members = encoded.members.iter().map(|(peer, addresses)| {
            let addresses: Vec<&[u8]> = addresses.iter().map(|address| address.0).collect();
            member_from_bytes(peer.0, &addresses)
        });
        let secret = Zeroizing::new(<[u8; 32]>::try_from(encoded.key.0).ok()?);
        let invitation = Self {
            chain: ChainId::of_genesis(BlockId::from_digest(encoded.chain.0.try_into().ok()?)),
            name: encoded.name.to_owned(),
            inviter: Author::from_bytes(encoded.by.0.try_into().ok()?),
            capability: Signer::from_secret(*secret).author(),
            secret,
            expires: Some(encoded.expires)
                .filter(|ms| *ms != 0)
                .map(Timestamp::from_millis),
            uses: Some(encoded.uses).filter(|uses| *uses != 0),
            members: members.collect::<Option<_>>()?,
            certificate: encoded.cert.0.try_into().ok()?,
        };
        let certified = certified(
            &invitation.chain,
            &invitation.capability,
            invitation.expires,
            invitation.uses,
        );
        let is_certified = is_signed_by(
            &invitation.inviter,
            CERTIFICATE_DOMAIN,
            &[&certified],
            &invitation.certificate,
        );
        is_certified.then_some(invitation)
    }
}

/// Reads an invitation; blanks and line breaks that mail programs add, and the case of letters, do not matter.
impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        // The bound is on what remains without blanks, with room for a blank after each character.
        if 2 * INVITATION_CHARS_MAX < text.len() {
            return Err(InvitationError::TooLong);
        }
        let kept = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_ascii_lowercase());
        let text: Zeroizing<String> = Zeroizing::new(kept.collect());
        if INVITATION_CHARS_MAX < text.len() {
            return Err(InvitationError::TooLong);
        }
        let Some(base32) = text.strip_prefix(PREFIX) else {
            let version = text.strip_prefix(ANY_PREFIX).and_then(|rest| rest.chars().next());
            return Err(match version {
                Some('2'..='9') => InvitationError::Newer,
                _ => InvitationError::NotAnInvitation,
            });
        };
        let upper = Zeroizing::new(base32.to_ascii_uppercase());
        let payload = BASE32_NOPAD
            .decode(upper.as_bytes())
            .map_err(|_| InvitationError::Altered)?;
        let payload = Zeroizing::new(payload);
        let split = payload
            .len()
            .checked_sub(CHECKSUM_BYTES)
            .ok_or(InvitationError::Altered)?;
        let (payload, sum) = payload.split_at(split);
        if checksum(payload) != sum {
            return Err(InvitationError::Altered);
        }
        Self::from_payload(payload).ok_or(InvitationError::Altered)
    }
}

/// The string to hand on. It holds the secret: show it to the user, and to nobody else.
impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("chain", &self.chain)
            .field("inviter", &self.inviter)
            .field("capability", &self.capability)
            .finish_non_exhaustive()
    }
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut digest: [u8; 32] = Sha256::digest(payload).into();
    let sum = [digest[0], digest[1], digest[2], digest[3]];
    digest.zeroize();
    sum
}

/// What the certificate covers; all parts have a fixed length.
fn certified(chain: &ChainId, capability: &Author, expires: Option<Timestamp>, uses: Option<u32>) -> Vec<u8> {
    let expires = expires.map_or(0, Timestamp::as_millis).to_be_bytes();
    let uses = uses.unwrap_or(0).to_be_bytes();
    [&chain.digest()[..], capability.as_bytes(), &expires, &uses].concat()
}

/// What the proof covers. A peer id is a multihash, which tells its own length, so no two pairs run together.
fn proved(chain: &ChainId, joiner: &PeerId, member: &PeerId) -> Vec<u8> {
    [&chain.digest()[..], &joiner.to_bytes(), &member.to_bytes()].concat()
}

#[cfg(test)]
mod tests;
