//! The pages: what they may not contain, what they may not do with hostile text, and the window on the product.
//!
//! Hostile text is shown to a real browser, and the page that the browser made of it is read back.

use std::path::PathBuf;
use std::process::Stdio;

use axum::Router;
use axum::routing::get;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::*;
use crate::sandbox::test_support::{mk_client, shout};

/// Tries to leave the text in every way a label has ever tried.
const HOSTILE: &str =
    r#"<img src=x onerror="document.title='broken'"><script>document.title='broken'</script>"#;

async fn mk_world() -> World {
    World::start(WorldOptions { speed: 300.0, ..WorldOptions::default() }).await.expect("free ports")
}

async fn fetch(url: String) -> (u16, HeaderMap, String) {
    let response = mk_client().get(url).send().await.expect("an answer");
    (response.status().as_u16(), response.headers().clone(), response.text().await.expect("text"))
}

/// A product that shows one incident, with `text` wherever a text may stand.
async fn mk_product(text: &'static str) -> Server {
    let incident = move || {
        json!({"id": "i-1", "status": "triggered", "phase": "awaiting_approval", "severity": "P1",
            "rule": text, "target": text, "started_at": Timestamp::now().to_string(),
            "alerts": [{"labels": {"alertname": "HighErrorRate"}}],
            "actions": [{"id": "a-1", "remedy": text, "status": "awaiting_approval", "reason": text}],
            "timeline": [{"at": Timestamp::now().to_string(), "kind": "opened", "text": text}]})
    };
    let answer = move |body: Json| ([("content-type", "text/html")], body.to_string());
    let list = move |headers: HeaderMap| async move {
        assert_eq!(headers["authorization"], "Bearer viewer");
        answer(json!({ "incidents": [incident()] }))
    };
    let router = Router::new()
        .route("/api/v1/incidents", get(list))
        .route("/api/v1/incidents/{id}", get(move || async move { answer(incident()) }));
    Server::start(0, router).await.expect("a free port")
}

fn connect(world: &World, product: &Server) {
    let viewer_token = Some("viewer".to_owned());
    world.connect(Product { base_url: product.base_url(), alertmanager_token: None, viewer_token });
}

/// The page as a browser has built it after its scripts have run; nothing where there is no browser outside of CI.
async fn dumped(url: &str) -> Option<String> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let found = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file());
    let Some(browser) = found else {
        let words = format!("no browser ({}) for the tests of pages", names.join(", "));
        assert!(std::env::var_os("CI").is_none(), "{words}");
        shout(&format!("{words}: they were not looked at"));
        return None;
    };
    let profile = tempfile::tempdir().expect("a temporary folder");
    let run = tokio::process::Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args(["--disable-component-update", "--disable-sync", "--virtual-time-budget=4000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(90), run)
        .await
        .expect("the browser ends")
        .expect("it starts");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asserts that hostile text was shown as text, at least `times`, and did nothing.
fn assert_harmless(page: &str, times: usize) {
    let body = page.split_once("<body").expect("a page").1;
    assert!(body.matches("&lt;img src=x onerror=").count() >= times, "not shown {times} times: {page}");
    assert!(!body.contains("<img") && !body.contains("<script>document"), "markup of data: {page}");
    assert!(!page.contains("<title>broken"), "it ran: {page}");
    assert!(!body.to_lowercase().contains("href=\"javascript:"), "a link that runs: {page}");
}

#[tokio::test]
async fn pages_bring_everything_themselves_and_never_build_markup_from_data() {
    let world = mk_world().await;
    for (page, name) in [("", "overview"), ("slack/", "slack"), ("pagerduty/", "pagerduty")] {
        let (status, headers, html) = fetch(format!("{}{page}", world.url())).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (200, &"text/html; charset=utf-8".parse().expect("a header"))
        );
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(
            !html.contains("<style") && !html.contains(" style=") && !html.contains(" onclick="),
            "{page}: inline"
        );
        assert!(!html.contains("//cdn") && !html.contains("src=\"http"), "{page}: from elsewhere");
        let (status, _, css) = fetch(format!("{}{page}{name}.css", world.url())).await;
        assert!(
            status == 200 && css.contains("prefers-color-scheme: dark") && !css.contains("url("),
            "{page}"
        );
        let (status, _, js) = fetch(format!("{}{page}{name}.js", world.url())).await;
        assert_eq!(status, 200);
        for banned in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
        ] {
            assert!(!js.contains(banned), "{name}.js uses {banned}");
        }
    }
}

#[tokio::test]
async fn hostile_messages_are_shown_as_text_in_the_chat() {
    let world = mk_world().await;
    let text = |kind: &str, text: &str| json!({"type": kind, "text": text});
    let escaped = "&lt;img src=x onerror=\"a\"&gt; *<javascript:alert(1)|tempting>* <https://example.com/?a=1&amp;b=2|good> `code`";
    let blocks = json!([
        {"type": "header", "text": text("plain_text", HOSTILE)},
        {"type": "section", "text": text("mrkdwn", HOSTILE), "fields": [text("mrkdwn", HOSTILE), text("mrkdwn", escaped)]},
        {"type": "context", "elements": [text("mrkdwn", HOSTILE)]},
        {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [text("text", HOSTILE)]},
            {"type": "rich_text_section", "elements": [{"type": "link", "url": "javascript:alert(1)", "text": "rich link"}]}]},
        {"type": "actions", "elements": [{"type": "button", "action_id": "x", "style": "danger", "url": "javascript:alert(1)",
            "text": text("plain_text", &HOSTILE[..70])}]},
    ]);
    let request = mk_client()
        .post(format!("{}/chat.postMessage", world.slack.api_url()))
        .bearer_auth(&world.slack.options().bot_token)
        .header("content-type", "application/json; charset=utf-8")
        .body(json!({"channel": "#pss-nano-incidents", "text": HOSTILE, "blocks": blocks}).to_string());
    let posted: Json = request.send().await.expect("answer").json().await.expect("JSON");
    assert_eq!(posted["ok"], true, "{posted}");
    let Some(page) = dumped(&format!("{}slack/", world.url())).await else { return };
    assert_harmless(&page, 7);
    assert!(page.contains(r#"href="https://example.com/?a=1&amp;b=2""#), "a good link stays a link: {page}");
    assert!(page.contains("tempting") && page.contains("rich link"), "a bad link stays as text: {page}");
    assert!(
        page.contains("<code>code</code>") && page.contains("<strong>"),
        "markup of the message is rendered: {page}"
    );
}

#[tokio::test]
async fn the_home_tab_and_what_a_command_answers_can_be_looked_at() {
    let world = mk_world().await;
    let shown = |kind: &str, text: &str| json!({"type": kind, "text": text});
    let blocks = json!([
        {"type": "header", "text": shown("plain_text", "2 open incidents")},
        {"type": "section", "text": shown("mrkdwn", HOSTILE)},
    ]);
    let request = mk_client()
        .post(format!("{}/views.publish", world.slack.api_url()))
        .bearer_auth(&world.slack.options().bot_token)
        .header("content-type", "application/json; charset=utf-8")
        .body(json!({"user_id": "U0UNA", "view": {"type": "home", "blocks": blocks}}).to_string());
    let drawn: Json = request.send().await.expect("answer").json().await.expect("JSON");
    assert_eq!(drawn["ok"], true, "{drawn}");
    // The app answers a command, and what it says comes back to whoever wrote it.
    let app = Router::new()
        .route("/", axum::routing::post(|| async { axum::Json(json!({ "text": "nothing is open" })) }));
    let app = Server::start(0, app).await.expect("a free port");
    world.slack.set_interactivity_url(format!("{}/", app.base_url()));
    let written = mk_client()
        .post(format!("{}slack/_sandbox/command", world.url()))
        .header("content-type", "application/json")
        .body(json!({"user": "U0UNA", "command": "/smokejumper", "text": "status"}).to_string());
    let answer: Json = written.send().await.expect("answer").json().await.expect("JSON");
    assert_eq!(answer, json!({ "problem": null, "text": "nothing is open" }));
    let Some(page) = dumped(&format!("{}slack/?home", world.url())).await else { return };
    assert_harmless(&page, 1);
    assert!(page.contains("2 open incidents"), "{page}");
}

#[tokio::test]
async fn hostile_events_and_incidents_are_shown_as_text() {
    let world = mk_world().await;
    let product = mk_product(HOSTILE).await;
    connect(&world, &product);
    world.play("high-error-rate").expect("calm");
    let event = json!({"routing_key": world.pagerduty.services()[0].routing_key, "event_action": "trigger", "dedup_key": HOSTILE,
        "payload": {"summary": HOSTILE, "source": HOSTILE, "severity": "info"}});
    let url = format!("{}/v2/enqueue", world.pagerduty.events_url());
    assert_eq!(mk_client().post(url).body(event.to_string()).send().await.expect("answer").status(), 202);
    let Some(pager) = dumped(&format!("{}pagerduty/", world.url())).await else { return };
    assert_harmless(&pager, 2);
    let Some(overview) = dumped(&world.url()).await else { return };
    // The pager's line; the responder's rule, target, remedy, reason and timeline.
    assert_harmless(&overview, 6);
    assert!(overview.contains("Your turn"), "a newcomer is told what to do: {overview}");
}

#[tokio::test]
async fn the_window_on_the_product_shows_its_api_and_nothing_else() {
    let world = mk_world().await;
    let window = |path: &str| fetch(format!("{}_product/{path}", world.url()));
    assert_eq!(window("api/v1/incidents").await.0, 502, "not connected yet");
    let product = mk_product("text").await;
    connect(&world, &product);
    let (status, headers, body) = window("api/v1/incidents?limit=1").await;
    assert_eq!((status, &headers["content-type"]), (200, &"application/json".parse().expect("a header")));
    assert!(body.contains("i-1"));
    for path in [
        "metrics",
        "webhooks/alertmanager",
        "api/v1/",
        "api/v1/../../metrics",
        "api/v1/%2e%2e/pause",
        "api/v1//x",
    ] {
        let (status, _, body) = window(path).await;
        assert!(status == 404, "{path}: {status} {body}");
    }
    let url = format!("{}_product/api/v1/incidents", world.url());
    assert_eq!(mk_client().post(url).body("{}").send().await.expect("answer").status(), 405, "only looking");
    product.go_down().await;
    let gone = || async { window("api/v1/incidents").await.0 };
    assert_eq!(gone().await, 502);
}

#[tokio::test]
async fn the_overview_plays_ends_and_draws_a_story() {
    let world = mk_world().await;
    let order = |path: &'static str, scenario: &'static str| {
        let url = format!("{}_sandbox/{path}", world.url());
        let body = json!({ "scenario": scenario }).to_string();
        let request = mk_client().post(url).header("content-type", "application/json").body(body);
        async move { request.send().await.expect("answer").status().as_u16() }
    };
    assert_eq!(order("play", "meteor").await, 404);
    assert_eq!(order("play", "high-latency").await, 204);
    assert_eq!(order("play", "high-latency").await, 409);
    let state: Json =
        serde_json::from_str(&fetch(format!("{}_sandbox/state", world.url())).await.2).expect("JSON");
    let story =
        state["scenarios"].as_array().expect("stories").iter().find(|one| one["name"] == "high-latency");
    assert_eq!(story.expect("it exists")["phase"], "rising");
    let series = fetch(format!("{}_sandbox/series?scenario=high-latency", world.url())).await;
    let series: Json = serde_json::from_str(&series.2).expect("JSON");
    assert_eq!(series["points"].as_array().map(Vec::len), Some(121));
    assert_eq!(order("end", "high-latency").await, 204);
    world.wait_for("high-latency", Phase::Resolved, Duration::from_secs(20)).await.expect("it ends");
}
