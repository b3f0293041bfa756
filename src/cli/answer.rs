//! What came of a command, told once for people and once for scripts.

use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use super::failure::EXIT_FAILURE;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For scripts: one JSON document on stdout.
    Json,
}

/// What came of a command.
#[derive(Debug)]
pub(super) struct Answer {
    text: String,
    /// None where the text is the result itself, whatever the format.
    json: Option<Value>,
    /// Whether nothing was found that the caller must look at.
    good: bool,
}

impl Answer {
    /// A good result.
    pub(super) fn new(text: impl Into<String>, json: &impl Serialize) -> Self {
        let json = serde_json::to_value(json).expect("results are plain values with text keys");
        Self { text: text.into(), json: Some(json), good: true }
    }

    /// A text that is the result itself in every format, such as a script.
    pub(super) fn verbatim(text: String) -> Self {
        Self { text, json: None, good: true }
    }

    /// A good end with nothing to print.
    pub(super) fn silent() -> Self {
        Self::verbatim(String::new())
    }

    /// The result as it is printed, with one line feed at its end.
    pub(super) fn show(&self, format: Format) -> String {
        if self.json.is_none() && self.text.is_empty() {
            return String::new();
        }
        let mut shown = match (format, &self.json) {
            (Format::Json, Some(json)) => format!("{json:#}"),
            (Format::Text, _) | (Format::Json, None) => self.text.trim_end_matches('\n').to_owned(),
        };
        shown.push('\n');
        shown
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        if self.good { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILURE) }
    }
}
