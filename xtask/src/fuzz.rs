//! How are the promises on strangers' bytes searched for one that breaks?
//!
//! The engine in `fuzz/` is libFuzzer, which needs no more than a C++ compiler: the compiler's own coverage counters are
//! switched on by flags that stable Rust takes. The corpus is one text file for each target, an input in hexadecimal on
//! each line; a search works on folders, so it is unpacked before and packed afterwards.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{Workspace, output, run as run_command};
use crate::toolchain;

/// What makes the compiler count which ways an input took, in the words of LLVM.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-stack-depth";
/// How long each target is searched unless told otherwise.
const SECONDS: u64 = 60;
/// An input that needs longer is a failure.
const INPUT_SECONDS_MAX: u32 = 5;
/// A search that needs more memory is a failure.
const MEMORY_MIB_MAX: u32 = 512;

/// What to search.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// How long, for each target.
    pub(crate) seconds: Option<u64>,
    /// Whether the corpus takes what found a new way.
    pub(crate) keep: bool,
    /// Run this input once, and nothing else.
    pub(crate) input: Option<PathBuf>,
    /// These targets; all where none is named.
    pub(crate) targets: Vec<String>,
}

/// A target as the engine tells of it.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    name: String,
    bytes_max: usize,
}

/// Builds the engine and searches.
pub(crate) fn run(workspace: &Workspace, search: &Search) -> Result<()> {
    toolchain::ensure()?;
    workspace.claim()?;
    let engine = build(workspace)?;
    let all = targets(&engine)?;
    for name in &search.targets {
        let names: Vec<&str> = all.iter().map(|target| target.name.as_str()).collect();
        ensure!(
            names.contains(&name.as_str()),
            "no target `{name}`; there are {}",
            names.join(", ")
        );
    }
    let chosen = all
        .iter()
        .filter(|target| search.targets.is_empty() || search.targets.contains(&target.name));
    for target in chosen {
        let bench = Bench::set_up(workspace, &engine, target)?;
        match &search.input {
            Some(input) => bench.run_once(input)?,
            None => bench.search(search.seconds.unwrap_or(SECONDS))?,
        }
        if search.keep {
            bench.keep()?;
        }
    }
    Ok(())
}

/// Builds with `--target`, so that the tools of the build itself are not instrumented.
///
/// The lock file of the product is where that of the engine begins, so that the same versions are searched.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    fs::copy(
        workspace.top.join("Cargo.lock"),
        workspace.top.join("fuzz/Cargo.lock"),
    )
    .context("taking the versions of the product")?;
    let told = output(Command::new("rustc").arg("-vV"))?;
    let host = told
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` names no host")?;
    let mut command = workspace.cargo_command();
    command
        .args([
            "build",
            "--release",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target",
            host,
        ])
        .env("RUSTFLAGS", COVERAGE);
    run_command(&mut command)?;
    Ok(workspace.target.join(host).join("release").join("rustle-fuzz"))
}

/// One target: its engine and its folders.
struct Bench<'a> {
    engine: &'a Path,
    target: &'a Target,
    /// What the project keeps.
    corpus: PathBuf,
    /// The same, unpacked.
    unpacked: PathBuf,
    /// Where a search begins without a corpus.
    seeds: PathBuf,
    /// What searches on this machine have found.
    found: PathBuf,
    failed: PathBuf,
    log: PathBuf,
}

impl<'a> Bench<'a> {
    fn set_up(workspace: &Workspace, engine: &'a Path, target: &'a Target) -> Result<Self> {
        let folder = workspace.target.join("fuzz");
        let bench = Self {
            engine,
            target,
            corpus: workspace
                .top
                .join("fuzz/corpus")
                .join(&target.name)
                .with_extension("hex"),
            unpacked: folder.join("corpus").join(&target.name),
            seeds: folder.join("seeds").join(&target.name),
            found: folder.join("found").join(&target.name),
            failed: folder.join("failed"),
            log: folder.join(&target.name).with_extension("log"),
        };
        for passing in [&bench.unpacked, &bench.seeds] {
            if passing.exists() {
                fs::remove_dir_all(passing)?;
            }
        }
        for needed in [&bench.unpacked, &bench.seeds, &bench.found, &bench.failed] {
            fs::create_dir_all(needed).with_context(|| format!("creating {}", needed.display()))?;
        }
        if bench.corpus.exists() {
            let text = fs::read_to_string(&bench.corpus)?;
            for (number, input) in unpack(&text)?.iter().enumerate() {
                fs::write(bench.unpacked.join(number.to_string()), input)?;
            }
        }
        Ok(bench)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.engine);
        command
            .env("RUSTLE_TARGET", &self.target.name)
            .env("RUSTLE_SEEDS", &self.seeds)
            .arg(format!("-max_len={}", self.target.bytes_max))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
        command
    }

    fn run_once(&self, input: &Path) -> Result<()> {
        run_command(self.command().arg(input))
    }

    fn search(&self, seconds: u64) -> Result<()> {
        let name = &self.target.name;
        let failed = self.failed.join(name);
        let mut command = self.command();
        command
            .args([
                format!("-max_total_time={seconds}"),
                "-print_final_stats=1".to_owned(),
            ])
            .arg(format!("-artifact_prefix={}-", failed.display()))
            .args([&self.found, &self.unpacked, &self.seeds])
            .stderr(File::create(&self.log).with_context(|| format!("creating {}", self.log.display()))?);
        let has_passed = succeeds_with_log(&mut command)?;
        let log = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        if !has_passed {
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
            bail!(
                "target {name} breaks a promise; the input is in {}",
                self.failed.display()
            );
        }
        let inputs = stat(&log, "number_of_executed_units").unwrap_or(0);
        let rate = stat(&log, "average_exec_per_sec").unwrap_or(0);
        let memory = stat(&log, "peak_rss_mb").unwrap_or(0);
        println!(
            "fuzz: {name}: {inputs} inputs in {seconds} s ({rate}/s, {memory} MiB), no promise broken; {} ways",
            fs::read_dir(&self.found)?.count()
        );
        Ok(())
    }

    /// Packs the smallest set of inputs that goes all ways.
    fn keep(&self) -> Result<()> {
        let merged = self.found.with_extension("merged");
        if merged.exists() {
            fs::remove_dir_all(&merged)?;
        }
        fs::create_dir_all(&merged)?;
        let mut command = self.command();
        command
            .arg("-set_cover_merge=1")
            .args([&merged, &self.unpacked, &self.seeds, &self.found])
            .stderr(File::create(&self.log)?);
        ensure!(
            succeeds_with_log(&mut command)?,
            "the merge failed; see {}",
            self.log.display()
        );
        let mut inputs = Vec::new();
        for entry in fs::read_dir(&merged)? {
            inputs.push(fs::read(entry?.path())?);
        }
        if let Some(folder) = self.corpus.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&self.corpus, pack(inputs))?;
        Ok(())
    }
}

/// As `succeeds`, with standard error where the command has it.
fn succeeds_with_log(command: &mut Command) -> Result<bool> {
    let status = command.status().context("starting the engine")?;
    Ok(status.success())
}

/// Asks the engine what it can search.
fn targets(engine: &Path) -> Result<Vec<Target>> {
    let told = Command::new(engine).output().context("starting the engine")?;
    ensure!(told.status.success(), "the engine tells no targets");
    parse_targets(&String::from_utf8(told.stdout)?)
}

/// What the engine prints when it is asked for nothing: a name and the longest input on each line.
fn parse_targets(text: &str) -> Result<Vec<Target>> {
    let parse = |line: &str| {
        let (name, bytes_max) = line.split_once(' ')?;
        Some(Target {
            name: name.to_owned(),
            bytes_max: bytes_max.parse().ok()?,
        })
    };
    text.lines()
        .map(|line| parse(line).with_context(|| format!("the engine says `{line}`")))
        .collect()
}

/// A figure of libFuzzer's last lines.
fn stat(log: &str, name: &str) -> Option<u64> {
    let lines = log.lines().filter_map(|line| line.strip_prefix("stat::"));
    let mut values = lines.filter_map(|line| {
        line.strip_prefix(name)?
            .trim_start_matches(':')
            .trim()
            .parse()
            .ok()
    });
    values.next()
}

/// One line for each input, the shortest first; a line that begins with `#` is for people.
fn unpack(text: &str) -> Result<Vec<Vec<u8>>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let pairs = line.as_bytes().chunks(2);
            let bytes = pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
            let is_plain = line.len() % 2 == 0 && !line.contains('+');
            bytes
                .collect::<Option<Vec<u8>>>()
                .filter(|_| is_plain)
                .with_context(|| format!("no hexadecimal input: {line}"))
        })
        .collect()
}

fn pack(mut inputs: Vec<Vec<u8>>) -> String {
    inputs.sort_by(|left, right| (left.len(), left).cmp(&(right.len(), right)));
    inputs.dedup();
    let mut text = String::new();
    for input in inputs {
        for byte in input {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_survives_its_packing() {
        let inputs = vec![vec![], vec![0], vec![255, 1], vec![1, 2, 3]];

        let text = pack(inputs.iter().rev().cloned().chain([vec![0]]).collect());

        assert_eq!(text, "\n00\nff01\n010203\n");
        assert_eq!(unpack(&format!("# a remark\n{text}")).unwrap(), inputs);
        for wrong in ["0", "0g", "+1"] {
            assert!(unpack(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_what_the_engine_tells() {
        let target = Target {
            name: "control".to_owned(),
            bytes_max: 1024,
        };
        assert_eq!(parse_targets("control 1024\n").unwrap(), [target]);
        assert!(parse_targets("INFO: no\n").is_err());
        let log = "x\nstat::number_of_executed_units: 262144\nstat::peak_rss_mb:          39\n";
        assert_eq!(stat(log, "number_of_executed_units"), Some(262_144));
        assert_eq!(stat(log, "peak_rss_mb"), Some(39));
        assert_eq!(stat(log, "new_units_added"), None);
    }
}
