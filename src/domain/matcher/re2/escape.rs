//! Backslash escapes outside and inside of character classes.

use super::{Last, Translator};
use crate::matcher::error::{RegexError, RegexProblem};

/// RE2's `\d`, `\s` and `\w` are ASCII, and `\s` lacks the vertical tab.
pub(super) const DIGIT: &str = "0-9";
pub(super) const SPACE: &str = r"\t\n\f\r\x20";
pub(super) const WORD: &str = "0-9A-Za-z_";

impl Translator<'_> {
    /// Reads an escape outside a class and writes the item it stands for.
    pub(super) fn escape(&mut self) -> Result<(), RegexError> {
        let start = self.at;
        let text = match self.rest().as_bytes().get(1) {
            Some(b'A') => r"\A",
            Some(b'z') => r"\z",
            Some(b'b') => r"(?-u:\b)",
            Some(b'B') => r"(?-u:\B)",
            Some(b'Q') => return self.quoted_run(start),
            _ => return self.class_or_literal_escape(),
        };
        self.at += 2;
        self.item(text);
        Ok(())
    }

    fn class_or_literal_escape(&mut self) -> Result<(), RegexError> {
        if let Some(set) = self.set_escape()? {
            // A bare `\p{…}` needs no brackets, an ASCII set does; brackets are right for both.
            self.item(&format!("[{set}]"));
        } else {
            let c = self.char_escape()?;
            self.literal(c);
        }
        Ok(())
    }

    /// `\Q…\E`: everything between is literal.
    fn quoted_run(&mut self, start: usize) -> Result<(), RegexError> {
        self.at += 2;
        let Some((run, _)) = self.rest().split_once(r"\E") else {
            return Err(self.error_at(start, RegexProblem::UnterminatedQuote));
        };
        for c in run.chars() {
            self.literal(c);
        }
        self.at += run.len() + 2;
        // After an empty run RE2 has forgotten that the item before it was repeated already.
        self.last = match self.last {
            Last::Repeated(weight) => Last::Item(weight),
            other => other,
        };
        Ok(())
    }

    /// Reads `\d`, `\D`, `\s`, `\S`, `\w`, `\W`, `\pN`, `\p{Name}` or their negations, written as an item of a
    /// bracketed class. `None`, and nothing consumed, if the escape is of another kind.
    pub(super) fn set_escape(&mut self) -> Result<Option<String>, RegexError> {
        let text = match self.rest().as_bytes().get(1) {
            Some(b'd') => DIGIT.to_owned(),
            Some(b'D') => format!("[^{DIGIT}]"),
            Some(b's') => SPACE.to_owned(),
            Some(b'S') => format!("[^{SPACE}]"),
            Some(b'w') => WORD.to_owned(),
            Some(b'W') => format!("[^{WORD}]"),
            Some(b'p' | b'P') => return self.unicode_class().map(Some),
            _ => return Ok(None),
        };
        self.at += 2;
        Ok(Some(text))
    }

    /// `\pN`, `\p{Greek}`, `\P{Greek}` or `\p{^Greek}`: a general category or a script, nothing else.
    fn unicode_class(&mut self) -> Result<String, RegexError> {
        let start = self.at;
        let mut negated = self.rest().starts_with(r"\P");
        self.at += 2;
        let name = match self.bump() {
            Some('{') => {
                let Some((name, _)) = self.rest().split_once('}') else {
                    return Err(self.error_at(start, RegexProblem::UnclosedUnicodeClass));
                };
                self.at += name.len() + 1;
                name
            }
            Some(letter) => &self.source[self.at - letter.len_utf8()..self.at],
            None => return Err(self.error_at(start, RegexProblem::UnclosedUnicodeClass)),
        };
        let name = match name.strip_prefix('^') {
            Some(name) => {
                negated = !negated;
                name
            }
            None => name,
        };
        let kind = unicode_table(name)
            .ok_or_else(|| self.error_at(start, RegexProblem::UnknownUnicodeClass(name.to_owned())))?;
        let letter = if negated { 'P' } else { 'p' };
        Ok(format!("\\{letter}{{{kind}={name}}}"))
    }

    /// Reads an escape that stands for one character.
    pub(super) fn char_escape(&mut self) -> Result<char, RegexError> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.bump() else {
            return Err(self.error_at(start, RegexProblem::TrailingBackslash));
        };
        let plain = match c {
            'a' => '\x07',
            'f' => '\x0C',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0B',
            'x' => return self.hex_escape(start),
            '0' => return Ok(self.octal_escape(0)),
            '1'..='7' => {
                // One digit alone would be a back-reference, two or more are octal.
                if !matches!(self.peek(), Some('0'..='7')) {
                    return Err(self.error_at(start, RegexProblem::BackReference));
                }
                return Ok(self.octal_escape(c as u32 - '0' as u32));
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            other => return Err(self.error_at(start, RegexProblem::UnknownEscape(other))),
        };
        Ok(plain)
    }

    /// Up to two more octal digits after `value`.
    fn octal_escape(&mut self, mut value: u32) -> char {
        for _ in 0..2 {
            let Some(digit @ '0'..='7') = self.peek() else { break };
            self.at += 1;
            value = value * 8 + (digit as u32 - '0' as u32);
        }
        char::from_u32(value).expect("three octal digits stay below 512")
    }

    /// `\xHH` or `\x{H…}`.
    fn hex_escape(&mut self, start: usize) -> Result<char, RegexError> {
        let digits = if self.eat("{") {
            self.rest().split_once('}').map(|(digits, _)| {
                self.at += digits.len() + 1;
                digits
            })
        } else {
            self.rest().get(..2).inspect(|_| self.at += 2)
        };
        digits
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32)
            .ok_or_else(|| self.error_at(start, RegexProblem::BadHexEscape))
    }
}

/// Says whether `name` is a general category (`gc`) or a script (`sc`). Go 1.25 and RE2 compare names without regard
/// to case, blanks, hyphens and underscores, and so does the `regex` crate.
fn unicode_table(name: &str) -> Option<&'static str> {
    let plain =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' '));
    ["gc", "sc"]
        .into_iter()
        .find(|kind| plain && regex_syntax::parse(&format!(r"\p{{{kind}={name}}}")).is_ok())
}
