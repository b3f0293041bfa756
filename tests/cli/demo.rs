//! The demo as its first user meets it: what it prints leads somewhere, and so do the links in its Slack.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::servers::{eventually, http_client};

/// The alert fires after seconds; machines that test are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running demo; dropping it ends it.
struct Demo(Child);

impl Demo {
    /// Starts it, and reads the document that it prints first.
    fn start() -> (Self, Value) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_smokejumper"))
            .args(["demo", "--port", "0", "--speed", "120", "--output", "json"])
            .env_clear()
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        let demo = Self(child);
        BufReader::new(stdout).read_line(&mut line).expect("the demo speaks");
        (demo, serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Asked to stop it deletes its folder, which a kill would leave behind.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

async fn get(url: &str) -> (u16, String) {
    let answer = http_client().get(url).send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

fn at<'a>(places: &'a Value, name: &str) -> &'a str {
    places[name].as_str().unwrap_or_else(|| panic!("{name} is not in {places}"))
}

/// Where `Open in Smokejumper` leads in the first message that has it.
async fn link_in_slack(slack: &str) -> Option<String> {
    let (_, messages) = get(&format!("{slack}/_sandbox/messages")).await;
    let (before, _) = messages.split_once("|Open in Smokejumper>")?;
    Some(before.rsplit_once('<')?.1.to_owned())
}

#[tokio::test]
async fn what_the_demo_prints_and_the_link_in_its_slack_lead_somewhere() {
    let (_demo, places) = Demo::start();
    for name in ["page", "slack", "api"] {
        let (status, _) = get(at(&places, name)).await;
        assert_eq!(status, 200, "{places}");
    }
    let slack = at(&places, "slack");
    let link = eventually("a card with a link", PATIENCE, || link_in_slack(slack)).await;
    let (status, page) = get(&link).await;
    assert_eq!(status, 200, "{link}: {page}");
    assert!(page.contains("HighErrorRate") && page.contains("Timeline"), "{page}");
    let listed = crate::program::smokejumper(["incidents", "--url", at(&places, "url")]).run().good();
    assert!(listed.contains("high-error-rate"), "{listed}");
}
