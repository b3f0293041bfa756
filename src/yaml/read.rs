//! Text to typed value, with as many mistakes found in one go as can be told apart.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_saphyr::Error;

use super::problem::Problem;

/// Most problems reported at once. More would scroll the first ones away, and each costs one more pass.
const PROBLEMS_MAX: usize = 20;

/// Begins messages of types that refuse a value which must not be shown; see [`hide_value`].
const HIDE_MARK: &str = "\u{1}";

/// Marks an error text so that the excerpt shown with it masks the value it complains about.
///
/// For `Deserialize` implementations that meet a plain text where only a reference to a secret may stand.
pub fn hide_value(message: &str) -> String {
    format!("{HIDE_MARK}{message}")
}

/// Reads one YAML document. `file` is only used to name the place.
///
/// An empty document reads as an empty mapping. Where the text does not fit the type, the offending block is taken
/// out and the rest is read again, so that one run shows up to twenty independent mistakes.
///
/// # Errors
/// All problems found, in the order of their places; at least one.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Vec<Problem>> {
    read_partly(file, text).map_err(|partly| partly.problems)
}

/// As [`fn@read`], with what is left of a document that has mistakes, so that later checks can look at the rest.
///
/// # Errors
/// All problems found, and the rest where it makes a value.
pub fn read_partly<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Partly<T>> {
    let error = match parse(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let mut problems = vec![problem(file, text, &error)];
    let (mut rest, mut value) = (Rest::of(text), None);
    let mut last = error;
    while problems.len() < PROBLEMS_MAX && leaves_the_rest_readable(&last) && rest.take_out(&last) {
        let error = match parse::<T>(&rest.text()) {
            Ok(left) => {
                value = Some(left);
                break;
            }
            Err(error) => error,
        };
        if !rest.follows_from_a_cut(&error) {
            problems.push(problem(file, text, &error));
        }
        last = error;
    }
    problems.sort_by_key(Problem::position);
    problems.dedup();
    Err(Partly { problems, rest: value.map(|value| (value, rest.remainder())) })
}

/// A document with mistakes, and what is left of it.
pub struct Partly<T> {
    /// The mistakes, in the order of their places; at least one.
    pub problems: Vec<Problem>,
    /// What can be read without the blocks that were complained about. Only good for finding more mistakes.
    pub rest: Option<(T, Remainder)>,
}

/// The text without the blocks that were complained about. Has no `Debug`: the text may hold what must not be shown.
pub struct Remainder {
    /// The text. Lines keep their numbers; those that were taken out are empty.
    pub text: String,
    cut_words: BTreeSet<String>,
    cut_parents: Vec<usize>,
}

impl Remainder {
    /// Whether a problem with the rest may only show that something was taken out: it is about a name that stands
    /// there, or about the block around it.
    pub fn explains(&self, problem: &Problem) -> bool {
        let (line, _) = problem.position();
        let names = problem.message.split('`').skip(1).step_by(2).flat_map(words);
        self.cut_parents.contains(&line) || names.into_iter().any(|name| self.cut_words.contains(name))
    }
}

/// Words of the language of rules that say nothing about which names a text is about.
const COMMON: [&str; 5] = ["findings", "labels", "annotations", "incident", "name"];

fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.split(move |c| !is_part(c)).filter(|word| word.len() > 1 && !COMMON.contains(word))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    // `yes` and `no` stay words, as in YAML 1.2: a rule label `no` must not become `false`.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
}

/// Whether the document is sound YAML and only one value in it was refused.
fn leaves_the_rest_readable(error: &Error) -> bool {
    matches!(
        error,
        Error::Message { .. }
            | Error::SerdeUnknownField { .. }
            | Error::SerdeUnknownVariant { .. }
            | Error::SerdeMissingField { .. }
            | Error::SerdeInvalidType { .. }
            | Error::SerdeInvalidValue { .. }
            | Error::SerdeInvalidLength { .. }
            | Error::InvalidScalar { .. }
            | Error::InvalidBooleanStrict { .. }
            | Error::NullIntoString { .. }
            | Error::Unexpected { .. }
            | Error::DuplicateMappingKey { .. }
    )
}

fn position(error: &Error) -> Option<(usize, usize)> {
    let location = error.location()?;
    let (line, column) = (usize::try_from(location.line()).ok()?, usize::try_from(location.column()).ok()?);
    (line > 0).then_some((line, column.max(1)))
}

/// Our words for the reader's error: shorter, without the offending value, with a way out.
fn problem(file: &str, text: &str, error: &Error) -> Problem {
    let (message, help, hide) = describe(error);
    let mut problem = match position(error) {
        Some((line, column)) => Problem::at(file, text, line, column, message),
        None => Problem::in_file(file, message),
    };
    if hide {
        problem = problem.hiding_value(text);
    }
    problem.help = if is_syntax(error) { Some(hides_the_rest(help)) } else { help };
    problem
}

/// Whether the text is no YAML from here on, so that nothing is known of what stands below.
fn is_syntax(error: &Error) -> bool {
    matches!(error, Error::ExternalMessage { .. } | Error::Eof { .. } | Error::UnknownAnchor { .. })
}

fn hides_the_rest(help: Option<String>) -> String {
    let help = help.unwrap_or_else(|| "a quote or a bracket may stand open here or above".to_owned());
    format!("{help}; what follows in this document was not looked at")
}

fn describe(error: &Error) -> (String, Option<String>, bool) {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`"), Some(suggestion(field, expected, "keys")), false)
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), Some(suggestion(variant, expected, "values")), false)
        }
        Error::SerdeMissingField { field, .. } => (format!("the key `{field}` is missing here"), None, false),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            (
                format!("the key `{key}` stands here a second time"),
                Some("keep one of the two".to_owned()),
                false,
            )
        }
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            match expected.strip_prefix(HIDE_MARK) {
                Some(expected) => (expected.to_owned(), None, true),
                None => (format!("expected {expected}"), None, false),
            }
        }
        Error::InvalidScalar { ty, .. } => (format!("expected {}", kind_of(ty)), None, false),
        Error::InvalidBooleanStrict { .. } => (
            "expected true or false".to_owned(),
            Some("`yes`, `no`, `on` and `off` are words in YAML 1.2".to_owned()),
            false,
        ),
        Error::Unexpected { expected, .. } => (format!("expected {}", shape_of(expected)), None, false),
        Error::UnknownAnchor { .. } => (
            "a value that begins with `*` is an alias in YAML, and there is no such anchor".to_owned(),
            Some("put the value in quotes".to_owned()),
            false,
        ),
        Error::MultipleDocuments { .. } => (
            "a second document begins here".to_owned(),
            Some("keep one document in this file".to_owned()),
            false,
        ),
        Error::Message { msg, .. } => match msg.strip_prefix(HIDE_MARK) {
            Some(message) => (message.to_owned(), None, true),
            None => (msg.clone(), None, false),
        },
        other => (without_position(&other.without_snippet().to_string()), None, false),
    }
}

/// The reader repeats the position at the end of its texts; we show it in its own place.
fn without_position(text: &str) -> String {
    text.rfind(" at line ").map_or(text, |cut| &text[..cut]).to_owned()
}

fn kind_of(ty: &str) -> String {
    match ty {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number of 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        other => other.to_owned(),
    }
}

fn shape_of(expected: &str) -> &str {
    match expected {
        "sequence start" => "a list (`[a, b]`, or lines that begin with `- `)",
        "mapping start" => "a mapping (`key: value`)",
        "string scalar" => "a text; quote it if it begins with a special character",
        other => other,
    }
}

fn suggestion(word: &str, known: &[&str], what: &str) -> String {
    match nearest(word, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None if known.is_empty() => format!("no {what} are known here"),
        None => format!("known {what} here: {}", known.join(", ")),
    }
}

/// The known word that `word` was probably meant to be, or `None` where nothing is close.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let (distance, best) = known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    // A third of the letters may differ; more than that is a guess that misleads.
    (distance * 3 <= best.chars().count().max(3)).then_some(best)
}

/// The text with the blocks blanked that were already complained about. Lines keep their numbers.
struct Rest<'t> {
    lines: Vec<&'t str>,
    cut_keys: Vec<String>,
    cut_words: BTreeSet<String>,
    cut_parents: Vec<usize>,
}

impl<'t> Rest<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            lines: text.lines().collect(),
            cut_keys: Vec::new(),
            cut_words: BTreeSet::new(),
            cut_parents: Vec::new(),
        }
    }

    fn remainder(self) -> Remainder {
        Remainder { text: self.text(), cut_words: self.cut_words, cut_parents: self.cut_parents }
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Blanks the line of the error and everything indented below it. False where there is nothing to blank.
    fn take_out(&mut self, error: &Error) -> bool {
        let Some((line, _)) = position(error) else { return false };
        let Some(first) = line.checked_sub(1).filter(|first| *first < self.lines.len()) else { return false };
        if self.lines[first].trim().is_empty() {
            return false;
        }
        let indent = indent_of(self.lines[first]);
        if let Some(parent) = (0..first).rev().find(|at| {
            let line = self.lines[*at];
            !line.trim().is_empty() && indent_of(line) < indent
        }) {
            self.cut_parents.push(parent + 1);
        }
        let after = self.lines[first + 1..]
            .iter()
            .position(|line| !line.trim().is_empty() && indent_of(line) <= indent)
            .map_or(self.lines.len(), |more| first + 1 + more);
        for line in &mut self.lines[first..after] {
            if let Some((key, _)) = line.trim_start_matches([' ', '-']).split_once(':') {
                self.cut_keys.push(key.trim().to_owned());
            }
            self.cut_words.extend(words(line).map(str::to_owned));
            *line = "";
        }
        true
    }

    /// Whether an error only shows that something was taken out: a missing key, or an emptied parent.
    fn follows_from_a_cut(&self, error: &Error) -> bool {
        match error {
            Error::SerdeMissingField { field, .. } => self.cut_keys.iter().any(|key| key == field),
            _ => position(error).is_some_and(|(line, _)| {
                let was_cut = self.lines.get(line - 1).is_some_and(|text| text.is_empty());
                was_cut || self.cut_parents.contains(&line)
            }),
        }
    }
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

#[cfg(test)]
mod tests;
