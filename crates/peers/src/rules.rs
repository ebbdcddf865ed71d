//! Who is banned, and who is always welcome?
//!
//! The longest prefix that holds an address decides; of a ban and a permission for the same prefix, the permission. The
//! network task asks on every accepted socket, so a question costs one look-up for each length of prefix in use, not one
//! for each rule.

mod rule;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use rustle_store::{Batch, Table};
use rustle_types::{PeerId, Timestamp, address};

pub use rule::{Origin, REASON_BYTES_MAX, Reason, Rule, RuleKind, RuleRecordError};
pub use target::{Prefix, Target, TargetError};

/// Rules that are kept. A further one takes the place of the oldest ban by score.
pub const RULES_MAX: usize = 4_096;

/// All rules. A clone is a snapshot and costs nothing until one of the two changes.
#[derive(Debug, Clone, Default)]
pub struct Rules(Arc<Inner>);

/// Why somebody is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("banned by {origin}: {reason}")]
pub struct Banned {
    /// Who made the rule.
    pub origin: Origin,
    /// Why.
    pub reason: Reason,
    /// Until when; `None` for ever.
    pub until: Option<Timestamp>,
}

/// Why a rule is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// All places are taken by rules of operators.
    #[error("there are {RULES_MAX} rules already; remove some, or ban a wider prefix")]
    Full,
    /// A ban by score cannot touch whom an operator always welcomes.
    #[error("the operator always welcomes this one")]
    Allowed,
}

type Key = (Target, RuleKind);

#[derive(Debug, Clone, Default)]
struct Inner {
    rules: BTreeMap<Key, Rule>,
    /// How many rules there are for each length of prefix: IPv4, IPv6.
    lengths: [BTreeMap<u8, u16>; 2],
    /// Those that end, the next one first.
    ending: BTreeSet<(Timestamp, Key)>,
    /// Bans by score, the oldest first.
    by_score: BTreeSet<(Timestamp, Key)>,
}

// === impl Rules ===

impl Rules {
    /// The rules of an earlier run; those beyond the bound are left out.
    pub fn restore(rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut restored = Self::default();
        let inner = Arc::make_mut(&mut restored.0);
        for rule in rules {
            if inner.rules.len() < RULES_MAX {
                inner.insert(rule);
            }
        }
        restored
    }

    /// Keeps a rule in the place of one of the same kind for the same target; gives what to write. A ban by score
    /// changes no rule of an operator, and never shortens an earlier one.
    pub fn add(&mut self, now: Timestamp, rule: Rule) -> Result<Batch, RulesError> {
        let key = (rule.target, rule.kind);
        if rule.origin == Origin::Score {
            if self.always_welcomes(now, &rule.target) {
                return Err(RulesError::Allowed);
            }
            let earlier = self.0.rules.get(&key).filter(|earlier| !earlier.is_over(now));
            if earlier.is_some_and(|earlier| is_stronger(earlier, &rule)) {
                return Ok(Batch::new());
            }
        }
        let mut batch = Batch::new();
        if !self.0.rules.contains_key(&key) && RULES_MAX <= self.0.rules.len() {
            let oldest = self.0.by_score.first().ok_or(RulesError::Full)?.1;
            self.take(&oldest, &mut batch);
        }
        let (record, value) = rule.to_record();
        batch.put(Table::Rules, record, value);
        Arc::make_mut(&mut self.0).insert(rule);
        Ok(batch)
    }

    /// Drops a rule; gives it with what to write, or `None` where there is none such.
    pub fn remove(&mut self, kind: RuleKind, target: &Target) -> Option<(Rule, Batch)> {
        let mut batch = Batch::new();
        let rule = self.take(&(*target, kind), &mut batch)?;
        Some((rule, batch))
    }

    /// Drops the rules that are over; gives them with what to write.
    pub fn expire(&mut self, now: Timestamp) -> (Vec<Rule>, Batch) {
        let (mut rules, mut batch) = (Vec::new(), Batch::new());
        while let Some((_, key)) = self.0.ending.first().copied().filter(|(until, _)| *until <= now) {
            rules.extend(self.take(&key, &mut batch));
        }
        (rules, batch)
    }

    /// When the next rule ends.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.0.ending.first().map(|(until, _)| *until)
    }

    /// Whether an address is banned.
    pub fn check_ip(&self, now: Timestamp, ip: IpAddr) -> Result<(), Banned> {
        refuse(self.0.for_ip(now, ip))
    }

    /// Whether a peer is banned, wherever it is.
    pub fn check_peer(&self, now: Timestamp, peer: &PeerId) -> Result<(), Banned> {
        refuse(self.0.for_peer(now, peer))
    }

    /// Whether a peer at an address is banned. What is said of the peer counts more than what is said of its address.
    pub fn check(&self, now: Timestamp, peer: &PeerId, ip: Option<IpAddr>) -> Result<(), Banned> {
        refuse(self.0.for_both(now, peer, ip))
    }

    /// Whether an address is always welcome.
    pub fn is_allowed(&self, now: Timestamp, ip: IpAddr) -> bool {
        is_permission(self.0.for_ip(now, ip))
    }

    /// Whether a peer at an address is always welcome, for its own sake or for its address.
    pub fn is_peer_allowed(&self, now: Timestamp, peer: &PeerId, ip: Option<IpAddr>) -> bool {
        is_permission(self.0.for_both(now, peer, ip))
    }

    /// All rules by target, those that are over and not yet dropped included.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.rules.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.rules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.rules.is_empty()
    }

    fn always_welcomes(&self, now: Timestamp, target: &Target) -> bool {
        is_permission(match target {
            Target::Peer(peer) => self.0.for_peer(now, peer),
            Target::Prefix(prefix) => self.0.for_ip(now, prefix.ip()),
        })
    }

    fn take(&mut self, key: &Key, batch: &mut Batch) -> Option<Rule> {
        if !self.0.rules.contains_key(key) {
            return None;
        }
        let rule = Arc::make_mut(&mut self.0).remove(key)?;
        batch.delete(Table::Rules, rule.key());
        Some(rule)
    }
}

/// Whether a rule that stands says at least as much as a ban by score that would take its place.
fn is_stronger(earlier: &Rule, ban: &Rule) -> bool {
    let lasts = match (earlier.until, ban.until) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(earlier), Some(later)) => later <= earlier,
    };
    earlier.origin == Origin::Operator || lasts
}

fn is_permission(rule: Option<&Rule>) -> bool {
    rule.is_some_and(|rule| rule.kind == RuleKind::Allow)
}

fn refuse(rule: Option<&Rule>) -> Result<(), Banned> {
    match rule {
        Some(rule) if rule.kind == RuleKind::Ban => Err(Banned {
            origin: rule.origin,
            reason: rule.reason.clone(),
            until: rule.until,
        }),
        Some(_) | None => Ok(()),
    }
}

// === impl Inner ===

impl Inner {
    fn insert(&mut self, rule: Rule) {
        let key = (rule.target, rule.kind);
        self.remove(&key);
        if let Some(length) = self.length(&rule.target) {
            *length += 1;
        }
        if let Some(until) = rule.until {
            self.ending.insert((until, key));
        }
        if is_by_score(&rule) {
            self.by_score.insert((rule.since, key));
        }
        self.rules.insert(key, rule);
    }

    fn remove(&mut self, key: &Key) -> Option<Rule> {
        let rule = self.rules.remove(key)?;
        if let Some(length) = self.length(&rule.target) {
            *length -= 1;
        }
        if let Some(until) = rule.until {
            self.ending.remove(&(until, *key));
        }
        if is_by_score(&rule) {
            self.by_score.remove(&(rule.since, *key));
        }
        Some(rule)
    }

    fn length(&mut self, target: &Target) -> Option<&mut u16> {
        match target {
            Target::Peer(_) => None,
            Target::Prefix(prefix) => {
                let family = usize::from(prefix.ip().is_ipv6());
                Some(self.lengths[family].entry(prefix.bits()).or_default())
            }
        }
    }

    /// The rule that decides about an address.
    fn for_ip(&self, now: Timestamp, ip: IpAddr) -> Option<&Rule> {
        let ip = address::canonical(ip);
        let lengths = &self.lengths[usize::from(ip.is_ipv6())];
        let used = lengths.iter().rev().filter(|(_, rules)| **rules != 0);
        used.filter_map(|(bits, _)| Prefix::new(ip, *bits))
            .find_map(|prefix| self.find(now, Target::Prefix(prefix)))
    }

    fn for_peer(&self, now: Timestamp, peer: &PeerId) -> Option<&Rule> {
        self.find(now, Target::Peer(*peer))
    }

    fn for_both(&self, now: Timestamp, peer: &PeerId, ip: Option<IpAddr>) -> Option<&Rule> {
        self.for_peer(now, peer).or_else(|| self.for_ip(now, ip?))
    }

    /// The rule for exactly this target; a permission before a ban.
    fn find(&self, now: Timestamp, target: Target) -> Option<&Rule> {
        [RuleKind::Allow, RuleKind::Ban]
            .into_iter()
            .filter_map(|kind| self.rules.get(&(target, kind)))
            .find(|rule| !rule.is_over(now))
    }
}

fn is_by_score(rule: &Rule) -> bool {
    rule.kind == RuleKind::Ban && rule.origin == Origin::Score
}

#[cfg(test)]
mod tests;
