//! Apollo's worker: takes what the receiver published from RabbitMQ and stores it in PostgreSQL.
//!
//! `cli` → `app` → `lane` (consume, batch, acknowledge) → `summaries` (what the messages mean) → `store` (SQL).

pub mod app;
pub mod cli;
pub mod config;
pub mod lane;
pub mod message;
pub mod metrics;
pub mod replay;
pub mod store;
pub mod summaries;
