//! `apollo-worker files export`.

use crate::cli::input::moment;
use crate::cli::{database, output};
use crate::config::DatabaseConfig;
use crate::files::folder::{self, Saved};
use crate::files::{Media, digest};
use crate::store::accounts;
use crate::store::files::{self, FileEntry, Selection};
use anyhow::{Context as _, bail, ensure};
use apollo_shared::consent::SubjectId;
use apollo_shared::shutdown;
use clap::Args;
use indicatif::HumanCount;
use sqlx::PgConnection;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// Which files, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportOptions {
    /// The folder to write to; made if it is not there
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Only files of this subject; may be given several times
    #[arg(long = "subject", value_name = "SUBJECT", value_parser = SubjectId::parse)]
    subjects: Vec<SubjectId>,
    /// Only files that are of this kind by their content, whatever Garmin calls them: fit, tcx, gpx, zip, xml or unknown;
    /// may be given several times
    #[arg(long = "type", value_name = "TYPE", value_parser = media)]
    media: Vec<Media>,
    /// Only of activities that began then or later: a day (2026-11-10, from midnight UTC) or a moment
    /// (2026-11-10T18:30:00Z); of a file that does not tell, the announcement counts
    #[arg(long, value_parser = moment)]
    from: Option<OffsetDateTime>,
    /// Only of activities that began before then
    #[arg(long, value_parser = moment)]
    until: Option<OffsetDateTime>,
    #[command(flatten)]
    database: DatabaseConfig,
}

fn media(name: &str) -> Result<Media, String> {
    Media::of_name(name).ok_or_else(|| {
        let names = Media::ALL.map(Media::name);
        format!("there is no such kind; there are {}", names.join(", "))
    })
}

/// How many files came to which end.
#[derive(Debug, Default)]
struct Counts {
    written: u64,
    replaced: u64,
    there: u64,
    gone: u64,
    damaged: u64,
}

/// What becomes of one file.
enum End {
    Written,
    Replaced,
    There,
    /// Erased, or replaced by a newer version, since it was looked up.
    Gone,
    /// Its bytes are not what came.
    Damaged,
}

/// Exports with a progress bar, and says what was written.
pub(super) async fn run(options: ExportOptions) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let mut connection = database::connect(&options.database).await?;
    for subject in &options.subjects {
        let known = accounts::subject(&mut connection, subject.as_str()).await?.is_some();
        ensure!(
            known,
            "no account is linked with {:?}: `apollo-worker subjects list` shows all",
            subject.as_str()
        );
    }
    let selection = Selection {
        subjects: options.subjects.iter().map(|subject| subject.as_str().to_owned()).collect(),
        media: options.media.clone(),
        from: options.from,
        to: options.until,
    };
    let entries = files::select(&mut connection, &selection).await?;
    let bar = output::bar(entries.len() as u64, "files");
    let mut counts = Counts::default();
    let mut manifest = Vec::new();
    let mut stopped = false;
    for entry in &entries {
        stopped = stop.is_cancelled();
        if stopped {
            break;
        }
        let path = path_of(entry);
        let end = export(&mut connection, entry, &options.to.join(&path)).await?;
        if !matches!(end, End::Gone | End::Damaged) {
            manifest.push(line(entry, &path));
        }
        if matches!(end, End::Damaged) {
            let FileEntry { user_id, summary_id, .. } = entry;
            bar.suspend(|| {
                eprintln!("{summary_id} of user {user_id} is not the file that came: it is left out")
            });
        }
        counts.add(&end);
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{}", counts.report(&options.to));
    if stopped {
        bail!("stopped before the end, without a manifest: run it again for the rest");
    }
    write_manifest(&options.to, &manifest)?;
    ensure!(counts.damaged == 0, "{} files are damaged in the database", HumanCount(counts.damaged));
    Ok(())
}

async fn export(connection: &mut PgConnection, entry: &FileEntry, path: &Path) -> anyhow::Result<End> {
    if folder::holds(path, entry.size_in_bytes.unsigned_abs(), &entry.sha256)? {
        return Ok(End::There);
    }
    let Some((content, sha256)) = files::content(connection, &entry.id()).await? else {
        return Ok(End::Gone);
    };
    if sha256 != entry.sha256 {
        return Ok(End::Gone);
    }
    if digest(&content) != *sha256 {
        return Ok(End::Damaged);
    }
    Ok(match folder::save(path, &content)? {
        Saved::Written => End::Written,
        Saved::Replaced => End::Replaced,
    })
}

/// Below the folder: the subject's folder, and the activity's id, Garmin's label behind a plus sign, which no name has in
/// it, and the ending that is right.
fn path_of(entry: &FileEntry) -> PathBuf {
    let person = entry.subject_id.as_ref().unwrap_or(&entry.user_id);
    let mut name = folder::name_of(&entry.summary_id);
    if !entry.file_type.is_empty() {
        name.push('+');
        name.push_str(&folder::name_of(&entry.file_type));
    }
    let extension = Media::of_name(&entry.media).unwrap_or(Media::Unknown).extension();
    Path::new(&folder::name_of(person)).join(format!("{name}.{extension}"))
}

const MANIFEST: [&str; 9] = [
    "path",
    "subject_id",
    "user_id",
    "activity_id",
    "garmin_type",
    "type",
    "start_time",
    "size_in_bytes",
    "sha256",
];

fn line(entry: &FileEntry, path: &Path) -> Vec<String> {
    vec![
        path.display().to_string(),
        entry.subject_id.clone().unwrap_or_default(),
        entry.user_id.clone(),
        entry.activity_id.map(|id| id.to_string()).unwrap_or_default(),
        entry.file_type.clone(),
        entry.media.clone(),
        output::moment(entry.start_time),
        entry.size_in_bytes.to_string(),
        entry.sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
    ]
}

fn write_manifest(to: &Path, lines: &[Vec<String>]) -> anyhow::Result<()> {
    let csv = output::csv(&MANIFEST, lines).context("the manifest cannot be made")?;
    folder::save(&to.join("manifest.csv"), &csv)?;
    Ok(())
}

impl Counts {
    fn add(&mut self, end: &End) {
        *match end {
            End::Written => &mut self.written,
            End::Replaced => &mut self.replaced,
            End::There => &mut self.there,
            End::Gone => &mut self.gone,
            End::Damaged => &mut self.damaged,
        } += 1;
    }

    fn report(&self, to: &Path) -> String {
        let others = [
            (self.replaced, "replaced by newer versions"),
            (self.there, "there already"),
            (self.gone, "changed or erased meanwhile: run it again"),
        ];
        let others = others.iter().filter(|(count, _)| *count > 0);
        let others: String = others.map(|(count, what)| format!(", {} {what}", HumanCount(*count))).collect();
        format!("{} files written to {}{others}", HumanCount(self.written), to.display())
    }
}
