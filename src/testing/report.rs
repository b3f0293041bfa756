//! What came of tests.

use super::coverage::Coverage;
use super::trail::Entry;
use crate::engine::ports::IncidentView;
use crate::yaml::{Place, Problem};
use jiff::SignedDuration;
use std::time::Duration;

/// What came of all tests.
#[derive(Debug, Default)]
pub struct Report {
    /// Mistakes in test files, settings and rules: what stands there was not played.
    pub problems: Vec<Problem>,
    /// What came of each test, in the order of files and places.
    pub tests: Vec<Tested>,
    /// How many tests were left out by the caller's choice.
    pub left_out: usize,
    /// What the tests reach.
    pub coverage: Coverage,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Whether everything was as expected.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.tests.iter().all(|test| test.outcome == Outcome::Passed)
    }

    /// How many tests failed.
    pub fn failed(&self) -> usize {
        self.tests.iter().filter(|test| test.outcome != Outcome::Passed).count()
    }
}

/// What came of one test.
#[derive(Debug, Clone)]
pub struct Tested {
    /// The file.
    pub file: String,
    /// Name of the document.
    pub suite: String,
    /// Name of the test.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// What came of it.
    pub outcome: Outcome,
    /// What happened, where it failed.
    pub trail: Vec<Entry>,
    /// How long it took.
    pub took: Duration,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All was as expected.
    Passed,
    /// Something was not.
    Failed(Vec<Failure>),
    /// It could not be played.
    Broken(String),
}

/// One entry of a test that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where it stands.
    pub place: Place,
    /// The time that it is about.
    pub at: SignedDuration,
    /// What differs.
    pub mismatches: Vec<Mismatch>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What it is about, such as `actions.undo.status`; empty where `got` says it all.
    pub what: String,
    /// What was expected.
    pub expected: Option<String>,
    /// What was.
    pub got: String,
    /// A way out.
    pub help: Option<String>,
}

impl Mismatch {
    /// Something was expected to be otherwise.
    pub fn of(what: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { what: what.into(), expected: Some(expected.into()), got: got.into(), help: None }
    }

    /// Something is wrong with the test itself.
    pub fn said(what: impl Into<String>) -> Self {
        Self { what: String::new(), expected: None, got: what.into(), help: None }
    }

    /// Adds a way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A test that was played.
#[derive(Debug)]
pub struct Played {
    /// How it ended.
    pub outcome: Outcome,
    /// What happened.
    pub trail: Vec<Entry>,
    /// The incidents at its end.
    pub views: Vec<IncidentView>,
}
