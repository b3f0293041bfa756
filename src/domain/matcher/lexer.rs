//! Tokens of the UTF-8 matcher syntax.

use super::error::{MatcherError, MatcherProblem};
use super::name::is_reserved;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    OpenBrace,
    CloseBrace,
    Comma,
    Equal,
    NotEqual,
    Regex,
    NotRegex,
    /// A text in double quotes, which it still carries.
    Quoted,
    /// A run of characters that are not reserved.
    Unquoted,
}

/// One token and where it begins, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) offset: usize,
}

/// Reads tokens from left to right; `peek` looks without taking.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    input: &'a str,
    at: usize,
    peeked: Option<Token<'a>>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a str) -> Self {
        Self { input, at: 0, peeked: None }
    }

    pub(super) fn input(&self) -> &'a str {
        self.input
    }

    /// The next token without taking it; `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<Token<'a>>, MatcherError> {
        if self.peeked.is_none() {
            self.peeked = self.scan()?;
        }
        Ok(self.peeked)
    }

    /// Takes the token that `peek` showed.
    pub(super) fn take(&mut self) {
        self.peeked = None;
    }

    fn scan(&mut self) -> Result<Option<Token<'a>>, MatcherError> {
        let rest = &self.input[self.at..];
        let offset = self.at + (rest.len() - rest.trim_start().len());
        let rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            self.at = self.input.len();
            return Ok(None);
        };
        let error = |problem| MatcherError::at(self.input, offset, problem);
        let (kind, length) = match first {
            '{' => (Kind::OpenBrace, 1),
            '}' => (Kind::CloseBrace, 1),
            ',' => (Kind::Comma, 1),
            '=' if rest.starts_with("=~") => (Kind::Regex, 2),
            '=' => (Kind::Equal, 1),
            '!' if rest.starts_with("!=") => (Kind::NotEqual, 2),
            '!' if rest.starts_with("!~") => (Kind::NotRegex, 2),
            '!' | '~' => return Err(error(MatcherProblem::BadOperator(first))),
            '"' => (Kind::Quoted, quoted_length(rest).ok_or_else(|| error(MatcherProblem::UnclosedQuote))?),
            reserved if is_reserved(reserved) => return Err(error(MatcherProblem::Reserved(reserved))),
            _ => (Kind::Unquoted, rest.find(is_reserved).unwrap_or(rest.len())),
        };
        self.at = offset + length;
        Ok(Some(Token { kind, text: &rest[..length], offset }))
    }
}

/// Length of the quoted text at the start, with both quotes; a backslash hides the character after it.
fn quoted_length(rest: &str) -> Option<usize> {
    let mut hidden = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if hidden => hidden = false,
            '\\' => hidden = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}
