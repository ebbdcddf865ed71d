//! What the administration door asks.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use rustle_chain::Invitation;
use rustle_types::limits::{CHAINS_MAX, INVITATION_PEERS_MAX};
use rustle_types::{ChainId, Machine as _, Now};
use rustle_wire::Member;

use crate::engine::{Engine, Ticket};
use crate::reachable::reachable;
use crate::{Ask, AskError, Output, Reply};

// === impl Engine ===

impl Engine {
    pub(crate) fn on_ask(&mut self, now: Now, request: u64, ask: Ask) {
        let done = match ask {
            Ask::Connect(address) => {
                self.peers
                    .handle(now, rustle_peers::Input::Connect { request, address });
                Ok(())
            }
            Ask::Peers => {
                let views = self.peers.views().collect();
                self.reply(request, Ok(Reply::Peers(views)));
                Ok(())
            }
            Ask::Peer(ask) => {
                let reply = self.on_peer_ask(now, ask);
                self.reply(request, reply);
                Ok(())
            }
            Ask::CreateChain { name } => self.create_chain(now, request, &name),
            Ask::AdoptChain {
                chain,
                genesis,
                members,
            } => self.adopt_chain(now, request, chain, genesis, members),
            Ask::Append { chain, topics, body } => self.known(chain).map(|()| {
                self.tell_chain(
                    now,
                    chain,
                    rustle_chain::Input::Append {
                        request,
                        topics,
                        body,
                    },
                );
            }),
            Ask::Invite {
                chain,
                expires_in,
                uses,
            } => self.invite(now, request, chain, expires_in, uses),
        };
        if let Err(error) = done {
            self.reply(request, Err(error));
        }
    }

    fn known(&self, chain: ChainId) -> Result<(), AskError> {
        if self.chains.contains(&chain) {
            Ok(())
        } else {
            Err(AskError::UnknownChain(chain))
        }
    }

    fn room(&self) -> Result<(), AskError> {
        let opening = self
            .tickets
            .values()
            .filter(|ticket| matches!(ticket, Ticket::Open { .. }))
            .count();
        if self.chains.len() + opening < CHAINS_MAX {
            Ok(())
        } else {
            Err(AskError::TooManyChains(CHAINS_MAX))
        }
    }

    fn create_chain(&mut self, now: Now, request: u64, name: &str) -> Result<(), AskError> {
        self.room()?;
        let nonce = self.rng.random();
        let (chain, batch) = rustle_chain::create(&self.signer, name, now.wall, nonce)
            .map_err(|error| AskError::Invalid(error.to_string()))?;
        let ticket = self.ticket(Ticket::Open { chain, request });
        self.outbox.push(Output::Commit { ticket, batch });
        Ok(())
    }

    fn adopt_chain(
        &mut self,
        now: Now,
        request: u64,
        chain: ChainId,
        genesis: Bytes,
        members: Vec<Member>,
    ) -> Result<(), AskError> {
        self.room()?;
        let opening =
            |ticket: &Ticket| matches!(ticket, Ticket::Open { chain: other, .. } if *other == chain);
        if self.chains.contains(&chain) || self.tickets.values().any(opening) {
            return Err(AskError::KnownChain(chain));
        }
        let batch = rustle_chain::adopt(genesis, chain, &members, now.wall)
            .map_err(|error| AskError::Invalid(error.to_string()))?;
        for Member { peer, addresses } in members {
            self.peers.handle(
                now,
                rustle_peers::Input::Learned {
                    peer,
                    addresses,
                    source: rustle_peers::book::SourceKind::Invitation,
                },
            );
        }
        let ticket = self.ticket(Ticket::Open { chain, request });
        self.outbox.push(Output::Commit { ticket, batch });
        Ok(())
    }

    fn invite(
        &mut self,
        now: Now,
        request: u64,
        chain: ChainId,
        expires_in: Option<Duration>,
        uses: Option<u32>,
    ) -> Result<(), AskError> {
        self.known(chain)?;
        let mut members = self.members(&chain);
        if self.is_light {
            return Err(AskError::Light);
        }
        if members.first().is_none_or(|own| own.addresses.is_empty()) {
            return Err(AskError::NoAddress);
        }
        let record = rustle_chain::reader::record(&*self.store, &chain)
            .map_err(|error| AskError::Damaged(error.to_string()))?
            .ok_or(AskError::UnknownChain(chain))?;
        if record.founder != self.signer.author() {
            // The others refuse an invitation that neither they nor the founder made, so they are no help to a joiner.
            members.truncate(1);
        }
        let expires = expires_in.map(|wait| now.wall.plus(wait));
        let secret = self.rng.random();
        let invitation = Invitation::issue(&self.signer, chain, &record.name, expires, uses, members, secret)
            .map_err(|error| AskError::Invalid(error.to_string()))?;
        let ticket = self.ticket(Ticket::Invite {
            request,
            text: invitation.to_string(),
        });
        let batch = rustle_chain::record_issued(&invitation, now.wall);
        self.outbox.push(Output::Commit { ticket, batch });
        Ok(())
    }

    /// This node first, then members that are connected now, each with its addresses.
    pub(crate) fn members(&self, chain: &ChainId) -> Vec<Member> {
        let own = Member {
            peer: self.local,
            addresses: reachable(&self.listening),
        };
        let others = self
            .chains
            .subscribers(chain)
            .filter(|peer| self.peers.is_up(peer));
        let others = others.map(|peer| Member {
            peer,
            addresses: reachable(&self.peers.addresses(&peer)),
        });
        let others = others.filter(|member| !member.addresses.is_empty());
        std::iter::once(own)
            .chain(others)
            .take(INVITATION_PEERS_MAX)
            .collect()
    }
}
