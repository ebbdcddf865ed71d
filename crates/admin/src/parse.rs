//! Is this text what it should be?
//!
//! The server asks for every request, and the command line asks before it even looks for a daemon, so both give the same
//! answer: `InvalidArgument` with what was wrong and what to do.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rustle_peers::REASON_BYTES_MAX;
use rustle_types::content::{CODEC_RAW, HashFunction, UnknownCodec, UnknownHashFunction, codec_named};
use rustle_types::limits::{
    BLOCK_BODY_BYTES_MAX, BLOCK_TOPIC_BYTES_MAX, BLOCK_TOPICS_MAX, CHAIN_NAME_BYTES_MAX, INVITATION_CHARS_MAX,
};
use rustle_types::{BlockId, Cid, Multiaddr, PeerId};
use rustle_unixfs::{ContentPath, FOLDER_DEPTH_MAX, PathError, TARGET_BYTES_MAX, check_name};

use crate::fault::{Fault, FaultKind, reason};
use crate::views::{ChainRef, NewEntry, PIN_NAME_BYTES_MAX, Reason, Target, TunnelEnd};

/// What every invitation begins with.
pub const INVITATION_PREFIX: &str = "rustle1";
/// What every id of a block or chain begins with: base32 of CIDv1, dag-cbor, sha2-256.
const BLOCK_PREFIX: &str = "bafyrei";
/// Shortest time for which a rule holds.
const RULE_TIME_MIN: Duration = Duration::from_secs(1);
/// What the name of every tunnel begins with.
pub const TUNNEL_PREFIX: &str = "/x/";
/// Longest name of a tunnel.
pub const TUNNEL_NAME_BYTES_MAX: usize = 255;
/// Longest text that is repeated in a message.
const SHOWN_CHARS_MAX: usize = 80;

/// Any CID.
pub fn cid(text: &str) -> Result<Cid, Fault> {
    Cid::try_from(text).map_err(|cause| {
        let text = shown(text);
        Fault::bad_argument(format!(
            "`{text}` is not a CID ({cause}); copy the whole id, it begins with `Qm` or `baf`"
        ))
    })
}

/// A CID and names below it.
pub fn path(text: &str) -> Result<ContentPath, Fault> {
    text.parse().map_err(|error: PathError| match error {
        PathError::Cid(_) => Fault::bad_argument(error.to_string()),
        PathError::Upward(_) | PathError::TooLong => Fault::bad_path(error.to_string()),
    })
}

/// The path of an entry to be added: names that stay inside the folder.
pub fn entry_path(path: &[u8]) -> Result<(), Fault> {
    let refuse = |why: &str| {
        let text = shown(&String::from_utf8_lossy(path));
        Fault::bad_path(format!("`{text}` cannot be added: {why}"))
    };
    if path.starts_with(b"/") {
        return Err(refuse(
            "its path is absolute; name it from the folder that is added",
        ));
    }
    if FOLDER_DEPTH_MAX < path.split(|byte| *byte == b'/').count() {
        return Err(refuse("it lies too deep"));
    }
    for name in path.split(|byte| *byte == b'/') {
        check_name(name).map_err(|why| {
            let name = shown(&String::from_utf8_lossy(name));
            refuse(&format!("of `{name}`, {why}"))
        })?;
    }
    Ok(())
}

/// What a symbolic link may point to.
pub fn link_target(target: &[u8]) -> Result<(), Fault> {
    match target.len() {
        1..=TARGET_BYTES_MAX => Ok(()),
        bytes => Err(Fault::bad_path(format!(
            "a symbolic link's target has 1 to {TARGET_BYTES_MAX} bytes, not {bytes}"
        ))),
    }
}

/// A hash function by its name; none is sha2-256.
pub fn hash_function(name: &str) -> Result<HashFunction, Fault> {
    match name {
        "" => Ok(HashFunction::default()),
        name => name
            .parse()
            .map_err(|error: UnknownHashFunction| Fault::bad_argument(error.to_string())),
    }
}

/// A codec by its name; none is raw.
pub fn codec(name: &str) -> Result<u64, Fault> {
    match name {
        "" => Ok(CODEC_RAW),
        name => {
            let bad = |error: UnknownCodec| {
                Fault::new(FaultKind::InvalidArgument, reason::BAD_CONTENT, error.to_string())
            };
            codec_named(name).map_err(bad)
        }
    }
}

/// The name of a pin.
pub fn pin_name(text: &str) -> Result<String, Fault> {
    if PIN_NAME_BYTES_MAX < text.len() {
        return Err(Fault::bad_argument(format!(
            "the name has {} bytes; a pin's name has at most {PIN_NAME_BYTES_MAX}",
            text.len()
        )));
    }
    Ok(text.to_owned())
}

/// An address to dial.
pub fn address(text: &str) -> Result<Multiaddr, Fault> {
    let example = "it looks like `/ip4/192.0.2.7/tcp/4001/p2p/12D3Koo…`";
    match text.parse::<Multiaddr>() {
        Ok(address) if address.is_empty() => {
            Err(Fault::bad_argument(format!("the multiaddr is empty; {example}")))
        }
        Ok(address) => match rustle_types::address::lack(&address) {
            Some(lack) => {
                let text = shown(text);
                Err(Fault::bad_argument(format!("`{text}` {lack}; {example}")))
            }
            None => Ok(address),
        },
        Err(cause) => {
            let text = shown(text);
            Err(Fault::bad_argument(format!(
                "`{text}` is not a multiaddr ({cause}); {example}"
            )))
        }
    }
}

/// The place of a TCP service or listener: an IP address and a port, nothing else.
pub fn tcp(text: &str) -> Result<SocketAddr, Fault> {
    let address = text.parse::<Multiaddr>().ok();
    let address = address.filter(|address| address.iter().count() == 2);
    match address.as_ref().and_then(rustle_types::address::tcp) {
        Some(place) => Ok(place),
        None => {
            let text = shown(text);
            Err(Fault::bad_argument(format!(
                "`{text}` is no place for TCP; it looks like `/ip4/127.0.0.1/tcp/8080`"
            )))
        }
    }
}

/// The same as a multiaddr.
pub fn tcp_text(place: SocketAddr) -> String {
    let family = if place.is_ipv4() { "ip4" } else { "ip6" };
    format!("/{family}/{}/tcp/{}", place.ip(), place.port())
}

/// The name of a tunnel: `/x/` and what the operator likes, as Kubo's `ipfs p2p` has it.
pub fn tunnel_name(text: &str) -> Result<String, Fault> {
    let why = match text.strip_prefix(TUNNEL_PREFIX) {
        None => format!("it does not begin with {TUNNEL_PREFIX}"),
        Some("") => format!("nothing follows {TUNNEL_PREFIX}"),
        Some(_) if TUNNEL_NAME_BYTES_MAX < text.len() => {
            format!("it has {} bytes; at most {TUNNEL_NAME_BYTES_MAX}", text.len())
        }
        // Names of protocols end with a line feed where peers agree on one.
        Some(name) if name.chars().any(char::is_control) => "it has control characters".to_owned(),
        Some(_) => return Ok(text.to_owned()),
    };
    let text = shown(text);
    Err(Fault::bad_argument(format!(
        "`{text}` is not a name for a tunnel: {why}; write for example /x/web"
    )))
}

/// Who offers a service: the id of a peer, or a multiaddr that ends with one.
pub fn tunnel_end(text: &str) -> Result<TunnelEnd, Fault> {
    if !text.starts_with('/') {
        let peer = peer(text)?;
        return Ok(TunnelEnd { peer, address: None });
    }
    let address = address(text)?;
    match rustle_types::address::peer(&address) {
        Some(peer) => Ok(TunnelEnd {
            peer,
            address: Some(address),
        }),
        None => {
            let text = shown(text);
            Err(Fault::bad_argument(format!(
                "`{text}` does not say who is there; end it with /p2p/ and the id of the peer"
            )))
        }
    }
}

/// The id of a peer.
pub fn peer(text: &str) -> Result<PeerId, Fault> {
    text.parse().map_err(|_| {
        let text = shown(text);
        Fault::bad_argument(format!(
            "`{text}` is not a peer id; copy the whole id, it begins with `12D3Koo` or `Qm`"
        ))
    })
}

/// Whom a rule is to mean.
pub fn target(text: &str) -> Result<Target, Fault> {
    text.parse().map_err(|_| {
        let text = shown(text);
        Fault::bad_argument(format!(
            "`{text}` is neither a peer id nor an IP address nor a prefix; write `12D3Koo…`, `192.0.2.7`, `192.0.2.0/24` or `2001:db8::/48`"
        ))
    })
}

/// The reason of a rule: what is longer or has control characters is refused, not cut.
pub fn rule_reason(text: &str) -> Result<Reason, Fault> {
    if REASON_BYTES_MAX < text.len() {
        return Err(Fault::bad_argument(format!(
            "the reason has {} bytes; at most {REASON_BYTES_MAX} are kept",
            text.len()
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::bad_argument(
            "the reason has control characters; write it in one line",
        ));
    }
    Ok(Reason::new(text))
}

/// How long a rule is to hold; `None` for ever.
pub fn rule_duration(time: Duration) -> Result<Option<Duration>, Fault> {
    match time {
        Duration::ZERO => Ok(None),
        time if time < RULE_TIME_MIN => Err(Fault::bad_argument(format!(
            "{} ms are too short for a rule; it holds for {} s at least",
            time.as_millis(),
            RULE_TIME_MIN.as_secs()
        ))),
        time => Ok(Some(time)),
    }
}

/// The id of a block.
pub fn block(text: &str) -> Result<BlockId, Fault> {
    text.parse()
        .map_err(|cause: rustle_types::IdError| Fault::bad_argument(cause.to_string()))
}

/// A chain by id or by name. What begins like an id must be one.
pub fn chain(text: &str) -> Result<ChainRef, Fault> {
    if text.starts_with(BLOCK_PREFIX) || Cid::try_from(text).is_ok() {
        let id = text
            .parse()
            .map_err(|cause: rustle_types::IdError| Fault::bad_argument(cause.to_string()))?;
        return Ok(ChainRef::Id(id));
    }
    name_rule(text).map_err(|why| {
        let text = shown(text);
        Fault::bad_argument(format!(
            "`{text}` is neither the id nor the name of a chain: {why}"
        ))
    })?;
    Ok(ChainRef::Name(text.to_owned()))
}

/// The name of a new chain. It may not look like an id, or no one could use it.
pub fn chain_name(text: &str) -> Result<String, Fault> {
    let refuse =
        |why: &str| Fault::bad_argument(format!("`{}` is not a name for a chain: {why}", shown(text)));
    name_rule(text).map_err(|why| refuse(&why))?;
    if text.starts_with(BLOCK_PREFIX) || Cid::try_from(text).is_ok() {
        return Err(refuse("it looks like an id; take another"));
    }
    Ok(text.to_owned())
}

/// The outer form of an invitation; the backend opens it.
pub fn invitation(text: &str) -> Result<String, Fault> {
    let text = text.trim();
    let whole = "copy the whole word that `rustle chain invite` gave";
    if !text.starts_with(INVITATION_PREFIX) {
        // Not repeated: the rest of a torn invitation is still a secret.
        return Err(Fault::bad_argument(format!(
            "this is not an invitation: it does not begin with `{INVITATION_PREFIX}`; {whole}"
        )));
    }
    if INVITATION_CHARS_MAX < text.len() {
        return Err(Fault::bad_argument(format!(
            "the invitation has {} characters, at most {INVITATION_CHARS_MAX} are possible; {whole}",
            text.len()
        )));
    }
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    {
        return Err(Fault::bad_argument(format!(
            "the invitation has characters that none can have; {whole}"
        )));
    }
    Ok(text.to_owned())
}

/// Topics and body of a new block, within their bounds.
pub fn entry(topics: Vec<String>, body: Bytes) -> Result<NewEntry, Fault> {
    if BLOCK_TOPICS_MAX < topics.len() {
        return Err(Fault::bad_argument(format!(
            "{} topics given; a block has at most {BLOCK_TOPICS_MAX}",
            topics.len()
        )));
    }
    if let Some(topic) = topics
        .iter()
        .find(|topic| !(1..=BLOCK_TOPIC_BYTES_MAX).contains(&topic.len()))
    {
        return Err(Fault::bad_argument(format!(
            "topic `{}` has {} bytes; 1 to {BLOCK_TOPIC_BYTES_MAX} are allowed",
            shown(topic),
            topic.len()
        )));
    }
    if BLOCK_BODY_BYTES_MAX < body.len() {
        return Err(Fault::bad_argument(format!(
            "the body has more than {BLOCK_BODY_BYTES_MAX} bytes, the most a block holds; add it as a file and append its CID"
        )));
    }
    Ok(NewEntry { topics, body })
}

fn name_rule(text: &str) -> Result<(), String> {
    if !(1..=CHAIN_NAME_BYTES_MAX).contains(&text.len()) {
        return Err(format!(
            "it has {} bytes, 1 to {CHAIN_NAME_BYTES_MAX} are allowed",
            text.len()
        ));
    }
    if text.chars().any(char::is_control) {
        return Err("it has control characters".to_owned());
    }
    if text.trim() != text {
        return Err("it begins or ends with white space".to_owned());
    }
    Ok(())
}

/// The beginning of a text, without what could upset a terminal or a line of log.
fn shown(text: &str) -> String {
    text.chars()
        .take(SHOWN_CHARS_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;

    const BLOCK: &str = "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    #[test]
    fn chains_are_named_by_id_or_name() {
        assert!(matches!(chain(BLOCK), Ok(ChainRef::Id(_))));
        assert_eq!(chain("chat room"), Ok(ChainRef::Name("chat room".to_owned())));

        for bad in [
            "",
            " x",
            "a\nb",
            &"n".repeat(65),
            &BLOCK[..40],
            "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        ] {
            let fault = chain(bad).unwrap_err();
            assert_eq!(fault.kind, FaultKind::InvalidArgument, "{bad}");
            assert!(!fault.message.contains('\n'), "{bad}");
        }
        assert!(
            chain_name(BLOCK).is_err(),
            "a name that is an id could never be used"
        );
    }

    #[test]
    fn texts_of_other_kinds_are_refused() {
        assert!(cid("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG").is_ok());
        for bad in ["", "Qm", "hello", "/ipfs/"] {
            assert!(cid(bad).is_err(), "{bad}");
        }
        assert!(address("/ip4/127.0.0.1/tcp/4001").is_ok());
        for bad in ["", "127.0.0.1:4001", "/ip4/300.0.0.1/tcp/1", "/tcp"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert_eq!(invitation(" rustle1abc\n"), Ok("rustle1abc".to_owned()));
        for bad in [
            "",
            "rustle2abc",
            "rustle1 abc",
            &format!("rustle1{}", "a".repeat(INVITATION_CHARS_MAX)),
        ] {
            assert!(invitation(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_stay_inside_their_folder() {
        for good in ["a", "a/b", "a b/\u{e4}", ".hidden", "a/..b"] {
            assert_eq!(entry_path(good.as_bytes()), Ok(()), "{good}");
        }
        let deep = "d/".repeat(FOLDER_DEPTH_MAX) + "d";
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            "..",
            "../a",
            "a/../b",
            "./a",
            "a\0b",
            &deep,
        ] {
            let fault = entry_path(bad.as_bytes()).unwrap_err();
            assert_eq!(fault.reason, reason::BAD_PATH, "{bad}");
            assert!(!fault.is_usage() && !fault.message.contains('\n'), "{fault}");
        }
        let cid = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";
        assert_eq!(path(&format!("/ipfs/{cid}/a/b")).unwrap().names, ["a", "b"]);
        assert_eq!(path(&format!("{cid}/../b")).unwrap_err().reason, reason::BAD_PATH);
        assert_eq!(path("a/b").unwrap_err().reason, reason::BAD_ARGUMENT);
        assert!(link_target(b"../anywhere").is_ok());
        assert!(link_target(b"").is_err());
    }

    #[test]
    fn peers_and_rules_are_named_exactly() {
        let id = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        assert_eq!(peer(id).unwrap().to_string(), id);
        for bad in ["", &id[..20], "192.0.2.7", "x\ny"] {
            let fault = peer(bad).unwrap_err();
            assert!(!fault.message.contains('\n'), "{bad}");
        }
        for good in [id, "192.0.2.7", "192.0.2.0/24", "2001:db8::/48"] {
            assert_eq!(target(good).unwrap().to_string(), good);
        }
        for bad in ["", "192.0.2.0/33", "example.com", "x\ny"] {
            let fault = target(bad).unwrap_err();
            assert!(
                fault.message.contains("192.0.2.0/24") && !fault.message.contains('\n'),
                "{fault}"
            );
        }
        assert!(rule_reason(&"x".repeat(REASON_BYTES_MAX)).is_ok());
        assert!(rule_reason(&"x".repeat(REASON_BYTES_MAX + 1)).is_err());
        assert!(rule_reason("two\nlines").is_err());
        assert_eq!(rule_duration(Duration::ZERO), Ok(None));
        assert!(rule_duration(Duration::from_millis(999)).is_err());
        assert!(rule_duration(Duration::MAX).unwrap().is_some());
    }

    #[test]
    fn tunnels_are_named_and_placed_exactly() {
        assert_eq!(tcp_text(tcp("/ip6/::1/tcp/80").unwrap()), "/ip6/::1/tcp/80");
        assert_eq!(tcp("/ip4/127.0.0.1/tcp/0").unwrap().port(), 0);
        for wrong in [
            "127.0.0.1:80",
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/udp/80",
            "/dns4/a.example/tcp/80",
            "/ip4/127.0.0.1/tcp/80/ws",
        ] {
            assert!(tcp(wrong).is_err(), "{wrong}");
        }
        assert!(tunnel_name("/x/QmB: JoinRequest").is_ok());
        let long = format!("/x/{}", "a".repeat(TUNNEL_NAME_BYTES_MAX));
        for wrong in ["web", "/web", "/x/", "/x/a\nb", long.as_str()] {
            assert!(tunnel_name(wrong).is_err(), "{wrong}");
        }
        let id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        assert_eq!(tunnel_end(id).unwrap().address, None);
        let whole = format!("/ip4/127.0.0.1/tcp/1/p2p/{id}");
        assert_eq!(tunnel_end(&whole).unwrap().peer.to_string(), id);
        assert!(tunnel_end("/ip4/127.0.0.1/tcp/1").is_err());
    }

    #[test]
    fn an_entry_keeps_its_bounds() {
        let body = |len| Bytes::from(vec![0; len]);
        assert!(entry(vec!["t".to_owned(); BLOCK_TOPICS_MAX], body(BLOCK_BODY_BYTES_MAX)).is_ok());
        assert!(entry(vec!["t".to_owned(); BLOCK_TOPICS_MAX + 1], body(0)).is_err());
        assert!(entry(vec![String::new()], body(0)).is_err());
        let refused = entry(Vec::new(), body(BLOCK_BODY_BYTES_MAX + 9)).unwrap_err();
        assert!(refused.message.contains("more than 262144 bytes"), "{refused}");
    }
}
