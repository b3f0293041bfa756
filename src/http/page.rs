//! `/incidents/{id}`: one incident as a page for people, where links in messages lead.
//!
//! It shows what `GET /api/v1/incidents/{id}` answers, behind the same door, to which a browser signs in with a token
//! (`auth/session.rs`). There are no scripts and nothing that acts: decisions go through Slack, the API and the command
//! line. Every value is escaped by the template engine, since
//! labels, findings and reasons are data from elsewhere. Without credentials it tells nothing, not even whether there
//! is such an incident.

use super::api::shapes::{AlertShape, IncidentDetail};
use super::auth::{ApiAuth, Reader};
use super::problem::Problem;
use super::services::Services;
use crate::chart;
use crate::domain::diagnosis::Finding;
use crate::domain::incident::IncidentId;
use crate::domain::timeline::TimelineLine;
use crate::engine::ports::IncidentView;
use axum::Extension;
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

/// Bytes of a sign-in: a token, and which incident it is about.
const FORM_BYTES_MAX: usize = 4 << 10;

/// A page that says one thing.
#[derive(Serialize)]
struct Notice<'a> {
    title: &'a str,
    text: &'a str,
    /// What shows the incident elsewhere.
    command: Option<String>,
    /// Where a token can be typed.
    sign_in: Option<SignIn<'a>>,
}

/// The form that signs in.
#[derive(Serialize)]
struct SignIn<'a> {
    /// Where it is sent.
    action: &'a str,
    /// What is shown after it.
    incident: &'a str,
}

impl<'a> Notice<'a> {
    fn saying(title: &'a str, text: &'a str) -> Self {
        Self { title, text, command: None, sign_in: None }
    }
}

/// `GET /incidents/{id}`.
pub async fn incident(
    Extension(reader): Extension<Reader>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Response {
    match services.reader.incident(&IncidentId(id)).await {
        Ok(Some(view)) => {
            let mut context = context_of(&view);
            context.insert("reader", &reader.in_session.then_some(&reader.principal.name));
            page(StatusCode::OK, "incident.html", &mut context)
        }
        Ok(None) => notice(
            StatusCode::NOT_FOUND,
            &Notice::saying(
                "No such incident",
                "There is no incident with this identity. What is over is deleted after a while, as `retention` in \
                 the settings says.",
            ),
        ),
        Err(error) => {
            tracing::warn!(error = %error, "an incident could not be read for its page");
            let text = "The store does not answer. Try again in a moment.";
            notice(StatusCode::SERVICE_UNAVAILABLE, &Notice::saying("Not now", text))
        }
    }
}

/// What the page of an incident shows.
fn context_of(view: &IncidentView) -> Context {
    let detail = IncidentDetail::from(view);
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
    context.insert("charts", &charts(view));
    context.insert("folded", &view.timeline.iter().map(folded).collect::<Vec<_>>());
    context
}

/// A line that is a list of verdicts, as its gist and its items: nineteen guardrails in one paragraph hide the story.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Folded {
    gist: String,
    items: Vec<String>,
}

/// None for every line that people read whole.
fn folded(line: &TimelineLine) -> Option<Folded> {
    let list = line.text.split_once(": ").filter(|_| line.reason.as_deref() == Some("guardrails"));
    let (remedy, list) = list?;
    let items: Vec<String> = list.split("; ").map(str::to_owned).collect();
    let forbid = items.iter().filter(|item| item.contains(" forbids it: ")).count();
    let gist = match (items.len(), forbid) {
        (1, 0) => format!("{remedy}: the one guardrail lets it pass"),
        (count, 0) => format!("{remedy}: all {count} guardrails let it pass"),
        (count, forbid) => format!("{remedy}: {forbid} of {count} guardrails forbid it"),
    };
    Some(Folded { gist, items })
}

/// The drawing of each finding, in their order; none where there is nothing to draw. They come escaped.
fn charts(view: &IncidentView) -> Vec<Option<String>> {
    let marks = chart::marks(&view.incident, &view.alerts);
    let draw = |finding: &Finding| Some(chart::svg(&finding.name, finding.chart.as_deref()?, &marks));
    view.findings.iter().map(draw).collect()
}

/// The style of pages, and of drawings within them.
fn css() -> String {
    format!("{CSS}{}", chart::page_css())
}

/// What the door of the pages needs.
#[derive(Clone)]
pub struct PageDoor {
    /// Who may look.
    pub auth: Arc<ApiAuth>,
    /// The time, by which sessions end.
    pub services: Services,
}

/// Middleware: the API's door, with answers for people.
pub async fn require_reader(State(door): State<PageDoor>, mut request: Request, next: Next) -> Response {
    match door.auth.reader(&request, door.services.clock.now()) {
        Ok(reader) => {
            request.extensions_mut().insert(reader);
            next.run(request).await
        }
        Err(problem) => {
            let id = request.uri().path().rsplit('/').next().unwrap_or_default();
            refused(&problem, "../sign-in", identity(id), "A token shows this incident")
        }
    }
}

/// `POST /sign-in`: a token, typed into the page of an incident, for a session that looks at pages.
pub async fn sign_in(State(door): State<PageDoor>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, FORM_BYTES_MAX).await else {
        let text = "This is more than a token.";
        return notice(StatusCode::PAYLOAD_TOO_LARGE, &Notice::saying("Refused", text));
    };
    let field = |wanted: &str| {
        let mut fields = form_urlencoded::parse(&body);
        fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (token, id) = (field("token"), field("incident"));
    match door.auth.sign_in(&parts, token.trim().as_bytes(), door.services.clock.now()) {
        Ok(cookie) => {
            let answer = match identity(&id) {
                Some(id) => see(&format!("incidents/{id}")),
                None => {
                    let text = "Open the link to the incident again.";
                    notice(StatusCode::OK, &Notice::saying("Signed in", text))
                }
            };
            with_cookie(answer, &cookie)
        }
        Err(problem) => refused(&problem, "sign-in", identity(&id), "This token is not accepted"),
    }
}

/// `POST /sign-out`.
pub async fn sign_out(State(door): State<PageDoor>, request: Request) -> Response {
    match door.auth.sign_out(request.headers()) {
        Ok(cookie) => {
            let text = "This browser shows no incident any more, until somebody signs in again.";
            with_cookie(notice(StatusCode::OK, &Notice::saying("Signed out", text)), &cookie)
        }
        Err(problem) => refused(&problem, "sign-in", None, "Refused"),
    }
}

/// An identity that may be repeated to whoever asked.
fn identity(id: &str) -> Option<&str> {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_plain && !id.is_empty() && id.len() <= ID_BYTES_MAX).then_some(id)
}

/// What somebody sees who may not look; where a token would help, with the place to type it.
fn refused(problem: &Problem, sign_in: &str, id: Option<&str>, title: &str) -> Response {
    if problem.status != StatusCode::UNAUTHORIZED {
        return notice(problem.status, &Notice::saying("Refused", problem.detail.as_str()));
    }
    let text = "Incidents of this service are shown to holders of an API token. Type yours to look at them in this \
                browser for twelve hours; nothing can be done with that. On the command line, with a token in \
                SMOKEJUMPER_TOKEN and this service's address in SMOKEJUMPER_URL:";
    let command = Some(format!("smokejumper incidents show {}", id.unwrap_or("ID")));
    let sign_in = id.map(|incident| SignIn { action: sign_in, incident });
    let mut response = notice(problem.status, &Notice { title, text, command, sign_in });
    // A bearer challenge makes no browser ask for a password.
    let challenge = HeaderValue::from_static(r#"Bearer realm="smokejumper""#);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn see(place: &str) -> Response {
    let place = HeaderValue::from_str(place).expect("an identity is plain text");
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    let cookie = HeaderValue::from_str(cookie).expect("a cookie is made of numbers and letters");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

fn notice(status: StatusCode, notice: &Notice<'_>) -> Response {
    let mut context = Context::from_serialize(notice).expect("a notice is an object");
    page(status, "notice.html", &mut context)
}

fn page(status: StatusCode, template: &str, context: &mut Context) -> Response {
    context.insert("css", &css());
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

/// Nothing but this page, its own style and its own forms: no scripts, no pictures, no frames around it.
fn content_security_policy() -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, css().as_bytes());
    let style = BASE64.encode(digest);
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests;
