//! Prometheus' HTTP API, as far as evidence needs it: instant and range queries.
//!
//! An answer is given as it is, with its warnings: an empty vector stays empty and is not zero, NaN stays NaN,
//! and a warning says that the answer is partial. What any of that means is for a diagnostic to say. Queries go
//! as POST forms, because a long expression does not fit into a URL. The JSON is read in [`answer`].

pub mod answer;

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use thiserror::Error;

use super::answer::cut_chars;
use super::http::{Credentials, HttpAnswer, HttpClient, HttpError, HttpRequest, Method, StatusCode, Url};
use answer::{Answer, Complaint};

/// Bytes of an answer that are read: some 30,000 series of an instant query. Evidence needs a handful.
pub const QUERY_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Default number of series that are asked for and kept.
pub const SERIES_MAX: usize = 1000;

/// Default time that Prometheus may spend on one query.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the exchange gets on top of the query's own time, so that Prometheus can still say that it timed out.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// Characters of Prometheus' explanation that are kept.
const DETAIL_CHARS_MAX: usize = 500;

/// Characters of a version that are kept.
const VERSION_CHARS_MAX: usize = 40;

/// Limits of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// How long Prometheus may take.
    pub timeout: Duration,
    /// How many series are kept; Prometheus before 2.54 does not know the parameter, so it is kept here too.
    pub series_max: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { timeout: QUERY_TIMEOUT, series_max: SERIES_MAX }
    }
}

/// The window of a range query; both ends are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first instant.
    pub start: Timestamp,
    /// The last instant.
    pub end: Timestamp,
    /// The distance of the points; Prometheus allows 11,000 of them for each series.
    pub step: SignedDuration,
}

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PrometheusError {
    /// The expression or a parameter is wrong (400): it will be wrong next time as well.
    #[error("Prometheus does not understand the query: {0}")]
    BadData(String),
    /// The expression is understood and cannot be evaluated (422), such as a many-to-many match.
    #[error("Prometheus cannot evaluate the query: {0}")]
    CannotExecute(String),
    /// It took too long, by Prometheus' clock (503) or by ours.
    #[error("the query took too long: {0}")]
    TimedOut(String),
    /// The credentials are not accepted (401, 403).
    #[error("Prometheus refuses the credentials: {0}")]
    Refused(String),
    /// Prometheus, or a proxy before it, cannot answer now (429 and 5xx).
    #[error("Prometheus cannot answer now: {0}")]
    Unavailable(String),
    /// No connection, or one that broke.
    #[error(transparent)]
    Unreachable(HttpError),
    /// The answer is larger than is read.
    #[error("the answer is over {0} bytes: narrow the query with labels or an aggregation")]
    TooLarge(usize),
    /// The answer is not one of Prometheus'.
    #[error("not an answer of Prometheus': {0}")]
    Garbled(String),
}

impl PrometheusError {
    /// Whether the same query may be answered later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Unavailable(_) => true,
            Self::Unreachable(error) => !error.permanent(),
            _ => false,
        }
    }
}

/// One Prometheus, or anything that speaks its query API (Thanos, Mimir, VictoriaMetrics).
#[derive(Debug, Clone)]
pub struct PrometheusClient {
    http: HttpClient,
    base: String,
    credentials: Credentials,
    headers: Vec<(String, SecretString)>,
}

impl PrometheusClient {
    /// A client for the Prometheus at `url`, which may have a path prefix.
    ///
    /// # Errors
    /// Where `url` is not an http or https URL.
    pub fn new(http: HttpClient, url: &str, credentials: Credentials) -> Result<Self, HttpError> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let mut base =
            parsed.ok_or_else(|| HttpError::setup("prometheus.url is not an http or https URL"))?;
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self {
            http,
            base: base.as_str().trim_end_matches('/').to_owned(),
            credentials,
            headers: Vec::new(),
        })
    }

    /// The same client with other credentials and further headers, such as a tenant's name. Cheap: connections are
    /// shared, so it suits credentials that change.
    #[must_use]
    pub fn signed_in(&self, credentials: Credentials, headers: Vec<(String, SecretString)>) -> Self {
        Self { credentials, headers, ..self.clone() }
    }

    /// `/api/v1/query`: the expression at one instant; without `at`, at the server's now.
    ///
    /// # Errors
    /// [`PrometheusError`]; a partial answer is no error but has warnings.
    pub async fn query(
        &self,
        expr: &str,
        at: Option<Timestamp>,
        limits: QueryLimits,
    ) -> Result<Answer, PrometheusError> {
        let mut parameters = vec![("query", expr.to_owned())];
        parameters.extend(at.map(|at| ("time", seconds_of(at))));
        self.ask("query", parameters, limits).await
    }

    /// `/api/v1/query_range`: the expression at every step of a window.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn query_range(
        &self,
        expr: &str,
        range: Range,
        limits: QueryLimits,
    ) -> Result<Answer, PrometheusError> {
        let parameters = vec![
            ("query", expr.to_owned()),
            ("start", seconds_of(range.start)),
            ("end", seconds_of(range.end)),
            ("step", range.step.as_secs_f64().to_string()),
        ];
        self.ask("query_range", parameters, limits).await
    }

    /// Its version; none where it does not say, as what only speaks its query API may not.
    pub async fn version(&self) -> Option<String> {
        let url = Url::parse(&format!("{}/api/v1/status/buildinfo", self.base)).ok()?;
        let request = self
            .headers
            .iter()
            .try_fold(HttpRequest::new(Method::GET, url), |request, (name, value)| {
                request.secret_header(name, value)
            })
            .and_then(|request| request.credentials(&self.credentials))
            .ok()?;
        let answer = self.http.send(request).await.ok().filter(|answer| answer.status == StatusCode::OK)?;
        let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        body["data"]["version"].as_str().map(|version| cut_chars(version, VERSION_CHARS_MAX))
    }

    async fn ask(
        &self,
        method: &str,
        parameters: Vec<(&'static str, String)>,
        limits: QueryLimits,
    ) -> Result<Answer, PrometheusError> {
        let url = Url::parse(&format!("{}/api/v1/{method}", self.base))
            .map_err(|error| PrometheusError::Unreachable(HttpError::setup(error.to_string())))?;
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .append_pair("timeout", &format!("{}ms", limits.timeout.as_millis()))
            .append_pair("limit", &limits.series_max.to_string())
            .finish();
        let request = self
            .headers
            .iter()
            .try_fold(HttpRequest::new(Method::POST, url), |request, (name, value)| {
                request.secret_header(name, value)
            })
            .and_then(|request| request.credentials(&self.credentials))
            .map_err(PrometheusError::Unreachable)?
            .body("application/x-www-form-urlencoded", form)
            .timeout(limits.timeout + ANSWER_MARGIN)
            .answer_bytes_max(QUERY_ANSWER_BYTES_MAX);
        let answer = self.http.send(request).await.map_err(unanswered)?;
        read(&answer, limits)
    }
}

fn unanswered(error: HttpError) -> PrometheusError {
    match error {
        HttpError::TimedOut { .. } => PrometheusError::TimedOut(error.to_string()),
        other => PrometheusError::Unreachable(other),
    }
}

/// The table from status and error type to what happened.
fn read(answer: &HttpAnswer, limits: QueryLimits) -> Result<Answer, PrometheusError> {
    if answer.truncated {
        return Err(PrometheusError::TooLarge(answer.body.len()));
    }
    if answer.status == StatusCode::OK {
        return answer::parse(&answer.body, limits.series_max);
    }
    let complaint: Complaint = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = format!("HTTP {} {}", answer.status.as_u16(), complaint.error);
    let words = cut_chars(words.trim_end(), DETAIL_CHARS_MAX);
    Err(match (answer.status.as_u16(), complaint.error_type.as_str()) {
        // A query that a closing connection or a restart cut off comes as `canceled`.
        (_, "timeout" | "canceled") => PrometheusError::TimedOut(words),
        (400, _) => PrometheusError::BadData(words),
        (422, _) => PrometheusError::CannotExecute(words),
        (401 | 403 | 407, _) => PrometheusError::Refused(words),
        (429 | 500.., _) => PrometheusError::Unavailable(words),
        _ => PrometheusError::Garbled(words),
    })
}

/// Seconds since the epoch with milliseconds, which is the precision of Prometheus.
fn seconds_of(at: Timestamp) -> String {
    let milliseconds = at.as_millisecond();
    format!("{}.{:03}", milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000))
}
