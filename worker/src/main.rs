//! The program `apollo-worker`; everything is in the library.

use apollo_shared::broker::BrokerConfigError;
use apollo_shared::config::{EXIT_USAGE, load};
use apollo_shared::garmin::GarminConfigError;
use apollo_shared::secrets::KeyError;
use apollo_worker::account::AccountError;
use apollo_worker::app::{BuildError, RunError};
use apollo_worker::cli::{self, Cli, Told};
use apollo_worker::store::DatabaseUrlError;
use apollo_worker::store::keys::SealingKeyError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: Cli = match load() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(cli::run(cli));
    // Work that does not end must not keep the program from doing so.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Told>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            let usage = error.is::<DatabaseUrlError>()
                || error.is::<BrokerConfigError>()
                || error.is::<KeyError>()
                || error.is::<GarminConfigError>()
                || matches!(error.downcast_ref(), Some(AccountError::NotConfigured))
                || matches!(error.downcast_ref(), Some(SealingKeyError::Missing(_)))
                || matches!(error.downcast_ref(), Some(RunError::Keys(SealingKeyError::Missing(_))))
                || error.downcast_ref::<BuildError>().is_some_and(BuildError::is_usage);
            if usage { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}
