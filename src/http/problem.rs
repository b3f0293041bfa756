//! Errors as `application/problem+json` (RFC 9457), the one form of every error of the API and the receivers.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Seconds after which a caller should try again when something is only busy. Alertmanager has its own backoff and
/// ignores it; other callers obey.
const RETRY_AFTER_SECONDS: &str = "1";

/// What the `type` of a problem says when its status says it all (RFC 9457, section 4.2.1).
const ABOUT_BLANK: &str = "about:blank";

/// The media type of every error (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error for the caller. Says what is wrong and how to put it right; never holds a secret or a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// A URI that names the kind of problem; `about:blank` where the status says it all.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind in a few words, the same for every problem of the kind.
    pub title: &'static str,
    /// The HTTP status code.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    pub status: StatusCode,
    /// What happened this time, for people.
    pub detail: String,
    /// The request or object that it is about, as a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem whose status says what kind it is.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: ABOUT_BLANK, title, status, detail: detail.into(), instance: None }
    }

    /// 400: the caller must change the request.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401, without a hint which part was wrong.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "valid credentials are required")
    }

    /// 403: the caller is known and may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: what the caller asks for no longer fits the state.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 413: the body is larger than `limit_bytes`.
    pub fn too_large(limit_bytes: usize) -> Self {
        let detail = format!(
            "the body is larger than {limit_bytes} bytes; set max_alerts in Alertmanager's receiver, \
             or raise limits.body_bytes"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 503 with `Retry-After`: busy, starting, stopping, or a store that does not answer. The only answer to give when
    /// a later try may succeed: Alertmanager repeats it at once, and 429 only with the next group interval.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 500: our mistake. The detail is in the log, not in the answer.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "something went wrong here; the log of the service says what",
        )
    }

    /// Names the kind of problem, where callers must tell it from others with the same status.
    pub fn of_kind(mut self, kind: &'static str, title: &'static str) -> Self {
        self.kind = kind;
        self.title = title;
        self
    }

    /// Names the request or object that it is about.
    pub fn about(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.status, self.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(problem: Problem) -> (Response<()>, serde_json::Value) {
        let (parts, body) = problem.into_response().into_parts();
        let bytes = axum::body::to_bytes(body, 10_000).await.expect("reads");
        (Response::from_parts(parts, ()), serde_json::from_slice(&bytes).expect("is JSON"))
    }

    #[tokio::test]
    async fn a_problem_is_problem_json() {
        let (response, body) =
            body(Problem::conflict("already decided by una").about("/api/v1/actions/7")).await;
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(
            body,
            serde_json::json!({
                "type": "about:blank",
                "title": "Conflict",
                "status": 409,
                "detail": "already decided by una",
                "instance": "/api/v1/actions/7",
            })
        );
    }

    #[tokio::test]
    async fn what_is_temporary_says_when_to_come_again() {
        let (response, _) = body(Problem::unavailable("starting")).await;
        assert_eq!(response.headers()["retry-after"], "1");
        let (response, _) = body(Problem::bad_request("no JSON")).await;
        assert!(!response.headers().contains_key("retry-after"));
    }
}
