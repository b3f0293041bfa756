//! `check --online`: each broken setting is found for itself, and said in words that help.

use std::path::Path;

use crate::program::{Outcome, smokejumper};
use crate::servers;
use serde_json::Value;
use smokejumper::sandbox::pagerduty::{PagerDutyOptions, PagerDutySandbox};
use smokejumper::sandbox::slack::{Channel, SlackOptions, SlackSandbox};

const RULES: &str = "\
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: errors }
spec:
  matchers: ['alertname=\"HighErrorRate\"']
  severity: P1
  groupBy: [service]
  escalation: night
  diagnostics:
    - { name: up, prom.query: { expr: 'vector(1)' } }
    - { name: gone, prom.query: { expr: 'no_such_metric' } }
    - { name: of_service, prom.query: { expr: 'up{service=\"{{ labels.service }}\"}' } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels: [{ name: on-call, after: 0s, destinations: [{ slack: { channel: '#incidents' } }] }]
  fallback: [{ slack: { channel: '#incidents' } }]
";

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Runs a check over these sections, with secrets that are as they should be unless `environment` says otherwise.
async fn run(folder: &Path, sections: &str, environment: &[(&str, &str)]) -> Outcome {
    std::fs::write(folder.join("rules.yaml"), RULES).expect("written");
    let settings = format!("{sections}\nrules: ['rules.yaml']\n");
    std::fs::write(folder.join("smokejumper.yaml"), settings).expect("written");
    let mut program = smokejumper(["check", "--config", "smokejumper.yaml", "--online", "--output", "json"]);
    for (name, value) in environment {
        program = program.env(name, value);
    }
    let program = program.in_folder(folder);
    tokio::task::spawn_blocking(move || program.run()).await.expect("no panic")
}

/// What was seen of a setting: how it stands, and what is said.
fn seen(outcome: &Outcome, setting: &str) -> Vec<(String, String)> {
    let document: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    let all = document["online"].as_array().cloned().unwrap_or_default();
    let fitting =
        all.iter().filter(|one| one["setting"].as_str().is_some_and(|text| text.starts_with(setting)));
    fitting
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            (text("status"), format!("{} / {}", text("message"), text("help")))
        })
        .collect()
}

#[track_caller]
fn assert_seen(outcome: &Outcome, setting: &str, status: &str, words: &str) {
    let found = seen(outcome, setting);
    let fits = |(has, said): &(String, String)| has == status && said.contains(words);
    assert!(found.iter().any(fits), "{setting} is not {status} with {words:?}: {found:?}\n{outcome:?}");
}

fn slack_section(slack: &SlackSandbox, more: &str) -> String {
    format!("slack: {{ api_url: '{}', bot_token: {{ env: BOT }}, {more} }}", slack.api_url())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slack_is_asked_for_its_token_its_scopes_and_each_channel() {
    let folder = tempfile::tempdir().expect("a folder");
    let channels = vec![
        Channel::new("C0INCIDENTS", "incidents"),
        Channel { archived: true, ..Channel::new("C0OLD", "old") },
        Channel { bot_is_member: false, ..Channel::new("C0OTHER", "other") },
    ];
    let options = SlackOptions { channels, ..SlackOptions::default() };
    let slack = SlackSandbox::start(options).await.expect("slack");
    let token = slack.options().bot_token.clone();
    let bot = [("BOT", token.as_str())];
    slack.set_scopes(&["chat:write", "channels:read"]);

    let good = run(folder.path(), &slack_section(&slack, "signing_secret: { env: BOT }"), &bot).await;
    assert_seen(&good, "slack.bot_token", "good", "Slack knows the token");
    assert_seen(&good, "slack channel #incidents", "good", "the app can write there");
    assert_seen(&good, "slack.signing_secret", "doubtful", "32 hexadecimal digits");
    assert_seen(&good, "slack.bot_token", "doubtful", "lacks the scope files:write");
    assert!(!good.stdout.contains("usergroups:read"), "no group stands in the settings");
    assert_eq!(good.code, 0, "{good:?}");
    assert!(!good.stdout.contains(&token), "no secret is shown");

    let section = slack_section(&slack, "team_id: T0OTHER, default_channel: '#old'");
    let wrong = run(folder.path(), &section, &bot).await;
    assert_seen(&wrong, "slack.team_id", "bad", "presses count from T0OTHER alone");
    assert_seen(&wrong, "slack channel #old", "bad", "archived");
    assert_eq!(wrong.code, 1);
    for (channel, status, words) in
        [("#other", "bad", "/invite"), ("#nowhere", "doubtful", "no such channel that the app can see")]
    {
        let section = slack_section(&slack, &format!("default_channel: '{channel}'"));
        let wrong = run(folder.path(), &section, &bot).await;
        assert_seen(&wrong, &format!("slack channel {channel}"), status, words);
    }

    let section = slack_section(&slack, "");
    let wrong = run(folder.path(), &section, &[("BOT", "xoxb-wrong")]).await;
    assert_seen(&wrong, "slack.bot_token", "bad", "Slack does not know this token (invalid_auth)");
    let wrong = run(folder.path(), &section, &[]).await;
    assert_seen(&wrong, "slack.bot_token", "bad", "BOT");
    slack.set_scopes(&["channels:read"]);
    let wrong = run(folder.path(), &section, &bot).await;
    assert_seen(&wrong, "slack.bot_token", "bad", "lacks the scope chat:write");
    slack.set_scopes(&["chat:write"]);
    let wrong = run(folder.path(), &section, &bot).await;
    assert_seen(&wrong, "slack.bot_token", "doubtful", "channels cannot be looked up");
    assert_eq!(wrong.code, 0, "doubts alone do not fail");

    let app = slack_section(&slack, "app_token: { env: APP }");
    let right = slack.options().app_token.clone();
    let off = run(folder.path(), &app, &[("BOT", &token), ("APP", &right)]).await;
    assert_seen(&off, "slack.app_token", "bad", "not switched on");
    slack.set_socket_mode(true);
    let good = run(folder.path(), &app, &[("BOT", &token), ("APP", &right)]).await;
    assert_seen(&good, "slack.app_token", "good", "Socket Mode");
    let wrong = run(folder.path(), &app, &[("BOT", &token), ("APP", &token)]).await;
    assert_seen(&wrong, "slack.app_token", "bad", "xapp-");
    let port = servers::free_port();
    let away = format!("slack: {{ api_url: 'http://127.0.0.1:{port}', bot_token: {{ env: BOT }} }}");
    let wrong = run(folder.path(), &away, &bot).await;
    assert_seen(&wrong, "slack.api_url", "bad", "HTTPS_PROXY");
    assert!(slack.messages("#incidents").is_empty(), "nothing is posted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_pagerduty_only_what_can_be_known_without_paging_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let pagerduty = PagerDutySandbox::start(PagerDutyOptions::default()).await.expect("pagerduty");
    let section = |url: &str| {
        format!(
            "pagerduty: {{ events_url: '{url}', services: {{ shop: {{ routing_key: {{ env: KEY }} }} }} }}"
        )
    };
    let url = pagerduty.events_url();
    let good = run(folder.path(), &section(&url), &[("KEY", KEY)]).await;
    assert_seen(&good, "pagerduty.events_url", "good", "answers");
    assert_seen(&good, "pagerduty.services.shop", "good", "only a page shows");
    let wrong = run(folder.path(), &section(&url), &[("KEY", "u+abcdefghijklmnopqr")]).await;
    assert_seen(&wrong, "pagerduty.services.shop", "bad", "Integration Key");
    assert_eq!(wrong.code, 1);
    let port = servers::free_port();
    let wrong = run(folder.path(), &section(&format!("http://127.0.0.1:{port}")), &[("KEY", KEY)]).await;
    assert_seen(&wrong, "pagerduty.events_url", "bad", "does not answer");
    let with_api = |from: &str| {
        format!(
            "pagerduty: {{ events_url: '{url}', api: {{ url: '{url}', token: {{ env: TOKEN }}, from: {from} }} }}"
        )
    };
    let token = pagerduty.api_token().to_owned();
    let good = run(folder.path(), &with_api("una@example.com"), &[("TOKEN", &token)]).await;
    assert_seen(&good, "pagerduty.api.token", "good", "notes can be written");
    let wrong = run(folder.path(), &with_api("nobody@example.com"), &[("TOKEN", &token)]).await;
    assert_seen(&wrong, "pagerduty.api.from", "bad", "no user with this mail address");
    let wrong =
        run(folder.path(), &with_api("una@example.com"), &[("TOKEN", "another-token-of-somebody")]).await;
    assert_seen(&wrong, "pagerduty.api.token", "bad", "401");
    assert!(pagerduty.incidents().is_empty(), "nobody is paged");
}

fn alertmanager_config(hook: &str) -> String {
    format!("route: {{ receiver: team }}\nreceivers:\n  - name: team\n    webhook_configs: [{{ {hook} }}]\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_alertmanager_is_asked_whether_it_sends_here() {
    let folder = tempfile::tempdir().expect("a folder");
    for (hook, status, words) in [
        ("url: 'http://127.0.0.1:9/webhooks/alertmanager'", "good", "team sends alerts and their ends here"),
        (
            "url: 'http://127.0.0.1:9/webhooks/alertmanager', send_resolved: false",
            "doubtful",
            "send_resolved",
        ),
        ("url: 'http://127.0.0.1:9/somebody/else'", "bad", "no alert arrives from it"),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        let alertmanager = servers::alertmanager(place.path(), &alertmanager_config(hook)).await;
        let section = format!(
            "alertmanager: {{ url: '{}', reconcile: {{ receiver: smokejumper }} }}",
            alertmanager.url()
        );
        let outcome = run(folder.path(), &section, &[]).await;
        assert_seen(&outcome, "alertmanager http", "good", "Alertmanager 0.");
        assert_seen(&outcome, "alertmanager http", status, words);
        assert_seen(&outcome, "alertmanager.reconcile.receiver", "bad", "no receiver called smokejumper");
    }
    let port = servers::free_port();
    let outcome =
        run(folder.path(), &format!("alertmanager: {{ url: 'http://127.0.0.1:{port}' }}"), &[]).await;
    assert_seen(&outcome, "alertmanager http", "bad", "look at the address");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_is_asked_for_the_queries_of_the_rules() {
    let folder = tempfile::tempdir().expect("a folder");
    let prometheus = servers::prometheus(folder.path(), "global: { scrape_interval: 1s }\n").await;
    let outcome = run(folder.path(), &format!("prometheus: {{ url: '{}' }}", prometheus.url()), &[]).await;
    assert_seen(&outcome, "prometheus.url", "good", "Prometheus 2.");
    assert_seen(&outcome, "rule errors, diagnostic gone", "doubtful", "gives nothing now");
    assert_seen(&outcome, "rules", "good", "1 queries of the rules are answered");
    assert_seen(&outcome, "rules", "good", "1 queries of the rules need the labels");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    // Somebody else answers there: not Alertmanager, and not under that path.
    let wrong = format!(
        "prometheus: {{ url: '{}/wrong' }}\nalertmanager: {{ url: '{}' }}",
        prometheus.url(),
        prometheus.url()
    );
    let outcome = run(folder.path(), &wrong, &[]).await;
    assert_seen(&outcome, "prometheus.url", "bad", "path prefix");
    assert_seen(&outcome, "alertmanager http", "bad", "this is no Alertmanager");
    assert_eq!(outcome.code, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_quotes_a_credential_is_not_quoted() {
    const TOKEN: &str = "credential-that-comes-back";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let refuse = || async { (http::StatusCode::UNAUTHORIZED, format!("no such token: {TOKEN}")) };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(refuse)).await });
    let folder = tempfile::tempdir().expect("a folder");
    let sections = format!(
        "alertmanager: {{ url: '{url}', bearer_token: {{ env: TOKEN }} }}\n\
         prometheus: {{ url: '{url}', bearer_token: {{ env: TOKEN }} }}"
    );
    let refused = run(folder.path(), &sections, &[("TOKEN", TOKEN)]).await;
    assert_seen(&refused, "alertmanager", "bad", "credentials");
    assert_seen(&refused, "prometheus", "bad", "credentials");
    assert!(!refused.stdout.contains(TOKEN) && !refused.stderr.contains(TOKEN), "{refused:?}");
}
