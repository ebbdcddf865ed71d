//! What do a node and a rendezvous point say to each other?
//!
//! A rendezvous point is a directory: whoever registers there under a namespace is told to whoever asks for it. The
//! protocol is libp2p's, spoken by go-libp2p and rust-libp2p too: one frame with the request, one with the answer. Peer
//! records stay bytes here, because reading them needs the keys of libp2p.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use crate::WireError;

/// The generated protobuf types of `proto/libp2p/rendezvous/v1`, private to this module.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::use_self,
    unreachable_pub,
    reason = "generated code"
)]
mod generated {
    include!("rendezvous/generated/libp2p.rendezvous.v1.rs");
}

use generated as pb;
use pb::message::{MessageType, ResponseStatus};

/// The protocol of a stream.
pub const PROTOCOL: &str = "/rendezvous/1.0.0";
/// Longest namespace.
pub const NAMESPACE_BYTES_MAX: usize = 255;
/// Largest signed peer record.
pub const SIGNED_RECORD_BYTES_MAX: usize = 2048;
/// Longest cookie.
pub const COOKIE_BYTES_MAX: usize = 512;
/// Largest request: a record, a namespace, and what is around them.
pub const REQUEST_BYTES_MAX: usize = 2560;
/// Registrations in one answer.
pub const PAGE_MAX: usize = 128;
/// Largest answer: so many records, each with a namespace, a time, and what is around them.
pub const RESPONSE_BYTES_MAX: usize = PAGE_MAX * (SIGNED_RECORD_BYTES_MAX + NAMESPACE_BYTES_MAX + 32) + 1024;

/// What a registration is filed under: 1 to 255 bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

/// What is asked of a rendezvous point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// "I am here."
    Register(Registration),
    /// "I am here no more." Not answered.
    Unregister {
        /// Under which namespace.
        namespace: Namespace,
    },
    /// "Who is there?"
    Discover {
        /// Under which namespace; all where it is absent.
        namespace: Option<Namespace>,
        /// At most so many.
        limit: Option<u64>,
        /// Of an earlier answer, for what came after it; empty for all. At most 512 bytes.
        cookie: Bytes,
    },
}

/// What a rendezvous point answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To `Request::Register`: for how many seconds it holds.
    Registered(Result<u64, Refusal>),
    /// To `Request::Discover`.
    Discovered(Result<Page, Refusal>),
}

/// One registration, wanted or given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What it is filed under.
    pub namespace: Namespace,
    /// A signed envelope with a peer record, not looked at; at most 2,048 bytes.
    pub record: Bytes,
    /// How long it holds, in seconds. Absent in a request: as long as the server likes.
    pub ttl: Option<u64>,
}

/// Some of what a directory has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// At most 128.
    pub registrations: Vec<Registration>,
    /// For the next question.
    pub cookie: Bytes,
}

/// Why a rendezvous point does not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The namespace is empty or too long.
    #[error("the namespace is refused")]
    Namespace,
    /// The record is malformed, or not signed by the peer it is about.
    #[error("the peer record is refused")]
    Record,
    /// Too short or too long.
    #[error("the time is refused")]
    Ttl,
    /// The cookie is of another server or namespace.
    #[error("the cookie is refused")]
    Cookie,
    /// The record is about another peer.
    #[error("the record is about another peer")]
    NotAuthorized,
    /// Its own fault.
    #[error("it failed")]
    Internal,
    /// No room, or too many requests.
    #[error("it has no room")]
    Unavailable,
}

// === impl Namespace ===

impl Namespace {
    /// A namespace; `None` where the text is empty or longer than 255 bytes.
    pub fn new(text: &str) -> Option<Self> {
        (1..=NAMESPACE_BYTES_MAX)
            .contains(&text.len())
            .then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_proto(text: Option<String>) -> Result<Self, WireError> {
        let text = text.ok_or(WireError::Missing("ns"))?;
        Self::new(&text).ok_or(WireError::invalid("ns", "must have 1 to 255 bytes"))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Request ===

impl Request {
    /// The request as protobuf, without a length.
    pub fn encode(&self) -> Bytes {
        let mut message = pb::Message::default();
        match self {
            Self::Register(registration) => {
                message.r#type = Some(MessageType::Register.into());
                message.register = Some(registration.to_proto());
            }
            Self::Unregister { namespace } => {
                message.r#type = Some(MessageType::Unregister.into());
                message.unregister = Some(pb::message::Unregister {
                    ns: Some(namespace.to_string()),
                    id: None,
                });
            }
            Self::Discover {
                namespace,
                limit,
                cookie,
            } => {
                message.r#type = Some(MessageType::Discover.into());
                message.discover = Some(pb::message::Discover {
                    ns: namespace.as_ref().map(ToString::to_string),
                    limit: *limit,
                    cookie: (!cookie.is_empty()).then(|| cookie.clone()),
                });
            }
        }
        message.encode_to_vec().into()
    }

    /// Reads a request; the bytes are one whole frame.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let message = pb::Message::decode(bytes)?;
        match kind(&message)? {
            MessageType::Register => {
                let register = message.register.ok_or(WireError::Missing("register"))?;
                Ok(Self::Register(Registration::from_proto(register)?))
            }
            MessageType::Unregister => {
                let unregister = message.unregister.ok_or(WireError::Missing("unregister"))?;
                let namespace = Namespace::from_proto(unregister.ns)?;
                Ok(Self::Unregister { namespace })
            }
            MessageType::Discover => {
                let discover = message.discover.ok_or(WireError::Missing("discover"))?;
                let namespace = discover.ns.filter(|text| !text.is_empty());
                let namespace = namespace.map(|text| Namespace::from_proto(Some(text)));
                Ok(Self::Discover {
                    namespace: namespace.transpose()?,
                    limit: discover.limit,
                    cookie: cookie(discover.cookie)?,
                })
            }
            MessageType::RegisterResponse | MessageType::DiscoverResponse => {
                Err(WireError::invalid("type", "must be a request"))
            }
        }
    }
}

// === impl Response ===

impl Response {
    /// The answer as protobuf, without a length.
    pub fn encode(&self) -> Bytes {
        let mut message = pb::Message::default();
        match self {
            Self::Registered(result) => {
                message.r#type = Some(MessageType::RegisterResponse.into());
                message.register_response = Some(pb::message::RegisterResponse {
                    status: Some(status(result.as_ref().err()).into()),
                    status_text: result.as_ref().err().map(ToString::to_string),
                    ttl: result.as_ref().ok().copied(),
                });
            }
            Self::Discovered(result) => {
                let page = result.as_ref().ok();
                let registrations = page.map_or(&[][..], |page| &page.registrations);
                message.r#type = Some(MessageType::DiscoverResponse.into());
                message.discover_response = Some(pb::message::DiscoverResponse {
                    registrations: registrations.iter().map(Registration::to_proto).collect(),
                    cookie: page.map(|page| page.cookie.clone()),
                    status: Some(status(result.as_ref().err()).into()),
                    status_text: result.as_ref().err().map(ToString::to_string),
                });
            }
        }
        message.encode_to_vec().into()
    }

    /// Reads an answer; the bytes are one whole frame. Registrations beyond a bound are left out: one that a stranger
    /// has made must not hide the others.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let message = pb::Message::decode(bytes)?;
        match kind(&message)? {
            MessageType::RegisterResponse => {
                let response = message
                    .register_response
                    .ok_or(WireError::Missing("register_response"))?;
                Ok(Self::Registered(match refusal(response.status)? {
                    None => Ok(response.ttl.ok_or(WireError::Missing("ttl"))?),
                    Some(refusal) => Err(refusal),
                }))
            }
            MessageType::DiscoverResponse => {
                let response = message
                    .discover_response
                    .ok_or(WireError::Missing("discover_response"))?;
                if let Some(refusal) = refusal(response.status)? {
                    return Ok(Self::Discovered(Err(refusal)));
                }
                let registrations = response.registrations.into_iter().take(PAGE_MAX);
                Ok(Self::Discovered(Ok(Page {
                    registrations: registrations
                        .filter_map(|one| Registration::from_proto(one).ok())
                        .collect(),
                    cookie: cookie(response.cookie)?,
                })))
            }
            MessageType::Register | MessageType::Unregister | MessageType::Discover => {
                Err(WireError::invalid("type", "must be an answer"))
            }
        }
    }
}

// === impl Registration ===

impl Registration {
    fn to_proto(&self) -> pb::message::Register {
        pb::message::Register {
            ns: Some(self.namespace.to_string()),
            signed_peer_record: Some(self.record.clone()),
            ttl: self.ttl,
        }
    }

    fn from_proto(register: pb::message::Register) -> Result<Self, WireError> {
        let record = register
            .signed_peer_record
            .ok_or(WireError::Missing("signed_peer_record"))?;
        if SIGNED_RECORD_BYTES_MAX < record.len() {
            return Err(WireError::invalid("signed_peer_record", "longer than 2048 bytes"));
        }
        Ok(Self {
            namespace: Namespace::from_proto(register.ns)?,
            record,
            ttl: register.ttl,
        })
    }
}

fn kind(message: &pb::Message) -> Result<MessageType, WireError> {
    let number = message.r#type.ok_or(WireError::Missing("type"))?;
    MessageType::try_from(number).map_err(|_| WireError::invalid("type", "unknown"))
}

fn cookie(cookie: Option<Bytes>) -> Result<Bytes, WireError> {
    let cookie = cookie.unwrap_or_default();
    if COOKIE_BYTES_MAX < cookie.len() {
        return Err(WireError::invalid("cookie", "longer than 512 bytes"));
    }
    Ok(cookie)
}

fn status(refusal: Option<&Refusal>) -> ResponseStatus {
    match refusal {
        None => ResponseStatus::Ok,
        Some(Refusal::Namespace) => ResponseStatus::EInvalidNamespace,
        Some(Refusal::Record) => ResponseStatus::EInvalidSignedPeerRecord,
        Some(Refusal::Ttl) => ResponseStatus::EInvalidTtl,
        Some(Refusal::Cookie) => ResponseStatus::EInvalidCookie,
        Some(Refusal::NotAuthorized) => ResponseStatus::ENotAuthorized,
        Some(Refusal::Internal) => ResponseStatus::EInternalError,
        Some(Refusal::Unavailable) => ResponseStatus::EUnavailable,
    }
}

fn refusal(status: Option<i32>) -> Result<Option<Refusal>, WireError> {
    let status = status.ok_or(WireError::Missing("status"))?;
    Ok(match ResponseStatus::try_from(status) {
        Ok(ResponseStatus::Ok) => None,
        Ok(ResponseStatus::EInvalidNamespace) => Some(Refusal::Namespace),
        Ok(ResponseStatus::EInvalidSignedPeerRecord) => Some(Refusal::Record),
        Ok(ResponseStatus::EInvalidTtl) => Some(Refusal::Ttl),
        Ok(ResponseStatus::EInvalidCookie) => Some(Refusal::Cookie),
        Ok(ResponseStatus::ENotAuthorized) => Some(Refusal::NotAuthorized),
        Ok(ResponseStatus::EUnavailable) => Some(Refusal::Unavailable),
        // A later version may know more reasons; none of them is a success.
        Ok(ResponseStatus::EInternalError) | Err(_) => Some(Refusal::Internal),
    })
}

#[cfg(test)]
#[path = "rendezvous_tests.rs"]
mod tests;
