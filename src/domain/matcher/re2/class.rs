//! Bracketed character classes. RE2 knows neither nesting nor set operations: `[`, `&`, `~` and `-` inside brackets are
//! characters, except in `[:name:]` and `a-z`.

use super::Translator;
use crate::matcher::error::{RegexError, RegexProblem};

/// The POSIX classes, which both engines define over ASCII.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

impl Translator<'_> {
    /// Reads `[…]` and writes it as an item.
    pub(super) fn class(&mut self) -> Result<(), RegexError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::from("[");
        if self.eat("^") {
            text.push('^');
        }
        // A closing bracket in the first place is a character.
        let mut first = true;
        while first || !self.eat("]") {
            first = false;
            if self.rest().is_empty() {
                return Err(self.error_at(start, RegexProblem::UnclosedClass));
            }
            text.push_str(&self.class_item(start)?);
        }
        text.push(']');
        self.item(&text);
        Ok(())
    }

    fn class_item(&mut self, class_start: usize) -> Result<String, RegexError> {
        if let Some(posix) = self.posix_class()? {
            return Ok(posix);
        }
        if self.rest().starts_with('\\')
            && let Some(set) = self.set_escape()?
        {
            return Ok(set);
        }
        let start = self.at;
        let low = self.class_char(class_start)?;
        // A hyphen before the closing bracket is a character.
        let ranged = self.rest().starts_with('-') && !self.rest().starts_with("-]") && self.rest().len() > 1;
        if !ranged {
            return Ok(code_point(low));
        }
        self.at += 1;
        let high = self.class_char(class_start)?;
        if high < low {
            return Err(self.error_at(start, RegexProblem::ReversedRange(low, high)));
        }
        Ok(format!("{}-{}", code_point(low), code_point(high)))
    }

    /// `[:name:]` or `[:^name:]`; without the closing `:]` the bracket is a character.
    fn posix_class(&mut self) -> Result<Option<String>, RegexError> {
        let Some((name, _)) = self.rest().strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else {
            return Ok(None);
        };
        let plain = name.strip_prefix('^').unwrap_or(name);
        if !POSIX.contains(&plain) {
            return Err(self.error_at(self.at, RegexProblem::UnknownPosixClass(name.to_owned())));
        }
        self.at += name.len() + 4;
        Ok(Some(format!("[:{name}:]")))
    }

    fn class_char(&mut self, class_start: usize) -> Result<char, RegexError> {
        match self.peek() {
            Some('\\') => self.char_escape(),
            Some(c) => {
                self.at += c.len_utf8();
                Ok(c)
            }
            None => Err(self.error_at(class_start, RegexProblem::UnclosedClass)),
        }
    }
}

/// Written by number, so that no character can mean anything else to the `regex` crate.
fn code_point(c: char) -> String {
    format!("\\x{{{:X}}}", u32::from(c))
}
