//! What does the node tell each peer about itself, ours or not?

use libp2p::identify::{Behaviour, Config as Settings};

use crate::Config;

/// What identify tells as the protocol family.
const PROTOCOL_VERSION: &str = "rustle/1";

pub(super) fn behaviour(config: &Config) -> Behaviour {
    let key = config.identity.keypair().public();
    let settings = Settings::new(PROTOCOL_VERSION.to_owned(), key)
        .with_agent_version(config.agent.clone())
        // Whoever dials through a proxy does not want to be found where it listens.
        .with_hide_listen_addrs(config.proxy.is_some());
    Behaviour::new(settings)
}
