//! URLs and paths: values are percent-encoded, and none may choose the host, climb up the path or be empty.

use super::language::refused;
use super::{Piece, RenderError};
use std::fmt::Write;

pub(super) fn assemble(pieces: &[Piece<'_>]) -> Result<String, RenderError> {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => out.push_str(literal),
            Piece::Value("") => return Err(RenderError::EmptyValue),
            Piece::Value(value) if !host_is_fixed(&out) => {
                return Err(refused(
                    value,
                    "would choose the host of a URL: hosts come from rules and settings only",
                ));
            }
            Piece::Value(value) => encode(value, &mut out),
        }
    }
    check(&out)?;
    Ok(out)
}

/// Everything but RFC 3986's unreserved characters is encoded: no value can end a segment or begin a query key.
fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// Whether what comes after `head` can no longer change where the request goes.
fn host_is_fixed(head: &str) -> bool {
    match head.split_once("://") {
        Some((_, rest)) => rest.contains(['/', '?', '#']),
        // `//host` and `scheme:host` lead elsewhere as well; a path or a bare query does not.
        None => !head.starts_with("//") && !head.split(['/', '?', '#']).next().unwrap_or("").contains(':'),
    }
}

/// Whether a text from outside is a plain web link that may be shown to people.
pub fn is_link(text: &str) -> bool {
    const LINK_BYTES_MAX: usize = 2_000;
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    is_web && text.len() <= LINK_BYTES_MAX && check(text).is_ok()
}

fn check(url: &str) -> Result<(), RenderError> {
    if url.is_empty() {
        return Err(RenderError::Empty);
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(RenderError::Result(
            "a URL holds no white space, control characters or backslashes".to_owned(),
        ));
    }
    let after_host = match url.split_once("://") {
        Some(("http" | "https", rest)) => rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]),
        Some((scheme, _)) => {
            return Err(RenderError::Result(format!("`{scheme}` URLs are not supported: use http or https")));
        }
        None if url.starts_with("//") => {
            return Err(RenderError::Result("a path begins with one `/`".to_owned()));
        }
        None => url,
    };
    let path = after_host.split(['?', '#']).next().unwrap_or("");
    let climbs =
        |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(climbs) {
        return Err(RenderError::Result("a path must not hold `.` or `..` as a segment".to_owned()));
    }
    Ok(())
}
