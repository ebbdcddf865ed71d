//! Commands about who has which content.

use futures::StreamExt as _;
use rustle_admin::parse;
use rustle_admin::views::{Provided, Provider, ProviderQuery};

use super::connect;
use crate::arguments::Daemon;
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::table;

pub(super) async fn provide(
    daemon: &Daemon,
    out: &mut Output,
    cid: &str,
    recursive: bool,
) -> Result<(), Failure> {
    let cid = parse::cid(cid)?;
    let mut blocks = connect(daemon).await?.provide(cid, recursive).await?;
    let (mut blocks_told, mut untold) = (0_u64, 0_u64);
    while let Some(provided) = blocks.next().await {
        let provided = provided?;
        match provided.told.iter().any(|told| told.nodes != 0) {
            true => blocks_told += 1,
            false => untold += 1,
        }
        out.show(&json::Provided::from(&provided), || told(&provided))?;
        out.flush()?;
    }
    reached(blocks_told, untold)
}

/// Whether each block came to some node.
fn reached(told: u64, untold: u64) -> Result<(), Failure> {
    if untold == 0 {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "no node was told of {untold} of {} blocks; connect to a peer that takes part in a DHT (`rustle peer connect`, or \
         rustled --ipfs-boot for IPFS), and try again",
        told + untold
    )))
}

fn told(provided: &Provided) -> String {
    let told: Vec<String> = provided
        .told
        .iter()
        .map(|told| format!("{} {}", told.nodes, table::plain(&told.dht)))
        .collect();
    format!("{}: nodes told: {}", provided.cid, told.join(", "))
}

pub(super) async fn find_providers(
    daemon: &Daemon,
    out: &mut Output,
    query: ProviderQuery,
) -> Result<(), Failure> {
    let mut providers = connect(daemon).await?.find_providers(query).await?;
    while let Some(provider) = providers.next().await {
        let provider = provider?;
        out.show(&json::Provider::from(&provider), || line(&provider))?;
        out.flush()?;
    }
    Ok(())
}

fn line(provider: &Provider) -> String {
    let mut words = vec![provider.peer.to_string()];
    words.extend(provider.addresses.iter().map(ToString::to_string));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_no_node_was_told_of_is_a_failure_that_says_what_to_do() {
        assert_eq!(reached(3, 0), Ok(()));
        let Err(Failure::Failed(message)) = reached(2, 1) else {
            panic!("exit code 1");
        };
        assert!(message.contains("no node was told of 1 of 3 blocks"), "{message}");
        assert!(message.contains("rustle peer connect"), "{message}");
    }
}
