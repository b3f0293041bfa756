//! What came of tests, for scripts. Every key is always there, null where there is nothing to say.

use crate::cli::check::entry;
use crate::testing::coverage::{Coverage, Reached};
use crate::testing::report::{Failure, Mismatch, Outcome, Report, Tested};
use crate::testing::trail::{Entry, written};
use crate::yaml::Place;
use serde_json::{Value, json};

pub(super) fn write(report: &Report, coverage: Option<&Coverage>) -> Value {
    json!({
        "passed": report.tests.len() - report.failed(),
        "failed": report.failed(),
        "left_out": report.left_out,
        "seconds": report.took.as_secs_f64(),
        "problems": report.problems.iter().map(entry).collect::<Vec<_>>(),
        "tests": report.tests.iter().map(test).collect::<Vec<_>>(),
        "coverage": coverage.map(covered),
    })
}

fn line_of(place: &Place) -> Option<usize> {
    match place {
        Place::At { line, .. } => Some(*line),
        Place::File { .. } | Place::Environment { .. } => None,
    }
}

fn test(tested: &Tested) -> Value {
    let (outcome, failures, error) = match &tested.outcome {
        Outcome::Passed => ("passed", Vec::new(), None),
        Outcome::Failed(failures) => ("failed", failures.iter().map(failure).collect(), None),
        Outcome::Broken(why) => ("broken", Vec::new(), Some(why)),
    };
    json!({
        "file": tested.file,
        "line": line_of(&tested.place),
        "suite": tested.suite,
        "name": tested.name,
        "outcome": outcome,
        "seconds": tested.took.as_secs_f64(),
        "failures": failures,
        "error": error,
        "happened": tested.trail.iter().filter(|_| outcome != "passed").map(happened).collect::<Vec<_>>(),
    })
}

fn failure(failure: &Failure) -> Value {
    let mismatches = failure.mismatches.iter().map(|mismatch| {
        let Mismatch { what, expected, got, help } = mismatch;
        json!({ "what": what, "expected": expected, "got": got, "help": help })
    });
    json!({
        "line": line_of(&failure.place),
        "at": written(failure.at),
        "mismatches": mismatches.collect::<Vec<_>>(),
    })
}

fn happened(entry: &Entry) -> Value {
    json!({ "at": written(entry.at), "kind": entry.kind, "text": entry.text })
}

fn covered(coverage: &Coverage) -> Value {
    let part = |reached: &Reached| {
        let untested: Vec<&String> =
            reached.iter().filter(|(_, reached)| !**reached).map(|(name, _)| name).collect();
        json!({ "total": reached.len(), "tested": reached.len() - untested.len(), "untested": untested })
    };
    json!({
        "rules": part(&coverage.rules),
        "remedies": part(&coverage.remedies),
        "branches": part(&coverage.branches),
        "policies": part(&coverage.policies),
        "levels": part(&coverage.levels),
    })
}
