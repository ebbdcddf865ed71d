//! A peer holds an invitation and asks to be let in.

use rustle_chain::RequestCheck;
use rustle_types::{Now, PeerId};
use rustle_wire::{JoinAccepted, JoinRefusal, JoinReply, JoinRequest};

use crate::Output;
use crate::engine::{Engine, Ticket};

// === impl Engine ===

impl Engine {
    pub(crate) fn on_join(&mut self, now: Now, request: u64, from: PeerId, join: &JoinRequest) {
        match self.admit(now, from, join) {
            Ok((reply, Some(batch))) => {
                let ticket = self.ticket(Ticket::Join {
                    request,
                    reply,
                    capability: join.capability,
                });
                self.outbox.push(Output::Commit { ticket, batch });
            }
            Ok((reply, None)) => self.outbox.push(Output::Join { request, reply }),
            Err(refusal) => {
                let reply = JoinReply::Refused(refusal);
                self.outbox.push(Output::Join { request, reply });
            }
        }
    }

    /// Checks the invitation; the batch notes its use and must be durable before the answer.
    fn admit(
        &self,
        now: Now,
        from: PeerId,
        join: &JoinRequest,
    ) -> Result<(JoinReply, Option<rustle_store::Batch>), JoinRefusal> {
        if !self.chains.contains(&join.chain) {
            return Err(JoinRefusal::UnknownChain);
        }
        let redeeming = |ticket: &Ticket| matches!(ticket, Ticket::Join { capability, .. } if *capability == join.capability);
        if self.tickets.values().any(redeeming) {
            return Err(JoinRefusal::Busy);
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
        let batch = rustle_chain::redeem(&*self.store, join, from, now.wall)?;
        let accepted = JoinAccepted {
            genesis: genesis.block.bytes().clone(),
            members: self.members(&join.chain),
        };
        Ok((JoinReply::Accepted(accepted), batch))
    }
}
