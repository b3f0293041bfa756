//! What came of a command, told once for people and once for scripts.

use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use super::failure::EXIT_GOOD;

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
    exit: u8,
}

impl Answer {
    /// A good result.
    pub(super) fn new(text: impl Into<String>, json: &impl Serialize) -> Self {
        let json = serde_json::to_value(json).expect("results are plain values with text keys");
        Self { text: text.into(), json: Some(json), exit: EXIT_GOOD }
    }

    /// A text that is the result itself in every format, such as a script.
    pub(super) fn verbatim(text: String) -> Self {
        Self { text, json: None, exit: EXIT_GOOD }
    }

    /// The same result with another exit code: for what was found and the caller must look at.
    pub(super) fn with_exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
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
        ExitCode::from(self.exit)
    }
}
