//! The administration interface of a Rustle node: gRPC package `rustle.admin.v1`, on a unix socket or loopback TCP.
//!
//! A node implements [`Backend`] and gives it to a [`Server`]; programs use a [`Client`], and programs in other languages
//! the files in `proto/rustle/admin/v1`. Both sides here speak in [`views`]: nobody else touches protobuf.
//!
//! ```no_run
//! use rustle_admin::views::{FollowFrom, NewEntry};
//! use rustle_admin::{Client, Endpoint, location, parse};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(&Endpoint::of_data_dir(&location::default_data_dir()?)).await?;
//! println!("node {} of network {}", client.id().await?.peer, client.status().await?.network);
//!
//! let chat = parse::chain("chat")?;
//! let entry = NewEntry { topics: vec!["greeting".to_owned()], body: "hello".into() };
//! let appended = client.append(&chat, entry).await?;
//! println!("{} at height {}", appended.block, appended.height);
//!
//! let mut blocks = client.follow(&chat, FollowFrom::Start).await?;
//! while let Some(delivery) = futures::StreamExt::next(&mut blocks).await {
//!     println!("{:?}", delivery?.block.body);
//! }
//! # Ok(())
//! # }
//! ```

mod backend;
pub mod client;
mod convert;
pub mod fault;
mod gather;
pub mod location;
pub mod parse;
pub mod proto;
pub mod server;
mod token;
pub mod views;

pub use backend::{Backend, ContentBackend, Flow, RoutingBackend, StoreBackend, TunnelsBackend};
pub use client::{Client, ClientError, Endpoint, Refusal};
pub use fault::{Fault, FaultKind};
pub use server::{BindError, ServeError, Server, ServerConfig, TcpDoor};
pub use token::{Token, TokenError};

/// Largest piece of a file in one message, both ways (1 MiB).
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;
