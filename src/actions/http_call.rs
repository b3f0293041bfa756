//! `http.call`: one request to an endpoint that the settings name.
//!
//! Rules choose among endpoints and can add to path, query and body; they cannot give an address, a method or a
//! header. How the request ended is judged by one table ([`judge`]): whatever may have arrived and was not clearly
//! accepted or refused is unknown, and the engine repeats it only where the endpoint is idempotent.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::outcome::{not_applied, unknown};
use super::{Entry, Hands, request};
use crate::clients::http::{HttpAnswer, HttpError};
use crate::domain::action::{ActionOutcome, ActionPlan, Repeatability, Tier};
use crate::domain::catalog::{
    ActionKind, CheckedParams, Inverse, ParamsError, Performer, PlanOutline, PlanSubject, Reference, Slot,
    SlotLanguage, no_access,
};
use crate::domain::timeline::{cut, one_line};
use crate::engine::ports::ActionContext;
use crate::params::{self, Statuses};

/// Longest time for one call, whatever the endpoint's settings say: below the engine's limit for an attempt, so that
/// the better error comes first.
const TIMEOUT: Duration = Duration::from_secs(55);

/// Bytes of the answer that are read; only its beginning is shown.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Characters of the answer that are shown.
const EXCERPT_CHARS_MAX: usize = 300;

/// Longest path, rendered.
const PATH_BYTES_MAX: usize = 2_048;

/// Most query parameters.
const QUERY_MAX: usize = 32;

/// Longest body, rendered.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the body that are shown in the plan's summary.
const BODY_SHOWN_BYTES_MAX: usize = 160;

/// The header by which servers recognise a repeated request (the IETF's draft-ietf-httpapi-idempotency-key-header).
const KEY_HEADER: &str = "Idempotency-Key";

pub(super) const ENTRY: Entry = Entry {
    kind: ActionKind {
        name: "http.call",
        summary: "Sends one request to an endpoint of the settings, with an `Idempotency-Key`. A 2xx counts as carried \
                  out, a 4xx as not carried out, everything else that may have arrived as unknown. After an unclear \
                  end it is sent again only where the method is GET, HEAD, PUT or DELETE, or the settings call the \
                  endpoint `idempotent`.",
        tier_floor: Tier::T2,
        repeatability: Repeatability::AtMostOnce,
        performer: Performer::Machine,
        inverse: Inverse::FromRule,
        timeout: TIMEOUT,
        is_surveyed: false,
        check,
        schema: params::schema::<Params>,
        access: no_access,
        outline,
    },
    act: |hands, plan, context| Box::pin(act(hands, plan, context)),
    survey: None,
    look_back: None,
};

/// Parameters of `http.call`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of the endpoint in the settings. No templates.
    #[schemars(length(min = 1, max = 200))]
    endpoint: String,
    /// Added to the endpoint's path; begins with `/`. May hold templates, whose values are percent-encoded.
    #[schemars(length(min = 1, max = 2048))]
    path: Option<String>,
    /// Query parameters: texts, numbers or truth values. Texts may hold templates.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    query: BTreeMap<String, Value>,
    /// JSON to send: an object or a list whose texts may hold templates, or the text of a JSON document, in which
    /// placeholders stand within quotes or are numbers.
    body: Option<Value>,
    /// What the answer must be like to count as carried out.
    #[serde(default)]
    expect: Expect,
}

/// What the answer must be like to count as carried out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// Good statuses. Default: `2xx`. `[200, 409]` suits a server that answers 409 where it was done before.
    #[serde(default)]
    status: Statuses,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let params: Params = params::read(params)?;
    request::fixed_name("/endpoint", &params.endpoint, "the endpoint")?;
    let mut slots = Vec::new();
    if let Some(path) = &params.path {
        check_path(path)?;
        slots.push(Slot::new("/path", SlotLanguage::Url));
    }
    slots.extend(query_slots(&params.query)?);
    match &params.body {
        Some(Value::String(_)) => slots.push(Slot::new("/body", SlotLanguage::JsonString)),
        Some(body @ (Value::Object(_) | Value::Array(_))) => text_slots(body, "/body", &mut slots),
        Some(_) => {
            return Err(ParamsError::at(
                "/body",
                "a body is an object, a list, or the text of a JSON document",
            ));
        }
        None => {}
    }
    let references = vec![Reference::Endpoint(params.endpoint)];
    Ok(CheckedParams { slots, references, ..CheckedParams::default() })
}

/// A path stays below the endpoint's own and holds no query. Written or rendered.
fn check_path(path: &str) -> Result<(), ParamsError> {
    let fail = |message: &str| Err(ParamsError::at("/path", message));
    params::text_within("/path", path, PATH_BYTES_MAX)?;
    if !path.starts_with('/') || path.starts_with("//") {
        return fail("a path begins with one `/`");
    }
    if path.contains(['?', '#', '\\']) {
        return fail("a path holds no `?`, `#` or backslash: parameters belong into `query`");
    }
    let climbs =
        |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(climbs) {
        return fail("a path must not hold `.` or `..` as a segment");
    }
    Ok(())
}

fn query_slots(query: &BTreeMap<String, Value>) -> Result<Vec<Slot>, ParamsError> {
    if query.len() > QUERY_MAX {
        return Err(ParamsError::at("/query", format!("more than {QUERY_MAX} query parameters")));
    }
    let mut slots = Vec::new();
    for (name, value) in query {
        let at = params::pointer(&["query", name]);
        request::fixed_name(&at, name, "the name of a query parameter")?;
        match value {
            Value::String(_) => slots.push(Slot::new(at, SlotLanguage::Text)),
            Value::Number(_) | Value::Bool(_) => {}
            _ => return Err(ParamsError::at(at, "a query parameter is a text, a number or a truth value")),
        }
    }
    Ok(slots)
}

/// Every text within a body is rendered for itself and stays one JSON string, whatever a label holds.
pub(super) fn text_slots(value: &Value, at: &str, slots: &mut Vec<Slot>) {
    match value {
        Value::String(_) => slots.push(Slot::new(at, SlotLanguage::Text)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                text_slots(item, &format!("{at}/{index}"), slots);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                text_slots(field, &format!("{at}{}", params::pointer(&[name])), slots);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a call with rendered parameters will send, readable in an approval.
fn outline(params: &Value, subject: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    let call = Call::read(params)?;
    let Params { endpoint: name, path, query, .. } = &call.params;
    let endpoint = subject.endpoints.get(name).ok_or_else(|| {
        ParamsError::at(
            "/endpoint",
            format!("the settings have no endpoint `{name}`: add it under `endpoints`"),
        )
    })?;
    let mut summary = format!("{} {name}", endpoint.method);
    summary.extend(path.iter().map(|path| format!(" {path}")));
    if !query.is_empty() {
        let pairs = query.iter().map(|(name, value)| (name, text_of(value)));
        summary.push_str(&format!(
            "?{}",
            form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
        ));
    }
    summary.extend(call.body.iter().map(|body| format!(" {}", cut(body.clone(), BODY_SHOWN_BYTES_MAX))));
    Ok(PlanOutline {
        target: Some(format!("endpoint:{name}")),
        summary,
        repeatability: endpoint.repeatability,
        ..PlanOutline::default()
    })
}

/// Rendered parameters within their bounds.
struct Call {
    params: Params,
    body: Option<String>,
}

impl Call {
    fn read(params: &Value) -> Result<Self, ParamsError> {
        check(params)?;
        let params: Params = params::read(params)?;
        let body = match &params.body {
            Some(Value::String(text)) => Some(text.clone()),
            Some(body) => Some(body.to_string()),
            None => None,
        };
        if body.as_ref().is_some_and(|body| body.len() > BODY_BYTES_MAX) {
            return Err(ParamsError::at("/body", format!("the body is longer than {BODY_BYTES_MAX} bytes")));
        }
        Ok(Self { params, body })
    }
}

/// A query value as it is sent.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn act(hands: &Hands, plan: &ActionPlan, context: &ActionContext) -> ActionOutcome {
    let call = match Call::read(&plan.params) {
        Ok(call) => call,
        Err(error) => return not_applied(format!("{}: {}", error.pointer, error.message)),
    };
    let name = &call.params.endpoint;
    let Some(endpoint) = hands.endpoints.get(name) else {
        return not_applied(format!("the settings have no endpoint `{name}` any more"));
    };
    // People approved a plan that may be repeated, or one that may not: the settings may have changed since.
    if endpoint.outline().repeatability != plan.repeatability {
        return not_applied(format!(
            "the endpoint `{name}` was changed in the settings since this was planned"
        ));
    }
    let query = call.params.query.iter().map(|(name, value)| (name, text_of(value)));
    let request = endpoint
        .request(call.params.path.as_deref().unwrap_or_default(), query)
        .and_then(|request| request.header(KEY_HEADER, &context.key));
    let request = match request {
        Ok(request) => request.timeout(endpoint.timeout.min(TIMEOUT)).answer_bytes_max(ANSWER_BYTES_MAX),
        Err(error) => return not_applied(error.to_string()),
    };
    let request = match call.body {
        Some(body) => request.body("application/json", body),
        None => request,
    };
    judge(hands.http.send(request).await, &call.params.expect.status)
}

/// The table from how the exchange ended to what may be said about the world.
fn judge(result: Result<HttpAnswer, HttpError>, good: &Statuses) -> ActionOutcome {
    let answer = match result {
        Ok(answer) => answer,
        Err(error) if error.maybe_sent() => return unknown(error.to_string()),
        Err(error) => return not_applied(error.to_string()),
    };
    let status = answer.status.as_u16();
    let words = format!("HTTP {status} in {} ms{}", answer.latency.as_millis(), excerpt(&answer));
    match status {
        status if good.contains(status) => {
            ActionOutcome::Applied { detail: words, inverse: None, requests: Vec::new() }
        }
        // The server understood the request and refuses it.
        400..=499 => not_applied(words),
        // Accepted in another way than expected, redirected after the fact, or failed half-way.
        _ => unknown(format!("{words} (expected {good})")),
    }
}

/// The beginning of an answer on one line, for people.
fn excerpt(answer: &HttpAnswer) -> String {
    // Four bytes are the most that one character takes.
    let head = &answer.body[..answer.body.len().min(EXCERPT_CHARS_MAX * 4)];
    let line = one_line(&String::from_utf8_lossy(head), EXCERPT_CHARS_MAX);
    if line.is_empty() { line } else { format!(": {line}") }
}
