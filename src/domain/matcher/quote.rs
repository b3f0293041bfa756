//! Go's quoting rules (`strconv.Quote` and `strconv.Unquote`) for double-quoted text, which the UTF-8 matcher syntax
//! takes over, and the shorter OpenMetrics escaping that Alertmanager prints values with.

use std::fmt::Write as _;
use std::str::Chars;
use std::sync::LazyLock;

use regex::Regex;

/// What Go prints as it is: letters, marks, numbers, punctuation, symbols and the ASCII space.
static PRINTABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\pL\pM\pN\pP\pS ]$").expect("a fixed expression compiles"));

/// Reads a text with its double quotes. `None` if an escape does not exist, a line break stands unescaped, or the
/// bytes do not form UTF-8.
pub(super) fn unquote(quoted: &str) -> Option<String> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => unescape(&mut chars, &mut bytes)?,
            '"' | '\n' => return None,
            plain => push_char(&mut bytes, plain),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Reads what follows a backslash. `\x` and octal escapes are bytes, `\u` and `\U` are characters.
fn unescape(chars: &mut Chars<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    let byte = match chars.next()? {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0C,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0B,
        '\\' => b'\\',
        '"' => b'"',
        'x' => u8::try_from(number(chars, 2, 16, 0)?).ok()?,
        octal @ '0'..='7' => u8::try_from(number(chars, 2, 8, octal.to_digit(8)?)?).ok()?,
        kind @ ('u' | 'U') => {
            let digits = if kind == 'u' { 4 } else { 8 };
            push_char(bytes, char::from_u32(number(chars, digits, 16, 0)?)?);
            return Some(());
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(())
}

/// Reads exactly `digits` digits after `value`.
fn number(chars: &mut Chars<'_>, digits: u32, radix: u32, mut value: u32) -> Option<u32> {
    for _ in 0..digits {
        value = value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)?;
    }
    Some(value)
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Quotes as Go does: what is not printable is escaped.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\x07' => out.push_str(r"\a"),
            '\x08' => out.push_str(r"\b"),
            '\x0C' => out.push_str(r"\f"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            '\x0B' => out.push_str(r"\v"),
            plain if PRINTABLE.is_match(plain.encode_utf8(&mut [0; 4])) => out.push(plain),
            other => escape_code(&mut out, u32::from(other)),
        }
    }
    out.push('"');
    out
}

fn escape_code(out: &mut String, code: u32) {
    let written = match code {
        0..0x20 | 0x7F => write!(out, "\\x{code:02x}"),
        0..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    written.expect("writing to a string cannot fail");
}

/// Escapes as OpenMetrics does, without the quotes: only backslash, line feed and double quote.
pub(super) fn escape_open_metrics(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n").replace('"', r#"\""#)
}
