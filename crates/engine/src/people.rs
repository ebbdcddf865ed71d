//! What the administration door asks about peers.

use std::time::Duration;

use rustle_peers::{Origin, Reason, Rule, RuleKind, Target};
use rustle_types::Now;

use crate::engine::Engine;
use crate::event::Numbers;
use crate::{AskError, PeerAsk, Reply};

// === impl Engine ===

impl Engine {
    pub(crate) fn on_peer_ask(&mut self, now: Now, ask: PeerAsk) -> Result<Reply, AskError> {
        match ask {
            PeerAsk::Info(peer) => {
                let info = self.peers.info(now, &peer).ok_or(AskError::UnknownPeer(peer))?;
                Ok(Reply::Peer(Box::new(info)))
            }
            PeerAsk::Disconnect(peer) => {
                if self.peers.disconnect(now, &peer) {
                    Ok(Reply::Done)
                } else {
                    Err(AskError::NotConnected(peer))
                }
            }
            PeerAsk::AddRule {
                kind,
                target,
                duration,
                reason,
            } => self.add_rule(now, kind, target, duration, reason),
            PeerAsk::RemoveRule { kind, target } => {
                let removed = self.peers.remove_rule(now, kind, &target);
                removed
                    .map(|_| Reply::Done)
                    .ok_or(AskError::NoRule { kind, target })
            }
            PeerAsk::Rules => {
                let rules = self.peers.rules().iter();
                Ok(Reply::Rules(
                    rules.filter(|rule| !rule.is_over(now.wall)).cloned().collect(),
                ))
            }
            PeerAsk::Addresses { table, after, limit } => {
                let views = self.peers.address_views(table, after.as_ref());
                Ok(Reply::Addresses(views.take(limit).collect()))
            }
            PeerAsk::Numbers => Ok(Reply::Numbers(Box::new(Numbers {
                counters: self.peers.counters().clone(),
                totals: self.peers.totals(now),
            }))),
        }
    }

    fn add_rule(
        &mut self,
        now: Now,
        kind: RuleKind,
        target: Target,
        duration: Option<Duration>,
        reason: Reason,
    ) -> Result<Reply, AskError> {
        if kind == RuleKind::Ban && target == Target::Peer(self.local) {
            return Err(AskError::Invalid("this node cannot ban itself".to_owned()));
        }
        let rule = Rule {
            target,
            kind,
            until: duration.map(|time| now.wall.plus(time)),
            reason,
            origin: Origin::Operator,
            since: now.wall,
        };
        self.peers.add_rule(now, rule.clone())?;
        Ok(Reply::Rule(rule))
    }
}
