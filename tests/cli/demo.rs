//! The demo as its first user meets it: what it prints leads somewhere, and each of its stories comes to its end with
//! the buttons of its Slack pressed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::servers::{eventually, http_client};

/// Stories take seconds; machines that test are busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who presses the buttons: an approver.
const UNA: &str = "U0UNA";

/// The running demo; dropping it ends it.
struct Demo {
    child: Child,
    places: Value,
}

impl Demo {
    /// Starts it, and reads the document that it prints first.
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_smokejumper"))
            .args(["demo", "--port", "0", "--speed", "120", "--output", "json"])
            .env_clear()
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        let mut demo = Self { child, places: Value::Null };
        BufReader::new(stdout).read_line(&mut line).expect("the demo speaks");
        demo.places = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        demo
    }

    /// An address that it printed.
    fn at(&self, name: &str) -> &str {
        self.places[name].as_str().unwrap_or_else(|| panic!("{name} is not in {}", self.places))
    }

    async fn json(&self, place: &str, path: &str) -> Value {
        let (_, text) = get(&format!("{}{path}", self.at(place))).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Orders something of the simulated world; the status of its answer.
    async fn order(&self, place: &str, path: &str, body: Value) -> u16 {
        let url = format!("{}{path}", self.at(place));
        let request =
            http_client().post(url).header("content-type", "application/json").body(body.to_string());
        request.send().await.expect("an answer").status().as_u16()
    }

    /// The incident of an alert, in full, once there is one.
    async fn incident(&self, alertname: &str) -> Option<Value> {
        let list = self.json("url", "/api/v1/incidents").await;
        for one in list["incidents"].as_array()? {
            let detail = self.json("url", &format!("/api/v1/incidents/{}", one["id"].as_str()?)).await;
            if detail["labels"]["alertname"] == alertname {
                return Some(detail);
            }
        }
        None
    }

    /// Presses `Approve` on every card that shows it.
    async fn approve(&self) {
        let messages = self.json("slack", "/_sandbox/messages").await;
        for message in messages["messages"].as_array().expect("messages") {
            let Some(action_id) = approve_button(message) else { continue };
            let click = json!({
                "channel": message["channel"], "message_ts": message["ts"], "action_id": action_id, "user": UNA,
            });
            // One that was pressed in the same moment is refused, and that is fine.
            self.order("slack", "/_sandbox/click", click).await;
        }
    }

    async fn workload(&self, name: &str) -> Value {
        let shown = self.json("page", "_sandbox/cluster").await;
        let all = shown["workloads"].as_array().expect("workloads").clone();
        all.into_iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name} in {shown}"))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Asked to stop it deletes its folder, which a kill would leave behind.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// The button that approves, where a message has one.
fn approve_button(message: &Value) -> Option<String> {
    let elements = message["blocks"].as_array()?.iter().filter_map(|block| block["elements"].as_array());
    let ids = elements.flatten().filter_map(|element| element["action_id"].as_str());
    ids.map(str::to_owned).find(|id| id.contains("approve"))
}

async fn get(url: &str) -> (u16, String) {
    let answer = http_client().get(url).send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

/// Where `Open in Smokejumper` leads in the first message that has it.
async fn link_in_slack(slack: &str) -> Option<String> {
    let (_, messages) = get(&format!("{slack}/_sandbox/messages")).await;
    let (before, _) = messages.split_once("|Open in Smokejumper>")?;
    Some(before.rsplit_once('<')?.1.to_owned())
}

#[tokio::test]
async fn what_the_demo_prints_and_the_link_in_its_slack_lead_somewhere() {
    let demo = Demo::start();
    for name in ["page", "slack", "api"] {
        let (status, _) = get(demo.at(name)).await;
        assert_eq!(status, 200, "{}", demo.places);
    }
    let slack = demo.at("slack");
    let link = eventually("a card with a link", PATIENCE, || link_in_slack(slack)).await;
    let (status, page) = get(&link).await;
    assert_eq!(status, 200, "{link}: {page}");
    assert!(page.contains("KubeDeploymentReplicasMismatch") && page.contains("Timeline"), "{page}");
    let listed = crate::program::smokejumper(["incidents", "--url", demo.at("url")]).run().good();
    assert!(listed.contains("rollout-stuck"), "{listed}");
}

/// How a workload is seen to have changed: its name, a fact of it before, and after.
type Seen = (&'static str, &'static str, &'static str);

/// Story, alert, remedy, its tier, and what is seen of it in the cluster.
type Story = (&'static str, &'static str, &'static str, &'static str, Option<Seen>);

const STORIES: [Story; 9] = [
    (
        "bad-rollout",
        "KubeDeploymentReplicasMismatch",
        "undo",
        "T2",
        Some(("user-service", "user-service:2.5.0", "user-service:2.4.1")),
    ),
    (
        "crash-loop",
        "KubePodCrashLooping",
        "replace-pod",
        "T1",
        Some(("reservation-service", "CrashLoop", "Running")),
    ),
    (
        "image-pull",
        "KubeContainerWaiting",
        "undo",
        "T2",
        Some(("notification-service", "notification-service:1.9.4-rc", "notification-service:1.9.3")),
    ),
    ("oom-kill", "KubeContainerOOMKilled", "raise-memory", "T2", Some(("report-service", "256Mi", "384Mi"))),
    (
        "hpa-maxed",
        "KubeHpaMaxedOut",
        "allow-10",
        "T2",
        Some(("api-gateway", "2 to 4, wants 4", "2 to 10, wants 7")),
    ),
    ("volume-full", "KubePersistentVolumeFillingUp", "expand", "T2", Some(("rabbitmq", "20Gi", "30Gi"))),
    ("high-error-rate", "HighErrorRate", "limit-the-flood", "T2", None),
    ("high-latency", "HighLatency", "warm-the-cache", "T2", None),
    ("disk-space", "DiskSpace", "archive-old-logs", "T2", None),
];

#[tokio::test]
async fn every_story_is_mended_and_closed_once_the_buttons_are_pressed() {
    let demo = Demo::start();
    for (story, ..) in &STORIES[1..] {
        assert_eq!(demo.order("page", "_sandbox/play", json!({ "scenario": story })).await, 204, "{story}");
    }
    // Nobody presses anything before every card is there.
    for (story, alertname, remedy, tier, seen) in STORIES {
        let asked = eventually(&format!("{story}: the remedy is there"), PATIENCE, async || {
            demo.incident(alertname).await.filter(|incident| incident["actions"][0]["remedy"] == remedy)
        })
        .await;
        assert_eq!(asked["actions"][0]["tier"], tier, "{story}: {}", asked["actions"][0]);
        if let (Some((workload, before, _)), "T2") = (seen, tier) {
            let shown = demo.workload(workload).await.to_string();
            assert!(shown.contains(before), "{story}: {before} in {shown}");
        }
    }
    for (story, alertname, remedy, _, seen) in STORIES {
        let closed = eventually(&format!("{story}: the incident is closed"), PATIENCE, async || {
            demo.approve().await;
            demo.incident(alertname).await.filter(|incident| incident["status"] == "resolved")
        })
        .await;
        let action = &closed["actions"][0];
        assert_eq!(
            (&action["remedy"], &action["status"]),
            (&json!(remedy), &json!("succeeded")),
            "{story}: {action}"
        );
        if let Some((name, before, after)) = seen {
            let workload = demo.workload(name).await;
            let shown = workload.to_string();
            assert!(shown.contains(after) && !shown.contains(before), "{story}: {shown}");
            assert_eq!(workload["ready"], workload["desired"], "{story}: {shown}");
        }
    }
    let temporary =
        crate::program::smokejumper(["actions", "temporary", "--url", demo.at("url")]).run().good();
    assert!(temporary.contains("report-service") && temporary.contains("api-gateway"), "{temporary}");
}
