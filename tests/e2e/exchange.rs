//! Do nodes fetch from, and serve, peers that speak bitswap in other ways than ours?

mod providers;
mod serving;
mod stranger;
mod streams;
