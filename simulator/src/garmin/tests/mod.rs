//! The simulated Garmin over real HTTP: each thing that it grants, and each that it refuses.

mod app;
mod failures;
mod files;
mod oauth1;
mod oauth2;
mod pulls;
mod uploads;
mod users;
