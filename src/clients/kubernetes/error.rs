//! Why an exchange with the Kubernetes API has no good answer, and whether a write may have been carried out.
//!
//! The table of answers is [`Failure::of_status`]. A 429 has two meanings that must not be mixed up: the server is busy
//! (API priority and fairness), or a PodDisruptionBudget forbids an eviction.

use std::error::Error as StdError;
use std::time::Duration;

use http::StatusCode;
use kube::core::Status;
use thiserror::Error;

use crate::clients::answer::RETRY_AFTER_MAX;
use crate::clients::http::error::chain_of;
use crate::domain::timeline::one_line;

/// Characters of a server's words that are kept. Longer ones list every field of an object.
const REASON_CHARS_MAX: usize = 400;

/// Words of a server that waited in vain for its own store, which may still write. They come with 500.
const STORE_UNCLEAR: [&str; 4] = ["timed out", "deadline exceeded", "leader changed", "code = Unavailable"];

/// Words of a server that waited in vain for somebody whom it asks before it writes.
const NOT_ADMITTED: &str = "failed calling webhook";

/// The cause of a refused server-side apply.
const FIELD_CONFLICT: &str = "FieldManagerConflict";

/// An exchange without a good answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{call}: {failure}")]
pub struct KubernetesError {
    /// What was asked, such as `get deployments.apps prod/api`.
    pub call: String,
    /// What became of it.
    pub failure: Failure,
}

/// What became of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// No client could be made of the settings.
    #[error("{0}")]
    Setup(String),
    /// We did not ask: a name is none, or a selection is empty.
    #[error("{0}")]
    Refused(String),
    /// No connection came about, or no credentials could be had: nothing was sent.
    #[error("the cluster was not reached: {0}")]
    NotReached(String),
    /// No answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The connection broke before the answer was complete.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// 401: the credentials are none.
    #[error("the cluster does not accept our credentials (401): {0}")]
    Unauthorized(String),
    /// 403: the identity may not do this.
    #[error("not permitted (403): {0}")]
    Forbidden(String),
    /// 404 or 410: it is not there, or not any more.
    #[error("there is none (404): {0}")]
    NotFound(String),
    /// 409: it has changed since we looked, or is another one under the same name.
    #[error("it has changed meanwhile (409): {0}")]
    Conflict(String),
    /// 409 to a server-side apply: others manage fields that it would set, and it does not take them over.
    #[error("others manage fields that it would set (409): {reason}")]
    Managed {
        /// The fields, as the server names them: `.spec.replicas`.
        fields: Vec<String>,
        /// The server's words.
        reason: String,
    },
    /// 409: one of this name is there already.
    #[error("it exists already (409): {0}")]
    Exists(String),
    /// 400, 422 and other refusals: the same request will never be accepted.
    #[error("refused ({code}): {reason}")]
    Invalid {
        /// Status of the answer.
        code: u16,
        /// The server's words.
        reason: String,
    },
    /// 429: the server is busy.
    #[error("the API server is busy (429): {reason}")]
    Overloaded {
        /// How long it asks to wait.
        wait: Option<Duration>,
        /// The server's words.
        reason: String,
    },
    /// 429 to an eviction: a PodDisruptionBudget forbids it.
    #[error("a PodDisruptionBudget forbids it: {0}")]
    Budget(String),
    /// 5xx: the server failed, perhaps after it had begun.
    #[error("the API server failed ({code}): {reason}")]
    Server {
        /// Status of the answer.
        code: u16,
        /// How long it asks to wait.
        wait: Option<Duration>,
        /// The server's words.
        reason: String,
    },
    /// The answer is longer than we read.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The answer is not what this question is answered with.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

impl KubernetesError {
    /// What became of `call`.
    pub(super) fn new(call: impl ToString, failure: Failure) -> Self {
        Self { call: call.to_string(), failure }
    }

    /// Whether a write may have been carried out all the same, so that somebody has to look.
    pub fn maybe_sent(&self) -> bool {
        match &self.failure {
            Failure::TimedOut(_)
            | Failure::Broken(_)
            | Failure::Server { .. }
            // The server said yes, in words that we do not understand.
            | Failure::TooLarge(_)
            | Failure::Unreadable(_) => true,
            Failure::Setup(_)
            | Failure::Refused(_)
            | Failure::NotReached(_)
            | Failure::Unauthorized(_)
            | Failure::Forbidden(_)
            | Failure::NotFound(_)
            | Failure::Conflict(_)
            | Failure::Managed { .. }
            | Failure::Exists(_)
            | Failure::Invalid { .. }
            | Failure::Overloaded { .. }
            | Failure::Budget(_) => false,
        }
    }

    /// Whether the server itself says that it gave up, so that a write which does not show by now is none. A gateway in
    /// between cannot say so, nor can a server that does not know what became of it in its own store.
    pub fn gave_up(&self) -> bool {
        match &self.failure {
            Failure::Server { code: 500 | 503, reason, .. } => {
                reason.contains(NOT_ADMITTED) || !STORE_UNCLEAR.iter().any(|words| reason.contains(words))
            }
            _ => false,
        }
    }

    /// Whether it passes by itself, so that the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        match &self.failure {
            Failure::NotReached(_)
            | Failure::TimedOut(_)
            | Failure::Broken(_)
            | Failure::Conflict(_)
            | Failure::Overloaded { .. }
            | Failure::Budget(_)
            | Failure::Server { .. } => true,
            Failure::Setup(_)
            | Failure::Refused(_)
            | Failure::Unauthorized(_)
            | Failure::Forbidden(_)
            | Failure::NotFound(_)
            | Failure::Managed { .. }
            | Failure::Exists(_)
            | Failure::Invalid { .. }
            | Failure::TooLarge(_)
            | Failure::Unreadable(_) => false,
        }
    }

    /// How long the server asks to wait before the next request.
    pub fn wait(&self) -> Option<Duration> {
        match &self.failure {
            Failure::Overloaded { wait, .. } | Failure::Server { wait, .. } => *wait,
            _ => None,
        }
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.failure, Failure::NotFound(_))
    }

    /// Whether a part of the API is not served, such as metrics of a cluster without a metrics server.
    pub fn is_not_served(&self) -> bool {
        matches!(self.failure, Failure::NotFound(_) | Failure::Server { code: 503, .. })
    }
}

impl Failure {
    /// The table: what an answer with this status means. `wait` is the header `Retry-After`.
    pub(super) fn of_status(code: StatusCode, wait: Option<Duration>, body: &[u8]) -> Self {
        let status: Status = serde_json::from_slice(body).unwrap_or_else(|_| {
            // Something between us and the server answers in words of its own.
            Status { message: String::from_utf8_lossy(body).into_owned(), ..Status::default() }
        });
        let said = if status.message.trim().is_empty() {
            code.canonical_reason().unwrap_or("no reason given").to_owned()
        } else {
            one_line(&status.message, REASON_CHARS_MAX)
        };
        let stated = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|s| *s > 0);
        let wait = wait.or(stated.map(|seconds| Duration::from_secs(seconds.into())));
        let wait = wait.map(|wait| wait.min(RETRY_AFTER_MAX));
        match code.as_u16() {
            401 => Self::Unauthorized(said),
            403 => Self::Forbidden(said),
            404 | 410 => Self::NotFound(said),
            409 if status.reason == "AlreadyExists" => Self::Exists(said),
            409 if has_cause(&status, FIELD_CONFLICT) => {
                let causes = status.details.into_iter().flat_map(|details| details.causes);
                let fields = causes.filter(|cause| cause.reason == FIELD_CONFLICT).map(|cause| cause.field);
                Self::Managed { fields: fields.collect(), reason: said }
            }
            409 => Self::Conflict(said),
            429 if is_budget(&status) => Self::Budget(said),
            429 => Self::Overloaded { wait, reason: said },
            // The server cannot judge two budgets for one pod, and does nothing.
            500 if status.message.contains("more than one PodDisruptionBudget") => Self::Budget(said),
            code @ 500.. => Self::Server { code, wait, reason: said },
            code => Self::Invalid { code, reason: said },
        }
    }

    /// What a failure below HTTP means.
    pub(super) fn of_client(error: &kube::Error) -> Self {
        let reason = one_line(&chain_of(error), REASON_CHARS_MAX);
        let never_sent = matches!(
            error,
            kube::Error::Auth(_)
                | kube::Error::BuildRequest(_)
                | kube::Error::HttpError(_)
                | kube::Error::RustlsTls(_)
                | kube::Error::TlsRequired
                | kube::Error::InferConfig(_)
                | kube::Error::InferKubeconfig(_)
                | kube::Error::ProxyProtocolDisabled { .. }
                | kube::Error::ProxyProtocolUnsupported { .. }
        );
        if never_sent || failed_to_connect(error) { Self::NotReached(reason) } else { Self::Broken(reason) }
    }
}

/// Whether a 429 comes from a budget: the API server names it as the cause.
fn is_budget(status: &Status) -> bool {
    has_cause(status, "DisruptionBudget") || status.message.contains("violate the pod's disruption budget")
}

fn has_cause(status: &Status, reason: &str) -> bool {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    causes.iter().any(|cause| cause.reason == reason)
}

fn failed_to_connect(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return error.is_connect();
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_know_its_own_store_has_not_given_up() {
        let webhook =
            r#"Internal error occurred: failed calling webhook "a.b": Post: context deadline exceeded"#;
        for (code, reason, gave_up) in [
            (500, "Internal error occurred: no endpoints", true),
            (503, "the server is currently unable to handle the request", true),
            (500, webhook, true),
            (500, "etcdserver: request timed out", false),
            (500, "etcdserver: leader changed", false),
            (500, "rpc error: code = Unavailable desc = transport is closing", false),
            (500, "context deadline exceeded", false),
            (504, "Timeout: request did not complete within requested timeout", false),
        ] {
            let failure = Failure::Server { code, wait: None, reason: reason.to_owned() };
            assert_eq!(KubernetesError::new("patch", failure).gave_up(), gave_up, "{code} {reason}");
        }
    }
}
