//! How does a caller drive something that decides but never waits?
//!
//! One fact goes in, decisions come out, and the caller drains them before the next fact. Time is an argument.

use std::collections::VecDeque;

use crate::{Now, Uptime};

/// A Sans-IO state machine.
///
/// The contract: after each `handle` or `on_deadline` the caller calls `poll_output` until it gives `None`, then asks
/// `next_deadline`. What a peer sent wrong is an output, never an error or a panic.
pub trait Machine {
    /// Facts from outside.
    type Input;
    /// Decisions for outside.
    type Output;

    /// Takes one fact.
    fn handle(&mut self, now: Now, input: Self::Input);

    /// Called once the time of `next_deadline` has come; calling it early is allowed and does nothing.
    fn on_deadline(&mut self, now: Now);

    /// Gives the next decision; `None` once all are given.
    fn poll_output(&mut self) -> Option<Self::Output>;

    /// When `on_deadline` wants to be called, if at all.
    fn next_deadline(&self) -> Option<Uptime>;
}

/// Decisions waiting to be polled, in the order they were made.
///
/// It is empty between two inputs (the caller drains it), so its size is bounded by what one input can cause.
#[derive(Debug)]
pub struct Outbox<T>(VecDeque<T>);

// === impl Outbox ===

impl<T> Outbox<T> {
    /// Adds a decision behind the others.
    pub fn push(&mut self, output: T) {
        self.0.push_back(output);
    }

    /// Takes the oldest decision.
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}
