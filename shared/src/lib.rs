//! What the receiver and the worker both speak: configuration, messages, topology, secrets, health.
//!
//! Arrows run one way: the two programs use this crate, it uses neither of them.

pub mod admin;
pub mod broker;
pub mod config;
pub mod consent;
pub mod endpoint;
pub mod envelope;
pub mod garmin;
pub mod metrics;
pub mod oauth1;
pub mod publish;
pub mod retry;
pub mod secrets;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod topology;
