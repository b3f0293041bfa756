//! The REST API, as far as the product asks it: incidents by their key, notes, and who is a user.
//!
//! | enforced | from |
//! |---|---|
//! | `Authorization: Token token=…`, 401 without | developer documentation, "Authentication" |
//! | `From` must be the mail address of a user where something is written, 400 without | "REST API v2 Overview", "HTTP Request Headers" |
//! | 404 for an incident that is not there; 201 for a note | "Create a note on an incident" |
//! | at most 2,000 notes an incident | the same |

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::incidents::Incident;
use super::{Shared, webhooks};
use crate::sandbox::form::decode;
use crate::sandbox::seed::random_hex;

/// Notes that an incident takes.
const NOTES_MAX: usize = 2_000;

/// The name of notes in the fault plan.
pub const NOTES: &str = "/incidents/notes";

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/incidents", get(incidents))
        .route("/incidents/{id}/notes", post(note))
        .route("/users", get(users))
        .with_state(shared)
}

type Refused = (StatusCode, Json<Value>);

fn refusal(status: StatusCode, message: &str, errors: &[&str]) -> Refused {
    (status, Json(json!({ "error": { "code": 2001, "message": message, "errors": errors } })))
}

impl Shared {
    fn signed_in(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let good = given.strip_prefix("Token token=").is_some_and(|token| token == self.api_token);
        if good { Ok(()) } else { Err(refusal(StatusCode::UNAUTHORIZED, "Unauthorized", &[])) }
    }
}

/// The values of one parameter.
fn values(query: Option<&str>, name: &str) -> Vec<String> {
    let pairs = decode(query.unwrap_or_default());
    pairs.into_iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
}

async fn incidents(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refused> {
    shared.signed_in(&headers)?;
    let keys = values(query.as_deref(), "incident_key");
    let shown = |one: &Incident| json!({ "id": one.id, "incident_number": one.number, "incident_key": one.dedup_key, "status": one.status });
    let kept = shared.incidents();
    let fits = |one: &&Incident| keys.is_empty() || keys.contains(&one.dedup_key);
    let newest_first: Vec<Value> = kept.list().iter().rev().filter(fits).take(25).map(shown).collect();
    Ok(Json(json!({ "incidents": newest_first, "limit": 25, "offset": 0, "more": false })))
}

async fn users(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refused> {
    shared.signed_in(&headers)?;
    let asked = values(query.as_deref(), "query");
    let fits = |email: &&String| asked.iter().all(|word| email.contains(word.as_str()));
    let found: Vec<Value> =
        shared.users.iter().filter(fits).map(|email| json!({ "type": "user", "email": email })).collect();
    Ok(Json(json!({ "users": found, "more": false })))
}

#[derive(Deserialize)]
struct NoteOrder {
    note: NoteBody,
}

#[derive(Deserialize)]
struct NoteBody {
    content: String,
}

async fn note(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(order): Json<NoteOrder>,
) -> Response {
    let Some(fault) = shared.faults.take(NOTES) else {
        return shared.write_note(&headers, &id, &order.note.content).into_response();
    };
    let vendor_error = |name: &str| refusal(StatusCode::BAD_REQUEST, name, &[]).into_response();
    fault.play(|| shared.write_note(&headers, &id, &order.note.content).into_response(), vendor_error).await
}

impl Shared {
    fn write_note(&self, headers: &HeaderMap, id: &str, content: &str) -> Result<Refused, Refused> {
        self.signed_in(headers)?;
        let from = headers.get("from").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !self.users.iter().any(|email| email == from) {
            return Err(refusal(
                StatusCode::BAD_REQUEST,
                "Invalid Input Provided",
                &["Requester User Not Found"],
            ));
        }
        if content.is_empty() {
            return Err(refusal(
                StatusCode::BAD_REQUEST,
                "Invalid Input Provided",
                &["Content cannot be empty."],
            ));
        }
        let now = Timestamp::now();
        let incident = {
            let mut kept = self.incidents();
            let found = kept.by_id(id).ok_or_else(|| refusal(StatusCode::NOT_FOUND, "Not Found", &[]))?;
            if found.notes.len() >= NOTES_MAX {
                return Err(refusal(StatusCode::BAD_REQUEST, "Invalid Input Provided", &["Too many notes"]));
            }
            found.notes.push(content.to_owned());
            found.note(now, format!("{from} wrote: {content}"));
            found.clone()
        };
        let agent = webhooks::Agent::Person { id: "PBOT".to_owned(), name: from.to_owned() };
        self.tell(webhooks::note(&agent, &incident, content, now));
        let told =
            json!({ "note": { "id": format!("PN{}", random_hex(4).to_uppercase()), "content": content } });
        Ok((StatusCode::CREATED, Json(told)))
    }
}
