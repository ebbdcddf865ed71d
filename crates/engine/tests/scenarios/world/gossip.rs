//! The topics: a message goes to all neighbours that subscribe, and on from those that judge it good.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::RngExt as _;
use rustle_engine::Input;
use rustle_types::{TopicName, Verdict};
use rustle_wire::Announcement;

use super::{Event, Index, World};

/// What a node's router knows.
#[derive(Default)]
pub(crate) struct Router {
    own: BTreeSet<TopicName>,
    neighbours: BTreeMap<Index, BTreeSet<TopicName>>,
    seen: BTreeSet<u64>,
    heard: usize,
    /// Messages that wait for a verdict, and who sent each on.
    waiting: BTreeMap<u64, (Index, Gossip)>,
}

/// A message of a topic.
#[derive(Clone)]
pub(crate) struct Gossip {
    id: u64,
    topic: TopicName,
    payload: Bytes,
}

pub(crate) enum GossipEvent {
    Subscribed {
        from: Index,
        to: Index,
        topic: TopicName,
    },
    /// A neighbour that the router knew before is told again, to a node that only now hears the topic.
    Replayed {
        node: Index,
        life: u64,
        neighbour: Index,
        topic: TopicName,
    },
    Heard {
        from: Index,
        to: Index,
        gossip: Gossip,
    },
}

// === impl Router ===

impl Router {
    pub(crate) fn forget(&mut self, neighbour: Index) {
        self.neighbours.remove(&neighbour);
    }

    /// Messages that were not judged yet.
    pub(crate) fn unjudged(&self) -> usize {
        self.waiting.len()
    }

    /// Messages that came in, each counted once.
    pub(crate) fn heard(&self) -> usize {
        self.heard
    }

    fn subscribers(&self, topic: &TopicName) -> Vec<Index> {
        let subscribed = self
            .neighbours
            .iter()
            .filter(|(_, topics)| topics.contains(topic));
        subscribed.map(|(node, _)| *node).collect()
    }
}

// === impl World ===

impl World {
    pub(super) fn subscribe(&mut self, node: Index, topic: TopicName) {
        self.nodes[node].router.own.insert(topic.clone());
        for to in self.neighbours(node) {
            self.tell_topic(node, to, topic.clone());
        }
        let life = self.nodes[node].life;
        for neighbour in self.nodes[node].router.subscribers(&topic) {
            let replayed = GossipEvent::Replayed {
                node,
                life,
                neighbour,
                topic: topic.clone(),
            };
            self.later(std::time::Duration::ZERO, Event::Gossip(replayed));
        }
    }

    /// On a new connection each end tells what it hears.
    pub(super) fn tell_topics(&mut self, from: Index, to: Index) {
        for topic in self.nodes[from].router.own.clone() {
            self.tell_topic(from, to, topic);
        }
    }

    fn tell_topic(&mut self, from: Index, to: Index, topic: TopicName) {
        let latency = self.weather.latency;
        self.later(
            latency,
            Event::Gossip(GossipEvent::Subscribed { from, to, topic }),
        );
    }

    /// Says something on a topic; engines say what is true, a test may say anything.
    pub(crate) fn publish(&mut self, node: Index, topic: TopicName, payload: Bytes) {
        let gossip = Gossip {
            id: self.number(),
            topic,
            payload,
        };
        self.nodes[node].router.seen.insert(gossip.id);
        self.pass_on(node, None, &gossip);
    }

    pub(super) fn judge(&mut self, node: Index, message: u64, verdict: Verdict) {
        let waiting = self.nodes[node].router.waiting.remove(&message);
        let (from, gossip) = waiting.expect("each message is judged once");
        if verdict == Verdict::Accept {
            self.pass_on(node, Some(from), &gossip);
        }
    }

    fn pass_on(&mut self, node: Index, but: Option<Index>, gossip: &Gossip) {
        for to in self.nodes[node].router.subscribers(&gossip.topic) {
            if Some(to) == but || self.is_lost(&gossip.payload) {
                continue;
            }
            self.moved(node, to);
            let wait = self.weather.latency + self.jitter();
            let heard = GossipEvent::Heard {
                from: node,
                to,
                gossip: gossip.clone(),
            };
            self.later(wait, Event::Gossip(heard));
        }
    }

    fn is_lost(&mut self, payload: &Bytes) -> bool {
        if self.weather.swallows_blocks {
            let announcement = Announcement::decode(payload.clone()).unwrap();
            if matches!(announcement, Announcement::NewBlock { .. }) {
                return true;
            }
        }
        self.rng.random_bool(self.weather.loss)
    }

    pub(super) fn on_gossip(&mut self, event: GossipEvent) {
        match event {
            GossipEvent::Subscribed { from, to, topic } => {
                if self.passes(from, to) {
                    self.nodes[to]
                        .router
                        .neighbours
                        .entry(from)
                        .or_default()
                        .insert(topic.clone());
                    let peer = self.nodes[from].peer;
                    self.feed(to, Input::Subscribed { peer, topic });
                }
            }
            GossipEvent::Replayed {
                node,
                life,
                neighbour,
                topic,
            } => {
                if self.nodes[node].life == life && self.is_connected(node, neighbour) {
                    let peer = self.nodes[neighbour].peer;
                    self.feed(node, Input::Subscribed { peer, topic });
                }
            }
            GossipEvent::Heard { from, to, gossip } => self.on_heard(from, to, gossip),
        }
    }

    fn on_heard(&mut self, from: Index, to: Index, gossip: Gossip) {
        if self.passes(from, to) {
            self.moved(to, from);
        }
        let hears = self.nodes[to].router.own.contains(&gossip.topic);
        if !hears || !self.passes(from, to) || !self.nodes[to].router.seen.insert(gossip.id) {
            return;
        }
        self.nodes[to].router.heard += 1;
        let message = self.number();
        let (topic, payload) = (gossip.topic.clone(), gossip.payload.clone());
        self.nodes[to].router.waiting.insert(message, (from, gossip));
        let from = self.nodes[from].peer;
        self.feed(
            to,
            Input::Message {
                message,
                from,
                topic,
                payload,
            },
        );
    }

    fn passes(&self, from: Index, to: Index) -> bool {
        self.is_connected(to, from) && !self.is_silent(from, to)
    }
}
