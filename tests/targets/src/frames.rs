//! Frames: the same messages however the bytes are cut, and never more kept than one frame may have.

use bytes::{Bytes, BytesMut};
use rustle_wire::frame::{self, Decoder, FrameError};

use crate::Target;
use crate::input::Input;

/// The first byte says how the rest is cut into pieces; frames of at most 300 bytes, so that two-byte lengths occur.
pub(crate) const TARGET: Target = Target {
    name: "frames",
    run,
    seeds,
    bytes_max: 2048,
};

const MAX: usize = 300;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let cut = input.below(64) + 1;
    let stream = input.rest();
    let (whole, whole_end) = decode(stream, stream.len().max(1));
    let (cut, cut_end) = decode(stream, cut);

    assert_eq!(whole, cut, "the messages depend on how the bytes came");
    assert_eq!(whole_end, cut_end, "the end depends on how the bytes came");
    let mut encoded = BytesMut::new();
    for message in &whole {
        assert!(message.len() <= MAX, "a message of {} bytes", message.len());
        frame::encode(message, &mut encoded);
    }
    assert!(
        stream.starts_with(&encoded),
        "the frames of the messages are not what they were read from"
    );
}

/// All messages of a stream that comes in pieces, and why there are no more: an error, or an unfinished frame.
fn decode(stream: &[u8], piece: usize) -> (Vec<Bytes>, Result<bool, FrameError>) {
    let mut decoder = Decoder::new(MAX);
    let mut messages = Vec::new();
    for piece in stream.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
    }
    (messages, Ok(decoder.is_mid_frame()))
}

fn seeds() -> Vec<Vec<u8>> {
    let mut frames = BytesMut::from(&[7][..]);
    for length in [0, 1, 127, 128, MAX] {
        frame::encode(&vec![0x5a; length], &mut frames);
    }
    vec![
        frames.to_vec(),
        vec![1, 0x81, 0x08],
        vec![1, 0x80, 0x00],
        [&[3][..], &[0xff; 11]].concat(),
    ]
}
