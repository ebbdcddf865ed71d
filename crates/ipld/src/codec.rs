//! Which values and which links are in a block?

use std::collections::BTreeMap;

use bytes::Bytes;
use ipld_core::codec::Links;
use ipld_core::ipld::Ipld;
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_CBOR, CODEC_DAG_JSON, CODEC_DAG_PB, CODEC_RAW};
use rustle_unixfs::dagpb::Node;
use serde_ipld_dagcbor::codec::DagCborCodec;
use serde_ipld_dagjson::codec::DagJsonCodec;

use crate::IpldError;
use crate::bounds::{VALUES_MAX, check_cbor, check_json};

/// The links of a block in their order, repeated ones too. Its bytes were checked against its CID.
pub fn links(cid: &Cid, bytes: Bytes) -> Result<Vec<Cid>, IpldError> {
    match cid.codec() {
        CODEC_RAW => Ok(Vec::new()),
        CODEC_DAG_PB => {
            let node = Node::decode(bytes).map_err(|error| malformed(cid, &error))?;
            Ok(node.links.into_iter().map(|link| link.cid).collect())
        }
        CODEC_DAG_CBOR => {
            check_cbor(&bytes)?;
            let links = DagCborCodec::links(&bytes).map_err(|error| malformed(cid, &error))?;
            Ok(links.collect())
        }
        CODEC_DAG_JSON => {
            check_json(&bytes)?;
            let links = DagJsonCodec::links(&bytes).map_err(|error| malformed(cid, &error))?;
            Ok(links.collect())
        }
        codec => Err(IpldError::UnknownCodec { cid: *cid, codec }),
    }
}

/// The values of a block. Its bytes were checked against its CID.
pub fn decode(cid: &Cid, bytes: Bytes) -> Result<Ipld, IpldError> {
    match cid.codec() {
        CODEC_RAW => Ok(Ipld::Bytes(bytes.into())),
        CODEC_DAG_PB => decode_pb(cid, bytes),
        CODEC_DAG_CBOR => {
            check_cbor(&bytes)?;
            let value: Ipld =
                serde_ipld_dagcbor::from_slice(&bytes).map_err(|error| malformed(cid, &error))?;
            // The decoder is strict, but not in all it reads; equal values shall be equal blocks.
            let again = serde_ipld_dagcbor::to_vec(&value).map_err(|error| malformed(cid, &error))?;
            if again == bytes {
                Ok(value)
            } else {
                Err(IpldError::NotCanonical)
            }
        }
        CODEC_DAG_JSON => {
            check_json(&bytes)?;
            serde_ipld_dagjson::from_slice(&bytes).map_err(|error| malformed(cid, &error))
        }
        codec => Err(IpldError::UnknownCodec { cid: *cid, codec }),
    }
}

/// A node as the data model has it: `{Data: bytes, Links: [{Hash, Name, Tsize}]}`.
fn decode_pb(cid: &Cid, bytes: Bytes) -> Result<Ipld, IpldError> {
    let node = Node::decode(bytes).map_err(|error| malformed(cid, &error))?;
    if VALUES_MAX / 4 < node.links.len() {
        return Err(IpldError::TooManyValues);
    }
    let mut links = Vec::with_capacity(node.links.len());
    for link in node.links {
        let name = String::from_utf8(link.name.into()).map_err(|error| malformed(cid, &error))?;
        links.push(map([
            ("Hash", Ipld::Link(link.cid)),
            ("Name", Ipld::String(name)),
            ("Tsize", Ipld::Integer(link.tsize.into())),
        ]));
    }
    let mut values = BTreeMap::from([("Links".to_owned(), Ipld::List(links))]);
    if let Some(data) = node.data {
        values.insert("Data".to_owned(), Ipld::Bytes(data.into()));
    }
    Ok(Ipld::Map(values))
}

fn map<const N: usize>(entries: [(&str, Ipld); N]) -> Ipld {
    let entries = entries.map(|(key, value)| (key.to_owned(), value));
    Ipld::Map(entries.into())
}

pub(crate) fn malformed(cid: &Cid, error: &dyn std::fmt::Display) -> IpldError {
    let (cid, error) = (*cid, error.to_string());
    IpldError::Malformed { cid, error }
}
