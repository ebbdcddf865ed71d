//! Bitswap as others write it: messages put together and taken apart by hand, so that a fault of our own codec does not
//! hide itself.

use anyhow::{Context as _, Result, ensure};
use futures::{AsyncRead, AsyncReadExt as _};

use crate::messages::{field, framed, number};

/// The newest version of bitswap.
pub const BITSWAP: &str = "/ipfs/bitswap/1.2.0";
/// The one without presences.
pub const BITSWAP_1_1: &str = "/ipfs/bitswap/1.1.0";
/// The one that knows only CIDv0.
pub const BITSWAP_1_0: &str = "/ipfs/bitswap/1.0.0";

/// Longest message that is read.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// A want as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WireWant {
    /// The CID.
    pub cid: Vec<u8>,
    /// The want is withdrawn.
    pub cancel: bool,
    /// Only the knowledge of the block is wanted.
    pub have: bool,
    /// An answer is wished in any case.
    pub send_dont_have: bool,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Wants and their ends.
    pub wants: Vec<WireWant>,
    /// Blocks as 1.0.0 has them.
    pub blocks: Vec<Vec<u8>>,
    /// Blocks with the prefix of their CID.
    pub payload: Vec<(Vec<u8>, Vec<u8>)>,
    /// CIDs of blocks that the sender has.
    pub haves: Vec<Vec<u8>>,
    /// And has not.
    pub dont_haves: Vec<Vec<u8>>,
}

/// A wantlist in its frame; with `full` it replaces all that was wanted before.
pub fn wantlist(wants: &[WireWant], full: bool) -> Vec<u8> {
    let mut list = Vec::new();
    for want in wants {
        let mut entry = field(1, &want.cid);
        entry.extend(number(2, 1));
        for (tag, is_set) in [(3, want.cancel), (4, want.have), (5, want.send_dont_have)] {
            if is_set {
                entry.extend(number(tag, 1));
            }
        }
        list.extend(field(1, &entry));
    }
    if full {
        list.extend(number(2, 1));
    }
    framed(&field(1, &list))
}

/// A message with one block for those who speak 1.1.0 or newer, in its frame.
pub fn payload(prefix: &[u8], data: &[u8]) -> Vec<u8> {
    framed(&field(3, &[field(1, prefix), field(2, data)].concat()))
}

/// The same with any number of blocks.
pub fn payloads<'a>(blocks: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut message = Vec::new();
    for (prefix, data) in blocks {
        message.extend(field(3, &[field(1, prefix), field(2, data)].concat()));
    }
    framed(&message)
}

/// A message with one block for those who speak 1.0.0, in its frame.
pub fn bare_block(data: &[u8]) -> Vec<u8> {
    framed(&field(2, data))
}

/// A message with one presence, in its frame.
pub fn presence(cid: &[u8], has: bool) -> Vec<u8> {
    let mut presence = field(1, cid);
    if !has {
        presence.extend(number(2, 1));
    }
    framed(&field(4, &presence))
}

/// The next message of a stream; `None` where it ends before.
pub async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Said>> {
    let (mut length, mut shift) = (0, 0);
    loop {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            ensure!(shift == 0, "the stream ends within a length");
            return Ok(None);
        }
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    ensure!(length <= MESSAGE_BYTES_MAX, "a message of {length} bytes");
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    parse(&message).map(Some)
}

fn parse(message: &[u8]) -> Result<Said> {
    let mut said = Said::default();
    for (tag, _, body) in fields(message)? {
        match tag {
            1 => {
                for (_, _, entry) in fields(body)?.into_iter().filter(|(tag, ..)| *tag == 1) {
                    let is_set = |wanted| {
                        Ok::<_, anyhow::Error>(
                            fields(entry)?
                                .iter()
                                .any(|(tag, value, _)| *tag == wanted && *value != 0),
                        )
                    };
                    said.wants.push(WireWant {
                        cid: bytes_of(entry, 1)?,
                        cancel: is_set(3)?,
                        have: is_set(4)?,
                        send_dont_have: is_set(5)?,
                    });
                }
            }
            2 => said.blocks.push(body.to_vec()),
            3 => said.payload.push((bytes_of(body, 1)?, bytes_of(body, 2)?)),
            4 => {
                let lacks = fields(body)?
                    .iter()
                    .any(|(tag, value, _)| *tag == 2 && *value != 0);
                let list = if lacks {
                    &mut said.dont_haves
                } else {
                    &mut said.haves
                };
                list.push(bytes_of(body, 1)?);
            }
            _ => {}
        }
    }
    Ok(said)
}

fn bytes_of(message: &[u8], wanted: u64) -> Result<Vec<u8>> {
    let found = fields(message)?.into_iter().find(|(tag, ..)| *tag == wanted);
    Ok(found.map(|(.., body)| body.to_vec()).unwrap_or_default())
}

/// Tag, number and bytes of each field.
fn fields(mut message: &[u8]) -> Result<Vec<(u64, u64, &[u8])>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let value = take_varint(&mut message)?;
        let mut body: &[u8] = &[];
        if key & 7 == 2 {
            let (front, rest) = message
                .split_at_checked(usize::try_from(value)?)
                .context("a field ends early")?;
            (body, message) = (front, rest);
        } else {
            ensure!(key & 7 == 0, "a field of kind {}", key & 7);
        }
        found.push((key >> 3, value, body));
    }
    Ok(found)
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().context("a number ends early")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    anyhow::bail!("a number of more than ten bytes")
}
