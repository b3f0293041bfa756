//! Reads the `{{ … }}` of a text without rendering it: which names it uses, and whether it stays within the small
//! part of the template language that rules may use.
//!
//! Rules may use placeholders, filters and `{% if %}`. There are no loops, includes, blocks or functions, so that a
//! template ends in bounded time and can be judged by reading it. `safe` and its relatives are refused: they would
//! let a label pass as code. [`crate::rules::render`] does the rendering.

use super::vocabulary::Vocabulary;

pub use crate::params::is_template;

/// Longest template, in bytes. The longest expression of the runbooks is below 400.
pub const TEMPLATE_BYTES_MAX: usize = 8 << 10;

/// Tags that rules may use; all others are loops, blocks and includes.
const TAGS: [&str; 4] = ["if", "elif", "else", "endif"];

/// Filters that mark a value as not in need of escaping, or escape for a language that rules do not write.
pub(super) const UNSAFE_FILTERS: [&str; 5] =
    ["safe", "escape", "escape_html", "escape_xml", "newlines_to_br"];

/// Words of the expression language that are no names.
const WORDS: [&str; 13] =
    ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"];

/// What is wrong with a template, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateProblem {
    /// What is wrong.
    pub message: String,
    /// The way out, where one is known.
    pub help: Option<String>,
}

impl TemplateProblem {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }
}

/// A piece of a template as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'t> {
    /// Text that is copied.
    Literal(&'t str),
    /// The expression of a `{{ … }}`.
    Value(&'t str),
    /// The inside of a `{% … %}`.
    Tag(&'t str),
}

/// Splits a template. Comments vanish; what is never closed counts as text, and the engine complains about it.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = next_mark(rest) {
        let (before, from) = rest.split_at(at);
        let close = match &from[..2] {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        let Some(length) = closing(&from[2..], close) else { break };
        if !before.is_empty() {
            parts.push(Part::Literal(before));
        }
        let inside = from[2..2 + length].trim_matches('-').trim();
        match close {
            "}}" => parts.push(Part::Value(inside)),
            "%}" => parts.push(Part::Tag(inside)),
            _ => {}
        }
        rest = &from[2 + length + 2..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest));
    }
    parts
}

fn next_mark(text: &str) -> Option<usize> {
    ["{{", "{%", "{#"].iter().filter_map(|mark| text.find(mark)).min()
}

/// Where `close` begins, quoted texts left aside.
fn closing(text: &str, close: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if text[at..].starts_with(close) => return Some(at),
            None if close != "#}" && matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None => {}
        }
    }
    None
}

/// Everything that reading the template shows to be wrong. An empty list does not mean that the engine accepts it.
pub fn check(text: &str, vocabulary: &Vocabulary) -> Vec<TemplateProblem> {
    let mut problems = Vec::new();
    if text.len() > TEMPLATE_BYTES_MAX {
        let message = format!("this template is longer than {TEMPLATE_BYTES_MAX} bytes");
        return vec![TemplateProblem::new(message, "split it")];
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
        return vec![TemplateProblem::new("this template holds a control character", "remove it")];
    }
    for part in parts(text) {
        match part {
            Part::Literal(_) => {}
            Part::Value(expression) => check_expression(expression, vocabulary, &mut problems),
            Part::Tag(inside) => {
                let (keyword, expression) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
                if TAGS.contains(&keyword) {
                    check_expression(expression, vocabulary, &mut problems);
                } else if !keyword.starts_with("end") {
                    problems.push(TemplateProblem::new(
                        format!("`{{% {keyword} %}}` is not available in rules"),
                        "there are placeholders, filters and `{% if %}`, so that every template ends soon",
                    ));
                }
            }
        }
    }
    problems.dedup();
    problems
}

/// The names directly below `root` that a template uses, such as the labels of `{{ labels.job }}`.
pub(super) fn used_names<'t>(text: &'t str, root: &str) -> Vec<&'t str> {
    let mut names = Vec::new();
    for part in parts(text) {
        let (Part::Value(expression) | Part::Tag(expression)) = part else { continue };
        let tokens = tokens(expression);
        for at in 0..tokens.len() {
            if let [first, name, ..] = path(&tokens, at).0[..]
                && first == root
            {
                names.push(name);
            }
        }
    }
    names
}

fn check_expression(expression: &str, vocabulary: &Vocabulary, problems: &mut Vec<TemplateProblem>) {
    let tokens = tokens(expression);
    let mut at = 0;
    while at < tokens.len() {
        let Token::Word(word) = tokens[at] else {
            at += 1;
            continue;
        };
        let before = at.checked_sub(1).map(|before| tokens[before]);
        let next = tokens.get(at + 1).copied();
        if before == Some(Token::Pipe) {
            if UNSAFE_FILTERS.contains(&word) {
                problems.push(TemplateProblem::new(
                    format!("the filter `{word}` is not available in rules"),
                    "every value is escaped for the place where it stands: leave the filter out",
                ));
            }
        } else if word == "for" || is_call(&tokens, at) {
            problems.push(TemplateProblem::new(
                format!("`{word}` is a loop or a function, and rules have neither"),
                "use names and filters, such as `{{ labels.job | default(value=\"?\") }}`",
            ));
        } else if !WORDS.contains(&word) && next != Some(Token::Assign) && !is_test(&tokens, at) {
            let (path, after) = path(&tokens, at);
            if let Err(unknown) = vocabulary.check(&path) {
                problems.push(TemplateProblem::new(unknown.message, unknown.help));
            }
            at = after;
            continue;
        }
        at += 1;
    }
}

/// Whether the word at `at` is the name of a function that is called.
fn is_call(tokens: &[Token<'_>], at: usize) -> bool {
    let Token::Word(word) = tokens[at] else { return false };
    tokens.get(at + 1) == Some(&Token::Open) && !WORDS.contains(&word) && !is_test(tokens, at)
}

/// Whether the word at `at` is the name of a test, as in `x is defined` or `x is not defined`.
fn is_test(tokens: &[Token<'_>], at: usize) -> bool {
    let word_before = |back: usize| at.checked_sub(back).map(|before| tokens[before]);
    match word_before(1) {
        Some(Token::Word("is")) => true,
        Some(Token::Word("not")) => word_before(2) == Some(Token::Word("is")),
        _ => false,
    }
}

/// The dotted path that begins at `at`, and where it ends. Indexes that are no plain text end it.
fn path<'t>(tokens: &[Token<'t>], at: usize) -> (Vec<&'t str>, usize) {
    let mut path = Vec::new();
    if let Token::Word(word) = tokens[at] {
        path.push(word);
    }
    let mut at = at + 1;
    loop {
        match tokens.get(at..) {
            Some([Token::Dot, Token::Word(word), ..]) => {
                path.push(word);
                at += 2;
            }
            Some([Token::Bracket, Token::Text(text), Token::Other, ..]) => {
                path.push(text);
                at += 3;
            }
            _ => return (path, at),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Text(&'t str),
    /// `.` or `?.`
    Dot,
    Pipe,
    /// `(`
    Open,
    /// `[` or `?[`
    Bracket,
    /// `=`, not `==`
    Assign,
    Other,
}

fn tokens(expression: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            '"' | '\'' | '`' => {
                let length = text_length(rest, c);
                (Token::Text(rest[..length].trim_matches(c)), length)
            }
            c if c.is_alphabetic() || c == '_' => {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                (Token::Word(&rest[..length]), length)
            }
            c if c.is_ascii_digit() => {
                let length = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
                (Token::Other, length)
            }
            '?' if rest.starts_with("?.") => (Token::Dot, 2),
            '?' if rest.starts_with("?[") => (Token::Bracket, 2),
            '=' if rest.starts_with("==") => (Token::Other, 2),
            '!' | '<' | '>' if rest[1..].starts_with('=') => (Token::Other, 2),
            '=' => (Token::Assign, 1),
            '.' => (Token::Dot, 1),
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            '[' => (Token::Bracket, 1),
            other => (Token::Other, other.len_utf8()),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Length in bytes of the quoted text at the start of `rest`, quotes included.
fn text_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests;
