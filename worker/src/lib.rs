//! Apollo's worker: takes what the receiver published from RabbitMQ and stores it in PostgreSQL.
//!
//! `cli` → `app` → `lane` (consume, batch, acknowledge) → `summaries` and `account` (what
//! the messages mean) → `store` (SQL).

pub mod account;
pub mod app;
pub mod backfill;
pub mod cli;
pub mod config;
pub mod dead_letters;
pub mod files;
pub mod garmin;
pub mod lane;
pub mod message;
pub mod metrics;
pub mod pace;
pub mod pull;
pub mod replay;
pub mod rotation;
pub mod status;
pub mod store;
pub mod summaries;
mod trace;
pub mod withdrawal;
