//! Reading matchers in the mode that Alertmanager would read them in.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::{MatcherError, MatcherProblem};
use super::{Matcher, Matchers, classic, utf8};

/// Which syntax is read; Alertmanager chooses with its feature flags `classic-mode` and `utf8-strict-mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParseMode {
    /// UTF-8, and classic where UTF-8 fails; where both succeed with different results, classic wins. Alertmanager's
    /// default.
    #[default]
    Fallback,
    /// The classic syntax alone.
    Classic,
    /// The UTF-8 syntax alone.
    Utf8Strict,
}

/// A text that means something else, or nothing, in the other syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseWarning {
    /// Only the classic syntax can read it.
    ClassicOnly {
        /// The text as it was written.
        input: String,
        /// The same matchers, written so that both syntaxes read them.
        suggestion: String,
    },
    /// Both syntaxes read it, and differ; the classic reading holds.
    Disagreement {
        /// The text as it was written.
        input: String,
        /// The reading that holds, written so that both syntaxes agree on it.
        classic: String,
        /// The reading that does not hold, written by the UTF-8 syntax.
        utf8: String,
    },
}

impl fmt::Display for ParseWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClassicOnly { input, suggestion } => write!(
                f,
                "`{input}` can only be read by Alertmanager's classic matcher syntax, which is going away: write `{suggestion}`"
            ),
            Self::Disagreement { input, classic, utf8 } => write!(
                f,
                "`{input}` means `{classic}` in Alertmanager's classic matcher syntax, which holds here, and `{utf8}` in the \
                 UTF-8 syntax: write the one you mean"
            ),
        }
    }
}

/// Reads a list of matchers: `foo="bar"`, `foo="bar",baz=~"x.*"`, with braces or without.
///
/// # Errors
/// If the mode's syntax cannot read it. When neither syntax can, the error is the UTF-8 syntax's, which points at the
/// exact place, unless only the regular expression is at fault.
pub fn parse(input: &str, mode: ParseMode) -> Result<Matchers, MatcherError> {
    match mode {
        ParseMode::Classic => parse_classic(input),
        ParseMode::Utf8Strict => parse_utf8(input),
        ParseMode::Fallback => choose(input, utf8::parse_list(input), classic::parse_list(input)),
    }
}

/// Reads a list of matchers by the classic syntax alone.
///
/// # Errors
/// If the text does not follow the classic syntax.
pub fn parse_classic(input: &str) -> Result<Matchers, MatcherError> {
    classic::parse_list(input).map(Matchers::from)
}

/// Reads a list of matchers by the UTF-8 syntax alone.
///
/// # Errors
/// If the text does not follow the UTF-8 syntax.
pub fn parse_utf8(input: &str) -> Result<Matchers, MatcherError> {
    utf8::parse_list(input).map(Matchers::from)
}

/// Reads exactly one matcher. Braces are refused, as in Alertmanager, whose classic syntax alone would read them as part
/// of the value.
///
/// # Errors
/// If the text holds no matcher, several, or one that the mode's syntax cannot read.
pub fn parse_matcher(input: &str, mode: ParseMode) -> Result<Matcher, MatcherError> {
    if mode != ParseMode::Classic && (input.starts_with('{') || input.ends_with('}')) {
        return Err(MatcherError::at(input, 0, MatcherProblem::Braces));
    }
    let utf8 = || utf8::parse_list(input).and_then(|list| only(input, list));
    match mode {
        ParseMode::Classic => classic::parse_one(input),
        ParseMode::Utf8Strict => utf8(),
        ParseMode::Fallback => {
            let list =
                choose(input, utf8().map(|one| vec![one]), classic::parse_one(input).map(|one| vec![one]))?;
            only(input, list.list)
        }
    }
}

/// The one matcher of a list.
fn only(input: &str, mut list: Vec<Matcher>) -> Result<Matcher, MatcherError> {
    let problem = match list.len() {
        1 => return Ok(list.remove(0)),
        0 => MatcherProblem::NoMatcher,
        count => MatcherProblem::TooMany(count),
    };
    Err(MatcherError::at(input, 0, problem))
}

/// Fallback mode: what holds when both syntaxes have been tried.
fn choose(
    input: &str,
    utf8: Result<Vec<Matcher>, MatcherError>,
    classic: Result<Vec<Matcher>, MatcherError>,
) -> Result<Matchers, MatcherError> {
    let warned = |list, warning| Ok(Matchers { list, warnings: vec![warning] });
    match (utf8, classic) {
        (Ok(list), Ok(classic)) if list != classic => {
            let warning = ParseWarning::Disagreement {
                input: input.to_owned(),
                classic: written(&classic),
                utf8: written(&list),
            };
            warned(classic, warning)
        }
        (Ok(list), _) => Ok(Matchers::from(list)),
        (Err(_), Ok(list)) => {
            let suggestion = written(&list);
            warned(list, ParseWarning::ClassicOnly { input: input.to_owned(), suggestion })
        }
        (Err(_), Err(error)) if matches!(error.problem, MatcherProblem::Regex { .. }) => Err(error),
        (Err(error), Err(_)) => Err(error),
    }
}

fn written(list: &[Matcher]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl FromStr for Matchers {
    type Err = MatcherError;

    /// Reads in [`ParseMode::Fallback`].
    fn from_str(input: &str) -> Result<Self, Self::Err> {
        parse(input, ParseMode::Fallback)
    }
}

impl FromStr for Matcher {
    type Err = MatcherError;

    /// Reads in [`ParseMode::Fallback`].
    fn from_str(input: &str) -> Result<Self, Self::Err> {
        parse_matcher(input, ParseMode::Fallback)
    }
}
