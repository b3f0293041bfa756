//! Translates Go's RE2 syntax, which Alertmanager speaks, into the syntax of the `regex` crate.
//!
//! The two engines agree on how they search and differ in what they read: `\d` is ASCII in RE2 and Unicode in Rust,
//! `[a&&b]` is a set operation in Rust and five characters in RE2, `a**` is an error in RE2, `(?x)` and `\<` exist
//! only in Rust, `\Q…\E` and octal escapes only in RE2. So the text is read by RE2's rules and written anew, and
//! whatever RE2 refuses is refused here with its position. Case folding needs no care: `(?i)` folds by Unicode's
//! simple folding in both (`(?i)k` matches the Kelvin sign in both), and folding happens before negation in both.
//!
//! Refused although Go accepts it: a flag group directly before a repetition (`a(?i)*`), unbalanced parentheses that
//! only balance inside Go's `^(?:…)$`, surrogate code points, nesting deeper than [`NEST_LIMIT`] (Go: 1000), and what
//! compiles to more than `pattern` allows, such as `\pL{1000}`.
//! This file must never match anything itself; `pattern` compiles what it returns.

mod class;
mod escape;
mod group;

use super::error::{RegexError, RegexProblem};

/// Deepest nesting of groups. Nobody writes 20 levels by hand; the regex compiler recurses once a level, so the limit
/// keeps its stack small whatever a rule file holds.
pub(super) const NEST_LIMIT: u32 = 200;

/// Largest repetition count, and largest product of nested counts: RE2's own limit, kept so that an expression means
/// the same here and in Alertmanager.
pub(super) const REPEAT_LIMIT: u32 = 1000;

/// Rewrites `pattern`, an expression in RE2 syntax, for the `regex` crate. Anchors are not added.
pub(super) fn translate(pattern: &str) -> Result<String, RegexError> {
    let mut translator = Translator::new(pattern);
    while let Some(c) = translator.peek() {
        translator.step(c)?;
    }
    translator.finish()
}

/// What a repetition operator would apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing yet: the start of the expression, of a group or of an alternative, or a flag group.
    Nothing,
    /// One item, with the product of the repetition counts inside it.
    Item(u32),
    /// An item that is already repeated; RE2 does not stack repetitions.
    Repeated(u32),
}

impl Last {
    /// The product of the repetition counts inside the item, 1 if there is none.
    fn weight(self) -> u32 {
        match self {
            Self::Nothing => 1,
            Self::Item(weight) | Self::Repeated(weight) => weight,
        }
    }
}

/// An open group: where it began, and the heaviest repetition seen so far inside it.
#[derive(Debug)]
struct Frame {
    opened_at: usize,
    weight: u32,
}

/// A cursor over the RE2 text and the Rust text written so far.
struct Translator<'a> {
    source: &'a str,
    at: usize,
    out: String,
    last: Last,
    weight: u32,
    open: Vec<Frame>,
}

impl<'a> Translator<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            source,
            at: 0,
            out: String::with_capacity(source.len() + source.len() / 4),
            last: Last::Nothing,
            weight: 1,
            open: Vec::new(),
        }
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Consumes `text` if the rest starts with it.
    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn error_at(&self, byte: usize, problem: RegexProblem) -> RegexError {
        RegexError { position: self.source[..byte].chars().count() + 1, problem }
    }

    /// Reads one item or operator that starts with `c` and writes its translation.
    fn step(&mut self, c: char) -> Result<(), RegexError> {
        match c {
            '(' => self.open_group(),
            ')' => self.close_group(),
            '|' => {
                self.at += 1;
                self.out.push('|');
                self.settle();
                self.last = Last::Nothing;
                Ok(())
            }
            '[' => self.class(),
            '\\' => self.escape(),
            '*' | '+' | '?' => {
                self.at += 1;
                self.repeat(self.at - 1, c.encode_utf8(&mut [0; 4]), 0, None)
            }
            '{' => self.counted_repeat(),
            '.' | '^' | '$' => {
                self.at += 1;
                self.item(c.encode_utf8(&mut [0; 4]));
                Ok(())
            }
            literal => {
                self.at += literal.len_utf8();
                self.literal(literal);
                Ok(())
            }
        }
    }

    /// Writes one item that a following repetition may apply to.
    fn item(&mut self, text: &str) {
        self.out.push_str(text);
        self.settle();
        self.last = Last::Item(1);
    }

    fn literal(&mut self, c: char) {
        if regex_syntax::is_meta_character(c) {
            self.out.push('\\');
        }
        self.item(c.encode_utf8(&mut [0; 4]));
    }

    /// Folds the weight of the item just left behind into its group's.
    fn settle(&mut self) {
        self.weight = self.weight.max(self.last.weight());
    }

    /// `{n}`, `{n,}` or `{n,m}`; anything else that starts with a brace is a literal brace, `{,n}` too.
    fn counted_repeat(&mut self) -> Result<(), RegexError> {
        let start = self.at;
        let Some((length, min, max)) = parse_counts(self.rest()) else {
            self.at += 1;
            self.literal('{');
            return Ok(());
        };
        self.at += length;
        let upper = max.unwrap_or(min);
        if min > REPEAT_LIMIT || upper > REPEAT_LIMIT {
            return Err(self.error_at(start, RegexProblem::RepetitionTooLarge));
        }
        if upper < min {
            return Err(self.error_at(start, RegexProblem::RepetitionReversed));
        }
        let operator = &self.source[start..self.at];
        self.repeat(start, operator, min, Some(upper))
    }

    /// Writes a repetition of the last item. `upper` is the larger count of a counted repetition.
    fn repeat(
        &mut self,
        start: usize,
        operator: &str,
        min: u32,
        upper: Option<u32>,
    ) -> Result<(), RegexError> {
        let weight = match self.last {
            Last::Nothing => return Err(self.error_at(start, RegexProblem::NothingToRepeat)),
            Last::Repeated(_) => return Err(self.error_at(start, RegexProblem::StackedRepetition)),
            Last::Item(weight) => weight,
        };
        // RE2 copies the item for each count, so nested counts multiply; `{0}` throws the item away.
        let weight = match upper {
            None => weight,
            Some(0) => 1,
            Some(upper) => weight.saturating_mul(upper.max(1)),
        };
        if (min >= 2 || upper.is_some_and(|upper| upper >= 2)) && weight > REPEAT_LIMIT {
            return Err(self.error_at(start, RegexProblem::RepetitionTooLarge));
        }
        self.out.push_str(operator);
        if self.eat("?") {
            self.out.push('?');
        }
        self.last = Last::Repeated(weight);
        Ok(())
    }

    fn finish(self) -> Result<String, RegexError> {
        match self.open.last() {
            Some(frame) => Err(self.error_at(frame.opened_at, RegexProblem::UnclosedGroup)),
            None => Ok(self.out),
        }
    }
}

/// Reads `{n}`, `{n,}` or `{n,m}` at the start of `text`: its length in bytes, the lower and the upper count.
fn parse_counts(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let inner = &text[1..text.find('}')?];
    let (min, max) = match inner.split_once(',') {
        None => (parse_count(inner)?, Some(parse_count(inner)?)),
        Some((min, "")) => (parse_count(min)?, None),
        Some((min, max)) => (parse_count(min)?, Some(parse_count(max)?)),
    };
    Some((inner.len() + 2, min, max))
}

/// A decimal count without leading zeros; what is too large for the limit stays too large.
fn parse_count(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    (plain && !leading_zero).then(|| digits.parse().unwrap_or(u32::MAX))
}
