//! Selectors over labels of Kubernetes objects: a value stands for one value and can add no condition.

use super::language::refused;
use super::{Piece, RenderError};
use crate::domain::selector::{is_label_value, selector_problem};

pub(super) fn assemble(pieces: &[Piece<'_>]) -> Result<String, RenderError> {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Value("") => return Err(RenderError::EmptyValue),
            Piece::Value(value) if is_label_value(value) => out.push_str(value),
            Piece::Value(value) => {
                let problem =
                    "is no value of a Kubernetes label: letters, digits, `-`, `_` and `.` are allowed";
                return Err(refused(value, problem));
            }
        }
    }
    match selector_problem(&out) {
        None => Ok(out),
        Some(_) if out.trim().is_empty() => Err(RenderError::Empty),
        Some(problem) => Err(RenderError::Result(problem)),
    }
}
