//! How is a network namespace held, entered, and never left behind?
//!
//! A shell process holds it and waits for the end of its standard input, which comes with the end of this process, even by
//! SIGKILL. The kernel then removes the namespace with all cables that lead there.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// What the holder says once it is there.
const HERE: &str = "here";
/// What labs are built with, and the package of each on Debian.
const PROGRAMS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
];
/// Administrators' programs are not in everybody's path.
const PATH: &str = "PATH=$PATH:/usr/sbin:/sbin";

/// A network namespace.
#[derive(Debug)]
pub(super) struct Space {
    holder: Child,
    /// Whether it belongs to a user namespace of ours.
    of_user: bool,
}

/// Whether all programs are there that labs are built with.
pub(super) fn check_programs() -> Result<()> {
    for (program, package) in PROGRAMS {
        let found = Command::new("/bin/sh")
            .args(["-c", &format!("{PATH}; command -v {program}")])
            .stdout(Stdio::null())
            .status()?;
        ensure!(
            found.success(),
            "no lab of networks without the program `{program}`; install the package {package}"
        );
    }
    Ok(())
}

// === impl Space ===

impl Space {
    /// A new one, with nothing in it but the loopback interface. All of a lab belong to the user namespace of the first,
    /// where there is one.
    pub(super) fn new(first: Option<&Self>) -> Result<Self> {
        let space = match first {
            Some(first) if first.of_user => {
                let mut command = Command::new("nsenter");
                command.args([
                    "--target",
                    &first.pid().to_string(),
                    "--user",
                    "--preserve-credentials",
                ]);
                Self::hold(command.args(["unshare", "--net"]), true)?
            }
            Some(_) => Self::hold(Command::new("unshare").arg("--net"), false)?,
            None => match Self::hold(Command::new("unshare").arg("--net"), false) {
                Ok(space) => space,
                Err(_) => {
                    let mut command = Command::new("unshare");
                    Self::hold(command.args(["--user", "--map-root-user", "--net"]), true).context(
                        "no lab of networks without namespaces; run as root (in a container: with the capability \
                         SYS_ADMIN), or where users may have namespaces of their own",
                    )?
                }
            },
        };
        space.run("ip link set lo up")?;
        Ok(space)
    }

    pub(super) fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// What comes before a program, so that it runs in here, under the process id that it is started with.
    pub(super) fn enter(&self) -> Vec<OsString> {
        let target = self.pid().to_string();
        let mut words = vec!["nsenter", "--target", &target, "--net"];
        if self.of_user {
            words.extend(["--user", "--preserve-credentials"]);
        }
        words.push("--");
        words.into_iter().map(OsString::from).collect()
    }

    /// Runs a script of the shell in here; an error where any of its commands fails.
    pub(super) fn run(&self, script: &str) -> Result<()> {
        let words = self.enter();
        let ended = Command::new(&words[0])
            .args(&words[1..])
            .args(["/bin/sh", "-ec", &format!("{PATH}\n{script}")])
            .stdin(Stdio::null())
            .output()
            .context("starting nsenter")?;
        ensure!(
            ended.status.success(),
            "in the lab: {}\n{script}",
            String::from_utf8_lossy(&ended.stderr)
        );
        Ok(())
    }

    /// Starts the process that holds the namespace which `command` makes.
    fn hold(command: &mut Command, of_user: bool) -> Result<Self> {
        let mut holder = command
            .args(["/bin/sh", "-c", &format!("echo {HERE}; exec cat")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting unshare")?;
        let stdout = holder.stdout.take().context("standard output is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.trim() != HERE {
            let ended = holder.wait_with_output()?;
            bail!("{}", String::from_utf8_lossy(&ended.stderr).trim());
        }
        Ok(Self { holder, of_user })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // It ends by itself once its input does; so that it is not left unreaped, its end is waited for.
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
