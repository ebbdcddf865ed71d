//! A port that leads a node back to itself.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use libp2p::multiaddr::Protocol;
use rustle_types::Multiaddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::adversary::socket_address;

/// Carries each connection on to another address, byte by byte. Ends when dropped.
#[derive(Debug)]
pub struct Mirror {
    address: Multiaddr,
    visits: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

// === impl Mirror ===

impl Mirror {
    /// A free port of `ip` behind which `to` answers.
    pub async fn of(ip: Ipv4Addr, to: &Multiaddr) -> Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let port = listener.local_addr()?.port();
        let target = socket_address(to)?;
        let visits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&visits);
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Ok(Self {
            address: Multiaddr::empty().with(ip.into()).with(Protocol::Tcp(port)),
            visits,
            task,
        })
    }

    /// Where it waits, without `/p2p/`.
    pub fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// How many connections came.
    pub fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}
