//! A private PostgreSQL.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{
    StackFolder,
    account::Account,
    certificate::Certificate,
    packages, ports,
    process::{Process, Program},
    state::StopSignal,
    wait,
};

const START_LIMIT: Duration = Duration::from_secs(60);

/// The role that owns Apollo's databases, and migrates them.
pub const OWNER: &str = "apollo";
/// The role that workers connect as; `apollo-worker migrate` grants it what they need.
pub const WORKER: &str = "apollo_worker";

/// Grafana's role, which reads what `ops/postgres/reader.sql` grants.
pub const READER: &str = "apollo_reader";

/// Where a private PostgreSQL listens. It trusts whoever reaches it, which is this machine only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostgresAddress {
    /// On 127.0.0.1.
    pub port: u16,
}

impl PostgresAddress {
    /// The URL of a database for the superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    /// The URL of a database for a role, such as [`OWNER`].
    #[must_use]
    pub fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database as `ops/postgres/init` does: [`OWNER`]'s, and [`WORKER`] and [`READER`] may connect.
    ///
    /// # Errors
    /// PostgreSQL refuses, for example because it exists.
    pub fn create_database(&self, name: &str) -> Result<()> {
        let database = quoted(name);
        self.execute("postgres", &format!("CREATE DATABASE {database} OWNER {OWNER}"))?;
        self.execute(
            "postgres",
            &format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO {WORKER}, {READER}"),
        )
    }

    /// Removes a database, even while somebody is connected to it.
    ///
    /// # Errors
    /// PostgreSQL refuses.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        self.execute("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name)))
    }

    /// Runs SQL that answers nothing.
    ///
    /// # Errors
    /// PostgreSQL's own message.
    pub fn execute(&self, database: &str, sql: &str) -> Result<()> {
        self.query(database, sql).map(drop)
    }

    /// Runs SQL and returns the answer as psql prints it: a line a row, columns parted by `|`.
    ///
    /// # Errors
    /// PostgreSQL's own message.
    pub fn query(&self, database: &str, sql: &str) -> Result<String> {
        let output = psql()?.args(["-c", sql]).arg(self.url(database)).output().context("cannot run psql")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Runs a script of psql's, which may hold `\copy` and the like.
    ///
    /// # Errors
    /// PostgreSQL's own message.
    pub(crate) fn run_script(&self, database: &str, script: &str) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(script.as_bytes())?;
        let mut psql = psql()?;
        psql.args([Path::new("-f"), file.path()]).arg(self.url(database)).stdout(Stdio::null());
        let output = psql.output().context("cannot run psql")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}

/// psql, which stops at the first error.
fn psql() -> Result<Command> {
    let mut psql = Command::new(packages::postgres_folder()?.join("psql"));
    psql.env_clear().args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
    Ok(psql)
}

/// A running private PostgreSQL: UTF-8, locale C, UTC, durable (`fsync` is on), TCP on 127.0.0.1 only.
pub struct PostgreSql {
    /// Where it listens; the same after a restart.
    pub address: PostgresAddress,
    stack: StackFolder,
    data: PathBuf,
    account: Option<Account>,
    process: Process,
}

impl PostgreSql {
    /// The process id of the postmaster, whose children serve the connections.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Makes a new cluster and starts it on a free port.
    ///
    /// # Errors
    /// It cannot be made or does not start; the end of its log is in the error.
    pub fn start(stack: &StackFolder) -> Result<Self> {
        Self::start_with(stack, None)
    }

    /// Makes a new cluster that takes TLS only, with this certificate, and starts it.
    ///
    /// # Errors
    /// As [`PostgreSql::start`].
    pub fn start_with_tls(stack: &StackFolder, certificate: &Certificate) -> Result<Self> {
        Self::start_with(stack, Some(certificate))
    }

    fn start_with(stack: &StackFolder, certificate: Option<&Certificate>) -> Result<Self> {
        let account = Account::instead_of_root()?;
        let data = data_folder(stack, account)?;
        Program::new("initdb", packages::postgres_folder()?.join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .args([Path::new("--pgdata"), &data])
            .folder(&data)
            .account(account)
            .run(stack, START_LIMIT)?;
        if let Some(certificate) = certificate {
            install(certificate, &data, account)?;
            require_tls(&data)?;
        }
        let (address, process) = ports::retry_with_new_ports(|| {
            let [port] = ports::free()?;
            let address = PostgresAddress { port };
            let process = launch(stack, &data, account, &address)?;
            Ok((address, process))
        })?;
        let roles = [OWNER, WORKER, READER].map(|role| format!("CREATE ROLE {role} LOGIN;"));
        address.execute("postgres", &roles.concat())?;
        stack.update(|state| {
            state.urls.insert("PostgreSQL".to_owned(), address.url("postgres"));
            state.postgres = Some(address.clone());
        })?;
        Ok(Self { address, stack: stack.clone(), data, account, process })
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.address.url(database)
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// As [`PostgresAddress::create_database`].
    pub fn create_database(&self, name: &str) -> Result<()> {
        self.address.create_database(name)
    }

    /// Stops it in order, without waiting for its clients (`fast`).
    ///
    /// # Errors
    /// The system cannot say how it ended.
    pub fn stop(&mut self) -> Result<()> {
        self.process.stop().map(drop)
    }

    /// Ends it as a crash would (`immediate`): nothing is written any more, the next start recovers from the log.
    ///
    /// # Errors
    /// The system cannot say how it ended.
    pub fn kill(&mut self) -> Result<()> {
        // A SIGKILL of the first process would leave the others, and the next start would refuse until they are gone.
        self.process.signal(rustix::process::Signal::QUIT);
        wait::happens_within(Duration::from_secs(10), || !self.process.is_alive());
        self.process.kill().map(drop)
    }

    /// Starts it again, on the same port and with the same data; stops it first if it is running.
    ///
    /// # Errors
    /// As [`PostgreSql::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.process = launch(&self.stack, &self.data, self.account, &self.address)?;
        Ok(())
    }

    /// Presents another certificate from the next start on.
    ///
    /// # Errors
    /// Its files cannot be written.
    pub fn use_certificate(&self, certificate: &Certificate) -> Result<()> {
        install(certificate, &self.data, self.account)
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// Copies the files of a certificate into the data folder, as the server's own.
fn install(certificate: &Certificate, data: &Path, account: Option<Account>) -> Result<()> {
    certificate.install(data)?;
    for file in Certificate::files_in(data) {
        account.map_or(Ok(true), |account| account.take_over(&file))?;
    }
    Ok(())
}

/// Switches TLS on, and leaves no other way in.
fn require_tls(data: &Path) -> Result<()> {
    let [_, certificate, key] = Certificate::files_in(data);
    let settings = format!(
        "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
        certificate.display(),
        key.display()
    );
    // What initdb has written belongs to the server's account, and keeps doing so.
    fs::write(data.join("postgresql.auto.conf"), settings)?;
    Ok(fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n")?)
}

/// A folder that the account can reach: the stack's own, or one in the folder for temporary files.
fn data_folder(stack: &StackFolder, account: Option<Account>) -> Result<PathBuf> {
    let data = stack.subfolder("postgres")?;
    let Some(account) = account else {
        return Ok(data);
    };
    if account.take_over(&data)? {
        return Ok(data);
    }
    let outside = tempfile::Builder::new().prefix("apollo-postgres-").tempdir()?.keep();
    stack.update(|state| state.outside_folders.push(outside.clone()))?;
    if !account.take_over(&outside)? {
        bail!(
            "PostgreSQL does not run as root, and its account can reach neither {} nor {}: run this as another user",
            data.display(),
            outside.display()
        );
    }
    eprintln!(
        "    PostgreSQL does not run as root, and its account cannot reach {}: its data is in {}",
        stack.path().display(),
        outside.display()
    );
    Ok(outside)
}

fn launch(
    stack: &StackFolder,
    data: &Path,
    account: Option<Account>,
    address: &PostgresAddress,
) -> Result<Process> {
    let port = format!("port={}", address.port);
    let settings = [
        port.as_str(),
        "listen_addresses=127.0.0.1",
        // A socket's path must not be longer than 107 bytes, and nobody needs it.
        "unix_socket_directories=",
        "max_connections=200",
        "max_wal_size=2GB",
        "timezone=UTC",
        "log_timezone=UTC",
    ];
    let program = Program::new("postgres", packages::postgres_folder()?.join("postgres"))
        .args([Path::new("-D"), data])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .folder(data)
        .account(account)
        .stop_signal(StopSignal::Interrupt);
    let mut process = Process::start(stack, program)?;
    process.wait_ready(START_LIMIT, |process| Ok(is_ready(data, process.pid())))?;
    Ok(process)
}

/// Whether the server says so itself in `postmaster.pid`: its pid in the first line, its status in the eighth. A
/// connection would not tell our server from another run's on the same port.
fn is_ready(data: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else {
        return false;
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.first() == Some(&pid.to_string().as_str()) && lines.get(7) == Some(&"ready")
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
