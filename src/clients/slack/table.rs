//! The one table from what Slack answered to what may happen next.
//!
//! Slack says of `fatal_error` and `internal_error` that some part of the operation may have succeeded, and
//! there is no public idempotency key for `chat.postMessage`; so those, and every end without an answer, leave
//! a post's outcome open. An unknown error code is a refusal: trying it for ever would hide it.

use super::connector::Fault;
use crate::clients::answer::{Repeat, SendError, cut_chars};
use crate::clients::http::StatusCode;

/// Codes that say "not now": nothing was carried out.
const NOT_NOW: [&str; 6] = [
    "ratelimited",
    "rate_limited",
    "message_limit_exceeded",
    // The body did not arrive whole.
    "request_timeout",
    "service_unavailable",
    // The workspace is being moved, which takes minutes.
    "team_added_to_org",
];

/// Codes of which Slack says that a part may have succeeded.
const PERHAPS_DONE: [&str; 2] = ["fatal_error", "internal_error"];

/// Characters of Slack's explanation that are kept.
const DETAIL_CHARS_MAX: usize = 500;

pub(super) fn classify(method: &str, fault: Fault, repeat: Repeat) -> SendError {
    let reason = cut_chars(&format!("{method}: {fault}"), DETAIL_CHARS_MAX);
    match fault {
        Fault::Http(error) if error.permanent() => SendError::permanent("not_sendable", reason),
        Fault::Http(error) if error.maybe_sent() => SendError::unknown(repeat, reason),
        Fault::Http(_) => SendError::Retry { after: None, reason },
        Fault::Status { status: StatusCode::TOO_MANY_REQUESTS, retry_after } => {
            SendError::Retry { after: retry_after, reason }
        }
        Fault::Status { status, .. } if status.is_server_error() => SendError::unknown(repeat, reason),
        Fault::Status { status, .. } => SendError::permanent(format!("http_{}", status.as_u16()), reason),
        Fault::Refused { code, retry_after, .. } if NOT_NOW.contains(&code.as_str()) => {
            SendError::Retry { after: retry_after, reason }
        }
        Fault::Refused { code, .. } if PERHAPS_DONE.contains(&code.as_str()) => {
            SendError::unknown(repeat, reason)
        }
        Fault::Refused { code, .. } => SendError::permanent(code, reason),
        Fault::Garbled { .. } => SendError::unknown(repeat, reason),
    }
}
