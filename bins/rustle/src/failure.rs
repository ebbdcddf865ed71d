//! How does a command fail, and with which exit code?

use std::io;

use rustle_admin::location::LocationError;
use rustle_admin::{ClientError, Fault};

/// Why a command ends without having done its work. Messages are one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// It could not be done: exit code 1.
    Failed(String),
    /// Whoever read the output has enough (`| head`): no failure at all.
    OutputClosed,
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        if error.is_usage() {
            Self::Usage(error.to_string())
        } else {
            Self::Failed(error.to_string())
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault.is_usage() {
            true => Self::Usage(fault.message),
            false => Self::Failed(fault.message),
        }
    }
}

impl From<LocationError> for Failure {
    fn from(error: LocationError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// A failed write to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(format!("cannot write to standard output: {error}")),
        }
    }
}

/// What clap says, without its usage block and in one line.
impl From<&clap::Error> for Failure {
    fn from(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let said = text
            .split("\n\n")
            .take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more information"))
            .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join("; ");
        let said = said.strip_prefix("error: ").unwrap_or(&said);
        Self::Usage(format!("{said}; see `{} --help`", command_of(&text)))
    }
}

/// The command that clap shows the usage of, as in `Usage: rustle peer connect [OPTIONS] <ADDRESS>`; where it shows none,
/// the program.
fn command_of(text: &str) -> String {
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    let words = usage.unwrap_or_default().split_whitespace();
    let names = words.take_while(|word| !word.starts_with(['<', '[', '-']));
    let command = names.collect::<Vec<_>>().join(" ");
    match command.is_empty() {
        true => "rustle".to_owned(),
        false => command,
    }
}
