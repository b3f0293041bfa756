//! One request and its answer.
//!
//! Header values that are secret go in as `SecretString` and are marked sensitive, so that no `Debug` prints
//! them; neither does `Debug` print bodies or query strings.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::error::place_of;
use super::{ANSWER_BYTES_MAX, HttpError};
use crate::clients::answer::RETRY_AFTER_MAX;

/// How a client shows who it is.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// It does not.
    #[default]
    None,
    /// `Authorization: Bearer …`.
    Bearer(SecretString),
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: SecretString,
    },
}

/// A request to be sent by [`super::HttpClient::send`].
#[derive(Clone)]
pub struct HttpRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// None leaves it to the client.
    pub(super) timeout: Option<Duration>,
    pub(super) answer_bytes_max: usize,
}

impl HttpRequest {
    /// A request without headers or body, with the client's deadline and the default answer limit.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: None,
            answer_bytes_max: ANSWER_BYTES_MAX,
        }
    }

    /// Sets a header.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] where the name or the value is not allowed in HTTP.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, HttpError> {
        let (name, value) = self.checked(name, value)?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets a header whose value is a secret.
    ///
    /// # Errors
    /// As [`Self::header`]; the error does not show the value.
    pub fn secret_header(mut self, name: &str, value: &SecretString) -> Result<Self, HttpError> {
        let (name, mut value) = self.checked(name, value.expose_secret())?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets `Authorization: Bearer …`.
    ///
    /// # Errors
    /// As [`Self::secret_header`].
    pub fn bearer(self, token: &SecretString) -> Result<Self, HttpError> {
        let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
        self.secret_header(AUTHORIZATION.as_str(), &value)
    }

    /// Sets `Authorization: Basic …`.
    ///
    /// # Errors
    /// As [`Self::secret_header`].
    pub fn basic(self, username: &str, password: &SecretString) -> Result<Self, HttpError> {
        let encoded = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
        self.secret_header(AUTHORIZATION.as_str(), &SecretString::from(format!("Basic {encoded}")))
    }

    /// Sets the `Authorization` header, if there is anything to show.
    ///
    /// # Errors
    /// As [`Self::secret_header`].
    pub fn credentials(self, credentials: &Credentials) -> Result<Self, HttpError> {
        match credentials {
            Credentials::None => Ok(self),
            Credentials::Bearer(token) => self.bearer(token),
            Credentials::Basic { username, password } => self.basic(username, password),
        }
    }

    /// Sets the body and its content type.
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = Some(body.into());
        self
    }

    /// Sets the deadline of the whole exchange.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how many bytes of the (decoded) answer are kept.
    pub fn answer_bytes_max(mut self, bytes: usize) -> Self {
        self.answer_bytes_max = bytes;
        self
    }

    fn checked(&self, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HttpError> {
        let invalid = |reason: String| HttpError::Invalid { place: place_of(&self.url), reason };
        let header =
            name.parse::<HeaderName>().map_err(|_| invalid(format!("{name:?} is not a header name")))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| invalid(format!("the value of header {name} has characters HTTP does not allow")))?;
        Ok((header, value))
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("place", &place_of(&self.url))
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The decoded body, up to the request's limit.
    pub body: Bytes,
    /// Whether the body was longer than the limit.
    pub truncated: bool,
    /// From the start of the request to the last byte kept.
    pub latency: Duration,
}

impl HttpAnswer {
    /// A header's value, where it is there and readable as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The wait that `Retry-After` asks for, at most [`RETRY_AFTER_MAX`]; only the form in seconds is read,
    /// which is the one that Slack and PagerDuty send.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds: u64 = self.header(RETRY_AFTER.as_str())?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
    }
}
