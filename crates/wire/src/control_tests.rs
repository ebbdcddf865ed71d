//! Round trips of control messages, and what is refused.

use proptest::prelude::*;
use rustle_types::limits::{CONTROL_FRAME_BYTES_MAX, NETWORK_NAME_BYTES_MAX};

use super::*;

fn any_address() -> impl Strategy<Value = Multiaddr> {
    (any::<[u8; 4]>(), any::<u16>())
        .prop_map(|(ip, port)| format!("/ip4/{}.{}.{}.{}/tcp/{port}", ip[0], ip[1], ip[2], ip[3]))
        .prop_map(|text| text.parse().unwrap())
}

prop_compose! {
    fn any_hello()(
        min in 1u32..9,
        more in 0u32..9,
        network in "[a-z0-9-]{1,32}",
        (services, time, nonce) in any::<(u64, u64, u64)>(),
        (user_agent, software_version) in ("[ -~]{0,64}", "[ -~]{0,64}"),
        listen_addresses in prop::collection::vec(any_address(), 0..=HELLO_ADDRESSES_MAX),
        observed_address in prop::option::of(any_address()),
    ) -> Hello {
        Hello {
            versions: Versions::new(min, min + more).unwrap(),
            network: network.parse().unwrap(),
            services: Services(services),
            user_agent,
            software_version,
            time: Timestamp::from_millis(time),
            nonce,
            listen_addresses,
            observed_address,
        }
    }
}

proptest! {
    #[test]
    fn every_hello_survives_and_fits_a_frame(hello in any_hello()) {
        for message in [Control::Hello(hello.clone()), Control::HelloAck(hello)] {
            let bytes = message.encode();
            prop_assert!(bytes.len() <= CONTROL_FRAME_BYTES_MAX);
            prop_assert_eq!(Control::decode(&bytes).unwrap(), message);
        }
    }

    #[test]
    fn truncation_never_panics_and_never_passes_for_the_same(hello in any_hello(), cut in any::<prop::sample::Index>()) {
        let message = Control::Hello(hello);
        let bytes = message.encode();
        let cut = cut.index(bytes.len());
        prop_assert_ne!(Control::decode(&bytes[..cut]).ok(), Some(message));
    }

    #[test]
    fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Control::decode(&garbage);
    }

    #[test]
    fn pings_carry_their_nonce(nonce: u64) {
        for message in [Control::PingRequest { nonce }, Control::PingResponse { nonce }] {
            prop_assert_eq!(Control::decode(&message.encode()).unwrap(), message);
        }
    }
}

#[test]
fn an_empty_message_is_refused() {
    assert_eq!(Control::decode(&[]), Err(WireError::Missing("control message")));
}

#[test]
fn bad_hello_fields_are_named() {
    let good = pb::Hello {
        version_min: 1,
        version_max: 1,
        network: "main".into(),
        ..Default::default()
    };
    let refuse = |hello: pb::Hello| match Hello::from_proto(hello).unwrap_err() {
        WireError::Invalid { field, .. } => field,
        other => panic!("{other}"),
    };
    assert!(Hello::from_proto(good.clone()).is_ok());
    assert_eq!(
        refuse(pb::Hello {
            version_min: 0,
            ..good.clone()
        }),
        "version_min"
    );
    assert_eq!(
        refuse(pb::Hello {
            version_min: 2,
            ..good.clone()
        }),
        "version_min"
    );
    assert_eq!(
        refuse(pb::Hello {
            network: "Main Net".into(),
            ..good.clone()
        }),
        "network"
    );
    assert_eq!(
        refuse(pb::Hello {
            user_agent: "x".repeat(65),
            ..good.clone()
        }),
        "user_agent"
    );
    assert_eq!(
        refuse(pb::Hello {
            software_version: "\u{1b}[2J".into(),
            ..good.clone()
        }),
        "software_version"
    );
    assert_eq!(
        refuse(pb::Hello {
            listen_addresses: vec![Bytes::new(); 9],
            ..good.clone()
        }),
        "listen_addresses"
    );
    assert_eq!(
        refuse(pb::Hello {
            observed_address: Bytes::from_static(b"x"),
            ..good
        }),
        "observed_address"
    );
}

#[test]
fn texts_that_read_otherwise_than_they_are_are_refused() {
    for mark in [
        '\u{202e}',
        '\u{2066}',
        '\u{200f}',
        '\u{200b}',
        '\u{feff}',
        '\u{2028}',
        '\u{e0041}',
    ] {
        let refused = informative(format!("rustle{mark}/1"), "user_agent");
        assert!(refused.is_err(), "{mark:?}");
    }
    for text in ["rustle/1", "Gänge und Straßen", "網路/1", "نود"] {
        assert!(informative(text.to_owned(), "user_agent").is_ok(), "{text}");
    }
}

#[test]
fn an_overlong_agent_of_ours_is_cut_not_refused() {
    let hello = Hello {
        versions: Versions::ours(),
        network: NetworkName::default(),
        services: Services::default(),
        user_agent: "ä".repeat(60),
        software_version: String::new(),
        time: Timestamp::default(),
        nonce: 0,
        listen_addresses: vec![],
        observed_address: None,
    };
    assert!(Control::decode(&Control::Hello(hello).encode()).is_ok());
}

#[test]
fn versions_meet_at_the_highest_common_one() {
    let versions = |min, max| Versions::new(min, max).unwrap();
    assert_eq!(versions(1, 3).common(versions(2, 5)), Some(3));
    assert_eq!(versions(1, 2).common(versions(3, 4)), None);
    assert_eq!(versions(2, 2).common(versions(1, 2)), Some(2));
}

#[test]
fn a_goodbye_tells_what_differs() {
    let goodbye = Control::Disconnect(Disconnect {
        reason: DisconnectReason::Network,
        network: Some(NetworkName::default()),
        versions: Some(Versions::ours()),
    });
    assert_eq!(Control::decode(&goodbye.encode()).unwrap(), goodbye);
}

#[test]
fn a_hello_with_everything_at_its_bound_fits_a_frame() {
    let longest: Multiaddr = format!("/dns4/{}/tcp/4001", "a".repeat(ADDRESS_BYTES_MAX - 5))
        .parse()
        .unwrap();
    assert_eq!(longest.len(), ADDRESS_BYTES_MAX);
    let hello = Hello {
        versions: Versions::new(u32::MAX, u32::MAX).unwrap(),
        network: "n".repeat(NETWORK_NAME_BYTES_MAX).parse().unwrap(),
        services: Services(u64::MAX),
        user_agent: "u".repeat(USER_AGENT_BYTES_MAX),
        software_version: "v".repeat(USER_AGENT_BYTES_MAX),
        time: Timestamp::from_millis(u64::MAX),
        nonce: u64::MAX,
        listen_addresses: vec![longest.clone(); HELLO_ADDRESSES_MAX],
        observed_address: Some(longest),
    };

    let bytes = Control::Hello(hello.clone()).encode();

    assert!(bytes.len() <= CONTROL_FRAME_BYTES_MAX, "{} bytes", bytes.len());
    let Control::Hello(got) = Control::decode(&bytes).unwrap() else {
        panic!("no hello")
    };
    assert_eq!(got.listen_addresses, hello.listen_addresses[..7]);
}
