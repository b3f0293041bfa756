//! Findings that the caller takes for granted: `{"error_ratio": {"last": 0.31}}`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::document::Document;
use crate::app::explain::GivenFinding;
use crate::cli::alert::{name_of, read_body};
use crate::cli::failure::Failure;
use crate::yaml::nearest;

/// Reads a file of findings.
pub(in crate::cli) fn read(path: &Path) -> Result<BTreeMap<String, GivenFinding>, Failure> {
    let body = read_body(path)?;
    parse(&body).map_err(|why| {
        Failure::usage(format!("{}: {why}", name_of(path))).with_help(
            "findings are a JSON object such as {\"error_ratio\": {\"last\": 0.31, \"text\": \"rising\"}}",
        )
    })
}

fn parse(body: &[u8]) -> Result<BTreeMap<String, GivenFinding>, String> {
    let named: BTreeMap<String, Value> =
        serde_json::from_slice(body).map_err(|error| format!("this is no map of findings: {error}"))?;
    named.into_iter().map(|(name, value)| Ok((name.clone(), finding(&name, value)?))).collect()
}

fn finding(name: &str, value: Value) -> Result<GivenFinding, String> {
    let Value::Object(mut fields) = value else {
        return Err(format!("`{name}` is no object with fields"));
    };
    let text = take_text(&mut fields, name, "text")?;
    let reason = take_text(&mut fields, name, "reason")?;
    let status = take_text(&mut fields, name, "status")?;
    match (status.as_deref().unwrap_or("known"), reason) {
        ("known", None) => {
            let text = text.unwrap_or_else(|| shown(&fields));
            Ok(GivenFinding { unknown: None, fields, text })
        }
        ("known", Some(_)) => Err(format!("`{name}` has a `reason`, which only an unknown finding has")),
        ("unknown", _) if !fields.is_empty() => {
            Err(format!("`{name}` is unknown and has fields: an unknown finding has none"))
        }
        ("unknown", reason) => {
            let unknown = Some(reason.unwrap_or_else(|| "it is taken to be unknown".to_owned()));
            Ok(GivenFinding { unknown, ..GivenFinding::default() })
        }
        (other, _) => {
            Err(format!("the status of `{name}` is `{other}`: known and unknown are what there is"))
        }
    }
}

fn take_text(fields: &mut Map<String, Value>, name: &str, key: &str) -> Result<Option<String>, String> {
    match fields.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` of `{name}` is no text")),
    }
}

/// What people would read of a finding that comes without a text.
fn shown(fields: &Map<String, Value>) -> String {
    fields.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// A finding that no rule reads is a slip of the pen, and would show nothing.
pub(super) fn require_used(
    given: &BTreeMap<String, GivenFinding>,
    document: &Document,
) -> Result<(), Failure> {
    let read = document.diagnostics();
    let Some(unused) = given.keys().find(|name| !read.contains(name.as_str())) else { return Ok(()) };
    let help = match nearest(unused, read.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None if read.is_empty() => "the rules that answer have no diagnostics".to_owned(),
        None => format!("there are: {}", read.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let message = format!("no rule that answers has a diagnostic `{unused}`");
    Err(Failure::usage(message).with_help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(text.as_bytes()).expect_err("refused")
    }

    #[test]
    fn fields_status_and_text_are_told_apart() {
        let text = r#"{"a": {"last": 0.5, "rising": true}, "b": {"text": "ok"}, "c": {"status": "unknown", "reason": "late"}}"#;
        let given = parse(text.as_bytes()).expect("findings");
        assert_eq!(given["a"].text, "last 0.5, rising true");
        assert_eq!((given["b"].text.as_str(), given["b"].fields.len()), ("ok", 0));
        assert_eq!(given["c"].unknown.as_deref(), Some("late"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        assert!(refusal("{\n\"a\": }").contains("line 2 column"));
        assert!(refusal("[]").contains("no map of findings"));
        assert!(refusal(r#"{"a": 1}"#).contains("`a` is no object"));
        assert!(refusal(r#"{"a": {"text": 1}}"#).contains("`text` of `a`"));
        assert!(refusal(r#"{"a": {"status": "fine"}}"#).contains("`fine`"));
        assert!(refusal(r#"{"a": {"status": "unknown", "last": 1}}"#).contains("has none"));
        assert!(refusal(r#"{"a": {"reason": "x"}}"#).contains("only an unknown"));
    }
}
