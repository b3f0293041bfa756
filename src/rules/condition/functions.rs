//! Arithmetic and equality of conditions: whole numbers and fractions mix, and what is no finite number, or compares
//! things of different kinds, is an error instead of a guess.

use super::rewrite::{KNOWN_FINDING, REPLACED};
use cel::objects::Key;
use cel::{Context, ExecutionError, Value};
use std::sync::Arc;

type Result = std::result::Result<Value, ExecutionError>;

/// Makes the functions that rewritten conditions call available.
pub(super) fn add_to(context: &mut Context<'static, 'static>) {
    for (_, name, _) in REPLACED {
        let added = match name {
            "@equal" => context.add_function(name, |a: Value, b: Value| equal(&a, &b).map(Value::Bool)),
            "@not_equal" => {
                context.add_function(name, |a: Value, b: Value| equal(&a, &b).map(|e| Value::Bool(!e)))
            }
            "@add" => context.add_function(name, |a: Value, b: Value| arithmetic(a, b, |a, b| a + b)),
            "@subtract" => context.add_function(name, |a: Value, b: Value| arithmetic(a, b, |a, b| a - b)),
            "@multiply" => context.add_function(name, |a: Value, b: Value| arithmetic(a, b, |a, b| a * b)),
            _ => context.add_function(name, |a: Value, b: Value| arithmetic(a, b, |a, b| a / b)),
        };
        added.expect("no overload has such a name");
    }
    context.add_function(KNOWN_FINDING, known_finding).expect("no overload has such a name");
}

/// The finding itself, or an error that says why it is unknown.
fn known_finding(finding: Value) -> Result {
    let Value::Map(map) = &finding else { return Ok(finding) };
    let field = |name: &str| map.map.get(&Key::String(Arc::new(name.to_owned())));
    match field("status") {
        Some(Value::String(status)) if status.as_str() == "unknown" => {
            let reason = match field("reason") {
                Some(Value::String(reason)) => reason.as_str(),
                _ => "it could not answer",
            };
            Err(ExecutionError::function_error("findings", format!("a finding is unknown: {reason}")))
        }
        _ => Ok(finding),
    }
}

fn arithmetic(a: Value, b: Value, apply: fn(Value, Value) -> Result) -> Result {
    let (a, b) = match (number(&a), number(&b)) {
        (Some(x), Some(y)) if std::mem::discriminant(&a) != std::mem::discriminant(&b) => {
            (Value::Float(x), Value::Float(y))
        }
        _ => (a, b),
    };
    match apply(a, b)? {
        Value::Float(result) if !result.is_finite() => {
            Err(ExecutionError::function_error("arithmetic", "the result is no finite number"))
        }
        result => Ok(result),
    }
}

fn equal(a: &Value, b: &Value) -> std::result::Result<bool, ExecutionError> {
    match (number(a), number(b)) {
        (Some(x), Some(y)) if x.is_nan() || y.is_nan() => {
            return Err(ExecutionError::function_error("==", "a value is no number (NaN)"));
        }
        (Some(_), Some(_)) => return Ok(a == b || number(a) == number(b)),
        _ => {}
    }
    let different = std::mem::discriminant(a) != std::mem::discriminant(b);
    if different && !matches!((a, b), (Value::Null, _) | (_, Value::Null)) {
        let message = format!("{} is compared with {}", kind(a), kind(b));
        return Err(ExecutionError::function_error("==", message));
    }
    Ok(a == b)
}

#[allow(clippy::cast_precision_loss, reason = "whole numbers beyond 2^53 lose digits; counts stay far below")]
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(int) => Some(*int as f64),
        Value::UInt(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        _ => None,
    }
}

/// What a value is, in a reader's words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "a text",
        Value::Bool(_) => "true or false",
        Value::List(_) => "a list",
        Value::Map(_) => "a group of fields",
        Value::Null => "nothing",
        _ => "something else",
    }
}
