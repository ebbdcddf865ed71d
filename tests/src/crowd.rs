//! Thousands of peers in a process of their own.
//!
//! A node and those who crowd it share no limit of open files and no processor time that a measurement would count twice,
//! so the crowd is a program beside the benchmark. It is told on its standard input, and answers on its standard output.

mod idle;
mod stall;

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use rustle_types::Multiaddr;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines, Stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::programs;
use crate::waiting::within;

pub use idle::Alive;
pub use stall::Held;

/// The word that asks for numbers.
const COUNT: &str = "count";
/// How long it may take until the whole crowd has tried to come in.
const ARRIVAL: Duration = Duration::from_secs(240);
/// How long an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(20);

/// What a crowd does.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
pub struct Orders {
    /// The node.
    #[arg(long)]
    pub to: Multiaddr,
    /// Its network.
    #[arg(long)]
    pub network: String,
    /// How many.
    #[arg(long)]
    pub count: usize,
    /// How they behave.
    #[arg(long)]
    pub habit: Habit,
}

/// How those in a crowd behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Habit {
    /// They shake hands, answer what they are asked, and say nothing.
    Idle,
    /// They stop at one stage or another before the handshake is complete, and come again when they are closed.
    Stall,
}

/// A crowd in its own process, which ends when this is dropped.
#[derive(Debug)]
pub struct Crowd {
    _process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

// === impl Crowd ===

impl Crowd {
    /// Starts one with as many open files as the system allows, and waits until each has tried to come in.
    pub async fn gather(orders: &Orders) -> Result<Self> {
        let habit = orders
            .habit
            .to_possible_value()
            .context("every habit has a name")?;
        let mut process = programs::unbounded(Command::new(programs::crowd()?).args([
            "--to",
            &orders.to.to_string(),
            "--network",
            &orders.network,
            "--count",
            &orders.count.to_string(),
            "--habit",
            habit.get_name(),
        ]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the crowd")?;
        let orders = process.stdin.take().context("standard input is piped")?;
        let stdout = process.stdout.take().context("standard output is piped")?;
        let mut crowd = Self {
            _process: process,
            orders,
            answers: BufReader::new(stdout).lines(),
        };
        let line = within("the crowd", ARRIVAL, crowd.answers.next_line()).await??;
        match line.as_deref() {
            Some("here") => Ok(crowd),
            other => bail!("the crowd says {other:?}"),
        }
    }

    /// What became of an idle crowd.
    pub async fn alive(&mut self) -> Result<Alive> {
        Ok(serde_json::from_str(&self.ask().await?)?)
    }

    /// What became of a stalling crowd.
    pub async fn held(&mut self) -> Result<Held> {
        Ok(serde_json::from_str(&self.ask().await?)?)
    }

    async fn ask(&mut self) -> Result<String> {
        self.orders.write_all(format!("{COUNT}\n").as_bytes()).await?;
        let line = within("an answer of the crowd", ANSWER, self.answers.next_line()).await??;
        line.context("the crowd is gone")
    }
}

/// Does what it is told; the main function of the program.
pub async fn run(orders: Orders) -> Result<()> {
    let told = BufReader::new(tokio::io::stdin()).lines();
    match orders.habit {
        Habit::Idle => answer(told, idle::come(&orders).await).await,
        Habit::Stall => answer(told, stall::come(&orders)).await,
    }
}

/// Answers until nobody asks any more.
async fn answer<S: Numbers>(mut told: Lines<BufReader<Stdin>>, state: S) -> Result<()> {
    println!("here");
    while let Some(line) = told.next_line().await? {
        if line == COUNT {
            println!("{}", serde_json::to_string(&state.numbers())?);
        }
    }
    Ok(())
}

/// What can be counted.
trait Numbers {
    type Answer: serde::Serialize;

    fn numbers(&self) -> Self::Answer;
}

/// Where one of the crowd comes from: each from an address of its own, in one of 128 groups.
fn source(index: usize) -> Ipv4Addr {
    let [.., second, third, fourth] = [index % 128 + 32, index / 128 / 250, index / 128 % 250 + 1]
        .map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    Ipv4Addr::new(127, second, third, fourth)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_comes_from_elsewhere() {
        let sources: BTreeSet<Ipv4Addr> = (0..10_000).map(source).collect();

        assert_eq!(sources.len(), 10_000);
        assert!(sources.iter().all(Ipv4Addr::is_loopback));
    }
}
