//! What the program shows: a progress bar on a terminal, a short table at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use apollo_simulator::participant::crowd::CrowdReport;
use apollo_simulator::sender::{Progress, SendReport};
use apollo_simulator::verify::VerifyReport;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// A progress bar on stderr; invisible if that is no terminal.
pub(crate) fn bar(length: u64, unit: &'static str) -> ProgressBar {
    let template = format!("{{elapsed_precise}} [{{bar:30}}] {{human_pos}}/{{human_len}} {unit}  {{msg}}");
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

pub(crate) fn show_progress(bar: &ProgressBar, progress: &Progress) {
    if bar.is_hidden() {
        return;
    }
    let mut message = format!(
        "{} notifications, {} summaries",
        HumanCount(progress.notifications),
        HumanCount(progress.summaries_total())
    );
    if let Some(refusal) = &progress.last_refusal {
        message += &format!(", {} refused (last: {refusal})", HumanCount(progress.refusals.values().sum()));
    }
    bar.set_message(message);
    bar.set_position(progress.user_days);
}

pub(crate) fn print_sent(report: &SendReport) {
    let progress = &report.progress;
    let a_second = |count: u64| format!("{:.0}", count as f64 / report.seconds.max(f64::EPSILON));
    print_line("notifications acknowledged", HumanCount(progress.notifications));
    print_line("summaries in them", HumanCount(progress.summaries_total()));
    for (key, count) in &progress.summaries {
        print_line(&format!("  {key}"), HumanCount(*count));
    }
    if progress.pings > 0 {
        print_line("pings among them", HumanCount(progress.pings));
        print_line("notifications with pings repeated", HumanCount(progress.repeated));
    }
    print_line("bytes", HumanBytes(progress.bytes));
    print_line("POSTs", HumanCount(progress.posts));
    for (reason, count) in &progress.refusals {
        print_line(&format!("  refused: {reason}"), HumanCount(*count));
    }
    print_line("seconds", format!("{:.1}", report.seconds));
    print_line("acknowledged a second", a_second(progress.notifications));
    print_line("summaries a second", a_second(progress.summaries_total()));
    let latency = report.latency;
    print_line(
        "latency p50 / p99 / max",
        format!("{:.1} / {:.1} / {:.1} ms", latency.p50_ms, latency.p99_ms, latency.max_ms),
    );
}

/// Says on stderr why not everything was acknowledged, if so.
pub(crate) fn explain_incomplete(report: &SendReport) {
    if report.complete {
        return;
    }
    eprintln!(
        "not everything was sent: {} notifications of the plan were acknowledged",
        HumanCount(report.progress.notifications)
    );
    if let Some(refusal) = report.progress.last_refusal.as_ref().filter(|_| report.given_up) {
        eprintln!(
            "given up as the receiver kept refusing one: {refusal}. Is --url right, and the receiver running?"
        );
    }
}

pub(crate) fn print_answers(answers: &BTreeMap<String, u64>) {
    for (answer, count) in answers {
        print_line(&format!("answered {answer}"), HumanCount(*count));
    }
}

pub(crate) fn print_verified(report: &VerifyReport) {
    for (table, rows) in &report.expected_by_table {
        print_line(&format!("rows expected in {table}"), HumanCount(*rows));
    }
    print_line("rows compared", HumanCount(report.compared));
    print_line("missing", HumanCount(report.missing));
    print_line("unexpected", HumanCount(report.unexpected));
    print_line("different", HumanCount(report.different));
    print_line("of users not in the plan", HumanCount(report.of_others));
    if report.files + report.files_missing > 0 {
        print_line("activity files compared", HumanCount(report.files));
        print_line("missing", HumanCount(report.files_missing));
        print_line("different", HumanCount(report.files_different));
    }
    for difference in &report.differences {
        println!("{difference}");
    }
}

/// In the form of an .env file.
pub(crate) fn print_settings(settings: &[(&'static str, String)]) {
    for (name, value) in settings {
        println!("{name}={value}");
    }
}

pub(crate) fn print_consents(report: &CrowdReport) {
    print_line("participants", HumanCount(report.participants));
    for (outcome, count) in &report.outcomes {
        print_line(&format!("  {outcome}"), HumanCount(*count));
    }
    print_line("seconds", format!("{:.1}", report.seconds));
    let latency = report.latency;
    print_line(
        "each p50 / max",
        format!("{:.2} / {:.2} s", latency.p50_ms / 1_000.0, latency.max_ms / 1_000.0),
    );
    if let Some(problem) = &report.first_problem {
        eprintln!("the first participant who was stuck: {problem}");
    }
}

fn print_line(name: &str, value: impl std::fmt::Display) {
    println!("{name:<44}{:>18}", value.to_string());
}
