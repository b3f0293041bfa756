//! Commands in containers: their words, their end, and pods in which nothing can be run.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::AsyncReadExt as _;

use super::cluster::{Ground, on_ground};
use super::objects::{shell_pod, started};

/// What a command said, and the status that it ended with, as JSON.
async fn run(ground: &Ground, pod: &str, command: &[&str]) -> (String, String, serde_json::Value) {
    let pods: Api<Pod> = Api::namespaced(ground.client.clone(), &ground.namespace);
    let streams = AttachParams::default().stdin(false).stdout(true).stderr(true).container("app");
    let mut process = pods.exec(pod, command.iter().copied(), &streams).await.expect("the command starts");
    let status = process.take_status().expect("a status, once");
    let (mut out, mut err) = (String::new(), String::new());
    let (mut stdout, mut stderr) = (process.stdout().expect("stdout"), process.stderr().expect("stderr"));
    let (first, second) = tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err));
    first.and(second).expect("its words come whole");
    let status = serde_json::to_value(status.await.expect("a status")).expect("JSON");
    (out, err, status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_tells_its_words_and_its_end() {
    on_ground(async |ground| {
        if started(ground, &shell_pod("shell", "sleep 3600")).await.is_none() {
            return;
        }
        let (out, _, status) = run(ground, "shell", &["echo", "hello there"]).await;
        assert_eq!(out, "hello there\n");
        assert_eq!(status["status"], "Success");
        let (out, _, status) = run(ground, "shell", &["sh", "-c", "echo before; exit 3"]).await;
        assert_eq!(out, "before\n");
        assert_eq!((&status["status"], &status["reason"]), (&"Failure".into(), &"NonZeroExitCode".into()));
        assert_eq!(status["details"]["causes"][0]["reason"], "ExitCode");
        assert_eq!(status["details"]["causes"][0]["message"], "3");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_a_running_container_is_refused() {
    on_ground(async |ground| {
        let mut pod = shell_pod("homeless", "sleep 3600");
        pod["spec"]["nodeSelector"] = serde_json::json!({ "smokejumper.dev/conformance": "nowhere" });
        ground.post(&ground.core("pods"), &pod).await.good();
        let pods: Api<Pod> = Api::namespaced(ground.client.clone(), &ground.namespace);
        for name in ["homeless", "none"] {
            let refused = pods.exec(name, ["true"], &AttachParams::default().container("app")).await;
            assert!(refused.is_err(), "{name}");
        }
    })
    .await;
}
