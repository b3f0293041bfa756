//! A container's log as it comes: part by part, never as a whole.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use kube::client::Body;

use super::error::{Failure, KubernetesError};
use super::exchange::{Call, Link, get};
use super::read::ReadHandle;
use super::resource::Resource;

/// Which part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Container; none is right only where the pod has one.
    pub container: Option<String>,
    /// The log of the container's run before this one.
    pub previous: bool,
    /// Only what is younger than this.
    pub since: Option<Duration>,
    /// So many lines from the end.
    pub tail_lines: u64,
    /// So many bytes at most, counted from the first of those lines.
    pub bytes_max: u64,
}

/// A log that is being read.
#[derive(Debug)]
pub struct LogStream {
    call: Call,
    link: Link,
    body: Body,
    left: u64,
}

impl ReadHandle {
    /// Begins to read a log.
    ///
    /// # Errors
    /// [`KubernetesError`]; 400 where there is no previous run, or where the pod has several containers.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        query: &LogQuery,
    ) -> Result<LogStream, KubernetesError> {
        let call = Call::new("get", &Resource::PODS, Some("log"), Some(namespace), Some(pod));
        let path = Resource::PODS.path_of(Some(namespace), pod).map_err(|failure| call.failed(failure))?;
        let (tail, bytes) = (query.tail_lines.to_string(), query.bytes_max.to_string());
        // The server takes whole seconds, and no seconds at all would mean everything.
        let since = query.since.map(|since| since.as_secs().max(1).to_string());
        let mut pairs = vec![("tailLines", tail.as_str()), ("limitBytes", bytes.as_str())];
        pairs.extend(query.container.as_deref().map(|name| ("container", name)));
        pairs.extend(since.as_deref().map(|since| ("sinceSeconds", since)));
        if query.previous {
            pairs.push(("previous", "true"));
        }
        let answer = self.link.open(&call, get(&format!("{path}/log"), &pairs)).await?;
        Ok(LogStream { call, link: self.link.clone(), body: answer.into_body(), left: query.bytes_max })
    }
}

impl LogStream {
    /// The next part; `None` at the end, or when the limit is reached, even where a server does not keep it.
    ///
    /// # Errors
    /// [`KubernetesError`] where the log breaks off, or nothing comes within the time of one exchange.
    pub async fn part(&mut self) -> Result<Option<Bytes>, KubernetesError> {
        while self.left > 0 {
            let body = &mut self.body;
            let frame = self.link.within(&self.call, async { Ok(body.frame().await) }).await?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| self.call.failed(Failure::of_client(&error)))?;
            let Ok(mut part) = frame.into_data() else { continue };
            part.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= part.len() as u64;
            if !part.is_empty() {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    /// Whether the limit was reached, so that there may be more.
    pub fn reached_limit(&self) -> bool {
        self.left == 0
    }
}
