//! Which task does the command line ask for?
//!
//! Read by hand, so that xtask builds in seconds: a parser crate would cost more than all tasks together.

use std::ffi::OsString;
use std::fmt;

use crate::fuzz::Search;

/// What `cargo xtask help` prints.
pub(crate) const HELP: &str = "\
cargo xtask TASK

  demo [--file PATH] [--keep]     build everything, then show three nodes that share a file and a chain
  test                            run all tests
  bench [--quick] [--part NAME] [--json PATH]
                                  measure all or a part, and write the figures to PATH or bench.json in the folder of the
                                  builds
  interop [kubo]                  run the tests with a real Kubo, which is fetched from PyPI the first time
  fuzz [--seconds N] [--keep] [--input FILE] [TARGET ...]
                                  search for inputs that break a promise; --keep adds what was found to fuzz/corpus
  ci                              everything that a submission must pass
  tidy                            check layers, manifests, sizes, documents and texts
  codegen [--check]               generate Rust from proto/, or say what is stale
  fmt                             format all crates
  help                            print this

Builds go to $CARGO_TARGET_DIR, or to rustle/target in the user's cache folder.
";

const CODEGEN_FLAGS: &[Flag] = &[Flag::alone("--check")];
const DEMO_FLAGS: &[Flag] = &[Flag::with_value("--file"), Flag::alone("--keep")];
const BENCH_FLAGS: &[Flag] = &[
    Flag::alone("--quick"),
    Flag::with_value("--part"),
    Flag::with_value("--json"),
];

/// A task with what it was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Fmt,
    Tidy,
    Test,
    Ci,
    InteropKubo,
    Codegen { check: bool },
    Demo { arguments: Vec<OsString> },
    Bench { arguments: Vec<OsString> },
    Fuzz(Search),
}

/// A command line that names no task, or a task with a flag that it does not have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageError(String);

impl Task {
    /// Reads the words behind `cargo xtask`.
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut words = words.into_iter();
        let Some(name) = words.next() else {
            return Ok(Self::Help);
        };
        let rest: Vec<OsString> = words.collect();
        let name = name.to_string_lossy();
        if name == "fuzz" {
            return search(&rest).map(Self::Fuzz);
        }
        if name == "interop" {
            return match rest.as_slice() {
                [] => Ok(Self::InteropKubo),
                [word] if word == "kubo" => Ok(Self::InteropKubo),
                _ => Err(UsageError("write `cargo xtask interop kubo`".to_owned())),
            };
        }
        let form = match name.as_ref() {
            "help" | "--help" | "-h" => Form::bare(|_| Self::Help),
            "fmt" => Form::bare(|_| Self::Fmt),
            "tidy" => Form::bare(|_| Self::Tidy),
            "test" => Form::bare(|_| Self::Test),
            "ci" => Form::bare(|_| Self::Ci),
            "codegen" => Form {
                flags: CODEGEN_FLAGS,
                task: |words| Self::Codegen {
                    check: !words.is_empty(),
                },
            },
            "demo" => Form {
                flags: DEMO_FLAGS,
                task: |arguments| Self::Demo { arguments },
            },
            "bench" => Form {
                flags: BENCH_FLAGS,
                task: |arguments| Self::Bench { arguments },
            },
            unknown => {
                return Err(UsageError(format!(
                    "unknown task `{unknown}`; `cargo xtask help` lists the tasks"
                )));
            }
        };
        accept(&name, &rest, form.flags)?;
        Ok((form.task)(rest))
    }
}

/// What a task takes, and how it is made of that.
struct Form {
    flags: &'static [Flag],
    task: fn(Vec<OsString>) -> Task,
}

impl Form {
    /// A task without flags.
    const fn bare(task: fn(Vec<OsString>) -> Task) -> Self {
        Self { flags: &[], task }
    }
}

/// A flag that a task takes.
struct Flag {
    name: &'static str,
    has_value: bool,
}

impl Flag {
    const fn alone(name: &'static str) -> Self {
        Self {
            name,
            has_value: false,
        }
    }

    const fn with_value(name: &'static str) -> Self {
        Self {
            name,
            has_value: true,
        }
    }
}

/// The one task with names and values of its own.
fn search(words: &[OsString]) -> Result<Search, UsageError> {
    let mut search = Search::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let flag = word.to_string_lossy();
        let mut value = || {
            let value = words.next();
            value.ok_or_else(|| UsageError(format!("`fuzz {flag}` needs a value")))
        };
        match flag.as_ref() {
            "--keep" => search.keep = true,
            "--input" => search.input = Some(value()?.into()),
            "--seconds" => {
                let seconds = value()?.to_string_lossy().parse();
                let wrong = |_| UsageError("`fuzz --seconds` needs a number".to_owned());
                search.seconds = Some(seconds.map_err(wrong)?);
            }
            unknown if unknown.starts_with('-') => {
                return Err(UsageError(format!(
                    "`fuzz` does not take `{unknown}`; see `cargo xtask help`"
                )));
            }
            target => search.targets.push(target.to_owned()),
        }
    }
    if search.input.is_some() && search.targets.len() != 1 {
        return Err(UsageError(
            "`fuzz --input` needs the name of one target".to_owned(),
        ));
    }
    Ok(search)
}

/// Refuses what is not among `flags`, so that a slip fails before the build and not after it.
fn accept(task: &str, words: &[OsString], flags: &[Flag]) -> Result<(), UsageError> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let word = word.to_string_lossy();
        let Some(flag) = flags.iter().find(|flag| flag.name == word) else {
            return Err(UsageError(format!(
                "`{task}` does not take `{word}`; see `cargo xtask help`"
            )));
        };
        if flag.has_value && words.next().is_none() {
            return Err(UsageError(format!("`{task} {word}` needs a value")));
        }
    }
    Ok(())
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task, UsageError> {
        Task::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn reads_each_task_of_the_help() {
        let tasks = HELP.lines().filter_map(|line| line.strip_prefix("  "));
        for line in tasks.filter(|line| !line.starts_with(' ')) {
            let name = line.split_whitespace().next().expect("a help line names a task");
            assert!(parse(name).is_ok(), "{name}");
        }
        assert_eq!(parse(""), Ok(Task::Help));
    }

    #[test]
    fn passes_the_flags_of_a_program_on() {
        let task = parse("demo --keep --file big.bin").unwrap();

        assert_eq!(
            task,
            Task::Demo {
                arguments: ["--keep", "--file", "big.bin"].map(OsString::from).into()
            }
        );
        assert_eq!(parse("codegen --check"), Ok(Task::Codegen { check: true }));
        assert_eq!(parse("codegen"), Ok(Task::Codegen { check: false }));
    }

    #[test]
    fn reads_what_to_search() {
        let expected = Search {
            seconds: Some(5),
            keep: true,
            input: None,
            targets: vec!["control".to_owned(), "frames".to_owned()],
        };
        assert_eq!(
            parse("fuzz --seconds 5 control --keep frames"),
            Ok(Task::Fuzz(expected))
        );
        assert_eq!(parse("fuzz"), Ok(Task::Fuzz(Search::default())));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in [
            "deploy",
            "test --fast",
            "interop helia",
            "demo --file",
            "bench --json",
            "codegen now",
            "bench --keep",
            "fuzz --seconds",
            "fuzz --seconds soon",
            "fuzz --jobs control",
            "fuzz --input crash",
        ] {
            let error = parse(line).expect_err(line).to_string();
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
