//! The private stack, with the real services. Each test starts its own.

mod client;
mod edge;
mod services;
mod sweeping;
