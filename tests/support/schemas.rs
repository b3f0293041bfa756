//! Reads JSON Schemas for the pages that are written from them.

// Each test file is a crate of its own and uses some of this.
#![allow(dead_code, reason = "shared by test crates that each use a part")]

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

/// Compares a page of `docs/` with what the code says now; with `UPDATE_DOCS` in the environment it writes the page.
pub fn keep(page: &str, test: &str, written: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    #[allow(clippy::disallowed_methods, reason = "the way to ask a test to write")]
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, written).expect("docs can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let first_difference = kept.lines().zip(written.lines()).find(|(kept, written)| kept != written);
    assert!(
        kept == written,
        "docs/{page} is not current: run UPDATE_DOCS=1 cargo test --test {test}\n{first_difference:?}"
    );
}

/// Follows a reference, and takes the value's side of an optional one.
pub fn resolve<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return root.pointer(reference.trim_start_matches('#')).expect("references lead within the schema");
    }
    match schema["anyOf"].as_array() {
        Some(sides) if sides.iter().any(|side| side["type"] == "null") => {
            let side = sides.iter().find(|side| side["type"] != "null").expect("a side with a value");
            resolve(side, root)
        }
        _ => schema,
    }
}

pub fn type_of(shape: &Value, root: &Value) -> String {
    let name = match &shape["type"] {
        Value::String(_) if shape["description"] == "A length of time." => "time, such as `1h30m`".to_owned(),
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<&str> =
                names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            names.join(" or ")
        }
        _ if shape.get("oneOf").is_some() || shape.get("enum").is_some() => "string".to_owned(),
        _ => match shape["anyOf"].as_array() {
            Some(sides) => {
                let mut names: Vec<String> =
                    sides.iter().map(|side| type_of(resolve(side, root), root)).collect();
                names.dedup();
                names.join(" or ")
            }
            None => "any".to_owned(),
        },
    };
    let bound = |least: &str, most: &str, unit: &str| {
        let most = shape.get(most)?;
        let least = shape.get(least).and_then(Value::as_u64).unwrap_or(0);
        Some(format!(", {least} to {most} {unit}"))
    };
    let bounds = bound("minLength", "maxLength", "characters")
        .or_else(|| bound("minItems", "maxItems", "items"))
        .or_else(|| bound("minProperties", "maxProperties", "entries"));
    name + &bounds.unwrap_or_default()
}

/// The values that there are, where they are a closed set.
pub fn choices(shape: &Value) -> String {
    let listed = |values: &[Value]| {
        let words: Vec<String> =
            values.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        if words.is_empty() { String::new() } else { format!(" One of {}.", words.join(", ")) }
    };
    match (&shape["enum"], &shape["oneOf"]) {
        (Value::Array(values), _) => listed(values),
        (_, Value::Array(variants)) => {
            listed(&variants.iter().map(|variant| variant["const"].clone()).collect::<Vec<_>>())
        }
        _ => String::new(),
    }
}

/// One line without the breaks of the source, safe within a table.
pub fn sentence(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// One sentence a line, as all docs have it.
pub fn one_a_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut out = String::new();
    for (index, word) in words.iter().enumerate() {
        let ends = word.ends_with('.') && words.get(index + 1).is_some();
        write!(out, "{word}{}", if ends { "\n" } else { " " }).expect("a string");
    }
    out.trim_end().to_owned()
}
