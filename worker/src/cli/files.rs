//! `apollo-worker files`.

mod export;
mod list;
mod parse;

use clap::Subcommand;

/// What to do about activity files.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "An activity file is what a device recorded, as Garmin hands it over: most often a FIT file with \
                        a record a second. Apollo keeps the bytes in garmin_wellness.activity_file_content; what is \
                        in FIT files is in the views activity_file_record, activity_file_lap and activity_file_session. \
                        A file that cannot be read is kept all the same."
)]
pub(super) enum Files {
    /// Counts the files by kind and state, and names those that cannot be read
    List(list::ListOptions),
    /// Writes files to a folder, a folder each subject, with a manifest.csv; safe to repeat
    ///
    /// Each file is complete under its name or not there. One that is there already with the same content is left
    /// alone, so an export that was interrupted, or is made again a month later, writes only what is missing; one whose
    /// content has changed at Garmin is replaced. A file is named after its activity, Garmin's label and what it is:
    /// 20123456789-file+GPX.fit is a FIT file that Garmin calls GPX. Users who are not linked with a subject have folders
    /// named after Garmin's id. manifest.csv lists what was asked for, and is written last. The files are participants'
    /// health data, positions among it: only the user who runs this may read them.
    Export(Box<export::ExportOptions>),
    /// Reads files again that could not be read, or were read by an older version of Apollo
    ///
    /// Safe at any time, beside running workers, and many times. Ctrl-C stops between two files.
    Parse(parse::ParseOptions),
}

/// Carries it out.
pub(super) async fn run(files: Files) -> anyhow::Result<()> {
    match files {
        Files::List(options) => list::run(options).await,
        Files::Export(options) => export::run(*options).await,
        Files::Parse(options) => parse::run(options).await,
    }
}
