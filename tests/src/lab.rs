//! Networks of our own: hosts, routers that translate addresses, and a public segment between them.
//!
//! Each host and each router is a network namespace of the kernel. All of it is gone with the test, however that ends, and
//! nothing of it reaches the machine's own network. Needs `ip`, `nft`, `nsenter` and `unshare`, and root or a system on
//! which users may have namespaces of their own; a test that cannot have its lab fails and says what lacks.
//!
//! ```no_run
//! use rustle_tests::lab::{Lab, Nat};
//! use rustle_tests::{Daemon, Setup};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let lab = Lab::new()?;
//! let relay = lab.public()?;
//! let hidden = lab.behind(Nat::KeepsPorts)?;
//! let listen = format!("/ip4/{}/tcp/4747", relay.address());
//! let relay = Daemon::start("R", Setup::default().inside(&relay).listen(&listen).flag("--relay-server")).await?;
//! let setup = Setup::default().inside(&hidden).listen("/ip4/0.0.0.0/tcp/4747");
//! let hidden = Daemon::start("A", setup.bootstrap(relay.address())).await?;
//! # Ok(())
//! # }
//! ```

mod space;

use std::cell::Cell;
use std::ffi::OsString;
use std::net::Ipv4Addr;

use anyhow::Result;

use space::Space;

/// Addresses of the public segment: from a block that is routed on the internet, as those for documentation are not taken
/// for public ones. Nobody is reached there: the segment ends in the lab.
const PUBLIC: [u8; 2] = [11, 0];
/// Where nodes in the lab listen: each machine has its own ports.
pub const PORT: u16 = 4747;
/// What routers make of it that give other ports.
const OTHER_PORT: u16 = 31_000;
/// Where a router's own network is; each has the same.
const INSIDE: &str = "192.168.7";

/// A public segment, and whoever is attached to it.
#[derive(Debug)]
pub struct Lab {
    /// The bridge that is the segment.
    segment: Space,
    attached: Cell<u8>,
}

/// How a router translates addresses. None lets in what was not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// The port stays, where it is free.
    KeepsPorts,
    /// TCP's [`PORT`] becomes another one, the same for all destinations.
    OtherPorts,
    /// Each connection gets a random port: nobody can know where to dial.
    Symmetric,
}

/// A machine in the lab.
#[derive(Debug)]
pub struct Host {
    space: Space,
    /// Of the router, where there is one.
    outside: Ipv4Addr,
    /// What its cable is called at the segment.
    port: String,
    _router: Option<Space>,
}

// === impl Lab ===

impl Lab {
    /// An empty segment. Fails where the system lacks a program or does not let us have namespaces, and says so.
    pub fn new() -> Result<Self> {
        space::check_programs()?;
        let segment = Space::new(None)?;
        segment.run("ip link add name segment type bridge; ip link set dev segment up")?;
        Ok(Self {
            segment,
            attached: Cell::new(0),
        })
    }

    /// A machine with a public address.
    pub fn public(&self) -> Result<Host> {
        let space = Space::new(Some(&self.segment))?;
        let (outside, port) = self.attach(&space)?;
        Ok(Host {
            space,
            outside,
            port,
            _router: None,
        })
    }

    /// A machine in a private network behind a router of its own.
    pub fn behind(&self, nat: Nat) -> Result<Host> {
        let router = Space::new(Some(&self.segment))?;
        let (outside, port) = self.attach(&router)?;
        let space = Space::new(Some(&self.segment))?;
        router.run(&format!(
            "ip link add name inner type veth peer name cable netns {pid}
             ip addr add {INSIDE}.1/24 dev inner
             ip link set dev inner up
             echo 1 > /proc/sys/net/ipv4/ip_forward
             nft '{rules}'",
            pid = space.pid(),
            rules = nat.rules(outside),
        ))?;
        space.run(&format!(
            "ip addr add {INSIDE}.2/24 dev cable
             ip link set dev cable up
             ip route add default via {INSIDE}.1"
        ))?;
        Ok(Host {
            space,
            outside,
            port,
            _router: Some(router),
        })
    }

    /// Cuts the cable between a machine, or its router, and the segment.
    pub fn cut(&self, host: &Host) -> Result<()> {
        self.segment.run(&format!("ip link set dev {} down", host.port))
    }

    /// Mends it.
    pub fn mend(&self, host: &Host) -> Result<()> {
        self.segment.run(&format!("ip link set dev {} up", host.port))
    }

    /// Lays a cable to the segment; gives the address there, and what the cable is called at the segment.
    fn attach(&self, space: &Space) -> Result<(Ipv4Addr, String)> {
        let number = self.attached.get() + 1;
        self.attached.set(number);
        let [a, b] = PUBLIC;
        // Each in a network of its own, as far as tables of addresses are concerned.
        let address = Ipv4Addr::new(a, b + number, 0, 1);
        let port = format!("to{number}");
        self.segment.run(&format!(
            "ip link add name {port} type veth peer name outer netns {pid}
             ip link set dev {port} master segment
             ip link set dev {port} up",
            pid = space.pid()
        ))?;
        space.run(&format!(
            "ip addr add {address}/8 dev outer; ip link set dev outer up"
        ))?;
        Ok((address, port))
    }
}

// === impl Nat ===

impl Nat {
    /// In the language of `nft`.
    fn rules(self, outside: Ipv4Addr) -> String {
        let translate = match self {
            Self::KeepsPorts => "masquerade".to_owned(),
            Self::OtherPorts => format!(
                "tcp sport {PORT} snat to {outside}:{OTHER_PORT}
                    oifname \"outer\" masquerade"
            ),
            Self::Symmetric => "masquerade random,fully-random".to_owned(),
        };
        // What comes unasked is dropped and not refused: a refusal would end the peer's attempt to punch a hole.
        format!(
            "table ip lab {{
                chain translate {{
                    type nat hook postrouting priority srcnat
                    oifname \"outer\" {translate}
                }}
                chain inward {{
                    type filter hook input priority filter
                    iifname \"outer\" ct state established,related accept
                    iifname \"outer\" drop
                }}
                chain through {{
                    type filter hook forward priority filter
                    policy drop
                    iifname \"inner\" accept
                    ct state established,related accept
                }}
            }}"
        )
    }
}

// === impl Host ===

impl Host {
    /// From now on it sends so much and no more.
    pub fn limit(&self, megabits_per_second: u32) -> Result<()> {
        self.space.run(&format!(
            "tc qdisc replace dev outer root tbf rate {megabits_per_second}mbit burst 256kb latency 100ms"
        ))
    }

    /// Where the public segment sees it.
    pub fn address(&self) -> Ipv4Addr {
        self.outside
    }

    /// What comes before a program and its arguments, so that it runs there.
    pub(crate) fn launcher(&self) -> Vec<OsString> {
        self.space.enter()
    }

    /// Runs a script of the shell there; for looking around when a test fails.
    pub fn run(&self, script: &str) -> Result<()> {
        self.space.run(script)
    }
}
