//! The harness of the end-to-end tests: real PostgreSQL, RabbitMQ and nginx, started once a run by
//! `cargo xtask test`, and a database and a virtual host of its own for each test.

pub mod broker;
pub mod browser;
pub mod collector;
pub mod garmin;
pub mod json;
pub mod launch;
pub mod linked;
pub mod participant;
pub mod process;
pub mod programs;
pub mod property;
pub mod rebuild;
pub mod site;
pub mod study;
pub mod wait;
pub mod wire;

/// Why a step of a test could not be taken; the test fails with it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a step of a test gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;
