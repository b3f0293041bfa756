//! `http.json`: values out of a JSON document that a URL serves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::evidence::{Evidence, Unknown, table};
use super::probe;
use super::{Entry, Moment, Tools};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError, no_access};
use crate::domain::timeline::one_line;
use crate::params::{self, Statuses};

/// Bytes of a document; health and statistics pages have a few kilobytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of one picked value. A larger one is no evidence but a document.
const VALUE_BYTES_MAX: usize = 4 * 1024;

/// Longest JSON pointer.
const POINTER_BYTES_MAX: usize = 500;

/// Characters of a picked value for people.
const SHOWN_CHARS_MAX: usize = 200;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "http.json",
        summary: "Picks values out of a JSON document that a URL serves. Each name of `pick` becomes a field; what the \
                  document does not have is left out.",
        fields: &[],
        timeout: probe::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `http.json`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// What to ask. Path and query may hold templates, whose values are percent-encoded; the host may not.
    #[schemars(length(min = 8, max = 2048))]
    url: String,
    /// Names of fields, and the JSON pointer to each value, such as `/services/llm/status`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 32))]
    pick: BTreeMap<String, String>,
    /// What the answer must be like.
    #[serde(default)]
    expect: Expect,
}

/// What an answer must be like; anything else is unknown.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// Good statuses. Default: `2xx`. Health pages that answer 503 with a document need `[200, 503]`.
    #[serde(default)]
    status: Statuses,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { url, pick, expect: _ } = params::read(params)?;
    let slots = vec![probe::check_url("/url", &url)?];
    let mut fields = probe::check_names("/pick", pick.keys())?;
    fields.extend(["http_status", "latency_ms"].map(str::to_owned));
    for (name, pointer) in &pick {
        let at = params::pointer(&["pick", name]);
        if !(pointer.is_empty() || pointer.starts_with('/')) || pointer.len() > POINTER_BYTES_MAX {
            let message = "a JSON pointer begins with `/`, such as `/services/llm/status`";
            return Err(ParamsError::at(at, message));
        }
    }
    Ok(CheckedParams { slots, fields, ..CheckedParams::default() })
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { url, pick, expect } = params::read(params)?;
    let answer = probe::document(tools, &url, &expect.status, BODY_BYTES_MAX, moment).await?;
    let document: Value = serde_json::from_slice(&answer.body).map_err(|error| {
        Unknown::new(format!("the answer is no JSON ({error}): {}", probe::excerpt(&answer)))
    })?;
    let mut fields = Map::new();
    let mut rows = Vec::new();
    for (name, pointer) in &pick {
        match document.pointer(pointer) {
            None | Some(Value::Null) => {
                rows.push(format!("{name}: not there ({})", one_line(pointer, SHOWN_CHARS_MAX)))
            }
            Some(value) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if text.len() > VALUE_BYTES_MAX {
                    rows.push(format!("{name}: larger than the {VALUE_BYTES_MAX} bytes that are kept"));
                    continue;
                }
                rows.push(format!("{name}: {}", one_line(&text, SHOWN_CHARS_MAX)));
                fields.insert(name.clone(), value.clone());
            }
        }
    }
    if fields.is_empty() {
        return Err(Unknown::new(format!("the document has nothing of what is picked: {}", rows.join("; "))));
    }
    fields.insert("http_status".to_owned(), json!(answer.status.as_u16()));
    fields.insert(
        "latency_ms".to_owned(),
        json!(u64::try_from(answer.latency.as_millis()).unwrap_or(u64::MAX)),
    );
    Ok(Evidence { fields, text: table(&rows), chart: None })
}
