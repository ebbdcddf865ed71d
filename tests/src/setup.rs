//! How is a node under test set up?

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use rustle_types::Multiaddr;

use crate::lab::Host;

/// Flags of a node. By default it listens on a free TCP port of the loopback interface, in a network of tests, and leaves
/// the local network and its router alone.
#[derive(Debug, Clone)]
pub struct Setup {
    network: String,
    listen: Vec<String>,
    bootstrap: Vec<String>,
    admin: Option<String>,
    mdns: bool,
    further: Vec<OsString>,
    many_files: bool,
    /// What comes before the program.
    launcher: Vec<OsString>,
}

// === impl Setup ===

impl Default for Setup {
    fn default() -> Self {
        Self {
            network: "tests".to_owned(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
            bootstrap: Vec::new(),
            admin: None,
            mdns: false,
            further: Vec::new(),
            many_files: false,
            launcher: Vec::new(),
        }
    }
}

impl Setup {
    /// In this network.
    #[must_use]
    pub fn network(mut self, name: &str) -> Self {
        name.clone_into(&mut self.network);
        self
    }

    /// Listening here, and nowhere else.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        self.listen = vec![address.to_owned()];
        self
    }

    /// Running on a machine of a lab.
    #[must_use]
    pub fn inside(mut self, host: &Host) -> Self {
        self.launcher = host.launcher();
        self
    }

    /// Listening with QUIC on a free UDP port, and nowhere else.
    #[must_use]
    pub fn quic(self) -> Self {
        self.listen("/ip4/127.0.0.1/udp/0/quic-v1")
    }

    /// Dialling this node at the start.
    #[must_use]
    pub fn bootstrap(mut self, address: &Multiaddr) -> Self {
        self.bootstrap.push(address.to_string());
        self
    }

    /// With the administration interface on a free TCP port of the loopback interface, too.
    #[must_use]
    pub fn admin_tcp(mut self) -> Self {
        self.admin = Some("127.0.0.1:0".to_owned());
        self
    }

    /// As a light client.
    #[must_use]
    pub fn light(mut self) -> Self {
        self.listen.clear();
        self.flag("--light")
    }

    /// Looking for others on the local network, and listening on all of it.
    #[must_use]
    pub fn mdns(mut self) -> Self {
        self.mdns = true;
        self.listen("/ip4/0.0.0.0/tcp/0")
    }

    /// With another bound of the connection set: `--peers.NAME VALUE`.
    #[must_use]
    pub fn peers(self, name: &str, value: impl Display) -> Self {
        self.flag(format!("--peers.{name}")).flag(value.to_string())
    }

    /// With as many open files as the system allows.
    #[must_use]
    pub fn many_files(mut self) -> Self {
        self.many_files = true;
        self
    }

    /// Whether it may have so many.
    pub(crate) fn has_many_files(&self) -> bool {
        self.many_files
    }

    /// With another flag.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.further.push(flag.into());
        self
    }

    /// The program to start, and what comes before its arguments.
    pub(crate) fn program(&self, rustled: PathBuf) -> (OsString, Vec<OsString>) {
        let mut words = self.launcher.clone();
        words.push(rustled.into());
        (words.remove(0), words)
    }

    /// The command line of `rustled` for this data directory.
    pub fn arguments(&self, data_dir: &Path) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["--data-dir".into(), data_dir.into()];
        let mut add = |flag: &str, value: &str| line.extend([flag.into(), value.into()]);
        add("--network", &self.network);
        for address in &self.listen {
            add("--listen", address);
        }
        for address in &self.bootstrap {
            add("--bootstrap", address);
        }
        if let Some(admin) = &self.admin {
            add("--admin", admin);
        }
        if !self.mdns {
            line.push("--no-mdns".into());
        }
        line.push("--no-upnp".into());
        line.extend(self.further.iter().cloned());
        line
    }
}
