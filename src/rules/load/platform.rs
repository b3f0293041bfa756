//! The names and numbers of a platform, put into the documents that use them: `${PLATFORM.VALUE}`.
//!
//! They are put into the text before it is read as YAML, so that they may stand wherever a rule says something: in a
//! matcher, a query, a condition, a number. A value is one word of harmless characters and can therefore never add a
//! key or end a quotation; the finished text is then checked like any other, and an incident keeps that text.
//! It must never touch what is templated over labels: that is `{{ … }}`, and happens long after.

use super::report::Report;
use super::{Content, Parsed, files, raw};
use crate::yaml::{self, Partly, Problem, nearest};
use serde_json::Value;
use std::collections::BTreeMap;

/// The kind of these documents.
pub(super) const KIND: &str = "Platform";

/// Begins a placeholder; with one more dollar sign before it, it stands for itself.
const BEGIN: &str = "${";

/// Longest value, in characters: an address with its path. More is no name and no threshold.
const VALUE_CHARS_MAX: usize = 200;

/// The values of all platforms, by their names.
#[derive(Debug, Default)]
pub struct Platforms {
    values: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether a document could not be read as a whole, so that nobody knows which names it has.
    is_partial: bool,
}

impl Platforms {
    /// The values that stand in these documents. What is wrong with them is said when they are read as documents.
    pub(super) fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut platforms = Self::default();
        // Few documents are platforms; the others are not read twice.
        for text in texts.into_iter().filter(|text| text.contains(KIND)) {
            let is_platform = match yaml::read_partly::<raw::Head>("", text) {
                Ok(head) | Err(Partly { rest: Some((head, _)), .. }) => head.kind.as_deref() == Some(KIND),
                Err(_) => false,
            };
            if is_platform {
                platforms.add(text);
            }
        }
        platforms
    }

    /// The values of the files that match the patterns; what cannot be read is left out.
    pub fn read(patterns: &[String]) -> Self {
        let found = files::read(patterns);
        let texts: Vec<String> = found.rules().flat_map(|file| files::documents(&file.text)).collect();
        Self::of(texts.iter().map(String::as_str))
    }

    fn add(&mut self, text: &str) {
        let document = match yaml::read_partly::<raw::Document<raw::Platform>>("", text) {
            Ok(document) => document,
            Err(Partly { rest, .. }) => {
                self.is_partial = true;
                let Some((document, _)) = rest else { return };
                document
            }
        };
        let values = self.values.entry(document.metadata.name).or_default();
        for (name, value) in document.spec.values {
            // One with a mistake is complained about where it stands, and not again where it is used.
            values.insert(name, word(&value).unwrap_or_else(|_| "0".to_owned()));
        }
    }

    /// The text with its placeholders filled in, and what is wrong with them. Lines keep their numbers; lines that are
    /// comments as a whole stay as they are.
    pub fn fill_in(&self, file: &str, text: &str) -> (String, Vec<Problem>) {
        let mut problems = Vec::new();
        if !text.contains(BEGIN) {
            return (text.to_owned(), problems);
        }
        let mut filled = String::with_capacity(text.len());
        for (number, line) in text.split_inclusive('\n').enumerate() {
            if line.trim_start().starts_with('#') {
                filled.push_str(line);
                continue;
            }
            let mut rest = line;
            while let Some(at) = rest.find(BEGIN) {
                let column = line[..line.len() - rest.len() + at].chars().count() + 1;
                let (before, after) = (&rest[..at], &rest[at + BEGIN.len()..]);
                if let Some(before) = before.strip_suffix('$') {
                    filled.push_str(before);
                    filled.push_str(BEGIN);
                    rest = after;
                    continue;
                }
                filled.push_str(before);
                let (name, after) = match after.split_once('}') {
                    Some((name, after)) if !name.contains('\n') => (Some(name), after),
                    _ => (None, after),
                };
                match self.value(name) {
                    Ok(value) => filled.push_str(value),
                    Err((message, help)) => {
                        problems.push(Problem::at(file, text, number + 1, column, message).with_help(help));
                        filled.push('0');
                    }
                }
                rest = after;
            }
            filled.push_str(rest);
        }
        (filled, problems)
    }

    fn value(&self, placeholder: Option<&str>) -> Result<&str, (String, String)> {
        let Some((platform, name)) = placeholder.and_then(|text| text.trim().split_once('.')) else {
            let message = "this is no placeholder".to_owned();
            return Err((
                message,
                "write `${PLATFORM.VALUE}`, or `$${` for the characters themselves".to_owned(),
            ));
        };
        let unknown = |what: String, close: Option<&str>, otherwise: String| match close {
            Some(close) => Err((what, format!("did you mean `{close}`?"))),
            None => Err((what, otherwise)),
        };
        let Some(values) = self.values.get(platform) else {
            if self.is_partial {
                return Ok("0");
            }
            let names = self.values.keys().map(String::as_str);
            let otherwise = format!("write a document of the kind `{KIND}` with this name beside the rules");
            return unknown(
                format!("there is no platform `{platform}`"),
                nearest(platform, names),
                otherwise,
            );
        };
        match values.get(name) {
            Some(value) => Ok(value),
            None if self.is_partial => Ok("0"),
            None => {
                let close = nearest(name, values.keys().map(String::as_str));
                let otherwise = format!("add `{name}` under `spec.values` of the platform");
                unknown(format!("the platform `{platform}` has no value `{name}`"), close, otherwise)
            }
        }
    }
}

/// The text with every placeholder replaced by a zero: enough to see what a document is, before its platform is known.
pub fn blank_out(text: &str) -> String {
    Platforms { is_partial: true, ..Platforms::default() }.fill_in("", text).0
}

/// Says what is wrong with the platforms among the documents, and takes them out.
pub(super) fn take(parsed: &mut [Parsed<'_>], reports: &mut [Report<'_>]) {
    for (document, report) in parsed.iter_mut().zip(reports) {
        let platform = document.content.take_if(|content| matches!(content, Content::Platform(_)));
        let Some(Content::Platform(platform)) = platform else { continue };
        if let Some(name) = &document.name
            && !is_name(name, '-')
        {
            let help = "use lower-case letters, digits and `-`, and begin with a letter";
            report.error("/metadata/name", "no placeholder can hold this name", Some(help.to_owned()));
        }
        for (name, value) in &platform.values {
            let at = format!("/spec/values/{name}");
            if !is_name(name, '_') {
                let help = "use lower-case letters, digits and `_`, and begin with a letter";
                report.error(&at, "no placeholder can hold this name", Some(help.to_owned()));
            } else if let Err(help) = word(value) {
                report.error(&at, format!("`{name}` is no word that can be put into a rule"), Some(help));
            }
        }
    }
}

fn is_name(name: &str, joint: char) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joint)
}

/// A value as it is put into a text.
///
/// # Errors
/// With the way out, where it is more than a harmless word: quotes, spaces, braces and backslashes could change what
/// the text around it means.
fn word(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::Number(number) => return Ok(number.to_string()),
        Value::Bool(truth) => return Ok(truth.to_string()),
        Value::String(text) => text,
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err("write a text, a number, `true` or `false`".to_owned());
        }
    };
    if text.chars().count() > VALUE_CHARS_MAX {
        return Err(format!("at most {VALUE_CHARS_MAX} characters"));
    }
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || "._~/:=?&+|-".contains(c);
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    match begins_well && !text.ends_with(':') && text.chars().all(is_harmless) {
        true => Ok(text.clone()),
        false => Err(
            "use letters, digits and `. _ ~ / : = ? & + | -`, begin with a letter, a digit or `/`, and do \
                      not end with `:`"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PLATFORM: &str = "apiVersion: smokejumper.dev/v1\nkind: Platform\nmetadata: { name: hsc-jit }\n\
                            spec: { values: { backend: hsc-jit-backend, p95: 0.5, hosts: a|b } }\n";

    fn fill(text: &str) -> (String, Vec<String>) {
        let (text, problems) = Platforms::of([PLATFORM]).fill_in("r.yaml", text);
        (text, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn values_stand_wherever_a_rule_says_something() {
        let text = "a: ${hsc-jit.backend}-hpa # ${not.looked.at\n# ${x}\nb: 'x > ${hsc-jit.p95} or ${hsc-jit.hosts}'\n";
        let (filled, problems) = fill(&text.replace(" # ${not.looked.at", ""));
        assert_eq!(filled, "a: hsc-jit-backend-hpa\n# ${x}\nb: 'x > 0.5 or a|b'\n");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(fill("a: $${hsc-jit.p95}\n").0, "a: ${hsc-jit.p95}\n");
    }

    #[test]
    fn a_wrong_placeholder_is_shown_at_its_place_with_the_way_out() {
        let (_, problems) =
            fill("x: 1\na: ü ${hsc-jit.bakcend}\nb: ${hsc-jt.p95}\nc: ${p95}\nd: ${hsc-jit.p95\n");
        let expected = [
            ("r.yaml:2:6", "has no value `bakcend`", "did you mean `backend`?"),
            ("r.yaml:3:4", "no platform `hsc-jt`", "did you mean `hsc-jit`?"),
            ("r.yaml:4:4", "no placeholder", "`${PLATFORM.VALUE}`"),
            ("r.yaml:5:4", "no placeholder", "`$${`"),
        ];
        assert_eq!(problems.len(), expected.len());
        for (shown, (place, message, help)) in problems.iter().zip(expected) {
            assert!([place, message, help].iter().all(|part| shown.contains(part)), "{shown}");
        }
    }

    #[test]
    fn a_value_is_one_harmless_word() {
        for good in
            [json!("a-b.c:8080/x?y=1&z"), json!(0.5), json!(-3), json!(true), json!("5m"), json!("a|b")]
        {
            assert!(word(&good).is_ok(), "{good}");
        }
        for bad in [
            json!("a b"),
            json!("a\nb: c"),
            json!("\"x"),
            json!("{{ labels.x }}"),
            json!("*"),
            json!("-x"),
            json!("a:"),
            json!("a\\n"),
            json!("a#b"),
            json!(""),
            json!(null),
            json!([1]),
            json!("x".repeat(VALUE_CHARS_MAX + 1)),
        ] {
            assert!(word(&bad).is_err(), "{bad}");
        }
    }
}
