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
    while let Some(provided) = blocks.next().await {
        let provided = provided?;
        out.show(&json::Provided::from(&provided), || told(&provided))?;
        out.flush()?;
    }
    Ok(())
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
