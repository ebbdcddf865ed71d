//! What does each command do?
//!
//! Check the arguments, connect, ask, show. Nothing is decided here that another client could not do too.

mod chains;
mod content;
mod peers;
mod routing;
mod store;
mod tunnels;

use std::path::PathBuf;

use rustle_admin::views::PeerFilter;
use rustle_admin::{Client, Endpoint, location, parse};

use crate::arguments::{Arguments, Command, Daemon};
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::table;

/// Runs one command to its end.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let daemon = &arguments.daemon;
    let mut out = Output::new(arguments.json);
    match arguments.command {
        Command::Id => id(daemon, &mut out).await?,
        Command::Status => status(daemon, &mut out).await?,
        Command::Peer(command) => peers::run(daemon, &mut out, command).await?,
        Command::Peers => peers::list(daemon, &mut out, PeerFilter::default()).await?,
        Command::Connect { address, timeout } => {
            peers::connect_to(daemon, &mut out, &address, timeout).await?;
        }
        Command::Add(arguments) => content::add(daemon, &mut out, &arguments).await?,
        Command::Cat(arguments) => content::cat(daemon, &mut out, arguments).await?,
        Command::Get(arguments) => content::get(daemon, &mut out, arguments).await?,
        Command::Ls(arguments) => content::list(daemon, &mut out, arguments).await?,
        Command::Stat(arguments) => content::stat(daemon, &mut out, arguments).await?,
        Command::Car(command) => content::car(daemon, &mut out, command).await?,
        Command::Dag(command) => content::dag(daemon, &mut out, command).await?,
        Command::Block(command) => content::block(daemon, &mut out, command).await?,
        Command::Provide { cid, recursive } => routing::provide(daemon, &mut out, &cid, recursive).await?,
        Command::FindProviders { cid, limit, timeout } => {
            let query = rustle_admin::views::ProviderQuery {
                cid: parse::cid(&cid)?,
                limit: usize::try_from(limit).unwrap_or(usize::MAX),
                timeout,
            };
            routing::find_providers(daemon, &mut out, query).await?;
        }
        Command::Tunnel(command) => tunnels::run(daemon, &mut out, command).await?,
        Command::Store(command) => store::run(daemon, &mut out, command).await?,
        Command::Pin(command) => store::pins(daemon, &mut out, command).await?,
        Command::Chain(command) => chains::run(daemon, &mut out, command).await?,
    }
    out.flush()?;
    Ok(())
}

async fn connect(daemon: &Daemon) -> Result<Client, Failure> {
    let data_dir = || -> Result<PathBuf, Failure> {
        match &daemon.data_dir {
            Some(folder) => Ok(folder.clone()),
            None => Ok(location::default_data_dir()?),
        }
    };
    let endpoint = match (&daemon.endpoint, &daemon.token_file) {
        (None, _) => Endpoint::of_data_dir(&data_dir()?),
        (Some(text), Some(token_file)) => Endpoint::parse(text, token_file)?,
        (Some(text), None) if text.starts_with("unix:") => Endpoint::parse(text, &PathBuf::new())?,
        (Some(text), None) => Endpoint::parse(text, &location::token_path(&data_dir()?))?,
    };
    Ok(Client::connect(&endpoint).await?)
}

async fn id(daemon: &Daemon, out: &mut Output) -> Result<(), Failure> {
    let view = connect(daemon).await?.id().await?;
    out.show(&json::Id::from(&view), || {
        let addresses: Vec<String> = view.addresses.iter().map(ToString::to_string).collect();
        table::facts([
            ("peer id", view.peer.to_string()),
            ("network", view.network.to_string()),
            ("agent", view.agent.clone()),
            ("addresses", addresses.join("\n")),
        ])
    })?;
    Ok(())
}

async fn status(daemon: &Daemon, out: &mut Output) -> Result<(), Failure> {
    let view = connect(daemon).await?.status().await?;
    out.show(&json::Status::from(&view), || {
        let listening: Vec<String> = view.listen_addresses.iter().map(ToString::to_string).collect();
        let peers = view.peers;
        let store = view
            .store_bytes
            .map_or_else(|| "unknown".to_owned(), |bytes| format!("{bytes} bytes"));
        table::facts([
            ("health", view.health.clone()),
            ("ready", if view.ready { "yes" } else { "no" }.to_owned()),
            ("up", table::span(view.uptime)),
            ("network", view.network.to_string()),
            ("version", view.version.clone()),
            (
                "peers",
                format!(
                    "{} rustle, {} foreign, {} pending",
                    peers.rustle, peers.foreign, peers.pending
                ),
            ),
            ("chains", view.chains.to_string()),
            ("store", store),
            ("listening", listening.join("\n")),
        ])
    })?;
    Ok(())
}
