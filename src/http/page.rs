//! `/incidents/{id}`: one incident as a page for people, where links in messages lead.
//!
//! It shows what `GET /api/v1/incidents/{id}` answers, behind the same door. There are no scripts and no buttons:
//! decisions go through Slack, the API and the command line. Every value is escaped by the template engine, since
//! labels, findings and reasons are data from elsewhere. Without credentials it tells nothing, not even whether there
//! is such an incident.

use super::api::shapes::{AlertShape, IncidentDetail};
use super::auth::{ApiAuth, Principal};
use super::services::Services;
use crate::domain::incident::IncidentId;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::sync::Arc;
use tera::{Context, Tera};

const CSS: &str = include_str!("page/page.css");

/// The names end in `.html`, so that the engine escapes every value.
const TEMPLATES: [(&str, &str); 2] = [
    ("incident.html", include_str!("page/incident.html")),
    ("notice.html", include_str!("page/notice.html")),
];

/// Bytes of an identity that are repeated to whoever asked; ours have 26.
const ID_BYTES_MAX: usize = 64;

/// A page that says one thing.
#[derive(Serialize)]
struct Notice<'a> {
    title: &'a str,
    text: &'a str,
    /// What shows the incident elsewhere.
    command: Option<String>,
}

/// `GET /incidents/{id}`.
pub async fn incident(_: Principal, State(services): State<Services>, Path(id): Path<String>) -> Response {
    match services.reader.incident(&IncidentId(id)).await {
        Ok(Some(view)) => {
            let detail = IncidentDetail::from(&view);
            let mut context = Context::from_serialize(&detail).expect("an incident is an object");
            // Anything but a web address would be a trap in a link.
            let is_web = |link: &&String| link.starts_with("https://") || link.starts_with("http://");
            context.insert("runbook_link", &detail.runbook.as_ref().filter(is_web));
            // The engine keeps no order of keys; people compare alerts by it.
            let labels = |alert: &AlertShape| -> Vec<String> {
                alert.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect()
            };
            let labels: Vec<Vec<String>> = detail.alerts.iter().map(labels).collect();
            context.insert("labels_of_alerts", &labels);
            page(StatusCode::OK, "incident.html", &mut context)
        }
        Ok(None) => notice(
            StatusCode::NOT_FOUND,
            &Notice {
                title: "No such incident",
                text: "There is no incident with this identity. What is over is deleted after a while, as \
                       `retention` in the settings says.",
                command: None,
            },
        ),
        Err(error) => {
            tracing::warn!(error = %error, "an incident could not be read for its page");
            let text = "The store does not answer. Try again in a moment.";
            notice(StatusCode::SERVICE_UNAVAILABLE, &Notice { title: "Not now", text, command: None })
        }
    }
}

/// Middleware: the API's door, with answers for people.
pub async fn require_reader(State(auth): State<Arc<ApiAuth>>, mut request: Request, next: Next) -> Response {
    let problem = match auth.principal(&request) {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            return next.run(request).await;
        }
        Err(problem) => problem,
    };
    if problem.status != StatusCode::UNAUTHORIZED {
        let text = problem.detail.as_str();
        return notice(problem.status, &Notice { title: "Refused", text, command: None });
    }
    let id = request.uri().path().rsplit('/').next().unwrap_or_default();
    let is_identity = !id.is_empty()
        && id.len() <= ID_BYTES_MAX
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let text = "Incidents of this service are shown to holders of an API token, and a browser sends none. \
                On the command line, with a token in SMOKEJUMPER_TOKEN and this service's address in \
                SMOKEJUMPER_URL:";
    let command = format!("smokejumper incidents show {}", if is_identity { id } else { "ID" });
    let mut response = notice(
        problem.status,
        &Notice { title: "A token shows this incident", text, command: Some(command) },
    );
    // A bearer challenge makes no browser ask for a password.
    let challenge = HeaderValue::from_static(r#"Bearer realm="smokejumper""#);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn notice(status: StatusCode, notice: &Notice<'_>) -> Response {
    let mut context = Context::from_serialize(notice).expect("a notice is an object");
    page(status, "notice.html", &mut context)
}

fn page(status: StatusCode, template: &str, context: &mut Context) -> Response {
    context.insert("css", CSS);
    let html = match render(template, context) {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(error = %error, "a page could not be written");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    let policy = HeaderValue::from_str(&content_security_policy()).expect("a policy is ASCII");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn render(template: &str, context: &Context) -> Result<String, tera::Error> {
    let mut engine = Tera::default();
    engine.add_raw_templates(TEMPLATES)?;
    engine.render(template, context)
}

/// Nothing but this page and its own style: no scripts, no pictures, no forms, no frames around it.
fn content_security_policy() -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, CSS.as_bytes());
    let style = BASE64.encode(digest);
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}
