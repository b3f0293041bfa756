//! What is wrong with a body, and where.

use std::fmt;

use thiserror::Error;

use crate::clients::answer::cut_chars;

/// Characters of a reason; the JSON reader quotes the text that it stumbles over, however long that is.
const REASON_CHARS_MAX: usize = 200;

/// A place in a body, as editors count: from 1, columns in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The byte within the line.
    pub column: usize,
}

/// Why a body is no payload.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// A byte that no UTF-8 text has.
    #[error("{0}: the body is not UTF-8 text")]
    NotUtf8(Position),
    /// Lists or objects within each other, too many of them.
    #[error("{0}: nested deeper than {max} levels", max = super::DEPTH_MAX)]
    TooDeep(Position),
    /// Not JSON, cut off, or JSON of another shape.
    #[error("{position}: {reason}")]
    Json {
        /// Where reading stopped.
        position: Position,
        /// What was wrong there.
        reason: String,
    },
}

/// An alert that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("alert {index}, {position}: {reason}")]
pub struct Refused {
    /// Its place in the body's list, from 0.
    pub index: usize,
    /// Where in the body reading it stopped.
    pub position: Position,
    /// What was wrong there.
    pub reason: String,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Finds the positions of ascending offsets in one walk, however many are asked for.
pub(super) struct Cursor<'a> {
    body: &'a [u8],
    offset: usize,
    position: Position,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, offset: 0, position: Position { line: 1, column: 1 } }
    }

    /// The position of the byte at `offset`, which must not be before the one asked for last.
    pub(super) fn at(&mut self, offset: usize) -> Position {
        let end = offset.clamp(self.offset, self.body.len());
        for byte in &self.body[self.offset..end] {
            self.position.column += 1;
            if *byte == b'\n' {
                self.position = Position { line: self.position.line + 1, column: 1 };
            }
        }
        self.offset = end;
        self.position
    }
}

impl Position {
    pub(super) fn of(error: &serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }

    /// A position within a part of a body, as one of the body. `self` is where the part starts.
    pub(super) fn of_part(self, error: &serde_json::Error) -> Self {
        match error.line() {
            0 | 1 => Self { line: self.line, column: self.column + error.column().saturating_sub(1) },
            line => Self { line: self.line + line - 1, column: error.column() },
        }
    }
}

/// The reader's words without the position that it puts behind them.
pub(super) fn reason_of(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let end = words.rfind(" at line ").unwrap_or(words.len());
    cut_chars(&words[..end], REASON_CHARS_MAX)
}
