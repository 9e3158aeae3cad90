//! `apollo-worker` as a process of its own: to be killed, to be stopped by a signal, or for one command.

use crate::Result;
use crate::programs::SECRETS_KEYS;
use crate::site::Site;
use std::process::{Command, Output};
use xtask::stack::process::{Process, Program};
use xtask::stack::{StackFolder, of_tests};

impl Site {
    /// `apollo-worker serve`, with its log in `folder`; `settings` are further environment variables.
    ///
    /// # Errors
    /// It does not start.
    pub fn worker_process(&self, folder: &StackFolder, settings: &[(&str, &str)]) -> Result<Process> {
        let program = Program::new("worker", of_tests()?.binary("apollo-worker"))
            .args(["serve"])
            .env("DATABASE__URL", self.database_url())
            .env("RABBITMQ__URL", self.rabbitmq_url())
            .env("SECRETS__KEYS", SECRETS_KEYS)
            .env("WORKER__ADMIN_LISTEN", "127.0.0.1:0");
        let program = settings.iter().fold(program, |program, (name, value)| program.env(name, value));
        Ok(Process::start(folder, program)?)
    }

    /// Runs a command of `apollo-worker` to its end.
    ///
    /// # Errors
    /// It does not start.
    pub fn command(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.worker_command()?;
        command.args(arguments);
        Ok(tokio::task::block_in_place(|| command.output())?)
    }

    /// `apollo-worker` with the settings of this place, to be given its arguments.
    ///
    /// # Errors
    /// The tests were not started by `cargo xtask test`.
    pub fn worker_command(&self) -> Result<Command> {
        let mut command = Command::new(of_tests()?.binary("apollo-worker"));
        command
            .env("DATABASE__URL", self.database_url())
            .env("RABBITMQ__URL", self.rabbitmq_url())
            .env("SECRETS__KEYS", SECRETS_KEYS);
        Ok(command)
    }

    /// What a command prints on standard output, if it ends with this exit code; else what it says is the error.
    ///
    /// # Errors
    /// It ends otherwise.
    pub fn printed(&self, arguments: &[&str], exit_code: i32) -> Result<String> {
        let output = self.command(arguments)?;
        let (text, errors) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
        if output.status.code() == Some(exit_code) {
            return Ok(if exit_code == 0 { text } else { text + &errors });
        }
        Err(format!("{arguments:?} ended with {}: {text}{errors}", output.status).into())
    }

    /// Ends every connection of workers to the database, as a crash of the server's or an administrator does.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn disconnect_workers(&self) -> Result<()> {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'apollo-worker'";
        sqlx::query(sql).execute(&self.pool).await?;
        Ok(())
    }
}
