//! Names of Kubernetes objects: RFC 1123 labels and subdomains.

use super::language::refused;
use super::{Piece, RenderError};

/// Longest subdomain by RFC 1123, as Kubernetes checks it.
pub(super) const SUBDOMAIN_BYTES_MAX: usize = 253;
/// Longest label by RFC 1123.
const LABEL_BYTES_MAX: usize = 63;

/// Whether `text` is a label by RFC 1123: what namespaces, services and most objects may be called.
pub fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= LABEL_BYTES_MAX
        && bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
        && bytes.iter().all(|b| inner(*b) || *b == b'-')
}

/// Whether `text` is a subdomain by RFC 1123: labels with dots between them.
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= SUBDOMAIN_BYTES_MAX && text.split('.').all(is_dns_label)
}

pub(super) fn assemble(pieces: &[Piece<'_>]) -> Result<String, RenderError> {
    let name: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) | Piece::Value(text) => *text,
        })
        .collect();
    match name.as_str() {
        "" => Err(RenderError::Empty),
        name if is_dns_subdomain(name) => Ok(name.to_owned()),
        name => {
            Err(refused(name, "is no Kubernetes name: lower-case letters, digits, `-` and `.` are allowed"))
        }
    }
}
