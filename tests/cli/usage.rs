//! Wrong usage is told with the way out, and with exit code 64.

use crate::program::{EXIT_USAGE, smokejumper};

fn refusal(arguments: &[&str]) -> String {
    smokejumper(arguments).run().refused(EXIT_USAGE)
}

#[test]
fn a_mistyped_command_or_option_gets_a_suggestion() {
    assert!(refusal(&["incidnets"]).contains("incidents"));
    assert!(refusal(&["incidents", "lst"]).contains("list"));
    assert!(refusal(&["send", "--alertnam", "X"]).contains("--alertname"));
    assert!(refusal(&["incidents", "list", "--status", "opne"]).contains("open"));
    assert!(refusal(&["--output", "yaml", "incidents"]).contains("json"));
}

#[test]
fn the_demo_knows_its_stories_and_how_fast_it_can_run() {
    let story = refusal(&["demo", "--scenario", "disk-spac"]);
    assert!(story.contains("disk-space") && story.contains("high-latency"), "{story}");
    for speed in ["fast", "0", "-1", "nan", "inf", "1e9"] {
        let said = refusal(&["demo", &format!("--speed={speed}")]);
        assert!(said.contains("write a number") || said.contains("1 to 600 times"), "{said}");
    }
    let said = refusal(&["completions", "bash", "--output", "json"]);
    assert!(said.contains("leave out `--output json`"), "{said}");
    let script = smokejumper(["completions", "bash"]).run().good();
    assert!(script.contains("high-error-rate"), "shells complete the stories");
}

#[test]
fn no_command_at_all_shows_help() {
    assert!(refusal(&[]).contains("Usage: smokejumper"));
}

#[test]
fn help_and_version_are_no_mistakes() {
    assert!(smokejumper(["--help"]).run().good().contains("Examples:"));
    assert!(smokejumper(["incidents", "-h"]).run().good().contains("Usage:"));
    assert_eq!(
        smokejumper(["--version"]).run().good(),
        format!("smokejumper {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn the_schema_of_the_settings_is_one() {
    for arguments in
        [vec!["schema"], vec!["schema", "settings"], vec!["schema", "settings", "--output", "json"]]
    {
        let schema = smokejumper(arguments).run().json();
        assert_eq!(schema["title"], "Smokejumper settings");
        assert!(schema["properties"]["guardrails"].is_object());
    }
    assert!(refusal(&["schema", "alert"]).contains("settings"));
}

#[test]
fn each_kind_of_rule_file_has_a_schema() {
    for kind in smokejumper::rules::schema::KINDS {
        let schema = smokejumper(["schema", kind]).run().json();
        assert_eq!((&schema["title"], &schema["properties"]["kind"]["const"]), (&kind.into(), &kind.into()));
        let lower = kind.to_lowercase();
        assert_eq!(smokejumper(["schema", lower.as_str()]).run().json(), schema);
    }
    let rule = smokejumper(["schema", "ResponseRule"]).run().good();
    assert!(rule.contains("http.call") && rule.contains("prom.range"), "kinds of this build are in it");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_smokejumper"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_secret_that_is_not_there_is_shown_where_it_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = "slack:\n  bot_token: { env: GONE_TOKEN }\n  default_channel: '#x'\n";
    std::fs::write(folder.path().join("s.yaml"), settings).expect("written");
    let said =
        smokejumper(["serve", "--config", "s.yaml"]).in_folder(folder.path()).run().refused(EXIT_USAGE);
    for words in ["s.yaml:2:3", "bot_token: { env: GONE_TOKEN }", "is not set", "help: "] {
        assert!(said.contains(words), "`{words}` is not in {said}");
    }
}

#[test]
fn an_address_that_is_taken_is_said_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it is bound");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), "").expect("written");
    let settings = format!("server: {{ listen: '{address}' }}\nrules: [rules.yaml]\n");
    std::fs::write(folder.path().join("s.yaml"), settings).expect("written");
    let outcome = smokejumper(["serve", "--config", "s.yaml"]).in_folder(folder.path()).run();
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("in use").count(), 1, "{}", outcome.stderr);
    let page = refused_demo(address.port());
    assert_eq!(page.matches("in use").count(), 1, "{page}");
}

fn refused_demo(port: u16) -> String {
    smokejumper(["demo", "--port", &port.to_string()]).run().refused(1)
}
