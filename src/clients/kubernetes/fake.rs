//! A cluster in this process, for answers that no honest one gives. Its client never touches a socket.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::Value;

use super::ReadHandle;

/// A request as the cluster saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

pub(crate) type Requests = Arc<Mutex<Vec<Seen>>>;

/// A cluster in this process that answers each request with `answer`.
pub(crate) fn mk_cluster(
    answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
) -> (kube::Client, Requests) {
    let requests = Requests::default();
    let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes();
            let target = parts.uri.path_and_query().expect("a path").to_string();
            let content_type = parts.headers.get("content-type").map(|text| text.to_str().expect("a text"));
            let content_type = content_type.unwrap_or_default().to_owned();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let request = Seen { method: parts.method, target, content_type, body };
            seen.lock().expect("no panic").push(request.clone());
            let whole = |text: String| vec![Ok(Bytes::from(text))];
            let (status, wait, parts) = match answer(&request) {
                Answer::Says(status, text) => (status, None, whole(text)),
                Answer::Wait(status, seconds, text) => (status, Some(seconds), whole(text)),
                Answer::Parts(parts) => (200, None, parts),
                Answer::Never => std::future::pending().await,
                Answer::Breaks => return Err(std::io::Error::other("the line is cut")),
            };
            let frames = futures::stream::iter(parts).map(|part| part.map(Frame::data));
            let mut response = Response::builder().status(status);
            if let Some(seconds) = wait {
                response = response.header("retry-after", seconds);
            }
            Ok(response.body(StreamBody::new(frames)).expect("a response"))
        }
    });
    (kube::Client::new(service, "default"), requests)
}

/// How it answers.
pub(crate) enum Answer {
    /// With this status and text.
    Says(u16, String),
    /// Likewise, with so many seconds to wait.
    Wait(u16, u64, String),
    /// Well, part by part.
    Parts(Vec<Result<Bytes, std::io::Error>>),
    /// Not at all.
    Never,
    /// By breaking off.
    Breaks,
}

/// A reading handle on such a cluster.
pub(crate) fn mk_reads(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> ReadHandle {
    ReadHandle::over(mk_cluster(answer).0, Duration::from_secs(5))
}
