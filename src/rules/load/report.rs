//! Collects what is wrong with one document, each mistake at its place.

use crate::yaml::{Place, Places, Problem, Remainder};
use std::cell::OnceCell;

/// Most problems shown of one document.
const PROBLEMS_MAX: usize = 50;

/// One use of a system that the settings do not know.
pub(super) struct Lacking {
    /// What is not there, as a sentence.
    pub(super) why: String,
    /// The section of the settings that would set it up.
    pub(super) section: &'static str,
    /// JSON pointer to the use.
    pub(super) pointer: String,
}

/// The mistakes of one document so far.
pub(super) struct Report<'t> {
    file: &'t str,
    text: &'t str,
    places: OnceCell<Places<'t>>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Uses of what the settings lack, until they are told together.
    lacking: Vec<Lacking>,
    /// Whether a matcher could not be read, so that those that could be say less than the document means.
    pub(super) matchers_are_broken: bool,
    /// Where a part could not be read: what of the further mistakes may only follow from that.
    rest: Option<&'t Remainder>,
}

impl<'t> Report<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            text,
            places: OnceCell::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            lacking: Vec::new(),
            matchers_are_broken: false,
            rest: None,
        }
    }

    /// Whether a part of the document could not be read.
    pub(super) fn is_partial(&self) -> bool {
        self.rest.is_some()
    }

    /// Goes on with what is left of a document whose other parts could not be read.
    pub(super) fn go_on_with(&mut self, file: &'t str, rest: &'t Remainder) {
        let problems = std::mem::take(&mut self.problems);
        *self = Self { problems, rest: Some(rest), ..Self::new(file, &rest.text) };
    }

    /// A mistake at a JSON pointer within the document, such as `/spec/remedies/0/when`.
    pub(super) fn error(&mut self, pointer: &str, message: impl Into<String>, help: Option<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            let problem = self.at(pointer, message, help);
            if self.rest.is_none_or(|rest| !rest.explains(&problem)) {
                self.problems.push(problem);
            }
        }
    }

    /// Something doubtful that does not keep the rules from being used.
    pub(super) fn warn(&mut self, pointer: &str, message: impl Into<String>, help: Option<String>) {
        // What is doubtful about a part may be right with the whole.
        if self.rest.is_none() && self.warnings.len() < PROBLEMS_MAX {
            let problem = self.at(pointer, message, help);
            self.warnings.push(problem);
        }
    }

    /// Notes that something cannot work, to be told once for the whole document.
    pub(super) fn lack(&mut self, lacking: Lacking) {
        self.lacking.push(lacking);
    }

    /// What was noted by [`Self::lack`], which forgets it.
    pub(super) fn take_lacking(&mut self) -> Vec<Lacking> {
        std::mem::take(&mut self.lacking)
    }

    /// A problem at a pointer, without collecting it.
    pub(super) fn at(&self, pointer: &str, message: impl Into<String>, help: Option<String>) -> Problem {
        let places = self.places.get_or_init(|| Places::of(self.file, self.text));
        let steps: Vec<String> =
            pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        let mut problem = places.problem(&steps, message);
        if let Place::File { .. } = problem.place {
            // A file may hold many documents: what concerns all of one is shown at its first line.
            let (line, column) = self.first_line();
            problem = Problem::at(self.file, self.text, line, column, problem.message);
        }
        match help {
            Some(help) => problem.with_help(help),
            None => problem,
        }
    }

    /// Line and column, from 1, where the document begins.
    fn first_line(&self) -> (usize, usize) {
        let begins = |line: &str| !matches!(line.trim_start().chars().next(), None | Some('#'));
        let first = self.text.lines().enumerate().find(|(_, line)| begins(line));
        first.map_or((1, 1), |(index, line)| (index + 1, line.len() - line.trim_start().len() + 1))
    }
}
