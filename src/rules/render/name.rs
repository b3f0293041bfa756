//! Names of Kubernetes objects: RFC 1123 labels and subdomains.

use super::language::refused;
use super::{Piece, RenderError};

pub(super) use crate::domain::dns::SUBDOMAIN_BYTES_MAX;
pub use crate::domain::dns::{is_dns_label, is_dns_subdomain};

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
