//! The real binary for a test: its own folder, port and settings, and what the tests ask of it from outside.

use crate::servers::{self, Server, eventually, free_port, http_client};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for something that must happen; a loaded machine with two cores runs everything at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One rule that takes every alert called `Errors`, one incident a service, and touches nothing.
pub const RULES: &str = r#"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: errors }
spec:
  matchers: ['alertname="Errors"']
  severity: P2
  groupBy: [service]
"#;

/// A running binary with its files.
pub struct House {
    plan: Plan,
    pub server: Server,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: String,
}

/// What a house is built from, before it runs.
pub struct Plan {
    pub folder: tempfile::TempDir,
    pub port: u16,
    pub store: String,
    pub settings: String,
    pub environment: Vec<(String, String)>,
}

impl Plan {
    /// [`RULES`], SQLite in the folder, and `settings` beside what every house needs.
    pub fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rules.yaml"), RULES).expect("a file");
        let store = "sqlite://smokejumper.db".to_owned();
        Self { folder, port: free_port(), store, settings: settings.to_owned(), environment: Vec::new() }
    }

    pub fn rules(self, text: &str) -> Self {
        std::fs::write(self.folder.path().join("rules.yaml"), text).expect("a file");
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn text(&self) -> String {
        format!(
            "server: {{ listen: \"127.0.0.1:{}\" }}\nstore: {{ url: {} }}\nrules: [\"rules.yaml\"]\n{}\n",
            self.port, self.store, self.settings
        )
    }

    pub async fn start(self) -> House {
        let server = start(&self, None).await;
        House { plan: self, server }
    }

    /// Starts it in a shell after some preparation, such as limits.
    pub async fn start_with(self, preparation: &str) -> House {
        let server = start(&self, Some(preparation)).await;
        House { plan: self, server }
    }

    /// Runs it to an end that comes by itself: exit code, and what it said on stderr.
    pub fn refused(&self) -> (Option<i32>, String) {
        self.refused_with(&self.text())
    }

    /// The same with these settings.
    pub fn refused_with(&self, settings: &str) -> (Option<i32>, String) {
        let output = self.command(settings, None).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn command(&self, settings: &str, preparation: Option<&str>) -> Command {
        let file = self.folder.path().join("smokejumper.yaml");
        std::fs::write(&file, settings).expect("a file");
        let program = env!("CARGO_BIN_EXE_smokejumper");
        let mut command = match preparation {
            None => Command::new(program),
            Some(preparation) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("{preparation}; exec \"$0\" \"$@\""), program]);
                shell
            }
        };
        command.args(["serve", "--config"]).arg(&file).current_dir(self.folder.path());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }
}

async fn start(plan: &Plan, preparation: Option<&str>) -> Server {
    let command = plan.command(&plan.text(), preparation);
    servers::start(command, "smokejumper", plan.port, plan.folder.path(), "/ready").await
}

impl House {
    /// A house with [`RULES`] and these settings.
    pub async fn start(settings: &str) -> Self {
        Plan::new(settings).start().await
    }

    /// The same house again, after its process ended.
    pub async fn restart(&mut self) {
        self.server = start(&self.plan, None).await;
    }

    /// The files of a house that does not run any more.
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    pub fn port(&self) -> u16 {
        self.plan.port
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.plan.folder.path().join(name)
    }

    /// Sends the process a signal by its name, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([format!("-{name}"), self.server.pid().to_string()]).status();
        assert!(done.expect("kill runs").success());
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(http_client().get(self.url(path)).send().await.expect("an answer")).await
    }

    /// A webhook's body, as Alertmanager posts it.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Answer {
        self.post_with(&[("content-type", "application/json")], body).await
    }

    pub async fn post_with(&self, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        let mut request = http_client().post(self.url("/webhooks/alertmanager")).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// Everything that the API says of the incidents, with their alerts.
    pub async fn incidents(&self) -> Vec<Value> {
        let page = self.get("/api/v1/incidents?limit=500").await.json();
        let mut incidents = Vec::new();
        for incident in page["incidents"].as_array().expect("a list") {
            let id = incident["id"].as_str().expect("an id");
            incidents.push(self.get(&format!("/api/v1/incidents/{id}")).await.json());
        }
        incidents
    }

    /// The label `name` of every alert of every incident, sorted.
    pub async fn known(&self, name: &str) -> Vec<String> {
        let mut known: Vec<String> = self
            .incidents()
            .await
            .iter()
            .flat_map(|incident| incident["alerts"].as_array().cloned().unwrap_or_default())
            .filter_map(|alert| alert["labels"][name].as_str().map(str::to_owned))
            .collect();
        known.sort_unstable();
        known
    }

    /// Waits until these values of the label `service` are known, and no others.
    pub async fn knows(&self, services: &[&str]) {
        let mut wanted: Vec<String> = services.iter().map(|&name| name.to_owned()).collect();
        wanted.sort_unstable();
        eventually(&format!("alerts of {wanted:?}"), PATIENCE, || async {
            (self.known("service").await == wanted).then_some(())
        })
        .await;
    }

    /// One number of the metrics page, such as `smokejumper_webhooks_received_total{outcome="stored"}`; labels in any
    /// order, and nothing for a series that is not there.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels: Vec<&str> =
            labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect();
        let page = self.get("/metrics").await.body;
        page.lines().find_map(|line| {
            let (found, value) = line.rsplit_once(' ')?;
            let (found_name, found_labels) = found.split_once('{').unwrap_or((found, ""));
            let fits = found_name == name && labels.iter().all(|label| found_labels.contains(label));
            fits.then(|| value.parse().ok()).flatten()
        })
    }

    /// Kibibytes of memory by the kernel's count: `VmRSS` is now, `VmHWM` the most since the start or since
    /// [`Self::forget_peak`].
    pub fn memory_kib(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).expect("Linux");
        let line = status.lines().find(|line| line.starts_with(what)).expect("the kernel tells it");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Lets the kernel count the peak anew.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.server.pid()), "5").expect("our own child");
    }

    /// Lines of the log that hold these words, as JSON.
    pub fn logged(&self, words: &str) -> Vec<Value> {
        let log = self.server.log();
        log.lines()
            .filter(|line| line.contains(words))
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits for a line of the log that holds these words.
    pub async fn says(&self, words: &str) -> Value {
        eventually(&format!("a log line with `{words}`"), PATIENCE, || async {
            self.logged(words).into_iter().next()
        })
        .await
    }

    pub async fn connect(&self) -> Raw {
        self.connect_from([127, 0, 0, 1]).await
    }

    /// A connection from another address of the loopback network.
    pub async fn connect_from(&self, address: [u8; 4]) -> Raw {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind((address, 0).into()).expect("loopback addresses are ours");
        let there = ([127, 0, 0, 1], self.port()).into();
        Raw(socket.connect(there).await.expect("it connects"))
    }
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap_or_default() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A connection on which a test says exactly what it wants to.
pub struct Raw(pub TcpStream);

impl Raw {
    /// Sends bytes; false when the other side does not take them any more.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Everything until the other side closes.
    pub async fn read_to_end(&mut self) -> String {
        let mut answer = Vec::new();
        // A reset after the answer is an end like any other.
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the connection is not closed; so far: {}", String::from_utf8_lossy(&answer));
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// One alert called `Errors`.
pub fn mk_alert(service: &str) -> Value {
    json!({
        "status": "firing",
        "labels": { "alertname": "Errors", "service": service },
        "annotations": {},
        "startsAt": "2026-03-28T22:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
    })
}

/// A webhook with these alerts.
pub fn mk_webhook(alerts: &[Value]) -> String {
    json!({ "version": "4", "status": "firing", "receiver": "r", "groupKey": "g", "alerts": alerts })
        .to_string()
}

/// A webhook with one alert of this service.
pub fn mk_body(service: &str) -> String {
    mk_webhook(&[mk_alert(service)])
}
