//! Bodies that nobody should send.

use crate::house::{House, PATIENCE, Plan, mk_alert, mk_body, mk_webhook};
use crate::servers::eventually;
use serde_json::json;
use std::io::Write as _;

const MIB: u64 = 1024 * 1024;

/// How much more memory than an idle service a flood of bad bodies may take: two bodies of the largest size.
const GROWTH_MAX_KIB: u64 = 64 * 1024;

/// The same for large bodies that are good: those that wait, their copies on the way into the store, and those that a
/// step reads together.
const LARGE_GROWTH_MAX_KIB: u64 = 160 * 1024;

const HUGE_BYTES: u64 = 200 * MIB;

/// Zeroes that shrink to a few kilobytes.
fn gzip_bomb() -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(&vec![b' '; 16 * MIB as usize]).expect("memory takes it");
    // Members may follow one another: the reader gets 8 GiB out of some kilobytes.
    writer.finish().expect("memory takes it").repeat(512)
}

fn nested(open: &str, close: &str) -> String {
    format!("{{\"alerts\":{}1{}}}", open.repeat(100_000), close.repeat(100_000))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_400_with_its_place_and_costs_no_memory() {
    let house = House::start("").await;
    assert_eq!(house.post(mk_body("before")).await.status, 200);
    house.knows(&["before"]).await;
    let good = mk_body("never");
    let twice = good.replacen("\"labels\"", "\"labels\":{\"alertname\":\"Errors\"},\"labels\"", 1);
    let bodies: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "line 1, column 0"),
        ("blank", b"  \n ".to_vec(), "line 2"),
        ("no JSON", b"<html>not found</html>".to_vec(), "line 1, column 1"),
        ("truncated", good.as_bytes()[..good.len() / 2].to_vec(), "line 1, column"),
        ("two documents", format!("{good}{good}").into_bytes(), "trailing"),
        ("a text", b"\"alerts\"".to_vec(), "JSON object"),
        ("a number", b"7".to_vec(), "JSON object"),
        ("null", b"null".to_vec(), "JSON object"),
        ("a list", format!("[{good}]").into_bytes(), "a list, where"),
        ("no alerts", b"{\"version\":\"4\"}".to_vec(), "missing field `alerts`"),
        ("alerts are null", b"{\"alerts\":null}".to_vec(), "a list of alerts"),
        ("alerts are an object", b"{\"alerts\":{}}".to_vec(), "a list of alerts"),
        ("alerts are a text", b"{\"alerts\":\"all\"}".to_vec(), "a list of alerts"),
        ("alerts twice", b"{\"alerts\":[],\"alerts\":[]}".to_vec(), "duplicate field `alerts`"),
        ("labels twice", twice.into_bytes(), "duplicate field `labels`"),
        ("not UTF-8", b"{\"alerts\":[\"\xff\xfe\"]}".to_vec(), "column 13: the body is not UTF-8"),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect(), "line 1, column"),
        ("a lone surrogate", b"{\"alerts\":[{\"labels\":{\"a\":\"\\ud800\"}}]}".to_vec(), "hex escape"),
        ("nested lists", nested("[", "]").into_bytes(), "nested deeper than 64 levels"),
        ("nested objects", nested("{\"a\":", "}").into_bytes(), "nested deeper than 64 levels"),
        ("never closed", "[".repeat(100_000).into_bytes(), "nested deeper than 64 levels"),
        ("only an alert without labels", mk_webhook(&[json!({})]).into_bytes(), "no alert of this webhook"),
    ];
    let idle_kib = house.memory_kib("VmRSS");
    house.forget_peak();
    for (name, body, words) in &bodies {
        let answer = house.post(body.clone()).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{name}");
        let detail = answer.json()["detail"].as_str().expect("a sentence").to_owned();
        assert!(detail.contains(words), "{name}: {detail}");
        assert!(detail.len() < 400, "{name}: an answer is short: {detail}");
    }
    let refused = house.metric("smokejumper_webhooks_received_total{outcome=\"malformed\"}").await;
    assert_eq!(refused, Some(bodies.len() as f64), "each is counted");
    let lines = house.logged("a webhook was refused");
    assert!(lines.iter().any(|line| line["error"].as_str().is_some_and(|error| error.contains("line 1"))));
    let grown_kib = house.memory_kib("VmHWM").saturating_sub(idle_kib);
    assert!(grown_kib < GROWTH_MAX_KIB, "{grown_kib} KiB more than idle");
    assert_eq!(house.post(mk_body("after")).await.status, 200);
    house.knows(&["before", "after"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_around_a_good_body_does_not_lose_it() {
    let house = House::start("").await;
    let plain = [
        vec![("content-type", "text/plain")],
        vec![("content-type", "application/x-www-form-urlencoded")],
        vec![("content-type", "no/such; charset=utf-16")],
        vec![],
        vec![("content-encoding", "identity")],
        vec![("expect", "100-continue"), ("content-type", "application/json")],
    ];
    let mut services = Vec::new();
    for (number, headers) in plain.iter().enumerate() {
        services.push(format!("s{number}"));
        let answer = house.post_with(headers, mk_body(&services[number])).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.body);
    }
    house.knows(&services.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_without_labels_is_refused_and_counted_and_its_neighbours_are_kept() {
    let house = House::start("").await;
    let alerts = [
        mk_alert("one"),
        json!({ "status": "firing", "annotations": { "summary": "who am I" } }),
        json!({ "labels": {} }),
        json!({ "labels": { "alertname": 7 } }),
        json!("an alert"),
        mk_alert("two"),
    ];
    let answer = house.post(mk_webhook(&alerts)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    house.knows(&["one", "two"]).await;
    assert_eq!(house.metric("smokejumper_alerts_received_total").await, Some(2.0));
    assert_eq!(house.metric("smokejumper_alerts_refused_total").await, Some(4.0));
    let line = house.says("could not be read").await;
    assert_eq!((&line["alerts.refused"], &line["alerts.kept"]), (&json!(4), &json!(2)), "{line}");
    let first = line["error"].as_str().expect("the first reason");
    assert!(first.contains("alert 1, line 1, column") && first.contains("missing field `labels`"), "{first}");
}

/// Writes a body piece by piece until it is refused or whole; true when all of it was taken.
async fn send_huge(house: &House, head: &str, piece: &[u8], pieces: u64, last: &[u8]) -> (bool, String) {
    let mut raw = house.connect().await;
    let head = format!("POST /webhooks/alertmanager HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n\r\n");
    assert!(raw.send(head.as_bytes()).await);
    for _ in 0..pieces {
        if !raw.send(piece).await {
            return (false, raw.read_to_end().await);
        }
    }
    let whole = raw.send(last).await;
    (whole, raw.read_to_end().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_megabytes_are_413_announced_or_not_and_cost_little_memory() {
    let house = House::start("").await;
    let idle_kib = house.memory_kib("VmRSS");
    house.forget_peak();
    let mib = vec![b' '; MIB as usize];
    let mut chunk = format!("{:x}\r\n", mib.len()).into_bytes();
    chunk.extend_from_slice(&mib);
    chunk.extend_from_slice(b"\r\n");
    let announced = format!("Content-Length: {HUGE_BYTES}");
    for (head, piece, last) in
        [(announced.as_str(), &mib, &b""[..]), ("Transfer-Encoding: chunked", &chunk, &b"0\r\n\r\n"[..])]
    {
        let (_, answer) = send_huge(&house, head, piece, HUGE_BYTES / MIB, last).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{head}: {answer}");
        assert!(answer.contains("larger than 33554432 bytes"), "{head}: {answer}");
        assert!(answer.contains("limits.body_bytes"), "the way out is named: {answer}");
    }
    assert_eq!(house.metric("smokejumper_webhooks_received_total{outcome=\"too_large\"}").await, Some(2.0));
    let grown_kib = house.memory_kib("VmHWM").saturating_sub(idle_kib);
    assert!(grown_kib < GROWTH_MAX_KIB, "{grown_kib} KiB more than idle");
    assert_eq!(house.post(mk_body("after")).await.status, 200);
    house.knows(&["after"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gzip_bomb_is_refused_unread() {
    let house = House::start("").await;
    let bomb = gzip_bomb();
    let idle_kib = house.memory_kib("VmRSS");
    house.forget_peak();
    for encoding in ["gzip", "x-gzip", "deflate", "br", "zstd", "identity, gzip"] {
        let answer = house.post_with(&[("content-encoding", encoding)], bomb.clone()).await;
        assert_eq!(answer.status, 400, "{encoding}: {}", answer.body);
        assert!(answer.body.contains("compressed (Content-Encoding)"), "{encoding}: {}", answer.body);
    }
    // The same bytes without the header are no text.
    assert_eq!(house.post(bomb.clone()).await.status, 400);
    let grown_kib = house.memory_kib("VmHWM").saturating_sub(idle_kib);
    assert!(grown_kib < GROWTH_MAX_KIB, "{grown_kib} KiB more than idle");
}

/// Large bodies that are good: each is stored as a whole or asked for again, in bounded memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_large_bodies_than_memory_are_asked_to_come_again_until_all_are_stored() {
    const COUNT: u64 = 14;
    let house =
        House::start(&format!("limits: {{ body_bytes: {}, bodies_bytes: {} }}", 6 * MIB, 12 * MIB)).await;
    let idle_kib = house.memory_kib("VmRSS");
    house.forget_peak();
    let text = "x".repeat(4 * MIB as usize);
    let posts = (0..COUNT).map(|number| {
        let mut alert = mk_alert(&format!("s{number}"));
        alert["annotations"]["description"] = json!(text);
        let (body, house) = (mk_webhook(&[alert]), &house);
        async move {
            // Five a second: nobody is asked for longer than a minute or two where the service stores what it is sent.
            for asked_again in 0..600 {
                let answer = house.post(body.clone()).await;
                match answer.status {
                    200 => return asked_again,
                    503 => assert_eq!(answer.headers["retry-after"], "1", "{}", answer.body),
                    other => panic!("{other}: {}", answer.body),
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            panic!("asked again 600 times and still not stored: {}", house.post(body).await.body)
        }
    });
    let asked_again: u32 = futures::future::join_all(posts).await.into_iter().sum();
    let services: Vec<String> = (0..COUNT).map(|number| format!("s{number}")).collect();
    house.knows(&services.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let grown_kib = house.memory_kib("VmHWM").saturating_sub(idle_kib);
    println!("{COUNT} bodies of 4 MiB, asked again {asked_again} times, {grown_kib} KiB more than idle");
    assert!(asked_again > 0, "the limit was reached");
    assert!(grown_kib < LARGE_GROWTH_MAX_KIB, "{grown_kib} KiB more than idle");
}

type Headers<'a> = &'a [(&'a str, &'a str)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_to_a_sender_is_one_that_it_understands() {
    let settings = "receivers: { alertmanager: { bearer_tokens: [{ env: AM_TOKEN }] } }\n\
                    slack: { bot_token: { env: BOT }, signing_secret: { env: SIGNING } }";
    let secret = "0123456789abcdef0123456789abcdef";
    let plan = Plan::new(settings).env("AM_TOKEN", secret).env("BOT", "xoxb-1").env("SIGNING", secret);
    let house = plan.start().await;
    let bearer = format!("Bearer {secret}");
    let good = mk_body("one");
    let with = [("authorization", bearer.as_str())];
    let large = "x".repeat(2 * MIB as usize);
    let cases: [(&str, &str, Headers<'_>, &str, u16); 17] = [
        ("POST", "/webhooks/alertmanager", &with, &good, 200),
        ("POST", "/webhooks/alertmanager?token=x&a=%00&a=b#f", &with, &good, 200),
        ("POST", "/webhooks/alertmanager", &with, "{", 400),
        ("POST", "/webhooks/alertmanager", &[], &good, 401),
        ("POST", "/webhooks/alertmanager", &[("authorization", "Bearer wrong")], &good, 401),
        ("POST", "/webhooks/alertmanager", &[("authorization", "Basic \u{e4}")], &good, 401),
        ("POST", "/webhooks/alertmanager/", &with, &good, 404),
        ("POST", "/webhooks//alertmanager", &with, &good, 404),
        ("POST", "/webhooks/../webhooks/alertmanage", &with, &good, 404),
        ("POST", "/webhooks", &with, &good, 404),
        ("GET", "/webhooks/alertmanager", &with, "", 405),
        ("PUT", "/webhooks/alertmanager", &with, &good, 405),
        ("DELETE", "/webhooks/slack", &[], "", 405),
        ("POST", "/webhooks/slack", &[], "payload=%7B%7D", 401),
        ("POST", "/webhooks/slack", &[], &large, 413),
        ("POST", "/webhooks/slack", &[("content-encoding", "gzip")], "payload=%7B%7D", 400),
        ("POST", "/webhooks/slack/", &[], "payload=%7B%7D", 404),
    ];
    for (method, path, headers, body, status) in cases {
        let mut raw = house.connect().await;
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", house.port());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        assert!(raw.send(request.as_bytes()).await);
        let answer = raw.read_to_end().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path} {headers:?}: {answer}");
        assert!(!answer.contains(secret), "{answer}");
        if status >= 400 {
            assert!(answer.contains("application/problem+json"), "{method} {path}: {answer}");
        }
    }
    let alertmanager = |outcome: &str| {
        format!("smokejumper_webhooks_received_total{{receiver=\"alertmanager\",outcome=\"{outcome}\"}}")
    };
    assert_eq!(house.metric(&alertmanager("stored")).await, Some(2.0));
    assert_eq!(house.metric(&alertmanager("unauthorized")).await, Some(3.0));
    eventually("the alert", PATIENCE, || async { (house.known("service").await == ["one"]).then_some(()) })
        .await;
}
