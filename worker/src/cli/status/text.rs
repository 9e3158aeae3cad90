//! The status for a terminal.

use crate::status::figures::Status;
use crate::status::headline;
use crate::status::tables::{self, Kind, Table, Tone};
use clap::builder::styling::{AnsiColor, Effects, Style};

/// The status in lines; with colours if they are wanted.
pub(super) fn text(status: &Status, colours: bool) -> String {
    let paint = Paint { colours };
    let mut text = verdict(status, paint);
    for table in tables::of_the_flow(status).iter().chain(&tables::of_the_study(status)) {
        text.push('\n');
        text.push_str(&section(table, paint));
    }
    text
}

/// Whether words are coloured.
#[derive(Debug, Clone, Copy)]
struct Paint {
    colours: bool,
}

impl Paint {
    fn text(self, style: Style, text: &str) -> String {
        match self.colours && !text.trim().is_empty() {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }
}

const fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Bad => AnsiColor::Red.on_default().effects(Effects::BOLD),
        Tone::Faint => Style::new().effects(Effects::DIMMED),
    }
}

/// What needs a person, in the first line.
fn verdict(status: &Status, paint: Paint) -> String {
    let tone = if status.needs.is_empty() { Tone::Good } else { Tone::Bad };
    let what: Vec<&str> = status.needs.iter().map(|need| need.what.as_str()).collect();
    let line = match what.is_empty() {
        true => headline(&status.needs),
        false => format!("{}: {}", headline(&status.needs), what.join("; ")),
    };
    let mut text = format!("{}\n", paint.text(style(tone), &line));
    for need in &status.needs {
        text.push_str(&format!("  → {}\n", need.remedy));
    }
    text
}

/// A table below its heading, and what is to be known about it.
fn section(table: &Table, paint: Paint) -> String {
    let mut text = format!("{}\n", paint.text(Style::new().effects(Effects::BOLD), table.title));
    if !table.rows.is_empty() {
        text.push_str(&rows(table, paint));
    }
    for note in &table.notes {
        text.push_str(&paint.text(style(Tone::Faint), &format!("  {note}")));
        text.push('\n');
    }
    text
}

/// The rows below the columns' names; numbers stand below each other.
fn rows(table: &Table, paint: Paint) -> String {
    let names = table.columns.iter().map(|(name, _)| (name.to_uppercase(), Tone::Faint)).collect();
    let rows = table.rows.iter().map(|row| row.iter().map(|cell| (cell.text.clone(), cell.tone)).collect());
    let lines: Vec<Vec<(String, Tone)>> = std::iter::once(names).chain(rows).collect();
    let width = |place: usize| lines.iter().map(|line| line[place].0.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).zip(&table.columns).map(|(((cell, tone), width), (_, kind))| {
            let padding = " ".repeat(width - cell.chars().count());
            let cell = paint.text(style(*tone), cell);
            match kind {
                Kind::Words => cell + &padding,
                Kind::Numbers => padding + &cell,
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(&format!("  {}\n", line.trim_end()));
    }
    text
}
