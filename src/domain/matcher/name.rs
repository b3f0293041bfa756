//! Which label names exist.

/// Whether `c` may only stand inside double quotes in the UTF-8 matcher syntax.
pub(super) fn is_reserved(c: char) -> bool {
    c.is_whitespace() || matches!(c, '{' | '}' | '!' | '=' | '~' | ',' | '\\' | '"' | '\'' | '`')
}

/// Whether `name` is a label name by the classic rule: `[a-zA-Z_][a-zA-Z0-9_]*`, as Prometheus had it before UTF-8
/// names. The colon that the classic matcher syntax also takes belongs to metric names.
pub fn is_classic_label_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// Whether `name` is a label name by the UTF-8 rule: any text but the empty one. A `&str` is UTF-8 already.
pub fn is_utf8_label_name(name: &str) -> bool {
    !name.is_empty()
}
