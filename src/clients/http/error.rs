//! Why an exchange has no answer, and whether the request may have been carried out all the same.
//!
//! Nothing here prints a query string or user information: both carry secrets. The path is kept, because
//! without it nobody at 3 a.m. knows which call failed.

use std::error::Error as StdError;
use std::time::Duration;

use reqwest::Url;
use thiserror::Error;

use super::guard::{Forbidden, Unresolved};

/// An exchange without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HttpError {
    /// The client could not be built.
    #[error("HTTP client: {reason}")]
    Setup {
        /// What is wrong with the options or the machine.
        reason: String,
    },
    /// The request could not be put together, such as a header value with a line break.
    #[error("{place}: {reason}")]
    Invalid {
        /// Where it was to go.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The guard for probes did not let it through.
    #[error("{place} may not be reached: {reason}")]
    Denied {
        /// Where it was to go.
        place: String,
        /// Which rule forbids it.
        reason: String,
    },
    /// No connection came about: the request was not sent.
    #[error("{place} was not reached: {reason}")]
    NotSent {
        /// Where it was to go.
        place: String,
        /// The chain of causes.
        reason: String,
    },
    /// The name has no address, as far as our own resolver can tell: the request was not sent. Told apart for
    /// probes only, where it may be our own network's trouble and not the other side's.
    #[error("{place}: {reason}")]
    Unresolved {
        /// Where it was to go.
        place: String,
        /// What the resolver said.
        reason: String,
    },
    /// The deadline passed after the connection stood.
    #[error("{place} did not answer within {} ms", timeout.as_millis())]
    TimedOut {
        /// Where it went.
        place: String,
        /// The deadline of the whole exchange.
        timeout: Duration,
    },
    /// The connection broke before the answer was complete.
    #[error("{place} gave no complete answer: {reason}")]
    Broken {
        /// Where it went.
        place: String,
        /// The chain of causes.
        reason: String,
    },
}

impl HttpError {
    /// Whether the other side may have received and carried out the request.
    pub fn maybe_sent(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Broken { .. })
    }

    /// Whether the same request can never be sent, however often it is tried.
    pub fn permanent(&self) -> bool {
        matches!(self, Self::Setup { .. } | Self::Invalid { .. } | Self::Denied { .. })
    }

    /// What happened, without the place: for addresses whose path is a secret.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Setup { reason }
            | Self::Invalid { reason, .. }
            | Self::Denied { reason, .. }
            | Self::NotSent { reason, .. }
            | Self::Unresolved { reason, .. }
            | Self::Broken { reason, .. } => reason.clone(),
            Self::TimedOut { timeout, .. } => format!("no answer within {} ms", timeout.as_millis()),
        }
    }

    pub(crate) fn setup(reason: impl Into<String>) -> Self {
        Self::Setup { reason: reason.into() }
    }

    pub(super) fn from_reqwest(place: String, timeout: Duration, error: reqwest::Error) -> Self {
        if let Some(forbidden) = find_cause::<Forbidden>(&error) {
            return Self::Denied { place, reason: forbidden.to_string() };
        }
        if let Some(unresolved) = find_cause::<Unresolved>(&error) {
            return Self::Unresolved { place, reason: unresolved.to_string() };
        }
        let (connect, builder, timed_out) = (error.is_connect(), error.is_builder(), error.is_timeout());
        let reason = chain_of(&error.without_url());
        if builder {
            Self::Invalid { place, reason }
        } else if connect {
            Self::NotSent { place, reason }
        } else if timed_out {
            Self::TimedOut { place, timeout }
        } else {
            Self::Broken { place, reason }
        }
    }
}

/// Scheme, host, port and path: what may be shown of a URL.
pub fn place_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// How the layers of a client announce a cause, which then says it itself.
const ANNOUNCEMENTS: [&str; 5] = [
    "client error (Connect)",
    "tcp connect error",
    "error sending request",
    "error trying to connect",
    "ServiceError",
];

/// The error and its causes, joined; a cause that only repeats its parent's words is left out, and so is whatever only
/// announces the next.
pub(crate) fn chain_of(error: &dyn StdError) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if told.last().is_some_and(|last| ANNOUNCEMENTS.iter().any(|empty| last.starts_with(empty))) {
            told.pop();
        }
        if told.last().is_none_or(|last| !last.ends_with(&words)) {
            told.push(words);
        }
        cause = error.source();
    }
    told.join(": ")
}

fn find_cause<T: StdError + 'static>(error: &reqwest::Error) -> Option<&T> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
