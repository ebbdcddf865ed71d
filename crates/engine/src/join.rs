//! A peer holds an invitation and asks to be let in.
//!
//! Each use of a counted invitation must be on the disk before the joiner is let in, and before the next is counted. So
//! while one is being written, others that come with the same invitation wait for their turn.

use bytes::Bytes;
use rustle_chain::RequestCheck;
use rustle_types::{Author, Now, PeerId};
use rustle_wire::{JoinAccepted, JoinRefusal, JoinReply, JoinRequest};

use crate::Output;
use crate::engine::{Engine, Ticket};

/// Joiners that may wait for their turn, over all invitations; further ones are told that the node is busy.
const JOINS_WAITING_MAX: usize = 64;

/// A joiner that waits until another one's use of the same invitation is written.
#[derive(Debug)]
pub(crate) struct Waiting {
    request: u64,
    from: PeerId,
    join: JoinRequest,
}

// === impl Engine ===

impl Engine {
    pub(crate) fn on_join(&mut self, now: Now, request: u64, from: PeerId, join: JoinRequest) {
        if let Err(refusal) = self.admit(now, request, from, join) {
            let reply = JoinReply::Refused(refusal);
            self.outbox.push(Output::Join { request, reply });
        }
    }

    /// The use of an invitation is written, or was not: those that waited for it have their turn.
    pub(crate) fn retry_joins(&mut self, now: Now, capability: &Author) {
        for Waiting { request, from, join } in std::mem::take(&mut self.joins) {
            if join.capability == *capability {
                self.on_join(now, request, from, join);
            } else {
                self.joins.push_back(Waiting { request, from, join });
            }
        }
    }

    fn admit(&mut self, now: Now, request: u64, from: PeerId, join: JoinRequest) -> Result<(), JoinRefusal> {
        let genesis = self.check(now, from, &join)?;
        let capability = join.capability;
        let is_same = |ticket: &Ticket| matches!(ticket, Ticket::Join { capability: other, .. } if *other == capability);
        if self.tickets.values().any(is_same) {
            if JOINS_WAITING_MAX <= self.joins.len() {
                return Err(JoinRefusal::Busy);
            }
            self.joins.push_back(Waiting { request, from, join });
            return Ok(());
        }
        let batch = rustle_chain::redeem(&*self.store, &join, from, now.wall)?;
        let mut members = self.members(&join.chain);
        if let Some(own) = members.first_mut().filter(|_| self.is_hidden) {
            // The joiner is here; how others get here is for the operator to say, in an invitation.
            own.addresses.clear();
        }
        let reply = JoinReply::Accepted(JoinAccepted { genesis, members });
        match batch {
            Some(batch) => {
                let ticket = self.ticket(Ticket::Join {
                    request,
                    reply,
                    capability,
                });
                self.outbox.push(Output::Commit { ticket, batch });
            }
            None => self.outbox.push(Output::Join { request, reply }),
        }
        Ok(())
    }

    /// Checks all but the uses that are left, before anything is kept of the request; gives the genesis block.
    fn check(&self, now: Now, from: PeerId, join: &JoinRequest) -> Result<Bytes, JoinRefusal> {
        if !self.chains.contains(&join.chain) {
            return Err(JoinRefusal::UnknownChain);
        }
        // A store that cannot be read now may be readable in a minute.
        let genesis = rustle_chain::reader::block(&*self.store, &join.chain, &join.chain.genesis())
            .map_err(|_| JoinRefusal::Busy)?
            .ok_or(JoinRefusal::UnknownChain)?;
        let check = RequestCheck {
            joiner: from,
            member: self.local,
            now: now.wall,
            founder: genesis.block.author(),
            own: self.signer.author(),
        };
        rustle_chain::check_request(join, &check)?;
        Ok(genesis.block.bytes().clone())
    }
}
