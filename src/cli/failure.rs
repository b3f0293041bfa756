//! How a command comes to nothing: in one or two lines, with the way out, and with the exit code that scripts read.

use std::fmt;
use std::process::ExitCode;

use crate::rules::RuleErrors;
use crate::settings::SettingsError;

/// All is well.
pub(super) const EXIT_GOOD: u8 = 0;

/// Findings, or something that did not work.
pub(super) const EXIT_FAILURE: u8 = 1;

/// Bad usage or configuration: trying again without a change is pointless (`EX_USAGE` of BSD's `sysexits.h`).
pub(super) const EXIT_USAGE: u8 = 64;

/// Why a command did not do what it should. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    exit: u8,
    message: String,
    help: Option<String>,
}

impl Failure {
    /// Something did not work; the same command may work later.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self { exit: EXIT_FAILURE, message: message.into(), help: None }
    }

    /// The arguments or the configuration are wrong.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { exit: EXIT_USAGE, message: message.into(), help: None }
    }

    /// Of an error from the wiring: wrong settings and rules are configuration, everything else may work at another
    /// time.
    pub(super) fn of(error: anyhow::Error) -> Self {
        let configuration =
            error.downcast_ref::<SettingsError>().is_some() || error.downcast_ref::<RuleErrors>().is_some();
        let text = told_once(&error);
        // Mistakes in files are shown as a compiler would, the word included that we put before each failure.
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        if configuration { Self::usage(text) } else { Self::failed(text) }
    }

    /// Adds the way out.
    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }
}

/// The error with its causes. Some errors quote their cause in their own sentence, which is then said already.
fn told_once(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let words = cause.to_string();
        if text.is_empty() {
            text = words;
        } else if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
    }
    text
}

/// As clap shows its own errors.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}
