//! Groups and flags: `(…)`, `(?:…)`, `(?P<name>…)`, `(?<name>…)`, `(?ims-U)` and `(?ims-U:…)`.
//!
//! Captures are never read, so every group is written as a plain one and its name only checked.

use super::{Frame, Last, NEST_LIMIT, Translator};
use crate::matcher::error::{RegexError, RegexProblem};

/// What RE2 calls flags; `x`, `u` and `R` of the `regex` crate do not exist there.
const FLAGS: [char; 4] = ['i', 'm', 's', 'U'];

impl Translator<'_> {
    /// Reads an opening parenthesis with everything that belongs to it.
    pub(super) fn open_group(&mut self) -> Result<(), RegexError> {
        let start = self.at;
        self.at += 1;
        if !self.eat("?") {
            return self.push_group(start, "(?:");
        }
        if self.eat("P<") || self.eat("<") {
            self.group_name(start)?;
            return self.push_group(start, "(?:");
        }
        self.flags(start)
    }

    /// Reads a closing parenthesis; the group becomes the item that a repetition applies to.
    pub(super) fn close_group(&mut self) -> Result<(), RegexError> {
        let Some(frame) = self.open.pop() else {
            return Err(self.error_at(self.at, RegexProblem::UnopenedGroup));
        };
        self.at += 1;
        self.out.push(')');
        self.settle();
        self.last = Last::Item(self.weight);
        self.weight = frame.weight;
        Ok(())
    }

    fn push_group(&mut self, opened_at: usize, text: &str) -> Result<(), RegexError> {
        if self.open.len() >= NEST_LIMIT as usize {
            return Err(self.error_at(opened_at, RegexProblem::TooDeep));
        }
        self.out.push_str(text);
        self.settle();
        self.open.push(Frame { opened_at, weight: self.weight });
        self.weight = 1;
        self.last = Last::Nothing;
        Ok(())
    }

    fn group_name(&mut self, start: usize) -> Result<(), RegexError> {
        let bad = self.error_at(start, RegexProblem::BadGroupName);
        let Some((name, _)) = self.rest().split_once('>') else {
            return Err(bad);
        };
        if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
            return Err(bad);
        }
        self.at += name.len() + 1;
        Ok(())
    }

    /// Reads flags up to `:` or `)`. Flags may repeat in RE2, and what is switched off wins over what is switched on.
    fn flags(&mut self, start: usize) -> Result<(), RegexError> {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        let mut negative = false;
        loop {
            match self.bump() {
                Some(flag) if FLAGS.contains(&flag) => {
                    let list = if negative { &mut off } else { &mut on };
                    if !list.contains(&flag) {
                        list.push(flag);
                    }
                }
                Some('-') if !negative => negative = true,
                Some(end @ (':' | ')')) if !negative || !off.is_empty() => {
                    on.retain(|flag| !off.contains(flag));
                    return self.apply_flags(start, end, &on, &off);
                }
                _ => return Err(self.error_at(start, RegexProblem::BadGroup)),
            }
        }
    }

    fn apply_flags(&mut self, start: usize, end: char, on: &[char], off: &[char]) -> Result<(), RegexError> {
        let mut text: String = on.iter().collect();
        if !off.is_empty() {
            text.push('-');
            text.extend(off);
        }
        if end == ':' {
            return self.push_group(start, &format!("(?{text}:"));
        }
        // An empty `(?)` changes nothing, and the `regex` crate does not know it.
        if !text.is_empty() {
            self.out.push_str(&format!("(?{text})"));
        }
        self.settle();
        self.last = Last::Nothing;
        Ok(())
    }
}
