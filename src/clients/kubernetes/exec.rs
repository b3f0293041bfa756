//! Runs a command in a container, over a web socket. The command is a list of arguments; no shell sees it.
//!
//! Who may run what is decided above: diagnostics and actions take commands from lists in the settings only. An end
//! that is not clear stays unclear: a command is never run again from here.

use std::pin::pin;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::error::{Failure, KubernetesError};
use super::exchange::{Call, Link};
use super::resource::Resource;

/// Bytes of each output that are kept; the rest is read and dropped, so that the command can end.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// A command for one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecQuery<'a> {
    /// Namespace of the pod.
    pub namespace: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// Container; none is right only where the pod has one.
    pub container: Option<&'a str>,
    /// The program and its arguments.
    pub argv: &'a [String],
    /// Longest time that it may run.
    pub timeout: Duration,
}

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code; `None` where the cluster does not say how it ended.
    pub exit_code: Option<i32>,
    /// Standard output, at most [`OUTPUT_BYTES_MAX`].
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// Whether one of them was longer.
    pub truncated: bool,
}

impl Link {
    pub(super) async fn exec(&self, query: ExecQuery<'_>) -> Result<ExecOutput, KubernetesError> {
        let ExecQuery { namespace, pod, container, argv, timeout } = query;
        let call = Call::new("create", &Resource::PODS, Some("exec"), Some(namespace), Some(pod));
        Resource::PODS.path_of(Some(namespace), pod).map_err(|failure| call.failed(failure))?;
        if argv.is_empty() {
            return Err(call.failed(Failure::Refused("there is no command to run".to_owned())));
        }
        let params = AttachParams { container: container.map(str::to_owned), ..AttachParams::default() };
        let run = async {
            let pods: Api<Pod> = Api::namespaced(self.client().await?.clone(), namespace);
            let attached = pods.exec(pod, argv.iter().map(String::as_str), &params).await;
            let mut attached = attached.map_err(|error| call.failed(refusal(&error)))?;
            let (out, err) = (attached.stdout(), attached.stderr());
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let status = attached.take_status();
            let status = {
                let mut end = pin!(async {
                    match status {
                        Some(status) => status.await,
                        None => None,
                    }
                });
                let mut reading =
                    pin!(async { tokio::join!(drain(out, &mut stdout), drain(err, &mut stderr)) });
                tokio::select! {
                    _ = &mut reading => end.await,
                    status = &mut end => {
                        // Where the connection is cut, nobody closes the outputs: they would be read for ever.
                        if status.is_none() {
                            let end = attached.join().await;
                            end.map_err(|error| call.failed(Failure::Broken(error.to_string())))?;
                        }
                        reading.await;
                        status
                    }
                }
            };
            let truncated = stdout.len() > OUTPUT_BYTES_MAX || stderr.len() > OUTPUT_BYTES_MAX;
            Ok(ExecOutput {
                exit_code: status.as_ref().and_then(exit_code),
                stdout: text_of(stdout),
                stderr: text_of(stderr),
                truncated,
            })
        };
        let late = || Err(call.failed(Failure::TimedOut(timeout)));
        tokio::time::timeout(timeout, run).await.unwrap_or_else(|_| late())
    }
}

/// Why a command was not started, or whether nobody knows.
fn refusal(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => {
            let code = http::StatusCode::from_u16(status.code).unwrap_or(http::StatusCode::BAD_GATEWAY);
            let body = serde_json::to_vec(status).unwrap_or_default();
            Failure::of_status(code, None, &body)
        }
        error => Failure::of_client(error),
    }
}

/// Reads to the end and keeps one byte more than the limit, so that it shows that there was more.
async fn drain(output: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut output) = output else { return };
    let mut part = vec![0; 8 << 10];
    while let Ok(count @ 1..) = output.read(&mut part).await {
        let room = (OUTPUT_BYTES_MAX + 1).saturating_sub(kept.len());
        kept.extend_from_slice(&part[..count.min(room)]);
    }
}

fn text_of(mut bytes: Vec<u8>) -> String {
    bytes.truncate(OUTPUT_BYTES_MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The exit code in the status at the end: success, or a cause that names it.
fn exit_code(status: &Status) -> Option<i32> {
    if status.status.as_deref() == Some("Success") {
        return Some(0);
    }
    let causes = status.details.as_ref()?.causes.as_ref()?;
    let cause = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"))?;
    cause.message.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(status: serde_json::Value) -> Option<i32> {
        exit_code(&serde_json::from_value(status).expect("a status"))
    }

    #[test]
    fn the_end_of_a_command_is_read_from_its_status() {
        use serde_json::json;
        assert_eq!(code_of(json!({"status": "Success"})), Some(0));
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": "137"}]}});
        assert_eq!(code_of(failed), Some(137));
        assert_eq!(code_of(json!({"status": "Failure", "message": "the container is gone"})), None);
    }

    #[tokio::test]
    async fn output_is_read_to_its_end_and_kept_within_its_limit() {
        let long = vec![b'x'; 3 * OUTPUT_BYTES_MAX];
        let mut kept = Vec::new();
        drain(Some(&long[..]), &mut kept).await;
        assert_eq!(kept.len(), OUTPUT_BYTES_MAX + 1);
        assert_eq!(text_of(kept).len(), OUTPUT_BYTES_MAX);
        let mut kept = Vec::new();
        drain(Some(&b"PONG\n"[..]), &mut kept).await;
        assert_eq!(text_of(kept), "PONG\n");
    }
}
