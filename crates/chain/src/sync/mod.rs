//! How do two nodes find out what one of them lacks?
//!
//! The asking node sends a [`locator`]: some of the ids it has. Each id stands for the block and all its ancestors,
//! because a block is only attached when its parents are. The other node walks back from its leaves and from those ids
//! together, highest block first, with a [`Plan`]: what it meets from the leaves alone is lacking.

mod locator;
mod plan;

pub use locator::locator;
pub use plan::{Plan, Step};
