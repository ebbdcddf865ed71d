//! Nodes that talk with each other over real sockets on loopback.
#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is its failure, also in what several tests share"
)]

mod activity;
mod admission;
mod control;
mod dht;
mod dialing;
mod foreign;
mod gate;
mod gossip;
mod lazy;
mod mdns;
mod peer;
mod proxy;
mod relay;
mod rendezvous;
mod rude;
mod streams;
