//! What the pages tell people to paste: the files and commands of the README and of the page about rules, run as they
//! stand, up to an alert of a real Alertmanager that becomes an incident.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::servers::{self, Server, eventually, free_port, http_client};

const README: &str = include_str!("../../README.md");
const RULES: &str = include_str!("../../docs/rules.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");

const PATIENCE: Duration = Duration::from_secs(60);

/// The blocks of a page in one language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let blocks = page.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// The last block that holds these words: on a page that grows an example, the whole of it.
fn block<'p>(page: &'p str, language: &str, words: &str) -> &'p str {
    let found = blocks(page, language).into_iter().rfind(|block| block.contains(words));
    found.unwrap_or_else(|| panic!("no block holds `{words}`"))
}

/// The files of the README in a folder of their own.
fn folder_of_the_readme() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder, "smokejumper.yaml", block(README, "yaml", "default_channel:"));
    write(&folder, "rules/shop.yaml", block(README, "yaml", "kind: ResponseRule"));
    folder
}

fn write(folder: &tempfile::TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("written");
}

/// The commands of a page but for those that run until a signal; the first of the README are for the repository.
fn commands(page: &str) -> String {
    let scripts: Vec<&str> =
        blocks(page, "sh").into_iter().filter(|script| !script.contains("cargo run")).collect();
    let lines = scripts.iter().flat_map(|script| script.lines());
    lines
        .filter(|line| !line.contains(" serve ") && !line.contains("tests/run"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// A shell in the folder, in which `smokejumper` is the built binary.
pub fn shell(folder: &Path, script: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_smokejumper")).parent().expect("a folder");
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).current_dir(folder).env_clear();
    command.env("PATH", format!("{}:/usr/bin:/bin", binary.display()));
    command
}

fn run(folder: &Path, script: &str) -> String {
    let output = shell(folder, script).output().expect("a shell");
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && failed.is_empty(), "{script}\n{said}\n{failed}");
    said.into_owned()
}

#[test]
fn the_commands_of_the_readme_work_as_they_stand() {
    let folder = folder_of_the_readme();
    let said = run(folder.path(), &commands(README));
    assert!(said.contains("0 errors, 0 warnings"), "{said}");
    assert!(said.contains("shop-high-error-rate") && said.contains("shed-load"), "{said}");
}

#[test]
fn the_commands_of_the_page_about_rules_work_on_its_files() {
    let folder = folder_of_the_readme();
    write(&folder, "rules/people.yaml", block(RULES, "yaml", "kind: EscalationPolicy"));
    write(&folder, "rules/shop.yaml", block(RULES, "yaml", "name: limit-traffic"));
    write(&folder, "findings.json", block(RULES, "json", "error_ratio"));
    let check = "smokejumper check --config smokejumper.yaml --strict\n";
    let said = run(folder.path(), &format!("{}{check}{}", commands(README), commands(RULES)));
    assert!(said.contains("limit-traffic") && said.contains("findings.error_ratio.last > 0.2"), "{said}");
    run(folder.path(), &format!("{}{}", commands(README), commands(CONFIGURATION)));
}

/// The service as the README starts it. What differs is where others are: this test speaks to loopback alone.
async fn serve(folder: &Path, port: u16) -> Server {
    let start = blocks(README, "sh").concat();
    let start = start.lines().find(|line| line.contains(" serve ")).expect("a command that serves");
    let exports: String = commands(README)
        .lines()
        .filter(|line| line.starts_with("export "))
        .map(|line| format!("{line}\n"))
        .collect();
    let script = format!(
        "{exports}printf %s \"$AM_TOKEN\" > smokejumper-token\nprintf %s \"$SMOKEJUMPER_TOKEN\" > api-token\nexec {start}"
    );
    let mut command = shell(folder, &script);
    let closed = "http://127.0.0.1:9";
    command
        .env("SMOKEJUMPER__SERVER__LISTEN", format!("127.0.0.1:{port}"))
        .env("SMOKEJUMPER__PROMETHEUS__URL", closed)
        .env("SMOKEJUMPER__SLACK__API_URL", closed)
        .env("SMOKEJUMPER__PAGERDUTY__EVENTS_URL", closed);
    servers::start(command, "smokejumper", port, folder, "/ready").await
}

#[tokio::test]
async fn an_alert_of_a_real_alertmanager_becomes_an_incident_with_the_files_of_the_readme() {
    let folder = folder_of_the_readme();
    let port = free_port();
    let service = serve(folder.path(), port).await;
    let token = folder.path().join("smokejumper-token").display().to_string();
    let config = block(README, "yaml", "webhook_configs:")
        .replace("http://smokejumper:9119/", &format!("{}/", service.url()))
        .replace("/etc/alertmanager/smokejumper-token", &token)
        .replace("  receiver: smokejumper\n", "  receiver: smokejumper\n  group_wait: 0s\n");
    let alertmanager = servers::alertmanager(folder.path(), &config).await;
    let alert = r#"[{ "labels": { "alertname": "HighErrorRate", "namespace": "shop", "service": "cart" } }]"#;
    let fired = http_client()
        .post(format!("{}/api/v2/alerts", alertmanager.url()))
        .header("Content-Type", "application/json")
        .body(alert)
        .send()
        .await
        .expect("an answer");
    assert_eq!(fired.status(), 200);
    let list = format!("smokejumper incidents --token-file api-token --url {}", service.url());
    eventually("an incident", PATIENCE, async || {
        run(folder.path(), &list).contains("shop-high-error-rate").then_some(())
    })
    .await;
}
