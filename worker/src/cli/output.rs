//! What commands print.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, Write as _};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A progress bar over `total` of what `noun` names; drawn on stderr, if that is a terminal.
pub(super) fn bar(total: u64, noun: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template =
        format!("{{elapsed_precise}} [{{bar:40}}] {{human_pos}}/{{human_len}} {noun}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Prints a result. Whoever has read enough of it and closed the pipe is no error.
pub(super) fn print(text: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Columns below their names, for people.
pub(super) fn table(names: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines: Vec<Vec<&str>> = vec![names.to_vec()];
    lines.extend(rows.iter().map(|row| row.iter().map(String::as_str).collect()));
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Records below their columns' names, for programs.
pub(super) fn csv<'a>(
    names: &[&str],
    rows: impl IntoIterator<Item = &'a Vec<String>>,
) -> csv::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(names)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// A moment to the second, in UTC; nothing for none.
pub(super) fn moment(moment: Option<OffsetDateTime>) -> String {
    let text = moment.and_then(|moment| moment.truncate_to_second().format(&Rfc3339).ok());
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn columns_are_aligned() {
        let rows = vec![vec!["Übung 3".to_owned(), "u".to_owned()], vec!["P".to_owned(), String::new()]];
        assert_eq!(table(&["SUBJECT", "USER"], &rows), "SUBJECT  USER\nÜbung 3  u\nP\n");
    }

    #[test]
    fn a_record_is_quoted_where_it_must_be() {
        let rows = [vec!["a,b".to_owned(), "c".to_owned()]];
        assert_eq!(csv(&["x", "y"], &rows).unwrap(), b"x,y\n\"a,b\",c\n");
    }

    #[test]
    fn a_moment_is_told_to_the_second() {
        assert_eq!(moment(Some(datetime!(2026-11-10 18:30:00.123456 UTC))), "2026-11-10T18:30:00Z");
        assert_eq!(moment(None), "");
    }
}
