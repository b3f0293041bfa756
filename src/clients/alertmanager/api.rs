//! Alertmanager's API v2, as far as it is asked: what it holds, since when it runs, and silences.
//!
//! One exchange each; nothing is repeated and nothing is decided here. A silence has no key of its own, so whoever sets
//! one looks first whether it is there. JSON is read leniently: fields come and go with versions.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clients::answer::cut_chars;
use crate::clients::http::{
    Credentials, HttpAnswer, HttpClient, HttpError, HttpRequest, Method, StatusCode, Url,
};
use crate::domain::Labels;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::fingerprint::Fingerprint;

/// Bytes of an answer that are read: some thirty thousand alerts.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Characters of Alertmanager's explanation that are kept.
const DETAIL_CHARS_MAX: usize = 300;

/// Why there is no answer to go by.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiError {
    /// No connection, or one that broke.
    #[error(transparent)]
    Unreachable(HttpError),
    /// It cannot answer now (429 and 5xx).
    #[error("Alertmanager cannot answer now: {0}")]
    Unavailable(String),
    /// The credentials are not accepted (401, 403, 407).
    #[error("Alertmanager refuses the credentials: {0}")]
    Refused(String),
    /// There is no such thing, or no Alertmanager at this address (404).
    #[error("Alertmanager does not know it: {0}")]
    NotFound(String),
    /// It does not take the request (other 4xx).
    #[error("Alertmanager does not take it: {0}")]
    Invalid(String),
    /// The answer is larger than is read.
    #[error("the answer is over {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    /// The answer is not one of Alertmanager's.
    #[error("not an answer of Alertmanager's: {0}")]
    Garbled(String),
}

impl ApiError {
    /// Whether the same request may be answered later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Unreachable(error) => !error.permanent(),
            _ => false,
        }
    }
}

/// What an Alertmanager says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its version, such as `0.25.0`; empty where it does not say.
    pub version: String,
    /// Its configuration as YAML, secrets left out by Alertmanager itself.
    pub config: String,
    /// How long it has been running, by its own clock.
    pub up_for: Duration,
    /// What its clock says, to the second; none where it does not say.
    pub clock: Option<Timestamp>,
}

/// An alert that it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The alert, firing.
    pub alert: Alert,
    /// Names of the receivers that it is routed to.
    pub receivers: Vec<String>,
    /// Silences that keep it quiet.
    pub silenced_by: Vec<String>,
    /// Alerts that keep it quiet.
    pub inhibited_by: Vec<String>,
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// Its identity; none for one that is to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it is for: all must match.
    pub matchers: Vec<SilenceMatcher>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Who wants it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Where it stands; none for one that is to be made.
    #[serde(default, skip_serializing)]
    pub status: Option<SilenceStatus>,
}

impl Silence {
    /// Whether it is over, by its time or because somebody expired it.
    pub fn is_over(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.state == "expired")
    }
}

/// Where a silence stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SilenceStatus {
    /// `active`, `pending` or `expired`.
    pub state: String,
}

/// One condition of a silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SilenceMatcher {
    /// The label.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether the value is a pattern.
    pub is_regex: bool,
    /// Whether it must match, and not the opposite. Alertmanagers before 0.22 do not say.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

/// One Alertmanager.
#[derive(Debug, Clone)]
pub struct AlertmanagerClient {
    http: HttpClient,
    base: String,
    credentials: Credentials,
    headers: Vec<(String, SecretString)>,
}

impl AlertmanagerClient {
    /// A client for the Alertmanager at `url`, which may have a path prefix.
    ///
    /// # Errors
    /// Where `url` is not an http or https URL.
    pub fn new(http: HttpClient, url: &str) -> Result<Self, HttpError> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = parsed.ok_or_else(|| HttpError::setup("this is not an http or https URL"))?;
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, base, credentials: Credentials::None, headers: Vec::new() })
    }

    /// The same client with other credentials and further headers. Cheap: connections are shared.
    #[must_use]
    pub fn signed_in(&self, credentials: Credentials, headers: Vec<(String, SecretString)>) -> Self {
        Self { credentials, headers, ..self.clone() }
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.base
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn status(&self) -> Result<Standing, ApiError> {
        let answer = self.ask(Method::GET, "status", &[], None).await?;
        let clock = answer.header("date").and_then(|text| rfc2822::parse(text).ok()).map(|at| at.timestamp());
        let status: StatusAnswer = read(&answer)?;
        let since = clock.map_or(Duration::ZERO, |now| {
            Duration::try_from(now.duration_since(status.uptime)).unwrap_or(Duration::ZERO)
        });
        Ok(Standing {
            version: status.version_info.version,
            config: status.config.original,
            up_for: since,
            clock,
        })
    }

    /// All alerts that fire there, also those that it keeps quiet.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn alerts(&self) -> Result<Vec<Listed>, ApiError> {
        let all = ["active", "silenced", "inhibited", "unprocessed"].map(|name| (name, "true".to_owned()));
        let answer = self.ask(Method::GET, "alerts", &all, None).await?;
        let alerts: Vec<AlertAnswer> = read(&answer)?;
        Ok(alerts.into_iter().map(listed).collect())
    }

    /// Silences, over ones among them, with exactly this condition among theirs.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn silences(&self, filter: String) -> Result<Vec<Silence>, ApiError> {
        let answer = self.ask(Method::GET, "silences", &[("filter", filter)], None).await?;
        read(&answer)
    }

    /// Makes a silence, or changes one that has an identity; returns its identity, which may be a new one.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn put_silence(&self, silence: &Silence) -> Result<String, ApiError> {
        let body = serde_json::to_vec(silence).expect("texts and times can be written as JSON");
        let answer = self.ask(Method::POST, "silences", &[], Some(body)).await?;
        let made: MadeAnswer = read(&answer)?;
        Ok(made.silence_id)
    }

    /// Ends a silence now. One that is over already stays so.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::NotFound`] where Alertmanager has forgotten it.
    pub async fn expire_silence(&self, id: &str) -> Result<(), ApiError> {
        self.ask(Method::DELETE, &format!("silence/{id}"), &[], None).await.map(drop)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Vec<u8>>,
    ) -> Result<HttpAnswer, ApiError> {
        let mut url = Url::parse(&format!("{}/api/v2/{path}", self.base))
            .map_err(|error| ApiError::Unreachable(HttpError::setup(error.to_string())))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self
            .headers
            .iter()
            .try_fold(HttpRequest::new(method, url), |request, (name, value)| {
                request.secret_header(name, value)
            })
            .and_then(|request| request.credentials(&self.credentials))
            .map_err(ApiError::Unreachable)?
            .answer_bytes_max(ANSWER_BYTES_MAX);
        if let Some(body) = body {
            request = request.body("application/json", body);
        }
        judged(self.http.send(request).await.map_err(ApiError::Unreachable)?)
    }
}

/// The table from status to what happened.
fn judged(answer: HttpAnswer) -> Result<HttpAnswer, ApiError> {
    if answer.status.is_success() {
        return if answer.truncated { Err(ApiError::TooLarge) } else { Ok(answer) };
    }
    let said = String::from_utf8_lossy(&answer.body);
    let words = format!("HTTP {} {}", answer.status.as_u16(), said.trim());
    let words = cut_chars(words.trim_end(), DETAIL_CHARS_MAX);
    Err(match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            ApiError::Refused(words)
        }
        StatusCode::NOT_FOUND => ApiError::NotFound(words),
        StatusCode::TOO_MANY_REQUESTS => ApiError::Unavailable(words),
        status if status.is_server_error() => ApiError::Unavailable(words),
        // A page to sign in at comes as a redirect, which is not followed.
        status if status.is_redirection() => ApiError::Refused(words),
        _ => ApiError::Invalid(words),
    })
}

fn read<T: DeserializeOwned>(answer: &HttpAnswer) -> Result<T, ApiError> {
    serde_json::from_slice(&answer.body).map_err(|error| ApiError::Garbled(error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusAnswer {
    uptime: Timestamp,
    #[serde(default)]
    version_info: VersionAnswer,
    #[serde(default)]
    config: ConfigAnswer,
}

#[derive(Default, Deserialize)]
struct VersionAnswer {
    #[serde(default)]
    version: String,
}

#[derive(Default, Deserialize)]
struct ConfigAnswer {
    #[serde(default)]
    original: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlertAnswer {
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    starts_at: Timestamp,
    #[serde(default)]
    fingerprint: Option<Fingerprint>,
    #[serde(default, rename = "generatorURL")]
    generator_url: Option<String>,
    #[serde(default)]
    receivers: Vec<NameAnswer>,
    #[serde(default)]
    status: AlertStatusAnswer,
}

#[derive(Deserialize)]
struct NameAnswer {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlertStatusAnswer {
    #[serde(default)]
    silenced_by: Vec<String>,
    #[serde(default)]
    inhibited_by: Vec<String>,
}

#[derive(Deserialize)]
struct MadeAnswer {
    #[serde(rename = "silenceID")]
    silence_id: String,
}

fn listed(answer: AlertAnswer) -> Listed {
    let AlertAnswer { labels, annotations, starts_at, fingerprint, generator_url, receivers, status } =
        answer;
    let alert = Alert {
        fingerprint: fingerprint.unwrap_or_else(|| Fingerprint::of_labels(&labels)),
        status: AlertStatus::Firing,
        labels,
        annotations,
        starts_at,
        ends_at: None,
        generator_url: generator_url.filter(|url| !url.is_empty()),
    };
    Listed {
        alert,
        receivers: receivers.into_iter().map(|receiver| receiver.name).collect(),
        silenced_by: status.silenced_by,
        inhibited_by: status.inhibited_by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::HttpOptions;
    use crate::clients::stand_in::{Play, StandIn};
    use serde_json::json;

    fn mk_client(stand_in: &StandIn) -> AlertmanagerClient {
        let http = HttpClient::new(&HttpOptions::configured()).expect("a client");
        AlertmanagerClient::new(http, &stand_in.url("/base/")).expect("an address")
    }

    #[tokio::test]
    async fn each_status_has_its_meaning_and_only_what_is_temporary_may_come_again() {
        for (status, kind, retryable) in [
            (401, "refuses", false),
            (403, "refuses", false),
            (302, "refuses", false),
            (404, "does not know", false),
            (400, "does not take", false),
            (429, "cannot answer now", true),
            (503, "cannot answer now", true),
        ] {
            let stand_in = StandIn::play([Play::text(status, "\"why\"")]).await;
            let error = mk_client(&stand_in).alerts().await.expect_err("an error");
            assert!(error.to_string().contains(kind), "{status}: {error}");
            assert_eq!(error.retryable(), retryable, "{status}");
        }
        let stand_in = StandIn::play([Play::text(200, "<html>")]).await;
        let error = mk_client(&stand_in).alerts().await.expect_err("no JSON");
        assert!(matches!(error, ApiError::Garbled(_)) && !error.retryable(), "{error}");
    }

    #[tokio::test]
    async fn its_age_goes_by_its_own_clock() {
        let body = json!({"uptime": "2026-11-21T08:00:00.000Z", "versionInfo": {"version": "0.25.0"}});
        let play = Play::json(200, body).with("Date", "Sat, 21 Nov 2026 08:07:00 GMT");
        let stand_in = StandIn::play([play]).await;
        let standing = mk_client(&stand_in).status().await.expect("an answer");
        assert_eq!(standing.up_for, Duration::from_secs(420));
        assert_eq!(standing.version, "0.25.0");
        assert!(stand_in.seen()[0].line.starts_with("GET /base/api/v2/status "), "{:?}", stand_in.seen()[0]);
    }
}
