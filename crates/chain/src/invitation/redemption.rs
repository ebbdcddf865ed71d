//! May this peer join with what it shows, and how often was it shown already?
//!
//! A counted invitation is counted where it is shown: each member notes who joined with it. The same joiner may come again
//! as often as it likes, since its answer may have been lost.

use rustle_store::{Batch, Scan, Store, Table};
use rustle_types::{Author, ChainId, PeerId, Timestamp};
use rustle_wire::{JoinRefusal, JoinRequest};

use super::{CERTIFICATE_DOMAIN, INVITATION_USES_MAX, Invitation, PROOF_DOMAIN, certified, proved};
use crate::signer::is_signed_by;

/// Version of the values of the table.
const VERSION: u8 = 1;

/// What a member knows when it checks a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCheck {
    /// Who asks, proved by the cipher of its connection.
    pub joiner: PeerId,
    /// Who is asked: this node.
    pub member: PeerId,
    /// The time.
    pub now: Timestamp,
    /// The author of the genesis block.
    pub founder: Author,
    /// This node's own key.
    pub own: Author,
}

/// Checks certificate, inviter, proof and expiry, in this order. The founder and this node itself may invite.
///
/// Whether uses are left is for [`redeem`] to say; that the chain is here, for the caller.
pub fn check_request(request: &JoinRequest, check: &RequestCheck) -> Result<(), JoinRefusal> {
    let JoinRequest {
        chain,
        inviter,
        capability,
        expires,
        uses,
        certificate,
        proof,
    } = request;
    let certified = certified(chain, capability, *expires, *uses);
    if !is_signed_by(inviter, CERTIFICATE_DOMAIN, &[&certified], certificate) {
        return Err(JoinRefusal::Invalid);
    }
    if *inviter != check.founder && *inviter != check.own {
        return Err(JoinRefusal::Inviter);
    }
    let proved = proved(chain, &check.joiner, &check.member);
    if !is_signed_by(capability, PROOF_DOMAIN, &[&proved], proof) {
        return Err(JoinRefusal::Invalid);
    }
    match expires {
        Some(expires) if *expires <= check.now => Err(JoinRefusal::Expired),
        _ => Ok(()),
    }
}

/// The batch that remembers an invitation made here.
///
/// The value is a version byte, the time, the expiry (8 bytes each, 0 for never) and the uses (4 bytes, 0 for any).
pub fn record_issued(invitation: &Invitation, now: Timestamp) -> Batch {
    let mut value = vec![VERSION];
    value.extend_from_slice(&now.as_millis().to_be_bytes());
    value.extend_from_slice(&invitation.expires.map_or(0, Timestamp::as_millis).to_be_bytes());
    value.extend_from_slice(&invitation.uses.unwrap_or(0).to_be_bytes());
    let mut batch = Batch::new();
    batch.put(
        Table::Invitations,
        key(&invitation.chain, &invitation.capability),
        value,
    );
    batch
}

/// Counts a checked request: the batch must be durable before the joiner is let in, `None` means nothing is to be written.
///
/// Two requests with the same capability must not be between this call and the end of their commits at once. Uncounted
/// invitations leave no record, so that nobody can fill the disk with them.
pub fn redeem(
    store: &dyn Store,
    request: &JoinRequest,
    joiner: PeerId,
    now: Timestamp,
) -> Result<Option<Batch>, JoinRefusal> {
    let Some(uses) = request.uses else {
        return Ok(None);
    };
    // A store that cannot be read now may be readable in a minute.
    let busy = |_| JoinRefusal::Busy;
    let uses = uses.min(INVITATION_USES_MAX) as usize;
    let issued = key(&request.chain, &request.capability);
    let redeemed = [&issued[..], &joiner.to_bytes()].concat();
    if store
        .record(Table::Invitations, &redeemed)
        .map_err(busy)?
        .is_some()
    {
        return Ok(None);
    }
    // The issue itself has the bare key, which every redemption begins with.
    let records = store
        .scan(Table::Invitations, &Scan::prefix(&issued, uses + 1))
        .map_err(busy)?;
    let count = records.iter().filter(|(key, _)| issued.len() < key.len()).count();
    if uses <= count {
        return Err(JoinRefusal::Exhausted);
    }
    let mut value = vec![VERSION];
    value.extend_from_slice(&now.as_millis().to_be_bytes());
    let mut batch = Batch::new();
    batch.put(Table::Invitations, redeemed, value);
    Ok(Some(batch))
}

fn key(chain: &ChainId, capability: &Author) -> Vec<u8> {
    [&chain.digest()[..], capability.as_bytes()].concat()
}
