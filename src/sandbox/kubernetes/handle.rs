//! One request from its bytes to its answer: who asks, what is asked, what the faults say, what the verbs do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use hyper::upgrade::OnUpgrade;

use super::cluster::Cluster;
use super::request::Asked;
use super::status::{Refusal, no_such_path};
use super::verbs;
use super::writes::{Call, Write};
use super::{access, discovery};

/// Before the name of a method it means those writes alone that are no rehearsals.
const FOR_GOOD: &str = "real";

/// The largest body that is read, as the real API server limits it.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// One request with everything that its answer depends on.
pub(super) struct Incoming {
    pub asked: Asked,
    pub user: access::User,
    pub content_type: String,
    pub agent: String,
    pub body: Bytes,
    pub headers: HeaderMap,
    /// The way to a websocket, where the client asks for one.
    pub upgrade: Option<OnUpgrade>,
}

/// Answers any request.
pub(super) async fn handle(State(cluster): State<Arc<Cluster>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let message = format!("limit is {BODY_BYTES_MAX}");
        return Refusal::new(413, "RequestEntityTooLarge", message).into_response();
    };
    let user = match cluster.with(|world| access::who(world, &parts.headers)) {
        Ok(user) => user,
        Err(refusal) => return refusal.into_response(),
    };
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let Some(asked) = Asked::read(&parts.method, &path, &query) else {
        return cluster.with(|world| discovery::answer(world, &path)).unwrap_or_else(no_such_path);
    };
    let content_type = said(&parts.headers, header::CONTENT_TYPE.as_str());
    let agent = said(&parts.headers, header::USER_AGENT.as_str());
    let upgrade = parts.extensions.remove();
    let headers = parts.headers;
    let incoming = Incoming { asked, user, content_type, agent, body, headers, upgrade };
    play(cluster, incoming, &path, &query).await
}

fn said(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Answers a request for a resource, through the fault that it meets, and notes it.
async fn play(cluster: Arc<Cluster>, incoming: Incoming, path: &str, query: &str) -> Response {
    let asked = incoming.asked.clone();
    let user = incoming.user.name.clone();
    let mut write = Write::of(&asked, &user, path, &incoming.content_type, &incoming.body);
    let method = format!("{} {}", asked.verb, asked.target());
    let is_for_good = asked.is_write() && !write.dry_run;
    let queued = is_for_good.then(|| cluster.faults.take_queued(&format!("{FOR_GOOD} {method}"))).flatten();
    let fault = queued.unwrap_or_else(|| cluster.faults.take(&method));
    write.fault.clone_from(&fault);
    let noted = Arc::new(AtomicBool::new(false));
    let effect = {
        let (cluster, noted, write, asked, user) =
            (Arc::clone(&cluster), Arc::clone(&noted), write.clone(), asked.clone(), user.clone());
        let query = query.to_owned();
        move || {
            let response = verbs::answer(&cluster, incoming);
            let status = response.status();
            let mut write = write;
            write.status = Some(status.as_u16());
            write.took_effect = response.extensions().get::<Changed>().is_some();
            if let Some(made) = response.extensions().get::<Made>() {
                write.name.clone_from(&made.0);
            }
            cluster.calls.push(Call::of(&asked, &user, &query, Some(status.as_u16())));
            if asked.is_write() {
                cluster.writes.push(write);
            }
            noted.store(true, Ordering::Release);
            response
        }
    };
    let response = match fault {
        None => effect(),
        Some(fault) => fault.play(effect, vendor_error).await,
    };
    if !noted.load(Ordering::Acquire) {
        cluster.calls.push(Call::of(&asked, &user, query, None));
        if asked.is_write() {
            cluster.writes.push(write);
        }
    }
    response
}

/// Marks the answer to a request that changed the cluster, or ran a command in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed;

/// The name that a made object got, for the record.
#[derive(Clone, Debug)]
pub(super) struct Made(pub String);

/// A failure that the API has a name for.
fn vendor_error(reason: &str) -> Response {
    let (code, reason, message): (u16, &'static str, &str) = match reason {
        "BadRequest" => (400, "BadRequest", "the server could not understand the request"),
        "Unauthorized" => (401, "Unauthorized", "Unauthorized"),
        "Forbidden" => (403, "Forbidden", "forbidden by the sandbox"),
        "NotFound" => (404, "NotFound", "the server could not find the requested resource"),
        "Conflict" => (
            409,
            "Conflict",
            "Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version and try again",
        ),
        "Expired" => (410, "Expired", "The resourceVersion for the provided watch is too old."),
        "Invalid" => (422, "Invalid", "the server rejected our request due to an error in our request"),
        "TooManyRequests" => (
            429,
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        ),
        "ServiceUnavailable" => {
            (503, "ServiceUnavailable", "the server is currently unable to handle the request")
        }
        "Timeout" => (504, "Timeout", "Timeout: request did not complete within the allotted timeout"),
        "StoreTimeout" => (500, "InternalError", "etcdserver: request timed out"),
        _ => (500, "InternalError", "Internal error occurred: played by the sandbox"),
    };
    Refusal::new(code, reason, message).into_response()
}
