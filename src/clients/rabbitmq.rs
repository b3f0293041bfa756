//! RabbitMQ's management API, as far as it is asked how a cluster is.
//!
//! What the statistics do not hold yet is absent, and stays absent: a broker that was just started is not one without
//! messages.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use super::answer::cut_chars;
use super::http::{Credentials, HttpClient, HttpError, HttpRequest, Method, StatusCode, Url};

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Characters of an explanation that are kept.
const DETAIL_CHARS_MAX: usize = 300;

/// Why there is no answer to go by.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RabbitError {
    /// No connection, or one that broke.
    #[error(transparent)]
    Unreachable(#[from] HttpError),
    /// It cannot answer now (429 and 5xx).
    #[error("RabbitMQ cannot answer now: {0}")]
    Unavailable(String),
    /// The credentials are not accepted, or the user may not look (401, 403).
    #[error("RabbitMQ refuses the credentials: {0}; the user needs the tag `monitoring`")]
    Refused(String),
    /// There is no such thing (404).
    #[error("RabbitMQ does not know it: {0}")]
    NotFound(String),
    /// The answer is none of RabbitMQ's management API, or larger than is read.
    #[error("not an answer of RabbitMQ's management API: {0}")]
    Garbled(String),
}

impl RabbitError {
    /// Whether the broker itself is known not to serve.
    pub fn is_down(&self) -> bool {
        match self {
            Self::Unreachable(error) => {
                matches!(
                    error,
                    HttpError::NotSent { .. } | HttpError::TimedOut { .. } | HttpError::Broken { .. }
                )
            }
            _ => false,
        }
    }
}

/// One cluster.
#[derive(Debug, Clone)]
pub struct RabbitClient {
    http: HttpClient,
    base: Url,
    credentials: Credentials,
}

impl RabbitClient {
    /// A client for the management API at `url`, which may have a path prefix.
    ///
    /// # Errors
    /// Where `url` is not an http or https URL.
    pub fn new(http: HttpClient, url: &str) -> Result<Self, HttpError> {
        let base = Url::parse(&format!("{}/", url.trim_end_matches('/'))).ok();
        let base = base.filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| HttpError::setup("this is not an http or https URL"))?;
        Ok(Self { http, base, credentials: Credentials::None })
    }

    /// The same client with other credentials.
    #[must_use]
    pub fn signed_in(&self, credentials: Credentials) -> Self {
        Self { credentials, ..self.clone() }
    }

    /// Versions and totals of the cluster.
    ///
    /// # Errors
    /// [`RabbitError`].
    pub async fn overview(&self, timeout: Duration) -> Result<Value, RabbitError> {
        self.ask(&["overview"], &[], timeout).await
    }

    /// Its nodes with their alarms.
    ///
    /// # Errors
    /// [`RabbitError`].
    pub async fn nodes(&self, timeout: Duration) -> Result<Vec<Value>, RabbitError> {
        list(self.ask(&["nodes"], &[], timeout).await?)
    }

    /// A virtual host with its totals.
    ///
    /// # Errors
    /// [`RabbitError`].
    pub async fn vhost(&self, name: &str, timeout: Duration) -> Result<Value, RabbitError> {
        self.ask(&["vhosts", name], &[], timeout).await
    }

    /// Queues of a virtual host, or of all, those with the most messages first; and how many there are.
    ///
    /// # Errors
    /// [`RabbitError`].
    pub async fn queues(
        &self,
        vhost: Option<&str>,
        most: usize,
        timeout: Duration,
    ) -> Result<(Vec<Value>, u64), RabbitError> {
        let columns = "name,vhost,state,messages,messages_ready,messages_unacknowledged,consumers";
        let query = [
            ("page", "1".to_owned()),
            ("page_size", most.to_string()),
            ("sort", "messages".to_owned()),
            ("sort_reverse", "true".to_owned()),
            ("columns", columns.to_owned()),
        ];
        let path: Vec<&str> = std::iter::once("queues").chain(vhost).collect();
        let mut page = self.ask(&path, &query, timeout).await?;
        let total = page["filtered_count"].as_u64();
        let total = total.ok_or_else(|| RabbitError::Garbled("a page without its count".to_owned()))?;
        Ok((list(page["items"].take())?, total))
    }

    async fn ask(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        timeout: Duration,
    ) -> Result<Value, RabbitError> {
        let mut url = self.base.clone();
        // Each step is encoded for itself: a virtual host is called `/` by default.
        url.path_segments_mut()
            .map_err(|()| HttpError::setup("this address takes no path"))?
            .pop_if_empty()
            .push("api")
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = HttpRequest::new(Method::GET, url).timeout(timeout).answer_bytes_max(ANSWER_BYTES_MAX);
        let answer = self.http.send(request.credentials(&self.credentials)?).await?;
        let said = String::from_utf8_lossy(&answer.body);
        let words = format!("HTTP {} {}", answer.status.as_u16(), said.trim());
        let words = cut_chars(words.trim_end(), DETAIL_CHARS_MAX);
        match answer.status {
            status if status.is_success() && answer.truncated => {
                Err(RabbitError::Garbled(format!("it is over {ANSWER_BYTES_MAX} bytes")))
            }
            status if status.is_success() => {
                serde_json::from_slice(&answer.body).map_err(|error| RabbitError::Garbled(error.to_string()))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RabbitError::Refused(words)),
            status if status.is_redirection() => Err(RabbitError::Refused(words)),
            StatusCode::NOT_FOUND => Err(RabbitError::NotFound(words)),
            StatusCode::TOO_MANY_REQUESTS => Err(RabbitError::Unavailable(words)),
            status if status.is_server_error() => Err(RabbitError::Unavailable(words)),
            _ => Err(RabbitError::Garbled(words)),
        }
    }
}

fn list(value: Value) -> Result<Vec<Value>, RabbitError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(RabbitError::Garbled(cut_chars(&format!("no list: {other}"), DETAIL_CHARS_MAX))),
    }
}
