//! The UTF-8 matcher syntax, Alertmanager's newer one: names and values are either double-quoted by Go's rules or runs
//! of characters that are not reserved.

use super::error::{Expected, Found, MatcherError, MatcherProblem};
use super::lexer::{Kind, Lexer, Token};
use super::quote::unquote;
use super::{MatchOp, Matcher};

/// Reads a list of matchers, in braces or without.
pub(super) fn parse_list(input: &str) -> Result<Vec<Matcher>, MatcherError> {
    let mut parser = Parser { lexer: Lexer::new(input) };
    let braced = parser.eat(Kind::OpenBrace)?;
    let mut matchers = Vec::new();
    // A comma needs a matcher before it, and may stand before the end.
    while !parser.at_end_of_list()? {
        if !matchers.is_empty() {
            if !parser.eat(Kind::Comma)? {
                return parser.unexpected(Expected::CommaOrCloseBrace);
            }
            if parser.at_end_of_list()? {
                break;
            }
            parser.expect(&[Kind::Quoted, Kind::Unquoted], Expected::MatcherOrCloseBrace)?;
        }
        matchers.push(parser.matcher()?);
    }
    let closing = parser.lexer.peek()?.is_some();
    match (braced, closing) {
        (true, true) => parser.lexer.take(),
        (true, false) => return parser.unexpected(Expected::CloseBrace),
        (false, true) => return parser.unexpected(Expected::OpenBrace),
        (false, false) => {}
    }
    match parser.lexer.peek()? {
        Some(_) => parser.unexpected(Expected::End),
        None => Ok(matchers),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Parser<'a> {
    /// Whether nothing or a closing brace comes next.
    fn at_end_of_list(&mut self) -> Result<bool, MatcherError> {
        Ok(self.lexer.peek()?.is_none_or(|token| token.kind == Kind::CloseBrace))
    }

    fn eat(&mut self, kind: Kind) -> Result<bool, MatcherError> {
        let found = self.lexer.peek()?.is_some_and(|token| token.kind == kind);
        if found {
            self.lexer.take();
        }
        Ok(found)
    }

    /// The next token, not taken, if it is of one of `kinds`.
    fn expect(&mut self, kinds: &[Kind], expected: Expected) -> Result<Token<'a>, MatcherError> {
        match self.lexer.peek()? {
            Some(token) if kinds.contains(&token.kind) => Ok(token),
            _ => self.unexpected(expected),
        }
    }

    /// One matcher: name, operator, value.
    fn matcher(&mut self) -> Result<Matcher, MatcherError> {
        let name_token = self.expect(&[Kind::Quoted, Kind::Unquoted], Expected::LabelName)?;
        let name = self.text_of(name_token)?;
        self.lexer.take();
        let op = self.operator()?;
        let value_token = self.expect(&[Kind::Quoted, Kind::Unquoted], Expected::LabelValue)?;
        let value = self.text_of(value_token)?;
        self.lexer.take();
        Matcher::new(name, op, value).map_err(|problem| {
            let offset =
                if problem == MatcherProblem::EmptyName { name_token.offset } else { value_token.offset };
            MatcherError::at(self.lexer.input(), offset, problem)
        })
    }

    fn operator(&mut self) -> Result<MatchOp, MatcherError> {
        let kinds = [Kind::Equal, Kind::NotEqual, Kind::Regex, Kind::NotRegex];
        let token = self.expect(&kinds, Expected::Operator)?;
        self.lexer.take();
        Ok(match token.kind {
            Kind::NotEqual => MatchOp::NotEqual,
            Kind::Regex => MatchOp::Regex,
            Kind::NotRegex => MatchOp::NotRegex,
            _ => MatchOp::Equal,
        })
    }

    fn text_of(&self, token: Token<'a>) -> Result<String, MatcherError> {
        if token.kind == Kind::Unquoted {
            return Ok(token.text.to_owned());
        }
        unquote(token.text)
            .ok_or_else(|| MatcherError::at(self.lexer.input(), token.offset, MatcherProblem::BadEscape))
    }

    /// The error for a next token that is not what was expected.
    fn unexpected<T>(&mut self, expected: Expected) -> Result<T, MatcherError> {
        let input = self.lexer.input();
        let (found, offset) = match self.lexer.peek()? {
            Some(token) => (Found::Token(token.text.to_owned()), token.offset),
            None => (Found::End, input.len()),
        };
        Err(MatcherError::at(input, offset, MatcherProblem::Unexpected { found, expected }))
    }
}
