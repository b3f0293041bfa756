//! One request and its answer: within a time, within a size, and never with the answer's text in a log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::de::DeserializeOwned;
use tokio::sync::{OnceCell, Semaphore};

use super::connect::{ConnectOptions, connect};
use super::error::{Failure, KubernetesError};
use super::resource::Resource;

/// Longest answer that is read into memory. A page of a list stays far below; what is larger is no answer to a
/// question of ours.
pub(super) const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Answers that are read into memory at the same time, for each identity. A storm of incidents must neither hold a
/// hundred pages of pods nor press on an API server that is in trouble itself; others wait within their own time.
const ANSWERS_AT_ONCE_MAX: usize = 8;

/// Longest refusal that is read. Its message is cut much shorter.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// What is asked, as errors and logs show it: `get deployments.apps prod/api`.
#[derive(Debug, Clone)]
pub(super) struct Call {
    verb: &'static str,
    resource: String,
    place: String,
}

impl Call {
    pub(super) fn new(
        verb: &'static str,
        resource: &Resource,
        subresource: Option<&str>,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Self {
        let resource = match subresource {
            None => resource.to_string(),
            Some(part) => format!("{resource}/{part}"),
        };
        let place = match (namespace, name) {
            (Some(namespace), Some(name)) => format!(" {namespace}/{name}"),
            (None, Some(name)) => format!(" {name}"),
            (Some(namespace), None) => format!(" in {namespace}"),
            (None, None) => String::new(),
        };
        Self { verb, resource, place }
    }

    /// What is asked of the server itself and not of a resource.
    pub(super) fn of_server(path: &str) -> Self {
        Self { verb: "get", resource: path.to_owned(), place: String::new() }
    }

    pub(super) fn failed(&self, failure: Failure) -> KubernetesError {
        KubernetesError::new(self, failure)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.verb, self.resource, self.place)
    }
}

/// The line to a cluster, under one identity. Made at the first exchange, so that a line that nobody uses costs nothing.
#[derive(Clone)]
pub(super) struct Link {
    client: Arc<OnceCell<kube::Client>>,
    options: Arc<ConnectOptions>,
    /// Longest time for one exchange, and for each part of one that streams.
    timeout: Duration,
    slots: Arc<Semaphore>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A request without a body.
pub(super) fn get(path: &str, query: &[(&str, &str)]) -> Request<Body> {
    request(Method::GET, path, query, "application/json", Vec::new())
}

/// A request with a body.
pub(super) fn request(
    method: Method,
    path: &str,
    query: &[(&str, &str)],
    content_type: &str,
    body: Vec<u8>,
) -> Request<Body> {
    let uri = if query.is_empty() {
        path.to_owned()
    } else {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        format!("{path}?{query}")
    };
    Request::builder()
        .method(method)
        .uri(uri)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, content_type)
        .body(Body::from(body))
        .expect("checked names and encoded pairs make a URI")
}

impl Link {
    pub(super) fn new(options: ConnectOptions) -> Self {
        Self { timeout: options.timeout, client: Arc::default(), options: Arc::new(options), slots: slots() }
    }

    pub(super) fn over(client: kube::Client, timeout: Duration) -> Self {
        let options = ConnectOptions { timeout, ..ConnectOptions::default() };
        let client = Arc::new(OnceCell::new_with(Some(client)));
        Self { client, options: Arc::new(options), timeout, slots: slots() }
    }

    /// The client, made where it is not there yet.
    pub(super) async fn client(&self) -> Result<&kube::Client, KubernetesError> {
        self.client.get_or_try_init(|| connect(&self.options)).await
    }

    /// Sends, and reads the whole answer as JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        call: &Call,
        request: Request<Body>,
    ) -> Result<T, KubernetesError> {
        let exchange = async {
            let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the slots are never closed");
            let answer = self.good(call, request).await?;
            let body = read_body(answer.into_body(), ANSWER_BYTES_MAX).await;
            Ok((slot, body.map_err(|failure| call.failed(failure))?))
        };
        // The slot is held until the text is read.
        let (_slot, body) = self.within(call, exchange).await?;
        // The text of the answer stays out of the message: it may hold secrets.
        serde_json::from_slice(&body).map_err(|error| {
            let place =
                format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column());
            call.failed(Failure::Unreadable(place))
        })
    }

    /// Sends, and gives the answer back when its head is good; its body is still to be read.
    pub(super) async fn open(
        &self,
        call: &Call,
        request: Request<Body>,
    ) -> Result<Response<Body>, KubernetesError> {
        self.within(call, self.good(call, request)).await
    }

    /// Cuts off what takes longer than one exchange may.
    pub(super) async fn within<T>(
        &self,
        call: &Call,
        exchange: impl Future<Output = Result<T, KubernetesError>>,
    ) -> Result<T, KubernetesError> {
        let late = || Err(call.failed(Failure::TimedOut(self.timeout)));
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(|_| late())
    }

    async fn good(&self, call: &Call, request: Request<Body>) -> Result<Response<Body>, KubernetesError> {
        let answer = self.client().await?.send(request).await;
        let answer = answer.map_err(|error| call.failed(Failure::of_client(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let wait = answer.headers().get(RETRY_AFTER).and_then(|text| text.to_str().ok()?.parse().ok());
        let wait = wait.map(Duration::from_secs);
        let body = read_body(answer.into_body(), REFUSAL_BYTES_MAX).await.unwrap_or_default();
        Err(call.failed(Failure::of_status(status, wait, &body)))
    }
}

fn slots() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ANSWERS_AT_ONCE_MAX))
}

async fn read_body(mut body: Body, bytes_max: usize) -> Result<Bytes, Failure> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::of_client(&error))?;
        let Ok(part) = frame.into_data() else { continue };
        if whole.len() + part.len() > bytes_max {
            return Err(Failure::TooLarge(bytes_max));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}
