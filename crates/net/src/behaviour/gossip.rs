//! With which numbers does gossip run, so that go-libp2p and js-libp2p understand it?

use libp2p::gossipsub::{self, MessageAuthenticity, MessageId, TopicHash, TopicSubscriptionFilter};
use rustle_types::PeerId;
use rustle_types::limits::{GOSSIP_MESSAGE_BYTES_MAX, TOPIC_NAME_BYTES_MAX};

use crate::Identity;
use crate::config::{
    GOSSIP_CONTROL_BYTES_MAX, GOSSIP_MESSAGES_QUEUED_MAX, GOSSIP_OVERHEAD_BYTES, GOSSIP_TOPICS_PER_PEER_MAX,
};

pub(crate) type Gossipsub = gossipsub::Behaviour<gossipsub::IdentityTransform, KnownTopics>;

/// Remembers only so many subscriptions of a peer, and only to topics that we could name ourselves.
pub(crate) type KnownTopics = gossipsub::MaxCountSubscriptionFilter<NamedTopics>;

/// Topics within the bounds of `TopicName`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedTopics;

/// Fails only where the numbers below contradict each other.
pub(super) fn behaviour(identity: &Identity) -> Result<Gossipsub, String> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(GOSSIP_MESSAGE_BYTES_MAX + GOSSIP_OVERHEAD_BYTES)
        .max_control_message_size(GOSSIP_CONTROL_BYTES_MAX)
        .connection_handler_queue_len(GOSSIP_MESSAGES_QUEUED_MAX)
        .build()
        .map_err(|error| error.to_string())?;
    let filter = gossipsub::MaxCountSubscriptionFilter {
        filter: NamedTopics,
        max_subscribed_topics: GOSSIP_TOPICS_PER_PEER_MAX,
        max_subscriptions_per_request: GOSSIP_TOPICS_PER_PEER_MAX,
    };
    // Signed, with sequence numbers that only grow: Kubo drops all others.
    let authenticity = MessageAuthenticity::Signed(identity.keypair().clone());
    gossipsub::Behaviour::new_with_subscription_filter(authenticity, config, filter).map_err(str::to_owned)
}

/// go-libp2p's id: the author's bytes and the sequence number, big endian. With another id, IHAVE and IDONTWANT would
/// never match what Kubo has.
fn message_id(message: &gossipsub::Message) -> MessageId {
    let mut id = message.source.map(PeerId::to_bytes).unwrap_or_default();
    id.extend_from_slice(&message.sequence_number.unwrap_or_default().to_be_bytes());
    MessageId::new(&id)
}

// === impl NamedTopics ===

impl TopicSubscriptionFilter for NamedTopics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        topic.as_str().len() <= TOPIC_NAME_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_are_those_of_go() {
        let author = Identity::generate().peer_id();
        let message = gossipsub::Message {
            source: Some(author),
            data: b"whatever".to_vec(),
            sequence_number: Some(0x0102),
            topic: TopicHash::from_raw("t"),
        };
        assert_eq!(
            message_id(&message).0,
            [author.to_bytes(), vec![0, 0, 0, 0, 0, 0, 1, 2]].concat()
        );
    }

    #[test]
    fn the_numbers_of_gossip_fit_together() {
        assert!(behaviour(&Identity::generate()).is_ok());
    }
}
