//! `cargo xtask …`: how a stranger with Rust and Debian runs and tests Apollo.
//!
//! PostgreSQL, RabbitMQ and nginx are run as private instances on free loopback ports under `target/stack/`, so that no
//! service of the machine is needed or touched, and two runs side by side do not meet. [`stack`] and [`chaos`] are the parts
//! that tests use as well; the rest are the commands.

pub mod chaos;
pub mod cli;
pub mod stack;

mod bench;
mod cargo;
mod demo;
mod docs;
mod fuzz;
mod http;
mod instructions;
mod interrupt;
mod metrics;
mod sbom;
mod scale_demo;
mod simulator;
mod test;
mod tool;
mod ui;
mod up;
mod workspace;
