//! The compiled value of a `=~` or `!~` matcher: the whole text must match, as with Go's `^(?:value)$`.
//!
//! An expression without operators other than `|` is a plain list of texts; it is compared as such, which is faster and
//! spares the memory of a compiled expression in rule sets with thousands of matchers.

use regex::{Regex, RegexBuilder};

use super::error::{RegexError, RegexProblem};
use super::re2;

/// Most memory for one compiled expression. Admits RE2's largest repetition of any character (`.{1000}`), and stops a
/// nest of Unicode classes from taking the process down.
pub(super) const SIZE_LIMIT_BYTES: usize = 4 << 20;

/// Most memory for the search cache of one expression and thread. When it is full the engine falls back to slower ones,
/// so a small cache costs time only for expressions that no rule needs.
const CACHE_LIMIT_BYTES: usize = 256 << 10;

/// Every character that RE2 reads as more than itself, `|` excepted.
const OPERATORS: [char; 12] = ['\\', '.', '+', '*', '?', '(', ')', '[', '{', '^', '$', ']'];

#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// One of these texts, exactly.
    Literals(Box<[Box<str>]>),
    /// Anything else.
    Regex(Regex),
}

impl Pattern {
    /// Compiles an expression in RE2 syntax.
    pub(super) fn compile(expression: &str) -> Result<Self, RegexError> {
        if !expression.contains(OPERATORS) {
            return Ok(Self::Literals(expression.split('|').map(Box::from).collect()));
        }
        let translated = re2::translate(expression)?;
        RegexBuilder::new(&format!("^(?:{translated})$"))
            .size_limit(SIZE_LIMIT_BYTES)
            .dfa_size_limit(CACHE_LIMIT_BYTES)
            // The wrapping group, and brackets inside of brackets, come on top of the expression's own nesting.
            .nest_limit(re2::NEST_LIMIT * 2 + 8)
            .build()
            .map(Self::Regex)
            .map_err(|error| RegexError { position: 1, problem: describe(error) })
    }

    /// Whether the whole of `text` matches.
    pub(super) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Literals(texts) => texts.iter().any(|literal| **literal == *text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

fn describe(error: regex::Error) -> RegexProblem {
    match error {
        regex::Error::CompiledTooBig(_) => RegexProblem::TooLarge,
        other => RegexProblem::Engine(other.to_string()),
    }
}
