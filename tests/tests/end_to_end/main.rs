//! End-to-end tests over real services. `cargo xtask test` starts those and runs them.

mod bad_input;
mod convergence;
mod database;
mod edge;
mod ingest;
mod large_body;
mod outages;
mod replay;
mod simulated;
