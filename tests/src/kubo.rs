//! A real Kubo in a process of its own, driven by commands in JSON lines.
//!
//! `interop/kubo.py` runs it, in the Python that `cargo xtask interop kubo` prepares. It stays within this machine.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustle_types::Multiaddr;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

use crate::waiting::within;

/// Names the Python that has Kubo; see [`python`].
const PYTHON_VARIABLE: &str = "RUSTLE_KUBO_PYTHON";
/// Start to ready takes half a second on an idle machine.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Longest answer to a command that has no limit of its own.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// Events that wait for the test; it looks for few of them.
const EVENTS_MAX: usize = 1024;

type Answers = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// A running Kubo. It is killed when this is dropped.
#[derive(Debug)]
pub struct Kubo {
    child: Child,
    commands: ChildStdin,
    answers: Answers,
    events: mpsc::Receiver<Value>,
    last: u64,
    id: String,
    addresses: Vec<String>,
    folder: tempfile::TempDir,
}

/// An answer that is awaited.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Value>);

/// The Python that has Kubo, if there is one: what the variable names, or what `cargo xtask interop kubo` has made.
pub fn python() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(PYTHON_VARIABLE) {
        return Some(named.into());
    }
    let caches = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&std::env::var_os("HOME")?).join(".cache"),
    };
    let python = caches.join("rustle/kubo-venv/bin/python");
    python.exists().then_some(python)
}

// === impl Kubo ===

impl Kubo {
    /// Starts one with these further flags of `interop/kubo.py`, and waits until it is ready. It listens on free TCP and UDP
    /// ports of 127.0.0.1, and finds content through the DHT of the local network.
    pub async fn start(flags: &[&str]) -> Result<Self> {
        Self::start_below(&std::env::temp_dir(), flags).await
    }

    /// As [`Kubo::start`], with its repository in a folder of its own below `parent`.
    pub async fn start_below(parent: &Path, flags: &[&str]) -> Result<Self> {
        let python =
            python().context("there is no Kubo; run `cargo xtask interop kubo` once, which fetches it")?;
        let folder = tempfile::tempdir_in(parent)?;
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/kubo.py"))
            .arg(folder.path().join("repo"))
            .args(["--routing", "dht"])
            .args(flags)
            .env("GOLOG_LOG_LEVEL", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("log"))?)
            .kill_on_drop(true)
            .spawn()
            .context("starting Kubo")?;
        let commands = child.stdin.take().context("standard input is piped")?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let (answers, (told, events)) = (Answers::default(), mpsc::channel(EVENTS_MAX));
        tokio::spawn(read(BufReader::new(stdout).lines(), Arc::clone(&answers), told));
        let mut kubo = Self {
            child,
            commands,
            answers,
            events,
            last: 0,
            id: String::new(),
            addresses: Vec::new(),
            folder,
        };
        let ready = within("Kubo to be ready", READY_DEADLINE, kubo.events.recv()).await?;
        let ready = ready.with_context(|| format!("Kubo did not start: {}", kubo.log()))?;
        kubo.id = ready["id"].as_str().context("an id")?.to_owned();
        let addresses = ready["addresses"].as_array().context("addresses")?.iter();
        kubo.addresses = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(kubo)
    }

    /// Its peer id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it listens with TCP, with its id.
    pub fn tcp(&self) -> Multiaddr {
        self.address("/tcp/")
    }

    /// Where it listens with QUIC, with its id.
    pub fn quic(&self) -> Multiaddr {
        self.address("/quic-v1")
    }

    fn address(&self, part: &str) -> Multiaddr {
        let of_kind = |address: &&String| address.contains(part) && !address.contains("webtransport");
        let address = self.addresses.iter().find(of_kind);
        let address = address.unwrap_or_else(|| panic!("no {part} in {:?}", self.addresses));
        let text = format!(
            "{}/p2p/{}",
            address.split("/p2p/").next().unwrap_or_default(),
            self.id
        );
        text.parse().expect("Kubo's addresses are multiaddrs")
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A folder for files of the test, beside its repository.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Has a command begin; `fields` is a JSON object.
    pub async fn begin(&mut self, command: &str, fields: Value) -> Result<Pending> {
        self.last += 1;
        let mut request = fields;
        request["n"] = self.last.into();
        request["do"] = command.into();
        let (reply, answer) = oneshot::channel();
        lock(&self.answers).insert(self.last, reply);
        let line = format!("{request}\n");
        self.commands
            .write_all(line.as_bytes())
            .await
            .context("Kubo has ended")?;
        Ok(Pending(answer))
    }

    /// Has a command carried out, and gives its answer; an error where Kubo failed.
    pub async fn call(&mut self, command: &str, fields: Value) -> Result<Value> {
        self.begin(command, fields).await?.answer(ANSWER_DEADLINE).await
    }

    /// Connects to a node.
    pub async fn connect(&mut self, address: &Multiaddr) -> Result<()> {
        self.call("connect", json!({ "address": address.to_string() }))
            .await?;
        Ok(())
    }

    /// Adds a file or folder, and gives its CID.
    pub async fn add(&mut self, path: &Path) -> Result<String> {
        text(&self.call("add", json!({ "path": path })).await?, "cid")
    }

    /// Adds bytes as a file, and gives its CID; with `only_hash` it keeps nothing.
    pub async fn add_bytes(&mut self, bytes: &[u8], only_hash: bool) -> Result<String> {
        let path = self.folder.path().join("bytes");
        std::fs::write(&path, bytes)?;
        let fields = json!({ "path": path, "only_hash": only_hash });
        text(&self.call("add", fields).await?, "cid")
    }

    /// Fetches a file or folder.
    pub async fn get(&mut self, cid: &str, path: &Path) -> Result<()> {
        self.call("get", json!({ "cid": cid, "path": path })).await?;
        Ok(())
    }

    /// Fetches a file, and gives its bytes.
    pub async fn cat(&mut self, cid: &str) -> Result<Vec<u8>> {
        let path = self.folder.path().join(format!("got-{}", self.last));
        self.get(cid, &path).await?;
        Ok(std::fs::read(path)?)
    }

    /// The next event of a kind; others are passed over.
    pub async fn event(&mut self, kind: &str, limit: Duration) -> Result<Value> {
        let next = async {
            while let Some(event) = self.events.recv().await {
                if event["event"] == kind {
                    return Ok(event);
                }
            }
            bail!("Kubo has ended")
        };
        within(kind, limit, next).await?
    }

    /// Most memory that was ever resident, in bytes.
    pub async fn peak_memory(&mut self) -> Result<u64> {
        let memory = self.call("memory", json!({})).await?;
        memory["peak"].as_u64().context("the peak of memory")
    }

    /// Kills it, as the loss of power would.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

// === impl Pending ===

impl Pending {
    /// Waits for the answer; an error where Kubo failed, or has ended.
    pub async fn answer(self, limit: Duration) -> Result<Value> {
        let answer = within("Kubo's answer", limit, self.0)
            .await?
            .context("Kubo has ended")?;
        match answer["ok"].as_bool() {
            Some(true) => Ok(answer),
            _ => bail!("Kubo failed: {}", answer["error"]),
        }
    }
}

async fn read(mut lines: Lines<BufReader<ChildStdout>>, answers: Answers, events: mpsc::Sender<Value>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let waiting = message["n"]
            .as_u64()
            .and_then(|number| lock(&answers).remove(&number));
        // Whoever asked may have given up; nobody is there for an event only when the test is over.
        let _ = match waiting {
            Some(waiting) => waiting.send(message).is_ok(),
            None => events.try_send(message).is_ok(),
        };
    }
    lock(&answers).clear();
}

fn lock(answers: &Answers) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Value>>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(answer: &Value, field: &'static str) -> Result<String> {
    Ok(answer[field].as_str().context(field)?.to_owned())
}
