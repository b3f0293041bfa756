//! Loki's HTTP API, as far as evidence needs it: the newest lines of a log query.
//!
//! An answer is given as it is: that nothing matches is no line, and whether that is good is for a rule to say.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::answer::cut_chars;
use super::http::{Credentials, HttpAnswer, HttpClient, HttpError, HttpRequest, Method, StatusCode, Url};

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Characters of Loki's explanation that are kept.
const DETAIL_CHARS_MAX: usize = 500;

/// Why there is no answer to go by.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LokiError {
    /// No connection, or one that broke.
    #[error(transparent)]
    Unreachable(#[from] HttpError),
    /// It cannot answer now (429 and 5xx), and may have said until when.
    #[error("Loki cannot answer now: {words}")]
    Unavailable {
        /// Its words.
        words: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// The credentials are not accepted, or the tenant is missing (401, 403).
    #[error("Loki refuses the credentials: {0}")]
    Refused(String),
    /// It does not take the query (other 4xx).
    #[error("Loki does not take the query: {0}")]
    Invalid(String),
    /// The answer is larger than is read.
    #[error("the answer is over {ANSWER_BYTES_MAX} bytes: ask for fewer lines")]
    TooLarge,
    /// The answer is not one of Loki's.
    #[error("not an answer of Loki's: {0}")]
    Garbled(String),
}

/// One line, with the labels of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// The line.
    pub text: String,
    /// Which of [`Lines::streams`] it is of.
    pub stream: usize,
}

/// The newest lines of a query, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    /// The lines.
    pub lines: Vec<Line>,
    /// Labels of the streams that they are of.
    pub streams: Vec<BTreeMap<String, String>>,
}

/// What to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery<'q> {
    /// LogQL.
    pub query: &'q str,
    /// From when.
    pub start: Timestamp,
    /// Until when.
    pub end: Timestamp,
    /// Lines to keep.
    pub limit: usize,
    /// Time for the exchange.
    pub timeout: Duration,
}

/// One Loki.
#[derive(Debug, Clone)]
pub struct LokiClient {
    http: HttpClient,
    base: String,
    credentials: Credentials,
    headers: Vec<(String, SecretString)>,
}

impl LokiClient {
    /// A client for the Loki at `url`, which may have a path prefix.
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

    /// The newest lines of a log query.
    ///
    /// # Errors
    /// [`LokiError`].
    pub async fn lines(&self, asked: &LogQuery<'_>) -> Result<Lines, LokiError> {
        let query = [
            ("query", asked.query.to_owned()),
            ("start", asked.start.as_nanosecond().to_string()),
            ("end", asked.end.as_nanosecond().to_string()),
            ("limit", asked.limit.to_string()),
            ("direction", "backward".to_owned()),
        ];
        let answer = self.ask("query_range", &query, asked.timeout).await?;
        let answer: QueryAnswer = read(&answer)?;
        if answer.data.result_type != "streams" {
            let words = "the query gives numbers and no lines: ask Prometheus, or leave out the function";
            return Err(LokiError::Invalid(words.to_owned()));
        }
        let streams: Vec<StreamAnswer> = answer
            .data
            .result
            .into_iter()
            .map(|stream| serde_json::from_value(stream).map_err(garbled))
            .collect::<Result<_, _>>()?;
        collect(streams, asked.limit)
    }

    /// Names of labels: whether it answers at all.
    ///
    /// # Errors
    /// [`LokiError`].
    pub async fn labels(&self, timeout: Duration) -> Result<Vec<String>, LokiError> {
        let answer: LabelsAnswer = read(&self.ask("labels", &[], timeout).await?)?;
        Ok(answer.data)
    }

    async fn ask(
        &self,
        path: &str,
        query: &[(&str, String)],
        timeout: Duration,
    ) -> Result<HttpAnswer, LokiError> {
        let mut url = Url::parse(&format!("{}/loki/api/v1/{path}", self.base))
            .map_err(|error| HttpError::setup(error.to_string()))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = HttpRequest::new(Method::GET, url).timeout(timeout).answer_bytes_max(ANSWER_BYTES_MAX);
        let request = self
            .headers
            .iter()
            .try_fold(request, |request, (name, value)| request.secret_header(name, value))
            .and_then(|request| request.credentials(&self.credentials))?;
        judged(self.http.send(request).await?)
    }
}

/// The table from status to what happened.
fn judged(answer: HttpAnswer) -> Result<HttpAnswer, LokiError> {
    if answer.status.is_success() {
        return if answer.truncated { Err(LokiError::TooLarge) } else { Ok(answer) };
    }
    let said = String::from_utf8_lossy(&answer.body);
    let words =
        cut_chars(format!("HTTP {} {}", answer.status.as_u16(), said.trim()).trim_end(), DETAIL_CHARS_MAX);
    Err(match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            LokiError::Refused(words)
        }
        // A page to sign in at comes as a redirect, which is not followed.
        status if status.is_redirection() => LokiError::Refused(words),
        StatusCode::TOO_MANY_REQUESTS => LokiError::Unavailable { words, wait: answer.retry_after() },
        status if status.is_server_error() => LokiError::Unavailable { words, wait: answer.retry_after() },
        _ => LokiError::Invalid(words),
    })
}

fn read<T: serde::de::DeserializeOwned>(answer: &HttpAnswer) -> Result<T, LokiError> {
    serde_json::from_slice(&answer.body).map_err(garbled)
}

fn garbled(error: serde_json::Error) -> LokiError {
    LokiError::Garbled(error.to_string())
}

/// Lines of all streams, the newest first. Each stream has its own order.
fn collect(streams: Vec<StreamAnswer>, limit: usize) -> Result<Lines, LokiError> {
    let mut found = Lines::default();
    for (number, stream) in streams.into_iter().enumerate() {
        found.streams.push(stream.stream);
        for value in stream.values {
            // A third part holds structured metadata.
            let (Some(at), Some(text)) =
                (value.first().and_then(Value::as_str), value.get(1).and_then(Value::as_str))
            else {
                return Err(LokiError::Garbled("a line without a time or a text".to_owned()));
            };
            let at = at.parse().ok().and_then(|nanos: i128| Timestamp::from_nanosecond(nanos).ok());
            let at = at.ok_or_else(|| LokiError::Garbled("a line whose time is none".to_owned()))?;
            found.lines.push(Line { at, text: text.to_owned(), stream: number });
        }
    }
    found.lines.sort_by_key(|line| std::cmp::Reverse(line.at));
    found.lines.truncate(limit);
    Ok(found)
}

#[derive(Deserialize)]
struct QueryAnswer {
    data: DataAnswer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataAnswer {
    result_type: String,
    #[serde(default)]
    result: Vec<Value>,
}

#[derive(Deserialize)]
struct StreamAnswer {
    #[serde(default)]
    stream: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct LabelsAnswer {
    #[serde(default)]
    data: Vec<String>,
}
