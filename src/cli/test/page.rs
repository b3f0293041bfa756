//! What came of tests, for people: what differs, beside what happened, and a closing line.

use crate::cli::check::count;
use crate::cli::terminal;
use crate::testing::coverage::{Coverage, Reached};
use crate::testing::report::{Failure, Mismatch, Outcome, Report, Tested};
use crate::testing::trail::{Entry, written};
use crate::yaml::{Place, Problem};
use std::fmt::Write;

/// Lines of what happened that are shown; the last ones, since a failure stands at the end of its story.
const TRAIL_LINES_MAX: usize = 30;

pub(super) fn write(report: &Report, coverage: Option<&Coverage>) -> String {
    let mut page = String::new();
    for problem in report.problems.iter().map(Problem::to_string) {
        say(&mut page, &terminal::block(&problem, ""));
    }
    for tested in report.tests.iter().filter(|tested| tested.outcome != Outcome::Passed) {
        page.push_str(&failed(tested));
        page.push('\n');
    }
    page.push_str(&files(report));
    if let Some(coverage) = coverage {
        page.push_str(&covered(coverage));
    }
    page.push_str(&closing_line(report));
    page
}

fn say(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("writing to a string cannot fail");
}

/// File, line and column.
fn at(place: &Place) -> String {
    match place {
        Place::At { file, line, column } => format!("{file}:{line}:{column}"),
        Place::File { file } => file.clone(),
        Place::Environment { variable } => variable.clone(),
    }
}

pub(super) fn failed(tested: &Tested) -> String {
    let mut page = String::new();
    let name = terminal::line(&format!("{}: {}", tested.suite, tested.name));
    say(&mut page, &format!("FAILED  {name}"));
    say(&mut page, &terminal::line(&format!("  at {}", at(&tested.place))));
    match &tested.outcome {
        Outcome::Passed => {}
        Outcome::Broken(why) => page.push_str(&terminal::block(why, "    ")),
        Outcome::Failed(failures) => {
            for failure in failures {
                page.push_str(&differs(failure));
            }
        }
    }
    if !tested.trail.is_empty() {
        page.push_str(&happened(&tested.trail));
    }
    page
}

fn differs(failure: &Failure) -> String {
    let mut page = String::new();
    let when = written(failure.at);
    say(&mut page, &terminal::line(&format!("  {when}, {}", at(&failure.place))));
    for Mismatch { what, expected, got, help } in &failure.mismatches {
        match expected {
            Some(expected) => {
                say(&mut page, &terminal::line(&format!("    {what}")));
                page.push_str(&terminal::block(expected, "      expected  "));
                page.push_str(&terminal::block(got, "      got       "));
            }
            None => page.push_str(&terminal::block(got, "    ")),
        }
        if let Some(help) = help {
            page.push_str(&terminal::block(&format!("help: {help}"), "      "));
        }
    }
    page
}

fn happened(trail: &[Entry]) -> String {
    let mut page = String::new();
    say(&mut page, "  what happened");
    let from = trail.len().saturating_sub(TRAIL_LINES_MAX);
    if from > 0 {
        say(&mut page, &format!("    … {from} lines before"));
    }
    for Entry { at, kind, text, .. } in &trail[from..] {
        let line = format!("    {:<8} {kind:<13} {text}", written(*at));
        say(&mut page, &terminal::line(&line));
    }
    page
}

/// One line for each file.
fn files(report: &Report) -> String {
    let mut page = String::new();
    let mut files: Vec<&str> = Vec::new();
    for tested in &report.tests {
        if !files.contains(&tested.file.as_str()) {
            files.push(&tested.file);
        }
    }
    for file in files {
        let tests = || report.tests.iter().filter(|tested| tested.file == file);
        let passed = tests().filter(|tested| tested.outcome == Outcome::Passed).count();
        let failed = tests().count() - passed;
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        say(&mut page, &terminal::line(&format!("{file}: {passed} passed{failed}")));
    }
    page
}

fn covered(coverage: &Coverage) -> String {
    let Coverage { rules, remedies, branches, policies, levels } = coverage;
    let parts: [(&str, &Reached); 5] = [
        ("rules", rules),
        ("remedies", remedies),
        ("ends of branches", branches),
        ("policies", policies),
        ("levels", levels),
    ];
    let mut page = String::new();
    for (what, reached) in parts.iter().filter(|(_, reached)| !reached.is_empty()) {
        let tested = reached.values().filter(|reached| **reached).count();
        let without = if tested < reached.len() { "; without a test:" } else { "" };
        say(&mut page, &format!("coverage: {tested} of {} {what}{without}", reached.len()));
        for (name, _) in reached.iter().filter(|(_, reached)| !**reached) {
            say(&mut page, &terminal::line(&format!("  {name}")));
        }
    }
    page
}

fn closing_line(report: &Report) -> String {
    let tests = report.tests.len();
    let failed = report.failed();
    let mut line = format!("{}: {} passed, {failed} failed", count(tests, "test"), tests - failed);
    if report.left_out > 0 {
        write!(line, ", {} left out", report.left_out).expect("writing to a string cannot fail");
    }
    if !report.problems.is_empty() {
        let mistakes = count(report.problems.len(), "mistake");
        write!(line, "; {mistakes} in the files").expect("writing to a string cannot fail");
    }
    line
}
