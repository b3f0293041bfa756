//! Puts literal text and values together for the place where the result will stand.

use super::{Piece, RenderError, json, name, promql, selector, url};
use crate::domain::catalog::SlotLanguage;
use crate::domain::diagnosis::FINDING_TEXT_BYTES_MAX;
use crate::domain::timeline::cut;

/// Longest result for people. Messengers cut at a few thousand characters; documents may hold some findings.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Longest expression. Prometheus takes longer ones; a rule that needs them is broken.
const PROMQL_BYTES_MAX: usize = 16 << 10;
/// Longest URL. Proxies and servers refuse longer ones.
const URL_BYTES_MAX: usize = 8 << 10;
/// Longest selector. It becomes a part of a URL.
const SELECTOR_BYTES_MAX: usize = 2 << 10;
/// Longest JSON text.
const JSON_BYTES_MAX: usize = 128 << 10;

/// The finished text.
pub(super) fn assemble(pieces: &[Piece<'_>], language: SlotLanguage) -> Result<String, RenderError> {
    let (text, bytes_max) = match language {
        SlotLanguage::Text => (plain(pieces), TEXT_BYTES_MAX),
        SlotLanguage::Promql => (promql::assemble(pieces)?, PROMQL_BYTES_MAX),
        SlotLanguage::Logql => (promql::assemble_logql(pieces)?, PROMQL_BYTES_MAX),
        SlotLanguage::Url => (url::assemble(pieces)?, URL_BYTES_MAX),
        SlotLanguage::JsonString => (json::assemble(pieces)?, JSON_BYTES_MAX),
        SlotLanguage::KubernetesName => (name::assemble(pieces)?, name::SUBDOMAIN_BYTES_MAX),
        SlotLanguage::KubernetesSelector => (selector::assemble(pieces)?, SELECTOR_BYTES_MAX),
    };
    // Text for people may be empty: nothing is selected by it.
    if language != SlotLanguage::Text && text.trim().is_empty() {
        return Err(RenderError::Empty);
    }
    if text.len() > bytes_max {
        return Err(RenderError::TooLong(bytes_max));
    }
    Ok(text)
}

/// Text for people: long values are cut, control characters other than line breaks and tabs are made visible.
/// Markup is escaped by each notifier for its own destination.
fn plain(pieces: &[Piece<'_>]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Value(value) => {
                let value = cut((*value).to_owned(), FINDING_TEXT_BYTES_MAX);
                text.extend(value.chars().map(|c| match c {
                    '\n' | '\t' => c,
                    c if c.is_control() => '\u{fffd}',
                    c => c,
                }));
            }
        }
    }
    text
}

/// A value in an error message: short, and on one line.
pub(super) fn refused(value: &str, problem: &'static str) -> RenderError {
    let shown: String = value.chars().take(40).flat_map(char::escape_debug).collect();
    let more = if value.chars().nth(40).is_some() { "…" } else { "" };
    RenderError::Value { value: format!("{shown}{more}"), problem }
}

/// Whether a value is a plain finite number, such as `0.05` or `-3e2`.
pub(super) fn is_number(value: &str) -> bool {
    let plain = value.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    plain && value.parse::<f64>().is_ok_and(f64::is_finite)
}
