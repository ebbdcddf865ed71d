//! `rustle`: the command line of a Rustle node, a client of its administration interface.
//!
//! Arguments are checked before a daemon is looked for. Errors are one line on standard error.

mod arguments;
mod commands;
mod duration;
mod failure;
mod json;
mod output;
mod progress;
mod table;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use arguments::Arguments;
use failure::Failure;

fn main() -> ExitCode {
    let outcome = match Arguments::try_parse() {
        Ok(arguments) => run(arguments),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // Help that nobody reads to its end is no failure.
                let _ = error.print();
                Ok(())
            }
            _ => Err(Failure::from(&error)),
        },
    };
    match outcome {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("rustle: {message}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(message)) => {
            eprintln!("rustle: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    // Commands block this thread when their output is slow (`| less`); the worker keeps the connection alive meanwhile.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|cause| Failure::Failed(format!("cannot start: {cause}")))?;
    let outcome = runtime.block_on(commands::run(arguments));
    // A read of standard input may still wait for a key that nobody will press.
    runtime.shutdown_background();
    outcome
}
