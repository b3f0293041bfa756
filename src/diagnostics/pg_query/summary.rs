//! From rows to fields for conditions and lines for people.

use serde_json::{Map, Value, json};

use crate::clients::postgres::Rows;
use crate::diagnostics::evidence::{Evidence, table, whole_list};
use crate::domain::timeline::one_line;

/// Characters of one row that are shown.
const ROW_CHARS_MAX: usize = 400;

/// The finding over rows, with further fields and notes for people.
pub(super) fn evidence(rows: &Rows, further: Map<String, Value>, notes: Vec<String>) -> Evidence {
    let mut fields: Map<String, Value> = further.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let mut lines: Vec<String> = Vec::new();
    if !fields.is_empty() {
        lines.push(shown(&fields));
    }
    let shown_rows: Vec<String> = rows.rows.iter().map(|row| one_line(&shown(row), ROW_CHARS_MAX)).collect();
    lines.push(if shown_rows.is_empty() { "no rows".to_owned() } else { table(&shown_rows) });
    lines.extend(notes);
    fields.insert("count".to_owned(), json!(rows.rows.len()));
    fields.insert("truncated".to_owned(), json!(rows.truncated));
    let list = rows.rows.iter().map(|row| Value::Object(row.clone())).collect();
    fields.extend(whole_list(list).map(|list| ("rows".to_owned(), list)));
    Evidence { fields, text: lines.join("\n"), chart: None }
}

/// `pid 12, state idle`: what is not there is left out.
fn shown(row: &Map<String, Value>) -> String {
    let part = |(name, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::String(text) => Some(format!("{name} {text}")),
        other => Some(format!("{name} {other}")),
    };
    row.iter().filter_map(part).collect::<Vec<_>>().join(", ")
}

/// The largest number of a column; null where there is none.
pub(super) fn largest(rows: &Rows, column: &str) -> Value {
    let numbers = rows.rows.iter().filter_map(|row| row.get(column)).filter(|value| value.is_number());
    let of = |value: &&Value| value.as_f64().unwrap_or(f64::MIN);
    numbers.max_by(|left, right| of(left).total_cmp(&of(right))).cloned().unwrap_or_default()
}

/// Fields by their names.
pub(super) fn with<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
