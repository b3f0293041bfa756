//! The text of a JSON document: values stand within its strings, or are numbers and truth values.

use super::language::{is_number, refused};
use super::{Piece, RenderError};
use serde::de::IgnoredAny;

pub(super) fn assemble(pieces: &[Piece<'_>]) -> Result<String, RenderError> {
    let mut out = String::new();
    let mut in_string = false;
    let mut escaped = false;
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => {
                for c in literal.chars() {
                    match c {
                        _ if escaped => escaped = false,
                        '\\' if in_string => escaped = true,
                        '"' => in_string = !in_string,
                        _ => {}
                    }
                }
                out.push_str(literal);
            }
            Piece::Value(value) if in_string && !escaped => {
                let quoted =
                    serde_json::to_string(value).map_err(|error| RenderError::Result(error.to_string()))?;
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
            Piece::Value(value) if !in_string && (is_number(value) || matches!(*value, "true" | "false")) => {
                out.push_str(value);
            }
            Piece::Value(value) => {
                return Err(refused(
                    value,
                    "stands outside of a JSON string: put the placeholder in double quotes",
                ));
            }
        }
    }
    match serde_json::from_str::<IgnoredAny>(&out) {
        Ok(_) => Ok(out),
        Err(_) if out.trim().is_empty() => Err(RenderError::Empty),
        Err(error) => Err(RenderError::Result(format!("the result is no JSON: {error}"))),
    }
}
