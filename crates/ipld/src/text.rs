//! How does a block look as dag-json, and which block does a dag-json text make?

use bytes::Bytes;
use ipld_core::ipld::Ipld;
use rustle_types::Cid;
use rustle_types::limits::CONTENT_BLOCK_BYTES_MAX;

use crate::bounds::{check_cbor, check_json};
use crate::{IpldError, decode};

/// Longest text that becomes a block: base64 and escapes make a text longer than its block.
pub const TEXT_BYTES_MAX: usize = 2 * CONTENT_BLOCK_BYTES_MAX;

/// A block of any known codec as dag-json, with sorted keys: equal blocks give equal texts.
pub fn to_dag_json(cid: &Cid, bytes: Bytes) -> Result<String, IpldError> {
    let value = decode(cid, bytes)?;
    let unshowable = |why| IpldError::Unshowable { cid: *cid, why };
    check_reserved(&value).map_err(|why| unshowable(why.to_owned()))?;
    let text = serde_ipld_dagjson::to_vec(&value).map_err(|error| unshowable(error.to_string()))?;
    String::from_utf8(text).map_err(|error| unshowable(error.to_string()))
}

/// A dag-json text as a dag-cbor block.
pub fn to_dag_cbor(text: &str) -> Result<Bytes, IpldError> {
    if TEXT_BYTES_MAX < text.len() {
        return Err(IpldError::TextTooLong(text.len()));
    }
    check_json(text.as_bytes())?;
    let value: Ipld = serde_ipld_dagjson::from_slice(text.as_bytes())
        .map_err(|error| IpldError::Text(error.to_string()))?;
    let bytes = serde_ipld_dagcbor::to_vec(&value).map_err(|error| IpldError::Text(error.to_string()))?;
    check_cbor(&bytes)?;
    if CONTENT_BLOCK_BYTES_MAX < bytes.len() {
        return Err(IpldError::BlockTooLong(bytes.len()));
    }
    Ok(bytes.into())
}

/// A value as a dag-cbor block.
pub fn encode_dag_cbor(value: &Ipld) -> Result<Bytes, IpldError> {
    let bytes = serde_ipld_dagcbor::to_vec(value).map_err(|error| IpldError::Text(error.to_string()))?;
    Ok(bytes.into())
}

/// Refuses the maps that dag-json keeps for links and bytes. `decode` bounded the depth.
fn check_reserved(value: &Ipld) -> Result<(), &'static str> {
    match value {
        Ipld::Map(entries) => {
            // Only a string or a map behind the key would be read as something else, but the specification
            // reserves the key whenever it comes first.
            if entries.keys().next().is_some_and(|key| key == "/") {
                return Err("a map whose first key is `/`");
            }
            entries.values().try_for_each(check_reserved)
        }
        Ipld::List(values) => values.iter().try_for_each(check_reserved),
        Ipld::Null
        | Ipld::Bool(_)
        | Ipld::Integer(_)
        | Ipld::Float(_)
        | Ipld::String(_)
        | Ipld::Bytes(_)
        | Ipld::Link(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
