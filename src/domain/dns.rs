//! Names as DNS and Kubernetes know them: RFC 1123 labels and subdomains.

/// Longest subdomain by RFC 1123, as Kubernetes checks it.
pub const SUBDOMAIN_BYTES_MAX: usize = 253;
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
