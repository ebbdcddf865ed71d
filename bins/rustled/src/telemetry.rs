//! The log: on standard error, with levels by `RUST_LOG` or the configuration.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::settings::LogFormat;

/// Starts the log. `levels` holds where `RUST_LOG` is not set, for example `info,rustle_net=debug`.
pub(crate) fn start(format: LogFormat, levels: &str) -> Result<(), String> {
    let text = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let text = text.unwrap_or_else(|| levels.to_owned());
    let filter = EnvFilter::try_new(&text)
        .map_err(|error| format!("log levels `{text}`: {error}; write for example info,rustle_net=debug"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
