//! The control stream: what is read can be written, fits its frame, and is read again as the same.

use rustle_types::limits::{
    ADDRESS_BYTES_MAX, CONTROL_FRAME_BYTES_MAX, HELLO_ADDRESSES_MAX, USER_AGENT_BYTES_MAX,
};
use rustle_types::{Multiaddr, Timestamp};
use rustle_wire::{Control, Disconnect, DisconnectReason, Hello, Services, Versions};

use crate::Target;

/// The bytes of one frame.
pub(crate) const TARGET: Target = Target {
    name: "control",
    run,
    seeds,
    bytes_max: CONTROL_FRAME_BYTES_MAX,
};

fn run(bytes: &[u8]) {
    let Ok(read) = Control::decode(bytes) else {
        return;
    };
    if let Control::Hello(hello) | Control::HelloAck(hello) = &read {
        assert!(hello.versions.min() <= hello.versions.max());
        assert!(hello.listen_addresses.len() <= HELLO_ADDRESSES_MAX);
        let addresses = hello.listen_addresses.iter().chain(&hello.observed_address);
        for address in addresses {
            assert!(address.len() <= ADDRESS_BYTES_MAX, "{address}");
        }
        for text in [&hello.user_agent, &hello.software_version] {
            assert!(text.len() <= USER_AGENT_BYTES_MAX);
            assert!(!text.chars().any(char::is_control), "{text:?} on a terminal");
        }
    }
    let written = read.encode();
    assert!(
        written.len() <= CONTROL_FRAME_BYTES_MAX,
        "{} bytes for a frame",
        written.len()
    );
    let again = Control::decode(&written).expect("what we write, we read");
    // A frame may come with more addresses than we would send; those are left out once.
    let (first, second) = (without_addresses(&read), without_addresses(&again));
    assert_eq!(first, second);
    assert_eq!(again.encode(), written, "the second writing differs");
}

fn without_addresses(message: &Control) -> Control {
    let strip = |hello: &Hello| Hello {
        listen_addresses: Vec::new(),
        ..hello.clone()
    };
    match message {
        Control::Hello(hello) => Control::Hello(strip(hello)),
        Control::HelloAck(hello) => Control::HelloAck(strip(hello)),
        Control::PingRequest { .. } | Control::PingResponse { .. } | Control::Disconnect(_) => {
            message.clone()
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let messages = [
        Control::Hello(hello()),
        Control::HelloAck(Hello {
            services: Services(u64::MAX),
            user_agent: "ü".repeat(USER_AGENT_BYTES_MAX / 2),
            listen_addresses: vec![address("/dns/example.org/udp/65535/quic-v1"); HELLO_ADDRESSES_MAX],
            ..hello()
        }),
        Control::PingRequest { nonce: u64::MAX },
        Control::PingResponse { nonce: 0 },
        Control::Disconnect(Disconnect::because(DisconnectReason::Full)),
        Control::Disconnect(Disconnect {
            reason: DisconnectReason::Network,
            network: Some(hello().network),
            versions: Some(Versions::ours()),
        }),
    ];
    messages.iter().map(|message| message.encode().to_vec()).collect()
}

/// A hello in which every field is set.
pub(crate) fn hello() -> Hello {
    Hello {
        versions: Versions::ours(),
        network: "main".parse().expect("the name of a network"),
        services: Services::INBOUND.and(Services::CONTENT),
        user_agent: "rustle/0.1.0".to_owned(),
        software_version: "0.1.0".to_owned(),
        time: Timestamp::from_millis(1_700_000_000_000),
        nonce: 0x0123_4567_89ab_cdef,
        listen_addresses: vec![
            address("/ip4/203.0.113.7/tcp/4747"),
            address("/ip6/2001:db8::7/udp/4747/quic-v1"),
        ],
        observed_address: Some(address("/ip4/198.51.100.3/tcp/50000")),
    }
}

pub(crate) fn address(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}
