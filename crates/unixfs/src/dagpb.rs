//! What does a dag-pb node look like in bytes? (ipld.io/specs/codecs/dag-pb/spec)
//!
//! The links (field 2) stand before the data (field 1). The order of links is the caller's: chunks of a file stand in
//! file order, entries of a folder are sorted by name ([`Node::sort_links`]).

use bytes::Bytes;
use rustle_types::Cid;

use crate::protobuf::{
    DecodeError, Value, put_bytes_header, put_varint_field, set_once, take_field, varint_len,
};

/// A node: links to other blocks, and data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// The links in their order.
    pub links: Vec<Link>,
    /// The data; for files and folders a UnixFS message. Absent and empty differ in bytes.
    pub data: Option<Bytes>,
}

/// A link to another block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The block.
    pub cid: Cid,
    /// Name of a folder's entry, empty for a chunk of a file. Usually UTF-8, as file names are.
    pub name: Bytes,
    /// Bytes of all blocks below, the linked one included. Informative: nothing checks it.
    pub tsize: u64,
}

// === impl Node ===

impl Node {
    /// Sorts the links by the bytes of their names, as folders need it. Equal names keep their order.
    pub fn sort_links(&mut self) {
        self.links.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// The canonical bytes, with the links in the order they have.
    pub fn encode(&self) -> Bytes {
        let data_len = self.data.as_ref().map_or(0, |data| data.len() + 8);
        let mut out =
            Vec::with_capacity(self.links.iter().map(|link| link.len() + 4).sum::<usize>() + data_len);
        for link in &self.links {
            put_bytes_header(&mut out, 2, link.len());
            link.encode(&mut out);
        }
        if let Some(data) = &self.data {
            put_bytes_header(&mut out, 1, data.len());
            out.extend_from_slice(data);
        }
        Bytes::from(out)
    }

    /// Reads a node. Data and names share memory with `bytes`.
    ///
    /// Unknown fields, repeated fields and links on both sides of the data are errors. Links behind the data and
    /// unsorted names are read: old IPFS nodes wrote them.
    pub fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let mut node = Self::default();
        let mut links_before_data = false;
        while !bytes.is_empty() {
            match take_field(&mut bytes, "a dag-pb node")? {
                (1, Value::Bytes(data)) => {
                    set_once(&mut node.data, data, "Data")?;
                    links_before_data = !node.links.is_empty();
                }
                (2, Value::Bytes(_)) if links_before_data => return Err(DecodeError::Scattered),
                (2, Value::Bytes(link)) => node.links.push(Link::decode(link)?),
                (field, value) => return Err(value.stray(field, "a dag-pb node")),
            }
        }
        Ok(node)
    }
}

// === impl Link ===

impl Link {
    /// Bytes that the link adds to a node.
    pub(crate) fn encoded_len(&self) -> usize {
        let len = self.len();
        1 + varint_len(len as u64) + len
    }

    /// Bytes of the link's message.
    fn len(&self) -> usize {
        let (hash, name) = (self.cid.encoded_len(), self.name.len());
        3 + varint_len(hash as u64) + hash + varint_len(name as u64) + name + varint_len(self.tsize)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes_header(out, 1, self.cid.encoded_len());
        self.cid
            .write_bytes(&mut *out)
            .expect("writing into memory never fails");
        put_bytes_header(out, 2, self.name.len());
        out.extend_from_slice(&self.name);
        put_varint_field(out, 3, self.tsize);
    }

    fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let (mut cid, mut name, mut tsize) = (None, None, None);
        while !bytes.is_empty() {
            match take_field(&mut bytes, "a dag-pb link")? {
                (1, Value::Bytes(hash)) => {
                    // `try_from` also refuses bytes behind the CID.
                    let read = Cid::try_from(hash.as_ref()).map_err(|_| DecodeError::Cid(hash.len()))?;
                    set_once(&mut cid, read, "Hash")?;
                }
                (2, Value::Bytes(bytes)) => set_once(&mut name, bytes, "Name")?,
                (3, Value::Varint(bytes)) => set_once(&mut tsize, bytes, "Tsize")?,
                (field, value) => return Err(value.stray(field, "a dag-pb link")),
            }
        }
        let cid = cid.ok_or(DecodeError::Missing("Hash"))?;
        Ok(Self {
            cid,
            name: name.unwrap_or_default(),
            tsize: tsize.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::cid_of;

    fn link(name: &'static str, tsize: u64) -> Link {
        let cid = cid_of(1, rustle_types::content::CODEC_RAW, name.as_bytes());
        Link {
            cid,
            name: Bytes::from_static(name.as_bytes()),
            tsize,
        }
    }

    #[test]
    fn links_stand_before_data_and_sort_by_name() {
        let mut node = Node {
            links: vec![link("b", 2), link("a", 1)],
            data: Some(Bytes::from_static(b"data")),
        };
        node.sort_links();
        let bytes = node.encode();

        assert_eq!(node.links[0].name, "a");
        assert_eq!(bytes[0], 0x12, "the first field is a link");
        assert!(bytes.ends_with(b"\x0a\x04data"));
        assert_eq!(Node::decode(bytes), Ok(node));
    }

    #[test]
    fn data_before_links_is_read_but_data_between_links_is_not() {
        let one = Node {
            links: vec![link("a", 1)],
            data: None,
        }
        .encode();
        let data = Node {
            links: vec![],
            data: Some(Bytes::from_static(b"d")),
        }
        .encode();

        assert_eq!(
            Node::decode([&data[..], &one].concat().into())
                .unwrap()
                .links
                .len(),
            1
        );
        assert_eq!(
            Node::decode([&one[..], &data, &one].concat().into()),
            Err(DecodeError::Scattered)
        );
        assert_eq!(
            Node::decode([&data[..], &data].concat().into()),
            Err(DecodeError::Twice("Data"))
        );
        assert!(matches!(
            Node::decode(Bytes::from_static(b"\x18\x01")),
            Err(DecodeError::Field { field: 3, .. })
        ));
        assert_eq!(
            Node::decode(Bytes::from_static(b"\x12\x00")),
            Err(DecodeError::Missing("Hash"))
        );
        assert_eq!(
            Node::decode(Bytes::from_static(b"\x12\x03\x0a\x01\x01")),
            Err(DecodeError::Cid(1))
        );
    }

    proptest! {
        #[test]
        fn a_node_survives_bytes(
            entries in prop::collection::vec(("[a-z]{0,9}", any::<u64>(), any::<u8>()), 0..20),
            data in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        ) {
            let links = entries
                .into_iter()
                .map(|(name, tsize, seed)| Link { cid: cid_of(1, 0x55, &[seed]), name: name.into(), tsize })
                .collect();
            let node = Node { links, data: data.map(Bytes::from) };
            let bytes = node.encode();
            prop_assert_eq!(Node::decode(bytes.clone()), Ok(node));
            for cut in 0..bytes.len() {
                // A cut either falls between fields or is an error; never a panic.
                let _ = Node::decode(bytes.slice(..cut));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Node::decode(bytes.into());
        }
    }
}
