//! Configuration from the environment, the twelve-factor way.
//!
//! Every program declares one `clap` structure whose fields carry their environment variable, default
//! and meaning, so `--help` is the operator's manual. `value_name` repeats the variable's name: clap's
//! error for a wrong value then names the variable to mend.

use clap::Parser;
use secrecy::SecretString;
use std::convert::Infallible;
use std::process::ExitCode;

/// Exit code of a wrong configuration or command line (`EX_USAGE` of sysexits.h), so that scripts can
/// tell it from a crash.
pub const EXIT_USAGE: u8 = 64;

/// Reads `.env` if there is one, then the environment and the command line.
///
/// Call it before any thread is started: `.env` is read into the process's environment.
///
/// # Errors
/// The exit code to leave with, after the reason (or the help that was asked for) has been printed.
pub fn load<T: Parser>() -> Result<T, ExitCode> {
    if let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        eprintln!("error: the file .env cannot be read: {error}");
        return Err(ExitCode::from(EXIT_USAGE));
    }
    T::try_parse().map_err(|error| {
        // Printing can only fail when the terminal has gone; then there is no one to tell.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
    })
}

/// A `value_parser` for values that must not show up in clap's error messages: it accepts every text, and
/// what is wrong with it is said later, by a message that does not repeat it.
///
/// # Errors
/// None.
pub fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}
