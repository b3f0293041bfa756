//! A stand-in for Loki that holds callers to its documented API: paths, times in nanoseconds, limits, tenants, and the
//! part of LogQL that the tests use (streams by equality, and filters of lines).

// Each test file is a crate of its own and uses some of this.
#![allow(dead_code, reason = "shared by test crates that each use a part")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

/// Lines that are asked for at most (`max_entries_limit_per_query`).
const ENTRIES_MAX: usize = 5_000;

/// What it holds and has seen.
#[derive(Default)]
struct Held {
    lines: Vec<(i64, BTreeMap<String, String>, String)>,
    queries: Vec<String>,
    /// The next answers, instead of good ones.
    faults: Vec<(u16, String)>,
}

/// A running stand-in. It asks for the tenant `shop` and the token `planted-secret-4711`.
pub struct Loki {
    held: Arc<Mutex<Held>>,
    /// Its base address.
    pub url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Loki {
    pub async fn start() -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let routes = Router::new()
            .route("/loki/api/v1/query_range", get(query_range))
            .route("/loki/api/v1/labels", get(labels))
            .with_state(Arc::clone(&held));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.expect("it serves") });
        Self { held, url, serving }
    }

    /// A line of a stream, at this second.
    pub fn log(&self, second: i64, labels: &[(&str, &str)], line: &str) {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.held.lock().expect("no panic").lines.push((second * 1_000_000_000, labels, line.to_owned()));
    }

    /// The next answer is this one.
    pub fn fail_next(&self, status: u16, words: &str) {
        self.held.lock().expect("no panic").faults.push((status, words.to_owned()));
    }

    /// The queries that were asked.
    pub fn queries(&self) -> Vec<String> {
        self.held.lock().expect("no panic").queries.clone()
    }
}

impl Drop for Loki {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Refusal = (StatusCode, String);

fn refuse(status: u16, words: &str) -> Refusal {
    (StatusCode::from_u16(status).expect("a status"), words.to_owned())
}

fn enter(held: &Mutex<Held>, headers: &HeaderMap) -> Result<(), Refusal> {
    let has = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    if !has("authorization", "Bearer planted-secret-4711") {
        return Err(refuse(401, "unauthorized"));
    }
    if !has("x-scope-orgid", "shop") {
        return Err(refuse(401, "no org id"));
    }
    match held.lock().expect("no panic").faults.pop() {
        Some((status, words)) => Err(refuse(status, &words)),
        None => Ok(()),
    }
}

async fn labels(State(held): State<Arc<Mutex<Held>>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = enter(&held, &headers) {
        return refusal.into_response();
    }
    let held = held.lock().expect("no panic");
    let names: std::collections::BTreeSet<&String> =
        held.lines.iter().flat_map(|(_, labels, _)| labels.keys()).collect();
    axum::Json(json!({"status": "success", "data": names})).into_response()
}

async fn query_range(
    State(held): State<Arc<Mutex<Held>>>,
    Query(params): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = enter(&held, &headers) {
        return refusal.into_response();
    }
    match answer(&mut held.lock().expect("no panic"), &params) {
        Ok(result) => {
            let data = json!({"resultType": "streams", "result": result, "stats": {}});
            axum::Json(json!({"status": "success", "data": data})).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn answer(held: &mut Held, params: &BTreeMap<String, String>) -> Result<Vec<Value>, Refusal> {
    let param = |name: &str| params.get(name).ok_or_else(|| refuse(400, &format!("{name} is missing")));
    let nanos = |name: &str| -> Result<i64, Refusal> {
        param(name)?.parse().map_err(|_| refuse(400, &format!("{name} is no time in nanoseconds")))
    };
    let (start, end) = (nanos("start")?, nanos("end")?);
    if end <= start {
        return Err(refuse(400, "end timestamp must not be before or equal to start time"));
    }
    let limit: usize = param("limit")?.parse().map_err(|_| refuse(400, "limit is no number"))?;
    if limit == 0 || limit > ENTRIES_MAX {
        let words = format!(
            "max entries limit per query exceeded, limit > max_entries_limit ({limit} > {ENTRIES_MAX})"
        );
        return Err(refuse(400, &words));
    }
    if param("direction")? != "backward" {
        return Err(refuse(400, "this stand-in knows the direction backward only"));
    }
    let query = param("query")?.clone();
    held.queries.push(query.clone());
    let (wanted, filters) = parse(&query).map_err(|why| refuse(400, &format!("parse error: {why}")))?;
    let mut found: Vec<&(i64, BTreeMap<String, String>, String)> = held
        .lines
        .iter()
        .filter(|(at, labels, line)| {
            (start..end).contains(at)
                && wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
                && filters.iter().all(|(is_in, text)| line.contains(text.as_str()) == *is_in)
        })
        .collect();
    found.sort_by_key(|(at, _, _)| std::cmp::Reverse(*at));
    found.truncate(limit);
    let mut streams: BTreeMap<&BTreeMap<String, String>, Vec<Value>> = BTreeMap::new();
    for (at, labels, line) in found {
        streams.entry(labels).or_default().push(json!([at.to_string(), line]));
    }
    Ok(streams.into_iter().map(|(stream, values)| json!({"stream": stream, "values": values})).collect())
}

type Parsed = (Vec<(String, String)>, Vec<(bool, String)>);

/// `{name="value", …} |= "text" != "text"`.
fn parse(query: &str) -> Result<Parsed, String> {
    let (streams, mut rest) =
        query.trim().strip_prefix('{').and_then(|query| split_outside(query, '}')).ok_or("no streams")?;
    let mut wanted = Vec::new();
    let mut streams = streams.trim();
    while !streams.is_empty() {
        let (name, value) = streams.split_once('=').ok_or("no `=`")?;
        let (value, after) = text(value)?;
        wanted.push((name.trim().to_owned(), value));
        streams = after.trim().trim_start_matches(',').trim();
    }
    if wanted.iter().all(|(_, value)| value.is_empty()) {
        return Err("queries require at least one regexp or equality matcher that does not have an empty-compatible value".to_owned());
    }
    let mut filters = Vec::new();
    rest = rest.trim();
    while !rest.is_empty() {
        let is_in = match rest.get(..2) {
            Some("|=") => true,
            Some("!=") => false,
            other => return Err(format!("unexpected {other:?}")),
        };
        let (value, after) = text(&rest[2..])?;
        filters.push((is_in, value));
        rest = after.trim();
    }
    Ok((wanted, filters))
}

/// What stands before a character that is outside of quotes, and after it.
fn split_outside(text: &str, wanted: char) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == wanted && !quoted => return Some((&text[..at], &text[at + c.len_utf8()..])),
            _ => {}
        }
    }
    None
}

/// A text in double quotes, and what stands after it.
fn text(rest: &str) -> Result<(String, &str), String> {
    let inner = rest.trim().strip_prefix('"').ok_or("no text in quotes")?;
    let (quoted, after) = {
        let mut escaped = false;
        let end = inner.char_indices().find(|(_, c)| {
            let is_end = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            is_end
        });
        let (end, _) = end.ok_or("a text does not end")?;
        (&inner[..end], &inner[end + 1..])
    };
    let value: String = serde_json::from_str(&format!("\"{quoted}\"")).map_err(|error| error.to_string())?;
    Ok((value, after))
}
