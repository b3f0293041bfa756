//! Lets request bodies in: within a size, a time, and a share of memory that all of them have together.
//!
//! Handlers then see a body that is complete and in memory. Compressed bodies are refused and never expanded: no
//! sender of ours compresses, and a few kilobytes could become gigabytes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// Limits on request bodies; the settings' section `limits` documents each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Size of one body in bytes.
    pub body_bytes: usize,
    /// Size of all bodies in memory at once, in bytes.
    pub bodies_bytes: usize,
    /// Time for a whole body once its head is there.
    pub body_timeout: Duration,
}

/// The limits together with the memory that is still free. Cheap to clone; clones share the memory.
#[derive(Debug, Clone)]
pub struct BodyGate {
    limits: BodyLimits,
    /// One permit a byte, taken as bytes arrive: announcing a large body costs a sender's patience, not our memory.
    free: Arc<Semaphore>,
}

impl BodyGate {
    /// A gate with all its memory free.
    pub fn new(limits: BodyLimits) -> Self {
        let bytes = limits.bodies_bytes.min(Semaphore::MAX_PERMITS);
        Self { limits, free: Arc::new(Semaphore::new(bytes)) }
    }

    /// Bytes that bodies may still take.
    pub fn bytes_free(&self) -> usize {
        self.free.available_permits()
    }

    /// Reads a body. The memory counts as taken until the second value is dropped.
    async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem> {
        refuse_compressed(headers)?;
        if announced_bytes(headers).is_some_and(|bytes| bytes > self.limits.body_bytes as u64) {
            return Err(Problem::too_large(self.limits.body_bytes));
        }
        match tokio::time::timeout(self.limits.body_timeout, self.collect(body)).await {
            Ok(read) => read,
            Err(_) => Err(Problem::unavailable(format!(
                "the body did not arrive within {} s (limits.body_timeout)",
                self.limits.body_timeout.as_secs_f32()
            ))),
        }
    }

    async fn collect(&self, mut body: Body) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem> {
        let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
        let mut taken: Option<OwnedSemaphorePermit> = None;
        let mut total = 0_usize;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::bad_request("the body ended before it was complete"))?;
            let Ok(data) = frame.into_data() else { continue };
            total = total.saturating_add(data.len());
            if total > self.limits.body_bytes {
                return Err(Problem::too_large(self.limits.body_bytes));
            }
            let permit = self.take(data.len())?;
            match &mut taken {
                Some(taken) => taken.merge(permit),
                None => taken = Some(permit),
            }
            // Most bodies come in one piece, which is handed on without a copy.
            if first.is_empty() && rest.is_empty() {
                first = data;
            } else {
                if rest.is_empty() {
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&data);
            }
        }
        Ok((if rest.is_empty() { first } else { rest.freeze() }, taken))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let busy = || Problem::unavailable("too many bodies are being read at once (limits.bodies_bytes)");
        let bytes = u32::try_from(bytes).map_err(|_| busy())?;
        Arc::clone(&self.free).try_acquire_many_owned(bytes).map_err(|_| busy())
    }
}

/// Middleware: reads the body of each request through the gate and hands it on whole.
pub async fn gate_bodies(State(gate): State<BodyGate>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match gate.read(&parts.headers, body).await {
        Ok((bytes, taken)) => {
            let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
            drop(taken);
            response
        }
        Err(problem) => problem.about(parts.uri.path()).into_response(),
    }
}

fn refuse_compressed(headers: &HeaderMap) -> Result<(), Problem> {
    let encodings = headers.get_all(header::CONTENT_ENCODING);
    let plain =
        |value: &header::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity") || value.is_empty();
    if encodings.iter().all(plain) {
        return Ok(());
    }
    Err(Problem::bad_request("the body is compressed (Content-Encoding): send it as it is"))
}

/// The announced length; a length that is no number is left to the HTTP library, which refuses it.
fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
