//! Lets `slack-morphism` speak through our own HTTP client, and hands its answers on as facts.
//!
//! The library's own transport has no deadline, no limit on answers and no proxy, and it takes `ok: false`
//! without an error code for success. Here every exchange keeps the house's rules, and `ok` is always read.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use slack_morphism::errors::{SlackClientError, SlackClientSystemError};
use slack_morphism::multipart_form::FileMultipartData;
use slack_morphism::prelude::{SlackClientId, SlackClientSecret};
use slack_morphism::{ClientResult, SlackClientApiCallContext, SlackClientHttpConnector};

use crate::clients::http::{HttpAnswer, HttpClient, HttpError, HttpRequest, Method, StatusCode, Url};

/// How an exchange with Slack failed, before anyone judges what that means.
#[derive(Debug)]
pub(super) enum Fault {
    /// No answer.
    Http(HttpError),
    /// A status other than 200.
    Status { status: StatusCode, retry_after: Option<Duration> },
    /// `ok` was false: Slack's error code and what it adds to it.
    Refused { code: String, detail: String, retry_after: Option<Duration> },
    /// 200, but not an answer of Slack's.
    Garbled { reason: String },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Status { status, .. } => write!(f, "HTTP {status}"),
            Self::Refused { code, detail, .. } if detail.is_empty() => code.fmt(f),
            Self::Refused { code, detail, .. } => write!(f, "{code}: {detail}"),
            Self::Garbled { reason } => reason.fmt(f),
        }
    }
}

impl StdError for Fault {}

impl From<Fault> for SlackClientError {
    fn from(fault: Fault) -> Self {
        Self::SystemError(SlackClientSystemError::new().with_cause(Box::new(fault)))
    }
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

/// Takes our fault out of the library's error again.
pub(super) fn fault_of(error: SlackClientError) -> Fault {
    let other = match error {
        SlackClientError::SystemError(SlackClientSystemError { cause: Some(cause), .. }) => {
            match cause.downcast::<Fault>() {
                Ok(fault) => return *fault,
                Err(other) => other.to_string(),
            }
        }
        other => other.to_string(),
    };
    // Only building the request can fail outside our own code.
    Fault::Http(HttpError::Invalid { place: "Slack".to_owned(), reason: other })
}

/// The transport that `slack-morphism` calls.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    http: HttpClient,
    base: Url,
}

/// What every answer of the Web API has.
#[derive(Deserialize)]
struct Envelope {
    ok: Option<bool>,
    error: Option<String>,
    #[serde(default)]
    response_metadata: ResponseMetadata,
}

/// Explanations, such as which block is wrong.
#[derive(Deserialize, Default)]
struct ResponseMetadata {
    #[serde(default)]
    messages: Vec<String>,
}

impl Connector {
    pub(super) fn new(http: HttpClient, base: Url) -> Self {
        Self { http, base }
    }

    /// Calls a method that reads forms only.
    pub(super) async fn form<RS>(
        &self,
        method: &str,
        fields: &[(&str, &str)],
        token: &SecretString,
    ) -> Result<RS, Fault>
    where
        RS: for<'de> Deserialize<'de>,
    {
        let base = self.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/{method}"))
            .map_err(|error| HttpError::setup(format!("{method}: {error}")))?;
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = HttpRequest::new(Method::POST, url).bearer(token)?;
        let request = request.body("application/x-www-form-urlencoded", form);
        read(&self.http.send(request).await?)
    }

    async fn exchange<RS>(
        &self,
        method: Method,
        url: Url,
        body: Option<(&'static str, Vec<u8>)>,
        context: SlackClientApiCallContext<'_>,
    ) -> Result<RS, Fault>
    where
        RS: for<'de> Deserialize<'de>,
    {
        let mut request = HttpRequest::new(method, url);
        if let Some(token) = context.token {
            request = request.bearer(&SecretString::from(token.token_value.0.as_str()))?;
        }
        if let Some((content_type, body)) = body {
            request = request.body(content_type, body);
        }
        read(&self.http.send(request).await?)
    }
}

/// Reads the verdict first and the answer's own fields only after it.
fn read<RS>(answer: &HttpAnswer) -> Result<RS, Fault>
where
    RS: for<'de> Deserialize<'de>,
{
    let retry_after = answer.retry_after();
    if answer.status != StatusCode::OK {
        return Err(Fault::Status { status: answer.status, retry_after });
    }
    if answer.truncated {
        return Err(Fault::Garbled { reason: format!("the answer is over {} bytes", answer.body.len()) });
    }
    let garbled =
        |error: serde_json::Error| Fault::Garbled { reason: format!("not an answer of Slack's: {error}") };
    let envelope: Envelope = serde_json::from_slice(&answer.body).map_err(garbled)?;
    match envelope {
        Envelope { ok: Some(true), .. } => serde_json::from_slice(&answer.body).map_err(garbled),
        Envelope { ok: None, error: None, .. } => {
            Err(Fault::Garbled { reason: "not an answer of Slack's: it has no `ok`".to_owned() })
        }
        Envelope { error, response_metadata, .. } => Err(Fault::Refused {
            code: error.unwrap_or_else(|| "unnamed_error".to_owned()),
            detail: response_metadata.messages.join("; "),
            retry_after,
        }),
    }
}

/// For calls that this client has no use for and does not make.
fn not_spoken<'a, RS: Send + 'a>(what: &str) -> BoxFuture<'a, ClientResult<RS>> {
    let reason = format!("{what} is not spoken by this client");
    let error = HttpError::Invalid { place: "Slack".to_owned(), reason };
    ready(Err(Fault::Http(error).into())).boxed()
}

impl SlackClientHttpConnector for Connector {
    fn http_get_uri<'a, RS>(
        &'a self,
        full_uri: Url,
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        async move { Ok(self.exchange(Method::GET, full_uri, None, context).await?) }.boxed()
    }

    fn http_get_with_client_secret<'a, RS>(
        &'a self,
        _full_uri: Url,
        _client_id: &'a SlackClientId,
        _client_secret: &'a SlackClientSecret,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        not_spoken("OAuth (the settings hold a token)")
    }

    fn http_post_uri<'a, RQ, RS>(
        &'a self,
        full_uri: Url,
        request_body: &'a RQ,
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RQ: Serialize + Send + Sync,
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        async move {
            let body = serde_json::to_vec(request_body).map_err(|error| Fault::Garbled {
                reason: format!("the request cannot be written as JSON: {error}"),
            })?;
            let body = Some(("application/json; charset=utf-8", body));
            Ok(self.exchange(Method::POST, full_uri, body, context).await?)
        }
        .boxed()
    }

    fn http_post_uri_multipart_form<'a, 'p, RS, PT, TS>(
        &'a self,
        _full_uri: Url,
        _file: Option<FileMultipartData<'p>>,
        _params: &'p PT,
        _context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
        PT: IntoIterator<Item = (&'p str, Option<TS>)> + Clone,
        TS: AsRef<str> + 'p + Send,
    {
        not_spoken("files.upload, which Slack has retired,")
    }

    fn http_post_uri_binary<'a, 'p, RS>(
        &'a self,
        _full_uri: Url,
        _content_type: String,
        _data: &'a [u8],
        _context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        not_spoken("file upload")
    }

    fn create_method_uri_path(&self, method_relative_uri: &str) -> ClientResult<Url> {
        let base = self.base.as_str().trim_end_matches('/');
        Ok(format!("{base}/{method_relative_uri}").parse()?)
    }
}
