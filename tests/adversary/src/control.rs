//! What is said on `/rustle/hello/1`, in messages or in any bytes.

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use rustle_types::limits::CONTROL_FRAME_BYTES_MAX;
use rustle_wire::{Control, frame};

use crate::Stream;

/// The control stream of a connection.
#[derive(Debug)]
pub struct ControlStream {
    stream: Stream,
    decoder: frame::Decoder,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message.
    Message(Control),
    /// A frame that is no message.
    Garbage(Bytes),
    /// The end of the stream or of the connection.
    End,
}

// === impl ControlStream ===

impl ControlStream {
    /// Around a stream whose protocol is settled.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            decoder: frame::Decoder::new(CONTROL_FRAME_BYTES_MAX),
        }
    }

    /// Sends a message in its frame.
    pub async fn send(&mut self, message: &Control) -> Result<()> {
        let mut bytes = BytesMut::new();
        frame::encode(&message.encode(), &mut bytes);
        self.bytes(&bytes).await
    }

    /// Sends bytes as they are.
    pub async fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next that the other end says.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.decoder.next() {
                Ok(Some(frame)) => {
                    return match Control::decode(&frame) {
                        Ok(message) => Heard::Message(message),
                        Err(_) => Heard::Garbage(frame),
                    };
                }
                Ok(None) => {}
                Err(_) => return Heard::End,
            }
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece).await {
                Ok(read @ 1..) => self.decoder.push(&piece[..read]),
                Ok(_) | Err(_) => return Heard::End,
            }
        }
    }

    /// Everything up to the end.
    pub async fn rest(&mut self) -> Vec<Control> {
        let mut messages = Vec::new();
        loop {
            match self.next().await {
                Heard::Message(message) => messages.push(message),
                Heard::Garbage(_) => {}
                Heard::End => return messages,
            }
        }
    }

    /// Half-closes it: the other end reads an end and can still write.
    pub async fn finish(&mut self) -> Result<()> {
        Ok(self.stream.close().await?)
    }
}
