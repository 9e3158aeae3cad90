//! A Garmin to develop against.
//!
//! Apollo's developers cannot ask Garmin to push a study's worth of data, so this crate plays Garmin: it makes the
//! notifications of N users over D days, pushes them the way Garmin does, and knows what the database must hold
//! afterwards.
//!
//! | module | what it does |
//! |---|---|
//! | [`plan`] | what to send: users, days, seed, and the notifications that follow from them |
//! | [`sender`] | pushes a plan to a receiver, repeating what is refused, as Garmin does |
//! | [`uploading`] | tells the simulated Garmin of what is sent, so that it can be fetched there |
//! | [`expectation`] | works out the rows that a sequence of notifications must leave behind |
//! | [`record`] | keeps what was acknowledged in a file |
//! | [`verify`] | compares PostgreSQL with that expectation, row for row |
//! | [`probe`] | asks several times a second whether a receiver still acknowledges |
//! | [`garmin`] | is Garmin's OAuth provider, consent page and API, from which data, files and history are fetched, with failures on demand |
//! | [`fit`] | makes activity files as devices write them |
//! | [`participant`] | plays the browser of a participant who consents |
//!
//! Nothing here uses the code of the receiver, the worker or what they share: a test that compared the worker with
//! itself would find nothing. The notifications are a pure function of the [`plan::Plan`], so the sender and the
//! verifier need not exchange anything but that plan.

mod chance;
mod columns;
mod cycle;
mod delivery;
mod device;
pub mod difference;
pub mod expectation;
pub mod fit;
pub mod garmin;
mod household;
pub mod latency;
mod member;
mod oddities;
mod open_day;
mod outbox;
pub mod participant;
pub mod plan;
pub mod probe;
pub mod record;
mod rounding;
pub mod sender;
mod summaries;
mod summary_type;
pub mod uploading;
mod user;
pub mod verify;
