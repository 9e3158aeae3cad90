//! End-to-end tests over real services. `cargo xtask test` starts those and runs them.

mod accounts;
mod bad_input;
mod chaos;
mod commands;
mod consent;
mod consent_pages;
mod convergence;
mod database;
mod edge;
mod garmin_fields;
mod ingest;
mod keys;
mod large_body;
mod merge;
mod outages;
mod queries;
mod replay;
mod round_trip;
mod samples;
mod secrets;
mod simulated;
mod views;
mod withdrawal;
