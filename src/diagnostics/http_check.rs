//! `http.check`: whether a URL answers as it should.
//!
//! A service that refuses, breaks off or does not answer in time is *known* to be not well. Where it is our own side
//! that cannot tell (a name that does not resolve, an address that probes may not reach), the finding is unknown.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::evidence::{Evidence, Unknown};
use super::probe;
use super::{Entry, Moment, Tools};
use crate::clients::http::{HttpAnswer, HttpError, Method};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError, Slot, SlotLanguage, no_access};
use crate::params::{self, Statuses};

/// Bytes of the answer that are read and searched.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest text to look for.
const CONTAINS_BYTES_MAX: usize = 500;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "http.check",
        summary: "Asks a URL and says whether it answers as it should. Redirects are not followed.",
        fields: &[
            ("ok", "Whether everything is as expected."),
            ("reachable", "Whether there was an answer at all."),
            ("http_status", "The status. Left out without an answer."),
            ("latency_ms", "From the request to the end of the answer. Left out without an answer."),
            ("error", "Why it is not as expected. Left out where it is."),
        ],
        timeout: probe::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `http.check`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// What to ask. Path and query may hold templates, whose values are percent-encoded; the host may not.
    #[schemars(length(min = 8, max = 2048))]
    url: String,
    /// GET or HEAD.
    #[serde(default)]
    method: ProbeMethod,
    /// What the answer must be like. Default: any 2xx.
    #[serde(default)]
    expect: Expect,
}

/// Methods that only read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum ProbeMethod {
    /// With a body.
    #[default]
    Get,
    /// Without a body.
    Head,
}

/// What an answer must be like.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// Good statuses. Default: `2xx`.
    #[serde(default)]
    status: Statuses,
    /// A text that the first 64 KiB of the answer must hold. May hold templates.
    #[schemars(length(min = 1, max = 500))]
    contains: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { url, method, expect } = params::read(params)?;
    let mut slots = vec![probe::check_url("/url", &url)?];
    if let Some(text) = &expect.contains {
        params::text_within("/expect/contains", text, CONTAINS_BYTES_MAX)?;
        if method == ProbeMethod::Head {
            return Err(ParamsError::at("/expect/contains", "the answer to HEAD has no body: use GET"));
        }
        slots.push(Slot::new("/expect/contains", SlotLanguage::Text));
    }
    Ok(CheckedParams { slots, ..CheckedParams::default() })
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { url, method, expect } = params::read(params)?;
    let verb = match method {
        ProbeMethod::Get => Method::GET,
        ProbeMethod::Head => Method::HEAD,
    };
    match probe::send(tools, verb, &url, BODY_BYTES_MAX, moment).await {
        Ok(answer) => answered(&answer, &expect),
        Err(error @ (HttpError::NotSent { .. } | HttpError::TimedOut { .. } | HttpError::Broken { .. })) => {
            let text = error.to_string();
            let fields = [("ok", json!(false)), ("reachable", json!(false)), ("error", json!(text))];
            Ok(Evidence {
                fields: fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
                text,
                chart: None,
            })
        }
        Err(error) => Err(error.into()),
    }
}

fn answered(answer: &HttpAnswer, expect: &Expect) -> Result<Evidence, Unknown> {
    let status = answer.status.as_u16();
    let error = if !expect.status.contains(status) {
        Some(format!("HTTP {status} where {} was expected: {}", expect.status, probe::excerpt(answer)))
    } else if lacks(answer, expect.contains.as_deref())? {
        Some(format!("the answer does not hold the expected text: {}", probe::excerpt(answer)))
    } else {
        None
    };
    let latency_ms = u64::try_from(answer.latency.as_millis()).unwrap_or(u64::MAX);
    let mut fields = Map::new();
    fields.insert("ok".to_owned(), json!(error.is_none()));
    fields.insert("reachable".to_owned(), json!(true));
    fields.insert("http_status".to_owned(), json!(status));
    fields.insert("latency_ms".to_owned(), json!(latency_ms));
    let text = match &error {
        None => format!("HTTP {status} in {latency_ms} ms"),
        Some(error) => format!("{error} ({latency_ms} ms)"),
    };
    fields.extend(error.map(|error| ("error".to_owned(), json!(error))));
    Ok(Evidence { fields, text, chart: None })
}

/// Whether the answer lacks the text. Nobody knows where only a part of the answer was read.
fn lacks(answer: &HttpAnswer, text: Option<&str>) -> Result<bool, Unknown> {
    let Some(text) = text else { return Ok(false) };
    let found = answer.body.windows(text.len()).any(|window| window == text.as_bytes());
    if !found && answer.truncated {
        let why =
            format!("the expected text is not in the first {BODY_BYTES_MAX} bytes, and the rest is not read");
        return Err(Unknown::new(why));
    }
    Ok(!found)
}
