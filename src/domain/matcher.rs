//! Alertmanager's matcher language: which alerts something applies to.
//!
//! A [`Matcher`] compares one label with a value; [`Matchers`] is a list that must match as a whole. A label that an
//! alert does not carry equals the empty text. Regular expressions follow RE2, as Alertmanager's do, and must match the
//! whole value. There are two syntaxes and a mode that reads both; see [`ParseMode`].
//!
//! Nothing here reads alerts or rules; those hand over their labels as a [`LabelSource`].

mod classic;
mod error;
mod lexer;
mod name;
mod parse;
mod pattern;
mod quote;
mod re2;
mod text;
mod utf8;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash, Hasher};

pub use error::{Expected, Found, MatcherError, MatcherProblem, RegexError, RegexProblem};
pub use name::{is_classic_label_name, is_utf8_label_name};
pub use parse::{ParseMode, ParseWarning, parse, parse_classic, parse_matcher, parse_utf8};

use pattern::Pattern;

/// Anything that can tell the value of a label.
pub trait LabelSource {
    /// The value of label `name`; `None` if there is no such label.
    fn label(&self, name: &str) -> Option<&str>;
}

impl LabelSource for BTreeMap<String, String> {
    fn label(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

impl<S: BuildHasher> LabelSource for HashMap<String, String, S> {
    fn label(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

impl<K: AsRef<str>, V: AsRef<str>> LabelSource for [(K, V)] {
    fn label(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| key.as_ref() == name).map(|(_, value)| value.as_ref())
    }
}

impl<T: LabelSource + ?Sized> LabelSource for &T {
    fn label(&self, name: &str) -> Option<&str> {
        (**self).label(name)
    }
}

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchOp {
    /// `=`: the label equals the value.
    Equal,
    /// `!=`: the label differs from the value.
    NotEqual,
    /// `=~`: the whole label matches the expression.
    Regex,
    /// `!~`: the whole label does not match the expression.
    NotRegex,
}

impl MatchOp {
    /// The operator as it is written: `=`, `!=`, `=~` or `!~`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// One comparison of a label with a value, such as `severity="critical"` or `instance=~"db-.*"`.
///
/// Two matchers are equal if they are written the same; they sort by name, value and operator, as Alertmanager's do.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    /// Compiled from `value` where `op` needs it.
    pattern: Option<Pattern>,
}

impl Matcher {
    /// Builds a matcher; `value` is an expression in RE2 syntax if `op` is [`MatchOp::Regex`] or
    /// [`MatchOp::NotRegex`].
    ///
    /// # Errors
    /// If the name is empty, or the expression is not usable.
    pub fn new(
        name: impl Into<String>,
        op: MatchOp,
        value: impl Into<String>,
    ) -> Result<Self, MatcherProblem> {
        let (name, value) = (name.into(), value.into());
        if name.is_empty() {
            return Err(MatcherProblem::EmptyName);
        }
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => match Pattern::compile(&value) {
                Ok(pattern) => Some(pattern),
                Err(source) => return Err(MatcherProblem::Regex { name, source }),
            },
        };
        Ok(Self { name, op, value, pattern })
    }

    /// The name of the label.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the label is compared.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What the label is compared with, unquoted: a text, or an expression in RE2 syntax.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label with this value matches; the empty text stands for a label that is not there.
    pub fn matches_value(&self, value: &str) -> bool {
        let positive = match &self.pattern {
            None => self.value == value,
            Some(pattern) => pattern.is_match(value),
        };
        positive == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }

    /// Whether the labels match.
    pub fn matches(&self, labels: &(impl LabelSource + ?Sized)) -> bool {
        self.matches_value(labels.label(&self.name).unwrap_or_default())
    }

    fn key(&self) -> (&str, &str, MatchOp) {
        (&self.name, &self.value, self.op)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Matcher {}

impl Hash for Matcher {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialOrd for Matcher {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Matcher {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// A list of matchers that must all match; the empty list matches everything.
///
/// Two lists are equal if they hold equal matchers in the same order. The warnings of parsing only ride along, for
/// whoever lints.
#[derive(Debug, Clone, Default)]
pub struct Matchers {
    list: Vec<Matcher>,
    warnings: Vec<ParseWarning>,
}

impl Matchers {
    /// The matchers in the order they were written.
    pub fn iter(&self) -> std::slice::Iter<'_, Matcher> {
        self.list.iter()
    }

    /// How many matchers there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no matcher, so that everything matches.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What Alertmanager would warn about when reading the same text; see [`ParseWarning`].
    pub fn warnings(&self) -> &[ParseWarning] {
        &self.warnings
    }

    /// Whether the labels match every matcher.
    pub fn matches(&self, labels: &(impl LabelSource + ?Sized)) -> bool {
        self.list.iter().all(|matcher| matcher.matches(labels))
    }

    /// The value that label `name` must have, if a `=` matcher with a value that is not empty says so. An index by that
    /// label may then skip the list for every alert with another value.
    pub fn required_equal(&self, name: &str) -> Option<&str> {
        self.list
            .iter()
            .find(|matcher| matcher.op == MatchOp::Equal && matcher.name == name && !matcher.value.is_empty())
            .map(Matcher::value)
    }

    /// Appends the matchers and warnings of `other`.
    pub fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
        self.warnings.append(&mut other.warnings);
    }
}

impl PartialEq for Matchers {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Matchers {}

impl From<Vec<Matcher>> for Matchers {
    fn from(list: Vec<Matcher>) -> Self {
        Self { list, warnings: Vec::new() }
    }
}

impl FromIterator<Matcher> for Matchers {
    fn from_iter<I: IntoIterator<Item = Matcher>>(matchers: I) -> Self {
        Self::from(matchers.into_iter().collect::<Vec<_>>())
    }
}

impl<'a> IntoIterator for &'a Matchers {
    type Item = &'a Matcher;
    type IntoIter = std::slice::Iter<'a, Matcher>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
