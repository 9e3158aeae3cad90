//! The alerts of `ops/prometheus`: valid, tested both ways, and each with a section of the runbook. No service is needed,
//! only Prometheus's own promtool.

use apollo_tests::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The YAML files of a folder of `ops/prometheus`.
fn files(folder: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root().join("ops/prometheus").join(folder))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    Ok(files)
}

/// The files of a folder of `ops/prometheus`, one after the other.
pub(super) fn text_of(folder: &str) -> Result<String> {
    let texts = files(folder)?.iter().map(fs::read_to_string).collect::<std::io::Result<Vec<_>>>()?;
    Ok(texts.concat())
}

/// Runs of a test of alerts, of which one must pass.
const ATTEMPTS: usize = 5;

/// Alerts by name, each as the text up to the next one.
fn alerts(rules: &str) -> BTreeMap<&str, &str> {
    rules.split("- alert: ").skip(1).filter_map(|alert| alert.split_once('\n')).collect()
}

/// What a key of an alert is set to, on its own line.
fn value<'a>(alert: &'a str, key: &str) -> Option<&'a str> {
    let line = alert.lines().find_map(|line| line.trim().strip_prefix(key));
    line.and_then(|rest| rest.strip_prefix(':')).map(str::trim).filter(|value| !value.is_empty())
}

/// The anchors that a page of Markdown has, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let anchor = |heading: &str| {
        let kept =
            heading.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// What promtool finds wrong.
fn complaint(arguments: &[&str], files: &[PathBuf]) -> Result<Option<String>> {
    let output = Command::new("promtool").args(arguments).args(files).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn every_alert_says_how_bad_it_is_and_leads_to_the_runbook() -> Result<()> {
    let rules = text_of("rules")?;
    let sections = anchors(&fs::read_to_string(root().join("docs/runbook.md"))?);
    for (name, alert) in alerts(&rules) {
        let severity = value(alert, "labels").unwrap_or_default();
        assert!(
            ["{ severity: critical }", "{ severity: warning }"].contains(&severity),
            "{name}: {severity}"
        );
        for annotation in ["summary", "description"] {
            assert!(value(alert, annotation).is_some(), "{name} has no {annotation}");
        }
        let url = value(alert, "runbook_url").unwrap_or_default();
        let section = url.strip_prefix("docs/runbook.md#").unwrap_or_default();
        assert!(sections.contains(section), "{name} leads to {url:?}, which is no section of the runbook");
    }
    Ok(())
}

#[test]
fn every_alert_is_tested_firing_and_not() -> Result<()> {
    let (rules, tests) = (text_of("rules")?, text_of("tests")?);
    let tested = tests.split("- alertname: ").skip(1).filter_map(|test| {
        let (name, expected) = test.split_once('\n')?;
        Some((name, expected.contains("exp_alerts:")))
    });
    let tested: BTreeSet<(&str, bool)> = tested.collect();
    let wanted: BTreeSet<(&str, bool)> =
        alerts(&rules).into_keys().flat_map(|name| [(name, true), (name, false)]).collect();
    assert_eq!(tested, wanted);
    Ok(())
}

#[test]
fn prometheus_takes_the_configuration_and_the_alerts_fire_when_they_should() -> Result<()> {
    assert_eq!(complaint(&["check", "config"], &[root().join("ops/prometheus/prometheus.yml")])?, None);
    assert_eq!(complaint(&["check", "rules"], &files("rules")?)?, None);
    for file in files("tests")? {
        let test = || complaint(&["test", "rules"], std::slice::from_ref(&file));
        // promtool's store moves what is older than a day and a half at a time of its own; on a busy machine a rule that
        // looks back at it finds nothing meanwhile, in one run of ten.
        let complaints: Vec<String> =
            (0..ATTEMPTS).map_while(|_| test().transpose()).collect::<Result<_>>()?;
        assert!(complaints.len() < ATTEMPTS, "{}", complaints.concat());
    }
    Ok(())
}
