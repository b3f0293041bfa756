//! Logs: of now and of before, cut to size, and the words when there are none.

use serde_json::{Value, json};

use super::cluster::{Ground, count, on_ground, text};
use super::objects::{shell_pod, started};

async fn log(ground: &Ground, pod: &str, options: &str) -> String {
    let body = ground.get(&ground.core(&format!("pods/{pod}/log?{options}"))).await.good();
    body.as_str().map_or_else(|| body.to_string(), str::to_owned)
}

async fn until_log(ground: &Ground, pod: &str, last: &str) {
    super::cluster::until("the log has its last line", async || {
        let said = log(ground, pod, "").await;
        if said.contains(last) { Ok(()) } else { Err(Value::String(said)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_cut_by_lines_and_bytes_and_told_with_its_times() {
    on_ground(async |ground| {
        let pod = shell_pod("talks", "echo one; echo two; echo three; sleep 3600");
        if started(ground, &pod).await.is_none() {
            return;
        }
        until_log(ground, "talks", "three").await;
        assert_eq!(log(ground, "talks", "").await, "one\ntwo\nthree\n");
        assert_eq!(log(ground, "talks", "tailLines=2").await, "two\nthree\n");
        assert_eq!(log(ground, "talks", "limitBytes=5").await, "one\nt");
        assert_eq!(log(ground, "talks", "sinceSeconds=3600&container=app").await, "one\ntwo\nthree\n");
        let timed = log(ground, "talks", "timestamps=true&tailLines=1").await;
        let (time, line) = timed.split_once(' ').expect("a time before the line");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{timed}");
        assert_eq!(line, "three\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_before_the_last_restart_is_kept_and_absent_without_one() {
    on_ground(async |ground| {
        if started(ground, &shell_pod("calm", "echo calm; sleep 3600")).await.is_none() {
            return;
        }
        let path = ground.core("pods/calm/log?previous=true");
        let said = ground.get(&path).await.refused(400, "BadRequest");
        let words = "previous terminated container \"app\" in pod \"calm\" not found";
        assert_eq!(text(&said, "/message"), words);
        ground.post(&ground.core("pods"), &shell_pod("dies", "echo dying; sleep 1; exit 3")).await.good();
        let has_restarted = |pod: &Value| count(pod, "/status/containerStatuses/0/restartCount") >= 1;
        let pod = ground.until(&ground.core("pods/dies"), "it restarts", has_restarted).await;
        assert_eq!(count(&pod, "/status/containerStatuses/0/lastState/terminated/exitCode"), 3);
        assert_eq!(log(ground, "dies", "previous=true").await, "dying\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_shows_itself_in_state_and_count() {
    on_ground(async |ground| {
        if started(ground, &shell_pod("probe", "sleep 3600")).await.is_none() {
            return;
        }
        ground.post(&ground.core("pods"), &shell_pod("dies", "exit 7")).await.good();
        let loops =
            |pod: &Value| text(pod, "/status/containerStatuses/0/state/waiting/reason") == "CrashLoopBackOff";
        let pod = ground.until(&ground.core("pods/dies"), "it loops", loops).await;
        assert_eq!(count(&pod, "/status/containerStatuses/0/lastState/terminated/exitCode"), 7);
        assert_eq!(text(&pod, "/status/phase"), "Running");
        assert_eq!(super::cluster::condition(&pod, "Ready"), ("False", "ContainersNotReady"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_needs_the_name_of_a_container_where_there_are_several() {
    on_ground(async |ground| {
        let mut pod = shell_pod("pair", "sleep 3600");
        let mut side = pod["spec"]["containers"][0].clone();
        side["name"] = "side".into();
        pod["spec"]["containers"].as_array_mut().expect("containers").push(side);
        ground.post(&ground.core("pods"), &pod).await.good();
        let said = ground.get(&ground.core("pods/pair/log")).await.refused(400, "BadRequest");
        assert!(text(&said, "/message").contains("a container name must be specified"), "{said}");
        let said = ground.get(&ground.core("pods/pair/log?container=none")).await.refused(400, "BadRequest");
        assert_eq!(text(&said, "/message"), "container none is not valid for pod pair");
        ground.get(&ground.core("pods/none/log")).await.refused(404, "NotFound");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled_is_told_by_the_waiting_state() {
    on_ground(async |ground| {
        if started(ground, &shell_pod("probe", "sleep 3600")).await.is_none() {
            return;
        }
        let mut pod = shell_pod("absent", "true");
        // No resolver ever finds a host of this name.
        pod["spec"]["containers"][0]["image"] = json!("registry.invalid/absent:1");
        ground.post(&ground.core("pods"), &pod).await.good();
        let waits =
            |pod: &Value| text(pod, "/status/containerStatuses/0/state/waiting/reason") == "ImagePullBackOff";
        let pod = ground.until(&ground.core("pods/absent"), "the node gives up for a while", waits).await;
        assert_eq!(text(&pod, "/status/phase"), "Pending");
    })
    .await;
}
