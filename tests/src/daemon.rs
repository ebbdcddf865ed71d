//! One `rustled` in its own process with its own data directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustle_admin::{Client, Endpoint};
use rustle_types::{Multiaddr, PeerId};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::waiting::within;
use crate::{Setup, programs};

/// Longest time from the start of the process to its line `ready`. Generous: a build may run beside the tests.
const READY_DEADLINE: Duration = Duration::from_secs(15);
/// Longest time that a stop may take.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// Lines of a log that are shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// A node under test. Dropping it kills the process and removes its folder; in a failing test its log is shown first.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    setup: Setup,
    /// Holds the data directory and the log; `None` where both are kept.
    folder: Option<TempDir>,
    data_dir: PathBuf,
    log: PathBuf,
    running: Option<Running>,
    told: Told,
}

/// A node that was left running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is called here.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// The file of its log.
    pub log: PathBuf,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Kept open, so that the daemon can go on writing.
    _stdout: Lines<BufReader<ChildStdout>>,
}

/// What the daemon printed when it was ready.
#[derive(Debug, Default)]
struct Told {
    peer: Option<PeerId>,
    addresses: Vec<Multiaddr>,
    admin_http: Option<String>,
    metrics: Option<String>,
}

// === impl Daemon ===

impl Daemon {
    /// Starts a node in a new folder below the system's folder for temporary files, and waits until it is ready.
    pub async fn start(name: &str, setup: Setup) -> Result<Self> {
        Self::start_below(&std::env::temp_dir(), name, setup).await
    }

    /// Starts a node in a new folder below `parent`, and waits until it is ready.
    pub async fn start_below(parent: &Path, name: &str, setup: Setup) -> Result<Self> {
        // Short, because the path of a unix socket has 107 bytes at most.
        let folder = tempfile::Builder::new().prefix("rustle-").tempdir_in(parent)?;
        let mut daemon = Self {
            name: name.to_owned(),
            setup,
            data_dir: folder.path().join("data"),
            log: folder.path().join("log"),
            folder: Some(folder),
            running: None,
            told: Told::default(),
        };
        daemon.spawn().await?;
        Ok(daemon)
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Its unix socket.
    pub fn socket(&self) -> PathBuf {
        rustle_admin::location::socket_path(&self.data_dir)
    }

    /// Its peer id.
    pub fn peer(&self) -> PeerId {
        self.told
            .peer
            .expect("a daemon that became ready told its peer id")
    }

    /// Where it listens for peers, with `/p2p/`.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.told.addresses
    }

    /// The first of [`Self::addresses`].
    pub fn address(&self) -> &Multiaddr {
        self.told.addresses.first().expect("a daemon under test listens")
    }

    /// Its administration interface over TCP: `http://127.0.0.1:PORT`, where it has one.
    pub fn admin_http(&self) -> Option<&str> {
        self.told.admin_http.as_deref()
    }

    /// Where it serves metrics: `127.0.0.1:PORT`, where it does.
    pub fn metrics(&self) -> Option<&str> {
        self.told.metrics.as_deref()
    }

    /// Its process; `None` after it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().and_then(|running| running.child.id())
    }

    /// A new connection to it over the unix socket.
    pub async fn client(&self) -> Result<Client> {
        Client::connect(&Endpoint::of_data_dir(&self.data_dir))
            .await
            .with_context(|| format!("node {}", self.name))
    }

    /// Changes the flags of the next start.
    pub fn set_up(&mut self, setup: Setup) {
        self.setup = setup;
    }

    /// Kills the process with SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        let mut running = self.running.take().context("the daemon does not run")?;
        running.child.kill().await?;
        Ok(())
    }

    /// Sends SIGTERM, and waits until the process has ended.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.stop("TERM").await
    }

    /// Sends SIGINT, and waits until the process has ended.
    pub async fn interrupt(&mut self) -> Result<ExitStatus> {
        self.stop("INT").await
    }

    /// Starts the process again on the same data directory; kills it first if it runs.
    pub async fn restart(&mut self) -> Result<()> {
        if self.running.is_some() {
            self.kill().await?;
        }
        self.spawn().await
    }

    /// Leaves the process running and its folder in place.
    pub fn keep(mut self) -> Result<Kept> {
        let pid = self.pid().context("the daemon does not run")?;
        if let Some(folder) = self.folder.take() {
            let _: PathBuf = folder.keep();
        }
        // Not killed on drop: only our handle goes.
        self.running = None;
        Ok(Kept {
            name: self.name.clone(),
            pid,
            data_dir: self.data_dir.clone(),
            log: self.log.clone(),
        })
    }

    /// Leaves the folder in place after the process was killed; gives the file of the log.
    pub fn keep_folder(&mut self) -> &Path {
        if let Some(folder) = self.folder.take() {
            let _: PathBuf = folder.keep();
        }
        &self.log
    }

    /// The log so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A line of `/proc/PID/status`, in bytes: for example `VmHWM`, the most memory that was ever resident.
    pub fn memory(&self, field: &str) -> Result<u64> {
        let pid = self.pid().context("the daemon does not run")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .with_context(|| format!("no {field} in the status of {}", self.name))?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }

    /// The processor time that it has used so far.
    pub fn processor_time(&self) -> Result<Duration> {
        let pid = self.pid().context("the daemon does not run")?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program is in parentheses and may have spaces; behind it the 12th and 13th fields are times.
        let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has a name")?;
        let ticks: Vec<u64> = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        // Linux tells it in hundredths of a second, whatever its clock does.
        Ok(Duration::from_millis(10 * ticks.iter().sum::<u64>()))
    }

    async fn spawn(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let (program, words) = self.setup.program(programs::rustled()?);
        let mut command = Command::new(program);
        command.args(words).args(self.setup.arguments(&self.data_dir));
        if self.setup.has_many_files() {
            command = programs::unbounded(&command);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("starting rustled")?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let mut stdout = BufReader::new(stdout).lines();
        let told = within("`ready` of rustled", READY_DEADLINE, Told::read(&mut stdout)).await;
        match told.and_then(|told| told) {
            Ok(told) => self.told = told,
            Err(error) => {
                // Gone already in the usual case.
                let _ = child.kill().await;
                return Err(error.context(format!("node {} did not start: {}", self.name, self.log())));
            }
        }
        self.running = Some(Running {
            child,
            _stdout: stdout,
        });
        Ok(())
    }

    async fn stop(&mut self, signal: &str) -> Result<ExitStatus> {
        let mut running = self.running.take().context("the daemon does not run")?;
        let pid = running.child.id().context("the daemon has ended already")?;
        // The shell's own `kill`: safe Rust has none, and a fresh machine may lack the program.
        let sent = Command::new("/bin/sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid.to_string()])
            .status()
            .await?;
        ensure!(sent.success(), "sending SIG{signal} to {}", self.name);
        let ended = within("the end of rustled", STOP_DEADLINE, running.child.wait()).await;
        if ended.is_err() {
            running.child.kill().await?;
        }
        Ok(ended??)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running
            && running.child.start_kill().is_ok()
        {
            // Reaped before the folder goes, or it would still write there. SIGKILL takes a moment only.
            while let Ok(None) = running.child.try_wait() {
                std::thread::yield_now();
            }
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("--- log of {} ---\n{}\n---", self.name, shown.join("\n"));
        }
    }
}

// === impl Told ===

impl Told {
    /// Reads lines until `ready`.
    async fn read(stdout: &mut Lines<BufReader<ChildStdout>>) -> Result<Self> {
        let mut told = Self::default();
        while let Some(line) = stdout.next_line().await? {
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let rest = rest.trim();
            match word {
                "peer" => told.peer = Some(rest.trim_start_matches("id").trim().parse()?),
                "listening" => told.addresses.push(rest.parse()?),
                "admin" if rest.starts_with("http://") => told.admin_http = Some(rest.to_owned()),
                "metrics" => {
                    let place = rest
                        .strip_prefix("http://")
                        .and_then(|rest| rest.strip_suffix("/metrics"));
                    told.metrics = place.map(str::to_owned);
                }
                "ready" => {
                    ensure!(told.peer.is_some(), "rustled did not tell its peer id");
                    return Ok(told);
                }
                _ => {}
            }
        }
        bail!("rustled ended before it was ready")
    }
}
