//! The log: on standard error, with levels by `RUST_LOG` or the configuration.

use std::io::IsTerminal as _;

use rustle_node::config::LogFormat;
use tracing_subscriber::EnvFilter;

/// Starts the log. `levels` holds where `RUST_LOG` is not set, for example `info,rustle_net=debug`.
pub(crate) fn start(format: LogFormat, levels: &str) -> Result<(), String> {
    let text = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let text = text.unwrap_or_else(|| levels.to_owned());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(&text)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

/// What a text such as `info,rustle_net=debug` lets through.
pub(crate) fn filter(levels: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(levels)
        .map_err(|error| format!("log levels `{levels}`: {error}; write for example info,rustle_net=debug"))
}
