//! What follows from misconduct, and whom the operator lets in.

use rustle_store::Batch;
use rustle_types::{ConnectionId, Host, Multiaddr, Now, PeerId, address};
use rustle_wire::{Disconnect, DisconnectReason};

use super::Manager;
use crate::rules::{Banned, Origin, Reason, Rule, RuleKind, RulesError, Target};
use crate::{ConnectError, Fault, Output, Verdict};

impl Manager {
    /// A fault on the control stream: nothing that follows on it can be relied upon, so the connection goes in any case.
    pub(super) fn fault(&mut self, now: Now, id: ConnectionId, fault: Fault) {
        let Some(peer) = self.links.get(id).map(|connection| connection.peer) else {
            return;
        };
        self.answer_for(id, |_| Err(ConnectError::Refused(DisconnectReason::Protocol)));
        self.on_fault(now, peer, fault);
        self.close(id, Some(Disconnect::because(DisconnectReason::Protocol)));
    }

    /// A fault of a peer in any part of the node; what follows depends on all that it has done lately.
    pub(super) fn on_fault(&mut self, now: Now, peer: PeerId, fault: Fault) {
        self.counters.on_fault(fault.name());
        // Behind a relay it is the relay's, which has done nothing.
        let ip = self
            .links
            .of(&peer)
            .filter(|(_, one)| !one.is_relayed())
            .find_map(|(_, one)| address::ip(&one.address));
        let (verdict, host) = if self.rules.is_peer_allowed(now.wall, &peer, ip) {
            // The operator knows better; it stays, and it shows.
            (Verdict::Tolerate, None)
        } else {
            self.scores.add(now, peer, ip.map(Host::of_ip), fault)
        };
        self.outbox.push(Output::Fault { peer, fault, verdict });
        match verdict {
            Verdict::Tolerate => {}
            Verdict::Disconnect => self.close_peer(&peer, DisconnectReason::Protocol),
            Verdict::Ban(wait) => {
                let ban = |target, wait| Rule {
                    target,
                    kind: RuleKind::Ban,
                    until: Some(now.wall.plus(wait)),
                    reason: Reason::new(fault.name()),
                    origin: Origin::Score,
                    since: now.wall,
                };
                // A ban that finds no place is none; the peer goes all the same.
                let _ = self.add_rule(now, ban(Target::Peer(peer), wait));
                if let (Some(wait), Some(ip)) = (host, ip) {
                    let _ = self.add_rule(now, ban(Target::host(ip), wait));
                }
                self.close_peer(&peer, DisconnectReason::Banned);
            }
        }
    }

    /// Adds a rule, and closes what it forbids.
    pub fn add_rule(&mut self, now: Now, rule: Rule) -> Result<(), RulesError> {
        let (is_ban, origin) = (rule.kind == RuleKind::Ban, rule.origin);
        let batch = self.rules.add(now.wall, rule)?;
        self.on_rules(batch);
        if is_ban {
            self.counters.on_banned(origin.name());
            self.close_banned(now);
        }
        Ok(())
    }

    /// Removes a rule; gives it. Where a permission ends, a ban may hold again.
    pub fn remove_rule(&mut self, now: Now, kind: RuleKind, target: &Target) -> Option<Rule> {
        let (rule, batch) = self.rules.remove(kind, target)?;
        if let Target::Peer(peer) = target {
            // Else its next fault would ban it again.
            self.scores.forgive(peer);
        }
        if let (Target::Prefix(prefix), RuleKind::Ban) = (target, kind) {
            self.scores.forgive_hosts(|host| prefix.holds(host));
        }
        self.on_rules(batch);
        self.close_banned(now);
        Some(rule)
    }

    pub(super) fn expire_rules(&mut self, now: Now) {
        if self.rules.next_expiry().is_none_or(|next| now.wall < next) {
            return;
        }
        let (over, batch) = self.rules.expire(now.wall);
        if !over.is_empty() {
            self.on_rules(batch);
            self.close_banned(now);
        }
    }

    fn on_rules(&mut self, batch: Batch) {
        if !batch.is_empty() {
            self.outbox.push(Output::Persist(batch));
        }
        self.outbox.push(Output::Rules(self.rules.clone()));
    }

    fn close_banned(&mut self, now: Now) {
        let is_banned = |peer: &PeerId, address: &Multiaddr| {
            self.rules.check(now.wall, peer, address::ip(address)).is_err()
        };
        let banned = self
            .links
            .iter()
            .filter(|(_, one)| is_banned(&one.peer, &one.address));
        let banned: Vec<(ConnectionId, PeerId)> = banned.map(|(id, one)| (id, one.peer)).collect();
        let anchors: Vec<PeerId> = self.book.anchors().collect();
        for peer in anchors {
            if self.is_shut_out(now, &peer) {
                self.book.on_banned(now.uptime, &peer);
            }
        }
        for (id, peer) in banned {
            self.book.on_banned(now.uptime, &peer);
            self.answer_for(id, |_| Err(ConnectError::Refused(DisconnectReason::Banned)));
            self.close(id, Some(Disconnect::because(DisconnectReason::Banned)));
        }
    }

    /// Why an address must not be dialled, or a connection from there must not stand.
    pub(super) fn banned_at(&self, now: Now, address: &Multiaddr, peer: Option<PeerId>) -> Option<Banned> {
        let ip = address::ip(address);
        let checked = match (peer, ip) {
            (Some(peer), ip) => self.rules.check(now.wall, &peer, ip),
            (None, Some(ip)) => self.rules.check_ip(now.wall, ip),
            (None, None) => Ok(()),
        };
        checked.err()
    }
}
