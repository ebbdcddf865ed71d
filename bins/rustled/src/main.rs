//! The Rustle daemon: settings in, a node up, signals awaited, a clean stop.
//!
//! Exit code 0 after a clean stop, 1 after a failure, 2 for a wrong flag or setting; then one line on standard error.

mod peer_flags;
mod settings;
mod store_flags;
mod telemetry;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use rustle_node::Node;
use settings::{Flags, Settings};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        // Help and version are what was asked for.
        Err(asked) if !asked.use_stderr() => return print(&asked),
        Err(error) => return fail(2, &usage(&error)),
    };
    let settings = match Settings::gather(&flags) {
        Ok(settings) => settings,
        Err(error) => return fail(2, &error),
    };
    if let Err(error) = telemetry::start(settings.log_format, &settings.log) {
        return fail(2, &error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    let code = match runtime.block_on(run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &*error),
    };
    // What still blocks (a read of the disk) must not keep the process.
    runtime.shutdown_background();
    code
}

async fn run(settings: Settings) -> Result<(), Box<dyn std::error::Error>> {
    // Before anything is locked or bound, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let data_dir = settings.config.data_dir.clone();
    let node = tokio::select! {
        node = Node::start(settings.config) => node?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    announce(&node, &data_dir);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    node.shutdown().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Tells people, and programs that wait for the last line, that the node is ready.
fn announce(node: &Node, data_dir: &std::path::Path) {
    let mut out = std::io::stdout().lock();
    let mut lines = vec![format!("peer id   {}", node.peer_id())];
    for address in node.addresses() {
        lines.push(format!("listening {address}/p2p/{}", node.peer_id()));
    }
    lines.push(format!(
        "admin     unix:{}",
        rustle_admin::location::socket_path(data_dir).display()
    ));
    if let Some(address) = node.admin_address() {
        lines.push(format!("admin     http://{address}"));
    }
    if let Some(address) = node.metrics_address() {
        lines.push(format!("metrics   http://{address}/metrics"));
    }
    lines.push("ready".to_owned());
    // Standard output may be closed, which is the user's choice.
    let _ = writeln!(out, "{}", lines.join("\n"));
    let _ = out.flush();
}

/// What clap says, without its usage block.
fn usage(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let parts = text.split("\n\n");
    let said: Vec<_> = parts
        .take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
        .collect();
    let said = said.join("; ");
    format!(
        "{}; see `rustled --help`",
        said.strip_prefix("error: ").unwrap_or(&said)
    )
}

fn print(asked: &clap::Error) -> ExitCode {
    match asked.print() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has enough.
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    let text = error.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Without standard error there is only the exit code.
    let _ = writeln!(std::io::stderr(), "rustled: {line}");
    ExitCode::from(code)
}
