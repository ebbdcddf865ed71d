//! Commands about chains.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use rustle_admin::parse;
use rustle_admin::views::{ChainRef, FollowFrom, InviteTerms, LogQuery, NewEntry, Order};
use rustle_types::limits::{BLOCK_BODY_BYTES_MAX, INVITATION_CHARS_MAX};

use super::connect;
use crate::arguments::{ChainCommand, Daemon};
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::table;

pub(super) async fn run(daemon: &Daemon, out: &mut Output, command: ChainCommand) -> Result<(), Failure> {
    match command {
        ChainCommand::Create { name } => create(daemon, out, &name).await,
        ChainCommand::List => list(daemon, out).await,
        ChainCommand::Invite { chain, expires, uses } => {
            let terms = InviteTerms {
                expires_in: expires.0,
                uses,
            };
            invite(daemon, out, &parse::chain(&chain)?, terms).await
        }
        ChainCommand::Join { invitation, timeout } => join(daemon, out, invitation, timeout).await,
        ChainCommand::Append {
            chain,
            topics,
            file,
            text,
        } => {
            let chain = parse::chain(&chain)?;
            let body = body(file.as_deref(), text)?;
            append(daemon, out, &chain, parse::entry(topics, body)?).await
        }
        ChainCommand::Log {
            chain,
            limit,
            reverse,
            after,
        } => {
            let after = after.as_deref().map(parse::block).transpose()?;
            let order = if reverse {
                Order::OldestFirst
            } else {
                Order::NewestFirst
            };
            log(
                daemon,
                out,
                &parse::chain(&chain)?,
                LogQuery { limit, order, after },
            )
            .await
        }
        ChainCommand::Leaves { chain } => leaves(daemon, out, &parse::chain(&chain)?).await,
        ChainCommand::Follow { chain, from, limit } => {
            follow(daemon, out, &parse::chain(&chain)?, from, limit).await
        }
        ChainCommand::Digest { chain } => digest(daemon, out, &parse::chain(&chain)?).await,
    }
}

async fn create(daemon: &Daemon, out: &mut Output, name: &str) -> Result<(), Failure> {
    let name = parse::chain_name(name)?;
    let chain = connect(daemon).await?.create_chain(&name).await?.to_string();
    out.show(
        &json::NamedChain {
            chain: chain.clone(),
            name,
        },
        || chain,
    )?;
    Ok(())
}

async fn invite(
    daemon: &Daemon,
    out: &mut Output,
    chain: &ChainRef,
    terms: InviteTerms,
) -> Result<(), Failure> {
    let invitation = connect(daemon).await?.invite(chain, terms).await?;
    out.show(
        &json::Invitation {
            invitation: invitation.clone(),
        },
        || invitation,
    )?;
    Ok(())
}

async fn join(
    daemon: &Daemon,
    out: &mut Output,
    invitation: String,
    timeout: Option<Duration>,
) -> Result<(), Failure> {
    let invitation = match invitation.as_str() {
        // White space around the word does not count.
        "-" => text_of_stdin(2 * INVITATION_CHARS_MAX)?,
        _ => invitation,
    };
    let invitation = parse::invitation(&invitation)?;
    let joined = connect(daemon).await?.join(&invitation, timeout).await?;
    let json = json::NamedChain {
        chain: joined.chain.to_string(),
        name: joined.name.clone(),
    };
    out.show(&json, || {
        format!("{}  {}", joined.chain, table::plain(&joined.name))
    })?;
    Ok(())
}

async fn append(daemon: &Daemon, out: &mut Output, chain: &ChainRef, entry: NewEntry) -> Result<(), Failure> {
    let appended = connect(daemon).await?.append(chain, entry).await?;
    out.show(&json::AppendedBlock::from(&appended), || {
        appended.block.to_string()
    })?;
    Ok(())
}

async fn leaves(daemon: &Daemon, out: &mut Output, chain: &ChainRef) -> Result<(), Failure> {
    let leaves = connect(daemon).await?.leaves(chain).await?;
    let blocks: Vec<String> = leaves.iter().map(ToString::to_string).collect();
    out.show(
        &json::Leaves {
            blocks: blocks.clone(),
        },
        || blocks.join("\n"),
    )?;
    Ok(())
}

async fn digest(daemon: &Daemon, out: &mut Output, chain: &ChainRef) -> Result<(), Failure> {
    let digest = connect(daemon).await?.digest(chain).await?;
    let json = json::Digest::from(&digest);
    out.show(&json, || format!("{}  {} blocks", json.hash(), digest.blocks))?;
    Ok(())
}

async fn list(daemon: &Daemon, out: &mut Output) -> Result<(), Failure> {
    let views = connect(daemon).await?.chains().await?;
    let json = json::Chains {
        chains: views.iter().map(json::Chain::from).collect(),
    };
    out.show(&json, || {
        if views.is_empty() {
            return "no chains; make one with `rustle chain create NAME`".to_owned();
        }
        let rows = views.iter().map(|view| {
            let numbers = [view.blocks, view.height, view.leaves].map(|number| number.to_string());
            let [blocks, height, leaves] = numbers;
            [view.name.clone(), blocks, height, leaves, view.chain.to_string()]
        });
        table::columns(["NAME", "BLOCKS", "HEIGHT", "LEAVES", "CHAIN"], rows)
    })?;
    Ok(())
}

async fn log(daemon: &Daemon, out: &mut Output, chain: &ChainRef, query: LogQuery) -> Result<(), Failure> {
    let mut blocks = connect(daemon).await?.log(chain, query).await?;
    while let Some(block) = blocks.next().await {
        let block = block?;
        out.show(&json::Block::from(&block), || table::block_line(&block))?;
    }
    Ok(())
}

async fn follow(
    daemon: &Daemon,
    out: &mut Output,
    chain: &ChainRef,
    from: FollowFrom,
    limit: Option<u64>,
) -> Result<(), Failure> {
    let mut deliveries = connect(daemon).await?.follow(chain, from).await?;
    let mut left = limit.unwrap_or(u64::MAX);
    while 0 < left {
        let Some(delivery) = deliveries.next().await else {
            break;
        };
        let delivery = delivery?;
        let text = || format!("{:>6}  {}", delivery.sequence, table::block_line(&delivery.block));
        out.show(&json::DeliveredBlock::from(&delivery), text)?;
        out.flush()?;
        left -= 1;
    }
    Ok(())
}

/// The body of a new block: of a file, of standard input, or as typed.
fn body(file: Option<&Path>, text: Option<String>) -> Result<Bytes, Failure> {
    let body = match (file, text) {
        (Some(path), _) => {
            let name = path.display().to_string();
            let file = std::fs::File::open(path)
                .map_err(|cause| Failure::Failed(format!("cannot read {name}: {cause}")))?;
            bounded(file, &name)?
        }
        (None, Some(text)) if text == "-" => bounded(std::io::stdin(), "standard input")?,
        (None, text) => text.unwrap_or_default().into_bytes(),
    };
    Ok(body.into())
}

/// Reads what may become a body; of more than that, one byte too many, so that the check of its length refuses it.
fn bounded(reader: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    reader
        .take(BLOCK_BODY_BYTES_MAX as u64 + 1)
        .read_to_end(&mut body)
        .map_err(|cause| Failure::Failed(format!("cannot read {name}: {cause}")))?;
    Ok(body)
}

fn text_of_stdin(bytes_max: usize) -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .take(bytes_max as u64)
        .read_to_string(&mut text)
        .map_err(|cause| Failure::Failed(format!("cannot read standard input: {cause}")))?;
    Ok(text)
}
