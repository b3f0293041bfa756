//! The product under load: the built binary with rules that match, against a Slack that takes everything.

use crate::server::{Server, free_port};
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use serde_json::json;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What reached Slack: when, and the body.
pub type Arrivals = Arc<Mutex<Vec<(Instant, Bytes)>>>;

/// Answers `chat.postMessage` and all others with success, and keeps what arrived if asked to.
pub async fn slack(keep: bool) -> (SocketAddr, Arrivals) {
    let arrivals = Arrivals::default();
    let take = move |State(arrivals): State<Arrivals>, body: Bytes| async move {
        // Posts are paced by channel, so each name has an id of its own.
        let asked: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let channel = asked["channel"].as_str().unwrap_or("none").replace('#', "C").to_uppercase();
        if keep {
            arrivals.lock().expect("nobody panics").push((Instant::now(), body));
        }
        Json(
            json!({ "ok": true, "channel": channel, "ts": "1770793469.000100", "team_id": "T1", "user_id": "U1" }),
        )
    };
    let app = Router::new().route("/{*any}", post(take)).with_state(Arc::clone(&arrivals));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, arrivals)
}

/// How the product is set up.
pub struct Setup {
    /// Where its files are.
    pub folder: PathBuf,
    /// The database; none for SQLite in the folder.
    pub store: Option<String>,
    /// Where Slack is.
    pub slack: SocketAddr,
    /// The rules, as YAML.
    pub rules: String,
}

impl Setup {
    /// Starts the built binary.
    pub fn start(&self) -> Server {
        let port = free_port();
        // Apart from the database: a folder that is watched tells of every write within it.
        let rules = self.folder.join("rules");
        std::fs::create_dir_all(&rules).expect("the folder takes a folder");
        std::fs::write(rules.join("rules.yaml"), &self.rules).expect("the folder takes a file");
        let settings = self.folder.join("smokejumper.yaml");
        std::fs::write(&settings, self.settings(port)).expect("the folder takes a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_smokejumper"));
        command
            .arg("serve")
            .arg("--config")
            .arg(settings)
            .current_dir(&self.folder)
            .env("BENCH_TOKEN", "xoxb-bench")
            .env("BENCH_DATABASE", self.database());
        Server::start(command, port, "/ready")
    }

    fn database(&self) -> String {
        self.store.clone().unwrap_or_else(|| format!("sqlite://{}/bench.db", self.folder.display()))
    }

    fn settings(&self, port: u16) -> String {
        format!(
            r##"
server: {{ listen: "127.0.0.1:{port}" }}
store: {{ url: {{ env: BENCH_DATABASE }} }}
slack: {{ api_url: "http://{slack}", bot_token: {{ env: BENCH_TOKEN }}, default_channel: "#bench" }}
endpoints: {{ shed: {{ url: "http://{slack}/shed", method: POST }} }}
rules: ["{folder}/rules/*.yaml"]
mode: enforce
"##,
            slack = self.slack,
            folder = self.folder.display(),
        )
    }
}

/// `count` rules of four matchers each, the last of which answers the webhooks of [`crate::load`]: one incident a
/// webhook, a remedy that is judged at once and asks for approval, and a page that is due later.
pub fn rules(count: usize) -> String {
    let mut text = String::from(POLICY);
    for number in 1..=count {
        let alertname = if number == count { "HighErrorRate".to_owned() } else { format!("Alert{number}") };
        write!(
            text,
            r#"---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: {{ name: rule-{number} }}
spec:
  matchers: ['alertname="{alertname}"', 'namespace="shop"', 'severity=~"critical|page"', 'cluster!="test-{number}"']
  severity: P1
  groupBy: [namespace, service]
  escalation: bench
  remedies:
    - name: shed-load
      tier: T2
      action: {{ http.call: {{ endpoint: shed, path: "/{{{{ labels.service }}}}" }} }}
"#
        )
        .expect("a text takes text");
    }
    text
}

const POLICY: &str = r##"apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: bench }
spec:
  levels:
    - { name: first, after: 0s, destinations: [{ slack: { channel: "#bench" } }] }
    - { name: second, after: 2h, destinations: [{ slack: { channel: "#leads" } }] }
  fallback: [{ slack: { channel: "#bench" } }]
"##;

/// Deliveries that are stored and not yet worked off, read from the database itself.
pub fn waiting(folder: &Path) -> i64 {
    count(folder, "SELECT COUNT(*) FROM inbox")
}

/// What a count over the product's SQLite file gives.
pub fn count(folder: &Path, query: &str) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database =
        rusqlite::Connection::open_with_flags(folder.join("bench.db"), flags).expect("the database");
    database.busy_timeout(Duration::from_secs(5)).expect("a setting");
    database.query_row(query, [], |row| row.get(0)).expect("a count")
}
