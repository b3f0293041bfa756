//! PromQL and LogQL: values stand within quoted strings, or are numbers and durations.
//!
//! Within a string a value is escaped for its quotes, and quoted for RE2 as well where the string is a regular
//! expression (after `=~`, `!~` or LogQL's `|~`), so that a label such as `.*` does not widen a query. Anywhere else a label could
//! be code, and only a number (`0.05`) or a duration (`5m`) may stand there. The finished expression must parse.

use super::language::{is_number, refused};
use super::{Piece, RenderError};

/// Where the walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside of strings; `true` if the code so far ends in an operator that takes a regular expression.
    Code(bool),
    /// Within the quotes of this character; `regex` if the string is a regular expression.
    Quoted { quote: char, regex: bool, escaped: bool },
    /// Within backticks, where nothing can be escaped.
    Raw,
    /// After `#`, to the end of the line.
    Comment,
}

pub(super) fn assemble(pieces: &[Piece<'_>]) -> Result<String, RenderError> {
    let (out, _) = walk(pieces)?;
    parse(&out).map_err(RenderError::Result)?;
    Ok(out)
}

/// LogQL has the same strings, and `|~` for lines beside `=~` and `!~` for labels. Nobody here can parse it, but a string
/// without an end shows.
pub(super) fn assemble_logql(pieces: &[Piece<'_>]) -> Result<String, RenderError> {
    match walk(pieces)? {
        (out, State::Code(_) | State::Comment) => Ok(out),
        _ => Err(RenderError::Result("this is no LogQL: a text in quotes does not end".to_owned())),
    }
}

/// Puts all pieces together, and says where the walk ends.
fn walk(pieces: &[Piece<'_>]) -> Result<(String, State), RenderError> {
    let mut out = String::new();
    let mut state = State::Code(false);
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => {
                for c in literal.chars() {
                    out.push(c);
                    state = step(state, c, &out);
                }
            }
            Piece::Value(value) => insert(value, state, &mut out)?,
        }
    }
    if out.trim().is_empty() {
        return Err(RenderError::Empty);
    }
    Ok((out, state))
}

fn step(state: State, c: char, out: &str) -> State {
    match state {
        State::Code(regex) => match c {
            '"' | '\'' => State::Quoted { quote: c, regex, escaped: false },
            '`' => State::Raw,
            '#' => State::Comment,
            c if c.is_whitespace() => State::Code(regex),
            _ => State::Code(["=~", "!~", "|~"].iter().any(|regex| out.ends_with(regex))),
        },
        State::Quoted { quote, regex, escaped: true } => State::Quoted { quote, regex, escaped: false },
        State::Quoted { quote, regex, .. } if c == '\\' => State::Quoted { quote, regex, escaped: true },
        State::Quoted { quote, .. } if c == quote => State::Code(false),
        State::Raw if c == '`' => State::Code(false),
        State::Comment if c == '\n' => State::Code(false),
        unchanged => unchanged,
    }
}

fn insert(value: &str, state: State, out: &mut String) -> Result<(), RenderError> {
    match state {
        State::Quoted { escaped: true, .. } => {
            return Err(refused(value, "stands behind a backslash"));
        }
        State::Quoted { .. } if value.is_empty() => return Err(RenderError::EmptyValue),
        State::Quoted { quote, regex: true, .. } => escape(&quote_regex(value), quote, out),
        State::Quoted { quote, regex: false, .. } => escape(value, quote, out),
        State::Raw => {
            return Err(refused(value, "stands in backticks, where nothing is escaped: use double quotes"));
        }
        State::Comment => escape(value, '"', out),
        State::Code(_) if is_number(value) || is_duration(value) => out.push_str(value),
        State::Code(_) => {
            return Err(refused(
                value,
                "stands outside of quotes, where only a number or a duration may stand",
            ));
        }
    }
    Ok(())
}

/// Escapes for a quoted PromQL string, which follows Go's rules.
fn escape(value: &str, quote: char, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// Makes every operator of RE2 stand for itself.
fn quote_regex(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len());
    for c in value.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// Whether a value is a Prometheus duration, such as `5m` or `1h30m`.
fn is_duration(value: &str) -> bool {
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit =
            ["ms", "y", "w", "d", "h", "m", "s"].into_iter().find(|unit| rest[digits..].starts_with(unit));
        match unit {
            Some(unit) if digits > 0 => rest = &rest[digits + unit.len()..],
            _ => return false,
        }
    }
    !value.is_empty()
}

/// Parses an expression; the error is the parser's sentence.
pub(super) fn parse(expression: &str) -> Result<(), String> {
    promql_parser::parser::parse(expression).map(|_| ()).map_err(|why| format!("this is no PromQL: {why}"))
}
