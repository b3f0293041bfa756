//! The built binary with the simulated Slack.

use crate::server::{Server, free_port};
use serde_json::Value;
use smokejumper::sandbox::slack::{Channel, SlackOptions, SlackSandbox};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for anything here.
pub const TIMEOUT: Duration = Duration::from_secs(900);
/// Calls that the simulated Slack remembers.
const CALLS_KEPT: usize = 200_000;

/// A running product with its Slack. Dropping it stops both and deletes its files.
pub struct Product {
    pub slack: SlackSandbox,
    pub server: Server,
    pub client: reqwest::Client,
    folder: TempDir,
}

impl Product {
    /// Starts with these rules and so many channels, `#c0` and so on.
    pub async fn start(rules: &str, channels: usize) -> Self {
        smokejumper::clients::http::install_crypto_provider();
        let folder = tempfile::tempdir().expect("a folder");
        // Apart from the database: a folder that is watched tells of every write within it.
        std::fs::create_dir(folder.path().join("rules")).expect("a folder");
        std::fs::write(folder.path().join("rules/rules.yaml"), rules).expect("a file");
        let channels = (0..channels).map(|number| Channel::new(format!("C{number}"), format!("c{number}")));
        let options = SlackOptions {
            channels: channels.collect(),
            record_capacity: CALLS_KEPT,
            ..SlackOptions::default()
        };
        let slack = SlackSandbox::start(options).await.expect("slack");
        let port = free_port();
        let settings = folder.path().join("smokejumper.yaml");
        std::fs::write(&settings, self::settings(port, &slack)).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_smokejumper"));
        command
            .args(["serve", "--config"])
            .arg(&settings)
            .current_dir(folder.path())
            .env("BENCH_SLACK_TOKEN", &slack.options().bot_token)
            .env("BENCH_SLACK_SECRET", &slack.options().signing_secret);
        let server = Server::start(command, port, "/ready");
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build();
        Self { slack, server, client: client.expect("a client"), folder }
    }

    /// An address of the product.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    /// Sends a webhook of Alertmanager's.
    pub async fn fire(&self, body: String) {
        let request = self.client.post(self.url("/webhooks/alertmanager"));
        let answer = request.header("content-type", "application/json").body(body).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }

    /// Waits until everything that was delivered is judged.
    pub async fn settle(&self) {
        let began = Instant::now();
        while self.count("SELECT COUNT(*) FROM inbox") > 0 {
            assert!(began.elapsed() < TIMEOUT, "deliveries are left");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What a count over the product's own file gives.
    pub fn count(&self, query: &str) -> i64 {
        self.database().query_row(query, [], |row| row.get(0)).expect("a count")
    }

    /// Identities of the open incidents that nobody has, oldest first.
    pub fn open_incidents(&self) -> Vec<String> {
        let database = self.database();
        let mut query = database
            .prepare("SELECT id FROM incident WHERE status = 'triggered' ORDER BY id")
            .expect("a query");
        let ids = query.query_map([], |row| row.get(0)).expect("rows");
        ids.collect::<Result<_, _>>().expect("texts")
    }

    /// For each incident of this rule that has escalated again `after` its start, how many seconds later than that the step
    /// ran that did so. The lines are read from the product's own file, so all of them are durable.
    pub fn escalation_lags(&self, rule: &str, after: Duration) -> Vec<f64> {
        let database = self.database();
        let mut query = database
            .prepare(
                "SELECT incident.started_at, timeline.body FROM incident JOIN timeline ON timeline.incident_id = incident.id \
                 WHERE incident.rule = ?1 ORDER BY incident.id, timeline.seq",
            )
            .expect("a query");
        let rows = query.query_map([rule], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        let rows: Vec<(i64, String)> = rows.collect::<Result<_, _>>().expect("values");
        let lag = |(started_at, body): (i64, String)| {
            let step: Value = serde_json::from_str(&body).expect("the lines of a step are JSON");
            let at: jiff::Timestamp = step["at"].as_str()?.parse().expect("a time");
            let lag = (at.as_millisecond() - started_at) as f64 / 1e3 - after.as_secs_f64();
            let escalates = step["lines"].as_array()?.iter().any(|line| line["kind"] == "escalation");
            (escalates && lag >= 0.0).then_some(lag)
        };
        rows.into_iter().filter_map(lag).collect()
    }

    /// Every message that was posted so far: its channel, its text, and when, oldest first.
    pub fn posts(&self) -> Vec<(String, String, jiff::Timestamp)> {
        let calls = self.slack.calls().entries().into_iter();
        let posts = calls.filter(|entry| entry.what.ok && entry.what.method == "chat.postMessage");
        let posts = posts.filter(|entry| entry.what.args["thread_ts"].is_null());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        posts
            .map(|entry| (text(&entry.what.args["channel"]), text(&entry.what.args["text"]), entry.at))
            .collect()
    }

    /// Calls that Slack refused since they came too fast.
    pub fn limited(&self) -> usize {
        let calls = self.slack.calls().entries();
        calls.iter().filter(|entry| entry.what.error.as_deref() == Some("ratelimited")).count()
    }

    fn database(&self) -> rusqlite::Connection {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let file = self.folder.path().join("bench.db");
        let database = rusqlite::Connection::open_with_flags(file, flags).expect("the database");
        database.busy_timeout(Duration::from_secs(5)).expect("a setting");
        database
    }
}

fn settings(port: u16, slack: &SlackSandbox) -> String {
    format!(
        r##"
server: {{ listen: "127.0.0.1:{port}" }}
store: {{ url: "sqlite://bench.db" }}
slack:
  api_url: "{url}"
  bot_token: {{ env: BENCH_SLACK_TOKEN }}
  signing_secret: {{ env: BENCH_SLACK_SECRET }}
  default_channel: "#c0"
people: [{{ name: una, slack: U0UNA, role: approver }}]
rules: ["rules/*.yaml"]
mode: enforce
"##,
        url = slack.api_url(),
    )
}
