//! `apollo-worker tokens import`.

use crate::cli::garmin::{PaceOptions, PatientGarmin};
use crate::cli::{database, output};
use crate::config::DatabaseConfig;
use crate::garmin::{GarminError, UserToken};
use crate::store::token_import::{self, Imported};
use crate::store::tokens::{Credentials, NewToken};
use anyhow::{Context as _, bail, ensure};
use apollo_shared::consent::SubjectId;
use apollo_shared::garmin::GarminConfig;
use apollo_shared::secrets::{Keyring, SecretsConfig};
use apollo_shared::shutdown;
use apollo_shared::telemetry::with_causes;
use clap::Args;
use indicatif::ProgressBar;
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// What to import.
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportOptions {
    /// The CSV file; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pace: PaceOptions,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    secrets: SecretsConfig,
    #[command(flatten)]
    garmin: GarminConfig,
}

/// The columns that must be there; `user_id` may be missing as a whole.
const COLUMNS: [&str; 3] = ["subject_id", "token", "token_secret"];

/// A record of the file. It has no `Debug`, as it holds secrets.
#[derive(Deserialize)]
struct Record {
    subject_id: String,
    #[serde(default)]
    user_id: String,
    token: String,
    token_secret: String,
}

/// A record whose parts are as they must be.
struct Given {
    subject_id: SubjectId,
    user_id: Option<String>,
    token: NewToken,
}

/// A line of the file: its number, and what it holds or what is wrong with it.
type Line = (u64, Result<Given, String>);

/// Imports, with a progress bar, and says what came of it.
pub(super) async fn run(options: ImportOptions) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let keyring = Keyring::new(&options.secrets)?;
    let lines = read(&options.file)?;
    let connection = database::connect_to_seal(&options.database, &keyring).await?;
    let garmin = PatientGarmin::new(&options.garmin, &options.pace, stop.clone())?;
    let bar = output::bar(lines.len() as u64, "lines");
    let mut import = Import { connection, keyring, garmin, report: Report::default() };
    let done = import.run(lines, &stop, &bar).await;
    bar.finish_and_clear();
    import.report.print();
    done?;
    import.report.conclude()
}

fn read(path: &Path) -> anyhow::Result<Vec<Line>> {
    let shown = path.display();
    let input: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(path).with_context(|| format!("{shown} cannot be read"))?),
    };
    lines(input).with_context(|| format!("{shown} cannot be imported"))
}

fn lines(input: impl Read) -> anyhow::Result<Vec<Line>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
    let headers = reader.headers()?.clone();
    for column in COLUMNS {
        ensure!(
            headers.iter().any(|header| header == column),
            "its first line does not name the column {column}; needed are {}, separated by commas",
            COLUMNS.join(", ")
        );
    }
    let mut lines = Vec::new();
    for record in reader.records() {
        // Neither kind of error repeats what stands in the file.
        let (line, given) = match record {
            Ok(record) => (record.position().map_or(0, csv::Position::line), given(&record, &headers)),
            Err(error) if error.is_io_error() => return Err(error.into()),
            Err(error) => (error.position().map_or(0, csv::Position::line), Err("not a record".to_owned())),
        };
        lines.push((line, given));
    }
    Ok(lines)
}

fn given(record: &csv::StringRecord, headers: &csv::StringRecord) -> Result<Given, String> {
    let record: Record = record.deserialize(Some(headers)).map_err(|_| "not a record".to_owned())?;
    let Record { subject_id, user_id, token, token_secret } = record;
    if token.is_empty() || token_secret.is_empty() {
        return Err("token or token_secret is empty".to_owned());
    }
    if user_id.contains(char::is_control) {
        return Err("user_id holds control characters".to_owned());
    }
    let credentials = Credentials::Oauth1 { token, secret: token_secret };
    Ok(Given {
        subject_id: SubjectId::parse(&subject_id).map_err(|error| error.to_string())?,
        user_id: Some(user_id).filter(|user_id| !user_id.is_empty()),
        token: NewToken { credentials, expires_at: None, refresh_expires_at: None, scope: None },
    })
}

struct Import {
    connection: PgConnection,
    keyring: Keyring,
    garmin: PatientGarmin,
    report: Report,
}

impl Import {
    async fn run(
        &mut self,
        lines: Vec<Line>,
        stop: &CancellationToken,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        for (number, given) in lines {
            if stop.is_cancelled() {
                bail!("stopped before line {number}: import the file again to go on");
            }
            match given {
                Err(error) => self.report.failed(number, &error),
                Ok(given) => self.take(number, &given).await?,
            }
            bar.inc(1);
        }
        Ok(())
    }

    async fn take(&mut self, number: u64, given: &Given) -> anyhow::Result<()> {
        let user_id = match self.user_id(given).await? {
            Ok(user_id) => user_id,
            Err(error) => {
                self.report.failed(number, &with_causes(&error));
                return Ok(());
            }
        };
        let mut transaction = self.connection.begin().await?;
        let Given { subject_id, token, .. } = given;
        let imported =
            token_import::import(&mut transaction, &self.keyring, subject_id, &user_id, token).await?;
        transaction.commit().await?;
        self.report.count(number, subject_id, imported);
        Ok(())
    }

    /// Whose token it is: as the file says, or as is known already, or as Garmin says.
    async fn user_id(&mut self, given: &Given) -> anyhow::Result<Result<String, GarminError>> {
        if let Some(user_id) = &given.user_id {
            return Ok(Ok(user_id.clone()));
        }
        let digest = given.token.credentials.digest();
        if let Some(user_id) = token_import::holder(&mut self.connection, &digest).await? {
            return Ok(Ok(user_id));
        }
        let token = UserToken::from(&given.token.credentials);
        Ok(self.garmin.ask(async |garmin| garmin.user_id(&token).await).await)
    }
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Report {
    imported: u64,
    present: u64,
    conflicts: u64,
    withdrawn: u64,
    failed: u64,
    /// What is to be told of single lines.
    remarks: Vec<String>,
}

impl Report {
    fn count(&mut self, number: u64, subject_id: &SubjectId, imported: Imported) {
        let (counter, remark) = match imported {
            Imported::Added => (&mut self.imported, None),
            Imported::Present => (&mut self.present, None),
            Imported::OtherUser => (&mut self.conflicts, Some("the token is stored as another user's")),
            Imported::SubjectTaken => {
                (&mut self.conflicts, Some("the subject is linked with another account"))
            }
            Imported::AccountTaken => {
                (&mut self.conflicts, Some("the account is linked with another subject"))
            }
            Imported::Withdrawn => {
                (&mut self.withdrawn, Some("the user has withdrawn, and must consent again"))
            }
        };
        *counter += 1;
        self.remarks.extend(remark.map(|remark| format!("line {number}, {subject_id}: {remark}")));
    }

    fn failed(&mut self, number: u64, error: &str) {
        self.failed += 1;
        self.remarks.push(format!("line {number}: {error}"));
    }

    fn print(&self) {
        for remark in &self.remarks {
            println!("{remark}");
        }
        println!(
            "{} imported, {} already there, {} conflicts, {} withdrawn, {} failed",
            self.imported, self.present, self.conflicts, self.withdrawn, self.failed
        );
    }

    fn conclude(&self) -> anyhow::Result<()> {
        let not_imported = self.conflicts + self.withdrawn + self.failed;
        ensure!(not_imported == 0, "{not_imported} lines were not imported");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<Line>> {
        lines(text.as_bytes())
    }

    #[test]
    fn columns_may_stand_in_any_order_and_a_user_id_may_be_missing() {
        let lines = read(
            "\u{feff}token,token_secret,note,subject_id,user_id\n t1 ,s1,x, P-1 ,u1\nt2,s2,,\"P, 2\",\n",
        );
        let lines: Vec<(u64, Given)> =
            lines.unwrap().into_iter().map(|(line, given)| (line, given.ok().unwrap())).collect();
        let [(2, first), (3, second)] = lines.as_slice() else { panic!("two lines") };
        assert_eq!((first.subject_id.as_str(), first.user_id.as_deref()), ("P-1", Some("u1")));
        assert_eq!((second.subject_id.as_str(), second.user_id.as_deref()), ("P, 2", None));
        assert!(first.token.credentials == Credentials::Oauth1 { token: "t1".into(), secret: "s1".into() });
        assert!(read("subject_id,token,token_secret\nP-1,t,s\n").unwrap()[0].1.is_ok());
    }

    #[test]
    fn a_bad_line_harms_only_itself_and_is_not_repeated() {
        let lines =
            read("subject_id,user_id,token,token_secret\n,u,hush,hush\nP-1,u,hush\nP-1,u,,hush\nP-1,u,t,s\n");
        let told: Vec<(u64, Option<String>)> =
            lines.unwrap().into_iter().map(|(line, given)| (line, given.err())).collect();
        let numbers: Vec<u64> = told.iter().map(|(line, _)| *line).collect();
        assert_eq!(numbers, [2, 3, 4, 5]);
        assert!(told[..3].iter().all(|(_, error)| error.as_ref().is_some_and(|text| !text.contains("hush"))));
        assert_eq!(told[3].1, None);
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = read("subject_id;token\n").err().unwrap().to_string();
        assert!(error.contains("subject_id") && error.contains("separated by commas"), "{error}");
    }
}
