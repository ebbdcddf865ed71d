//! Do the words of rendezvous survive, and is garbage told?

use proptest::prelude::*;

use super::*;

fn any_namespace() -> impl Strategy<Value = Namespace> {
    "[a-z/]{1,40}".prop_map(|text| Namespace::new(&text).unwrap())
}

fn any_registration() -> impl Strategy<Value = Registration> {
    let record = prop::collection::vec(any::<u8>(), 0..64);
    (any_namespace(), record, any::<Option<u64>>()).prop_map(|(namespace, record, ttl)| Registration {
        namespace,
        record: record.into(),
        ttl,
    })
}

fn any_cookie() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..32).prop_map(Bytes::from)
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    prop::sample::select(vec![
        Refusal::Namespace,
        Refusal::Record,
        Refusal::Ttl,
        Refusal::Cookie,
        Refusal::NotAuthorized,
        Refusal::Internal,
        Refusal::Unavailable,
    ])
}

fn any_request() -> impl Strategy<Value = Request> {
    let discover = (
        prop::option::of(any_namespace()),
        any::<Option<u64>>(),
        any_cookie(),
    );
    prop_oneof![
        any_registration().prop_map(Request::Register),
        any_namespace().prop_map(|namespace| Request::Unregister { namespace }),
        discover.prop_map(|(namespace, limit, cookie)| Request::Discover {
            namespace,
            limit,
            cookie
        }),
    ]
}

fn any_response() -> impl Strategy<Value = Response> {
    let page = (prop::collection::vec(any_registration(), 0..5), any_cookie()).prop_map(
        |(registrations, cookie)| Page {
            registrations,
            cookie,
        },
    );
    prop_oneof![
        any::<u64>().prop_map(|ttl| Response::Registered(Ok(ttl))),
        any_refusal().prop_map(|refusal| Response::Registered(Err(refusal))),
        page.prop_map(|page| Response::Discovered(Ok(page))),
        any_refusal().prop_map(|refusal| Response::Discovered(Err(refusal))),
    ]
}

fn registration(namespace: &str, record: usize) -> pb::message::Register {
    pb::message::Register {
        ns: Some(namespace.to_owned()),
        signed_peer_record: Some(vec![7; record].into()),
        ttl: Some(u64::MAX),
    }
}

fn request(kind: MessageType, fill: impl FnOnce(&mut pb::Message)) -> Result<Request, WireError> {
    let mut message = pb::Message {
        r#type: Some(kind.into()),
        ..pb::Message::default()
    };
    fill(&mut message);
    Request::decode(message.encode_to_vec().into())
}

proptest! {
    #[test]
    fn messages_survive(request in any_request(), response in any_response()) {
        prop_assert_eq!(Request::decode(request.encode()).unwrap(), request);
        prop_assert_eq!(Response::decode(response.encode()).unwrap(), response);
    }

    #[test]
    fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..128)) {
        let _ = Request::decode(garbage.clone().into());
        let _ = Response::decode(garbage.into());
    }
}

#[test]
fn a_request_is_the_bytes_that_the_specification_gives() {
    let namespace = Namespace::new("ns").unwrap();
    let unregister = Request::Unregister {
        namespace: namespace.clone(),
    };
    // type (1) = UNREGISTER (2), unregister (4) { ns (1) = "ns" }
    assert_eq!(unregister.encode()[..], *b"\x08\x02\x22\x04\x0a\x02ns");
    let register = Request::Register(Registration {
        namespace,
        record: Bytes::from_static(b"r"),
        ttl: Some(1),
    });
    // type (1) = REGISTER (0), register (2) { ns, signedPeerRecord (2), ttl (3) }
    assert_eq!(
        register.encode()[..],
        *b"\x08\x00\x12\x09\x0a\x02ns\x12\x01r\x18\x01"
    );
}

#[test]
fn the_largest_messages_have_their_bounds() {
    let namespace = Namespace::new(&"n".repeat(NAMESPACE_BYTES_MAX)).unwrap();
    let registration = Registration {
        namespace: namespace.clone(),
        record: vec![7; SIGNED_RECORD_BYTES_MAX].into(),
        ttl: Some(u64::MAX),
    };
    assert!(Request::Register(registration.clone()).encode().len() <= REQUEST_BYTES_MAX);
    let discover = Request::Discover {
        namespace: Some(namespace),
        limit: Some(u64::MAX),
        cookie: vec![7; COOKIE_BYTES_MAX].into(),
    };
    assert!(discover.encode().len() <= REQUEST_BYTES_MAX);
    let page = Page {
        registrations: vec![registration; PAGE_MAX],
        cookie: vec![7; COOKIE_BYTES_MAX].into(),
    };
    assert!(Response::Discovered(Ok(page)).encode().len() <= RESPONSE_BYTES_MAX);
}

#[test]
fn requests_beyond_the_bounds_are_refused() {
    use MessageType::{Discover, Register, RegisterResponse, Unregister};
    let register = |namespace, record| {
        request(Register, |message| {
            message.register = Some(registration(namespace, record));
        })
    };
    let long = "n".repeat(NAMESPACE_BYTES_MAX + 1);
    assert!(register("n", SIGNED_RECORD_BYTES_MAX).is_ok());
    assert!(register("n", SIGNED_RECORD_BYTES_MAX + 1).is_err());
    assert!(register(&long, 1).is_err());
    assert!(register("", 1).is_err());
    assert!(request(Register, |_| {}).is_err());
    assert!(request(Unregister, |_| {}).is_err());
    assert!(request(RegisterResponse, |_| {}).is_err());
    let cookie = |length| {
        request(Discover, |message| {
            message.discover = Some(pb::message::Discover {
                ns: Some(String::new()),
                limit: None,
                cookie: Some(vec![7; length].into()),
            });
        })
    };
    let Ok(Request::Discover { namespace: None, .. }) = cookie(COOKIE_BYTES_MAX) else {
        panic!("an empty namespace is all of them");
    };
    assert!(cookie(COOKIE_BYTES_MAX + 1).is_err());
}

#[test]
fn a_bad_registration_does_not_hide_the_others_and_a_long_page_is_cut() {
    let decode = |registrations| {
        let message = pb::Message {
            r#type: Some(MessageType::DiscoverResponse.into()),
            discover_response: Some(pb::message::DiscoverResponse {
                registrations,
                cookie: Some(Bytes::from_static(b"c")),
                status: Some(ResponseStatus::Ok.into()),
                status_text: None,
            }),
            ..pb::Message::default()
        };
        match Response::decode(message.encode_to_vec().into()) {
            Ok(Response::Discovered(Ok(page))) => page.registrations,
            other => panic!("{other:?}"),
        }
    };
    let mixed = vec![
        registration("", 1),
        registration("a", SIGNED_RECORD_BYTES_MAX + 1),
        pb::message::Register::default(),
        registration("b", 1),
    ];
    let left = decode(mixed);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].namespace.as_str(), "b");
    assert_eq!(decode(vec![registration("a", 1); PAGE_MAX + 5]).len(), PAGE_MAX);
}

#[test]
fn an_unknown_reason_is_a_refusal() {
    let message = pb::Message {
        r#type: Some(MessageType::RegisterResponse.into()),
        register_response: Some(pb::message::RegisterResponse {
            status: Some(999),
            status_text: None,
            ttl: Some(1),
        }),
        ..pb::Message::default()
    };
    let response = Response::decode(message.encode_to_vec().into());
    assert_eq!(response, Ok(Response::Registered(Err(Refusal::Internal))));
}
