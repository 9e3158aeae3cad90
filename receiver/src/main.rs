//! The program: reads the configuration, builds the receiver, runs it until SIGTERM or Ctrl-C.

use apollo_receiver::{Cli, Command, Receiver, ReceiverConfig, StartError};
use apollo_shared::config::{EXIT_USAGE, load};
use apollo_shared::{admin, shutdown, telemetry};
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli: Cli = match load() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    telemetry::start(&cli.config.log);
    let outcome =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Box::from).and_then(
            |runtime| {
                runtime.block_on(async {
                    match cli.command {
                        None => serve(cli.config).await,
                        Some(Command::Health) => Ok(admin::check(cli.config.admin_listen).await?),
                        Some(Command::Metrics) => {
                            print!("{}", apollo_receiver::metrics_table()?);
                            Ok(())
                        }
                    }
                })
            },
        );
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => leave(error.as_ref()),
    }
}

async fn serve(config: ReceiverConfig) -> Result<(), Box<dyn Error>> {
    let stop = shutdown::on_signal()?;
    Ok(Receiver::build(config).await?.run(stop).await?)
}

/// Prints why, and tells a wrong configuration from a failure by the exit code.
fn leave(error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("error: {}", telemetry::with_causes(error));
    match error.downcast_ref::<StartError>() {
        Some(error) if error.is_usage() => ExitCode::from(EXIT_USAGE),
        _ => ExitCode::FAILURE,
    }
}
