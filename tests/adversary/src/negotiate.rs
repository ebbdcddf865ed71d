//! multistream-select 1.0, by hand, so that a caller can stop anywhere within it.
//!
//! A message is a varint length and a line that ends in `\n`.

use anyhow::{Context as _, Result, bail, ensure};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const MULTISTREAM: &str = "/multistream/1.0.0";
const NOT_AVAILABLE: &str = "na";
/// No name of a protocol is longer.
const LINE_BYTES_MAX: usize = 127;

/// Offers one protocol, and fails where the other end does not speak it.
pub async fn propose(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), protocol: &str) -> Result<()> {
    let offer = [line(MULTISTREAM)?, line(protocol)?].concat();
    stream.write_all(&offer).await?;
    stream.flush().await?;
    let version = read_line(stream).await?;
    ensure!(version == MULTISTREAM, "the other end speaks `{version}`");
    let answer = read_line(stream).await?;
    ensure!(
        answer == protocol,
        "the other end answers `{answer}` to `{protocol}`"
    );
    Ok(())
}

/// Takes the first offered protocol that is wanted, and says no to the others.
pub async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut is_wanted: impl FnMut(&str) -> bool,
) -> Result<String> {
    stream.write_all(&line(MULTISTREAM)?).await?;
    stream.flush().await?;
    let version = read_line(stream).await?;
    ensure!(version == MULTISTREAM, "the other end speaks `{version}`");
    loop {
        let protocol = read_line(stream).await?;
        let answer = if is_wanted(&protocol) {
            &protocol
        } else {
            NOT_AVAILABLE
        };
        stream.write_all(&line(answer)?).await?;
        stream.flush().await?;
        if answer == protocol {
            return Ok(protocol);
        }
    }
}

fn line(text: &str) -> Result<Vec<u8>> {
    let length = text.len() + 1;
    ensure!(length <= LINE_BYTES_MAX, "`{text}` is too long for one line");
    let mut line = vec![u8::try_from(length).context("checked above")?];
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    Ok(line)
}

async fn read_line(stream: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let mut length = [0];
    stream.read_exact(&mut length).await?;
    let length = usize::from(length[0]);
    if !(1..=LINE_BYTES_MAX).contains(&length) {
        bail!("a line of {length} bytes");
    }
    let mut line = vec![0; length];
    stream.read_exact(&mut line).await?;
    ensure!(line.pop() == Some(b'\n'), "a line without an end");
    Ok(String::from_utf8(line)?)
}
