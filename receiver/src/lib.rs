//! The receiver: the HTTP edge of Apollo. It takes a request, makes it durable, answers.
//!
//! It knows neither the database nor what the data mean, so there is little in it that can be slow or fail:
//! `server` (connections) → `routes` (every path) → `push` (the handlers) → `body` (reading within the limits) →
//! `notification` and `split` (looking at it, dividing it) → `delivery` → `publish` (confirmed by the broker), or `spool`
//! while the broker is away. Participants' pages are in
//! `consent`, and go the same way from `delivery` on.

mod app;
mod body;
mod budget;
mod config;
mod consent;
mod delivery;
mod metrics;
mod notification;
mod problem;
mod publish;
mod push;
mod routes;
mod server;
mod split;
mod spool;
mod token;
mod trace;

pub use app::{Receiver, RunError, StartError, metrics_table};
pub use config::{Cli, Command, ConfigError, Invitations, PublicUrlFlaw, ReceiverConfig};
pub use spool::SpoolOpenError;

/// The parts of no more than `limit` bytes that a body is published as; nothing if it is no notification.
/// For fuzzing what reads bytes from outside.
#[must_use]
pub fn divide(body: Vec<u8>, limit: usize) -> Option<Vec<String>> {
    let mut parts = split::Parts::new(notification::Notification::read(body).ok()?, limit);
    let next = || parts.plan().map(|plan| parts.make(plan));
    Some(std::iter::from_fn(next).collect())
}
