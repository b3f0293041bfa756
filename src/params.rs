//! Parameters of diagnostics and actions: from the JSON of a rule to a typed value, with the place of a mistake.
//!
//! Each kind has one struct for its parameters, which is also its JSON Schema and its page in the reference. The same
//! struct is read twice: when rules are loaded, with templates still in its texts, and when it is used, rendered.
//! Nothing here renders, and nothing here knows a kind.

mod statuses;

use std::fmt::Display;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::domain::catalog::ParamsError;
pub use crate::domain::rule::is_template;
use crate::period::Period;

pub use statuses::Statuses;

/// Reads parameters.
///
/// # Errors
/// With the place of the first value that does not fit.
pub fn read<T: DeserializeOwned>(params: &Value) -> Result<T, ParamsError> {
    serde_path_to_error::deserialize(params).map_err(|error| {
        let place: String = error.path().iter().map(segment).collect();
        ParamsError::at(place, error.into_inner().to_string())
    })
}

fn segment(segment: &Segment) -> String {
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => pointer(&[key]),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    }
}

/// The JSON Schema of parameters.
pub fn schema<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

/// The JSON pointer (RFC 6901) to a path of keys.
pub fn pointer(path: &[&str]) -> String {
    path.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Refuses what lies outside of `least..=most`.
///
/// # Errors
/// At `pointer`, with the bounds.
pub fn within<T: PartialOrd + Display>(
    pointer: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), ParamsError> {
    if value < least || value > most {
        let message = format!("{value} is out of bounds: use {least} to {most}");
        return Err(ParamsError::at(pointer, message));
    }
    Ok(())
}

/// As [`within`], for a time that may be absent.
///
/// # Errors
/// As [`within`].
pub fn period_within(
    pointer: &str,
    value: Option<Period>,
    least: Period,
    most: Period,
) -> Result<(), ParamsError> {
    value.map_or(Ok(()), |value| within(pointer, value, least, most))
}

/// Refuses a text that is empty or longer than a reader or a server takes.
///
/// # Errors
/// At `pointer`, with the limit.
pub fn text_within(pointer: &str, text: &str, bytes_max: usize) -> Result<(), ParamsError> {
    if text.trim().is_empty() {
        return Err(ParamsError::at(pointer, "this text is empty"));
    }
    if text.len() > bytes_max {
        return Err(ParamsError::at(pointer, format!("this text is longer than {bytes_max} bytes")));
    }
    Ok(())
}

/// Refuses a list that is empty or too long. `what` names its items in the plural.
///
/// # Errors
/// At `pointer`, with the limit.
pub fn count_within(pointer: &str, count: usize, most: usize, what: &str) -> Result<(), ParamsError> {
    match count {
        0 => Err(ParamsError::at(pointer, format!("there are no {what}: name at least one"))),
        _ if count > most => {
            Err(ParamsError::at(pointer, format!("{count} {what} are too many: {most} at most")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Outer {
        window: Period,
        items: Vec<Inner>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Inner {
        count: u8,
    }

    fn complaint(params: Value) -> (String, String) {
        let error = read::<Outer>(&params).expect_err("parameters that do not fit");
        (error.pointer, error.message)
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let (place, message) = complaint(json!({"window": "1h", "items": [{"count": 1}, {"count": 300}]}));
        assert_eq!(place, "/items/1/count");
        assert!(message.contains("300"), "{message}");
        let (place, message) = complaint(json!({"window": "soon", "items": []}));
        assert!(place == "/window" && message.contains("1h30m"), "{place} {message}");
        let (place, message) = complaint(json!({"window": "1h", "items": [{"count": 1, "cuont": 1}]}));
        assert!(place.starts_with("/items/0") && message.contains("cuont"), "{place} {message}");
        let (place, message) = complaint(json!({"items": []}));
        assert!(place.is_empty() && message.contains("window"), "{place} {message}");
        assert!(complaint(json!("text")).1.contains("invalid type"));
    }

    #[test]
    fn pointers_are_escaped() {
        assert_eq!(pointer(&["links", "a/b~c"]), "/links/a~1b~0c");
        assert_eq!(json!({"links": {"a/b~c": 1}}).pointer("/links/a~1b~0c"), Some(&json!(1)));
    }

    #[test]
    fn bounds_are_inclusive_and_named() {
        assert_eq!(within("/n", 3, 1, 3), Ok(()));
        let error = within("/n", Period::from_secs(0), Period::from_secs(1), Period::from_days(7));
        assert_eq!(error, Err(ParamsError::at("/n", "0s is out of bounds: use 1s to 7d")));
        assert!(within("/x", f64::NAN, 0.0, 1.0).is_ok(), "NaN cannot come out of JSON");
        assert!(text_within("/t", " ", 5).is_err() && text_within("/t", "abcdef", 5).is_err());
        assert!(count_within("/c", 0, 5, "steps").is_err() && count_within("/c", 6, 5, "steps").is_err());
    }
}
