//! From a file and the environment to checked settings, or to everything that is wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::overlay::Overlay;
use super::{Locator, Settings, check};
use crate::secret::Keyring;
use crate::yaml::{self, Partly, Places, Problem};

/// Largest settings file. Real ones have a few kilobytes; anything larger is the wrong file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The name shown for settings that come without a file.
pub(super) const NO_FILE: &str = "settings";

/// All that is wrong with the settings, each with its place. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// The problems, in the order of their places; at least one.
    pub problems: Vec<Problem>,
    /// What could be read of the settings. Only good for finding more mistakes.
    pub rest: Option<Box<PartOfSettings>>,
}

/// Settings with mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartOfSettings {
    /// The values as far as they could be read.
    pub settings: Settings,
    /// Whether every value could be read, so that only contradictions among them are wrong.
    pub is_whole: bool,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}\n")?;
        }
        match self.problems.len() {
            1 => write!(f, "the settings have 1 problem"),
            several => write!(f, "the settings have {several} problems"),
        }
    }
}

impl std::error::Error for SettingsError {}

impl From<Vec<Problem>> for SettingsError {
    fn from(problems: Vec<Problem>) -> Self {
        Self { problems, rest: None }
    }
}

/// The environment of this process. Variables that are not Unicode are left out: no setting and no secret can be
/// one.
#[allow(clippy::disallowed_methods, reason = "this is where the environment comes in")]
pub fn process_environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

impl Settings {
    /// Reads the file, lays the environment over it, and checks the result. Without a file the defaults are the base.
    ///
    /// Relative paths in the file then start at the directory of the file, as in Prometheus.
    ///
    /// # Errors
    /// All problems found at once: unreadable file, unknown keys, wrong types, contradictions.
    pub fn load(path: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let Some(path) = path else {
            return Self::from_text(NO_FILE, "", Path::new(""), environment);
        };
        let name = path.display().to_string();
        let text = read_file(path).map_err(|reason| {
            let problem = Problem::in_file(&name, format!("the settings cannot be read: {reason}"));
            SettingsError::from(vec![problem])
        })?;
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        Self::from_text(&name, &text, directory, environment)
    }

    /// As [`Settings::load`], with the text at hand. `name` is shown in problems; `directory` is where relative
    /// paths start.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn from_text(
        name: &str,
        text: &str,
        directory: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let overlay = Overlay::of(environment);
        let (written, mut problems, rest): (Self, _, _) = match yaml::read_partly(name, text) {
            Ok(written) => (written, Vec::new(), None),
            Err(Partly { problems, rest: None }) => return Err(problems.into()),
            Err(Partly { problems, rest: Some((written, rest)) }) => (written, problems, Some(rest)),
        };
        let settings = match overlay.apply(&written, directory) {
            Ok(settings) => settings,
            Err(more) => {
                problems.extend(more);
                return Err(problems.into());
            }
        };
        let findings = check::check(&settings);
        let places = Places::of(name, rest.as_ref().map_or(text, |rest| &rest.text));
        let mut more = place(findings, &places, &overlay);
        more.retain(|problem| rest.as_ref().is_none_or(|rest| !rest.explains(problem)));
        problems.extend(more);
        if problems.is_empty() {
            return Ok(settings);
        }
        problems.sort_by_key(Problem::position);
        let rest = Some(Box::new(PartOfSettings { settings, is_whole: rest.is_none() }));
        Err(SettingsError { problems, rest })
    }

    /// Opens every secret that the settings name, so that a missing one shows at start and the redactor knows all
    /// of them before the first log line. `path` is the file that the settings came from.
    ///
    /// # Errors
    /// One problem for each secret that is absent, unreadable, empty or too short, at the place that names it.
    pub fn open_secrets(
        &self,
        path: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Keyring, SettingsError> {
        let keyring = Keyring::new(environment.clone());
        let problems = Locator::new(path, environment).absent_secrets(self, &keyring);
        if problems.is_empty() { Ok(keyring) } else { Err(problems.into()) }
    }
}

pub(super) fn read_file(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it has {size} bytes, and {FILE_BYTES_MAX} is the limit: is it the right file?"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {}", error.utf8_error()))
}

/// Turns findings into problems: shown at the variable where one set the value, else at the place in the file.
pub(super) fn place(findings: Vec<check::Finding>, places: &Places<'_>, overlay: &Overlay) -> Vec<Problem> {
    let mut problems: Vec<Problem> = findings
        .into_iter()
        .map(|finding| {
            let path: Vec<&str> = finding.path.iter().map(String::as_str).collect();
            let message = format!("{}: {}", path.join("."), finding.message);
            let problem = match overlay.variable_for(&path) {
                Some(variable) => Problem::in_environment(variable, message),
                None if finding.hide_value => places.problem_hiding_value(&path, message),
                None => places.problem(&path, message),
            };
            match finding.help {
                Some(help) => problem.with_help(help),
                None => problem,
            }
        })
        .collect();
    problems.sort_by_key(Problem::position);
    problems
}
