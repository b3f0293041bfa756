//! The classic matcher syntax, Alertmanager's older and more tolerant one: values may go unquoted, braces may lack
//! their partner, and a backslash before anything but `n`, `"` and `\` is a backslash.

use std::sync::LazyLock;

use regex::Regex;

use super::error::{MatcherError, MatcherProblem};
use super::{MatchOp, Matcher};

/// Name, operator, raw value; blanks around each are ASCII, and the value may hold line breaks. `=~` stands before `=`,
/// which would leave the tilde to the value.
static MATCHER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^[\t\n\f\r ]*([a-zA-Z_:][a-zA-Z0-9_:]*)[\t\n\f\r ]*(=~|=|!=|!~)[\t\n\f\r ]*((?s:.*?))[\t\n\f\r ]*$",
    )
    .expect("a fixed expression compiles")
});

/// Reads a list of matchers; an opening brace in front and a closing one behind are dropped, each for itself.
pub(super) fn parse_list(input: &str) -> Result<Vec<Matcher>, MatcherError> {
    let body = input.strip_prefix('{').unwrap_or(input);
    let shift = input.len() - body.len();
    let body = body.strip_suffix('}').unwrap_or(body);
    split(body).into_iter().map(|part| parse_at(input, shift + part.start, &body[part])).collect()
}

/// Reads one matcher without braces.
pub(super) fn parse_one(input: &str) -> Result<Matcher, MatcherError> {
    parse_at(input, 0, input)
}

/// Splits at commas outside of double quotes. A blank last part is dropped, so that a trailing comma is allowed; a
/// blank part elsewhere is kept and fails as a matcher.
fn split(body: &str) -> Vec<std::ops::Range<usize>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in body.char_indices() {
        match c {
            // A comma leaves `escaped` as it is: Alertmanager's splitter does, so `foo=\,bar` must too.
            ',' if !quoted => {
                parts.push(start..at);
                start = at + 1;
            }
            ',' => {}
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    let last = &body[start..];
    if !last.trim().is_empty() {
        let from = start + (last.len() - last.trim_start().len());
        parts.push(from..from + last.trim().len());
    }
    parts
}

/// Reads `part`, which begins at byte `offset` of `input`.
fn parse_at(input: &str, offset: usize, part: &str) -> Result<Matcher, MatcherError> {
    let error = |at: usize, problem| MatcherError::at(input, offset + at, problem);
    let captures = MATCHER.captures(part).ok_or_else(|| {
        let blanks = part.len() - part.trim_start().len();
        error(if blanks == part.len() { 0 } else { blanks }, MatcherProblem::NotClassic)
    })?;
    let [name, operator, raw] =
        [1, 2, 3].map(|group| captures.get(group).expect("every group takes part in a match"));
    let value = unescape(raw.as_str()).map_err(|at| error(raw.start() + at, MatcherProblem::StrayQuote))?;
    let op = match operator.as_str() {
        "=~" => MatchOp::Regex,
        "!=" => MatchOp::NotEqual,
        "!~" => MatchOp::NotRegex,
        _ => MatchOp::Equal,
    };
    Matcher::new(name.as_str(), op, value).map_err(|problem| error(raw.start(), problem))
}

/// Resolves the three escapes and drops the quotes around a quoted value. The error is the byte of the stray quote.
fn unescape(raw: &str) -> Result<String, usize> {
    let (inner, opened) = raw.strip_prefix('"').map_or((raw, false), |inner| (inner, true));
    let shift = raw.len() - inner.len();
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.char_indices();
    let mut closed = false;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            '"' if opened && at + 1 == inner.len() => closed = true,
            '"' => return Err(shift + at),
            plain => value.push(plain),
        }
    }
    if opened && !closed { Err(0) } else { Ok(value) }
}
