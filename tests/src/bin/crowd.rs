//! The crowd of the benchmark: thousands of peers that dial one node. Started by `bench`, not by people.

use std::process::ExitCode;

use clap::Parser as _;
use rustle_tests::crowd::{self, Orders};

#[tokio::main]
async fn main() -> ExitCode {
    match crowd::run(Orders::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crowd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
