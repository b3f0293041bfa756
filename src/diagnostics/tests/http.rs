//! Probes: healthy, sick, silent and hostile servers, and addresses that must not be reached.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::clients::stand_in::{Play, StandIn, refused_url};

async fn probe(kind: &str, play: Play, mut params: Value) -> (Finding, StandIn) {
    let server = StandIn::play([play]).await;
    params["url"] = json!(server.url("/health?a=1"));
    let finding = diagnose(&mk_diagnostics(None), kind, params, TIMEOUT).await;
    (finding, server)
}

async fn check(play: Play, params: Value) -> Finding {
    probe("http.check", play, params).await.0
}

async fn pick(play: Play, pick: Value) -> Finding {
    probe("http.json", play, json!({"pick": pick})).await.0
}

async fn metrics(page: &str, pick: Value) -> Finding {
    probe("http.metrics", Play::text(200, page), json!({"pick": pick})).await.0
}

#[tokio::test]
async fn a_service_that_answers_as_expected_is_ok() {
    let params = json!({"expect": {"status": [200, 204], "contains": "healthy"}});
    let (finding, server) = probe("http.check", Play::text(200, "all healthy"), params).await;
    assert_known(&finding);
    assert_eq!((&finding.fields["ok"], &finding.fields["http_status"]), (&json!(true), &json!(200)));
    assert!(finding.fields["latency_ms"].is_u64() && !finding.fields.contains_key("error"));
    assert!(finding.text.starts_with("HTTP 200 in "), "{}", finding.text);
    assert_eq!(server.seen()[0].line, "GET /health?a=1 HTTP/1.1");
    let (finding, server) = probe("http.check", Play::text(204, ""), json!({"method": "HEAD"})).await;
    assert_eq!(finding.fields["ok"], json!(true));
    assert!(server.seen()[0].line.starts_with("HEAD "));
}

#[tokio::test]
async fn a_service_that_answers_otherwise_is_known_to_be_not_ok() {
    for (play, params, words) in [
        (Play::text(503, "db down"), json!({}), "HTTP 503 where 2xx was expected: db down"),
        (
            Play::text(200, "sick"),
            json!({"expect": {"contains": "healthy"}}),
            "does not hold the expected text: sick",
        ),
        (Play::text(200, "on"), json!({"expect": {"status": "5xx"}}), "HTTP 200 where 5xx was expected"),
    ] {
        let finding = check(play, params).await;
        assert_known(&finding);
        assert_eq!((&finding.fields["ok"], &finding.fields["reachable"]), (&json!(false), &json!(true)));
        assert!(finding.text.contains(words), "{}", finding.text);
        assert!(finding.fields["error"].as_str().is_some_and(|error| error.contains(words)));
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_known_to_be_unreachable() {
    let diagnostics = mk_diagnostics(None);
    let silent = StandIn::play([Play::Silence]).await;
    let broken = StandIn::play([Play::Half]).await;
    for url in [refused_url().await, silent.url("/"), broken.url("/")] {
        let finding =
            diagnose(&diagnostics, "http.check", json!({"url": url}), Duration::from_millis(800)).await;
        assert_known(&finding);
        assert_eq!(
            (&finding.fields["ok"], &finding.fields["reachable"]),
            (&json!(false), &json!(false)),
            "{finding:?}"
        );
        assert_eq!(finding.fields.get("http_status"), None);
        assert!(finding.duration_ms < 800, "its own limit must come first: {finding:?}");
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.read_buf(&mut Vec::new()).await.expect("a request");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let params = json!({"url": url, "pick": {"a": "/a"}});
    let finding = diagnose(&mk_diagnostics(None), "http.json", params, Duration::from_millis(700)).await;
    assert!(reason(&finding).contains("did not answer within"), "{finding:?}");
    assert!((400..700).contains(&finding.duration_ms), "{finding:?}");
}

#[tokio::test]
async fn what_our_own_side_cannot_tell_is_unknown() {
    let diagnostics = mk_diagnostics(None);
    // No resolver takes a label this long, so that no question leaves the machine.
    let unresolvable = format!("http://{}.example/", "x".repeat(70));
    for (url, words) in [
        (unresolvable.as_str(), "cannot be resolved"),
        ("http://169.254.169.254/latest/meta-data/", "link-local"),
        ("http://metadata.google.internal/", "metadata service"),
        ("http://[::ffff:169.254.169.254]/", "link-local"),
        ("gopher://h/", "begins with `http://`"),
    ] {
        let finding = diagnose(&diagnostics, "http.check", json!({"url": url}), TIMEOUT).await;
        assert!(reason(&finding).contains(words), "{url}: {finding:?}");
    }
}

#[tokio::test]
async fn loopback_is_out_of_bounds_unless_the_settings_allow_it() {
    let canary = StandIn::play([Play::text(200, "seen")]).await;
    let options = DiagnosticsOptions {
        prometheus: None,
        kubernetes: None,
        connections: Default::default(),
        vitals: VitalsOptions::default(),
        probe_loopback: false,
        keyring: mk_keyring(),
    };
    let diagnostics = Diagnostics::new(options).expect("diagnostics");
    for url in [canary.url("/"), format!("http://localhost:{}/", canary.address.port())] {
        let finding = diagnose(&diagnostics, "http.check", json!({"url": url}), TIMEOUT).await;
        assert!(reason(&finding).contains("loopback"), "{finding:?}");
    }
    assert!(canary.seen().is_empty(), "{:?}", canary.seen());
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_leads_nowhere() {
    let canary = StandIn::play([Play::text(200, "healthy")]).await;
    let redirect = |status| Play::text(status, "").with("location", canary.url("/login"));
    let finding = check(redirect(302), json!({})).await;
    assert_eq!((&finding.fields["ok"], &finding.fields["http_status"]), (&json!(false), &json!(302)));
    assert!(reason(&pick(redirect(301), json!({"a": "/a"})).await).contains("HTTP 301 where 2xx"));
    assert!(canary.seen().is_empty(), "{:?}", canary.seen());
}

#[tokio::test]
async fn a_huge_answer_is_read_up_to_the_limit() {
    let huge = "x".repeat(9 << 20);
    let finding = check(Play::text(200, &huge), json!({"expect": {"contains": "xxx"}})).await;
    assert_eq!(finding.fields["ok"], json!(true));
    let finding = check(Play::text(200, &huge), json!({"expect": {"contains": "y"}})).await;
    assert!(reason(&finding).contains("the rest is not read"), "{finding:?}");
    assert!(
        reason(&pick(Play::text(200, &huge), json!({"a": "/a"})).await)
            .contains("longer than the 1048576 bytes")
    );
    let finding = metrics(&huge, json!([{"name": "a", "series": "a"}])).await;
    assert!(reason(&finding).contains("longer than the 8388608 bytes"), "{finding:?}");
}

#[tokio::test]
async fn values_are_picked_out_of_a_document() {
    let document =
        json!({"llm": {"status": "down", "keys": [1, 2]}, "hits": 0.97, "up": false, "none": null, "a/b": 1});
    let wanted = json!({"llm": "/llm/status", "hits": "/hits", "up": "/up", "second": "/llm/keys/1", "none": "/none", "slash": "/a~1b", "gone": "/x/y"});
    let finding = pick(Play::json(200, document), wanted).await;
    assert_known(&finding);
    let mut fields = finding.fields.clone();
    assert!(fields.remove("latency_ms").is_some());
    assert_eq!(
        Value::Object(fields),
        json!({"llm": "down", "hits": 0.97, "up": false, "second": 2, "slash": 1, "http_status": 200})
    );
    assert!(finding.text.contains("llm: down\nnone: not there (/none)"), "{}", finding.text);
}

#[tokio::test]
async fn a_document_that_cannot_be_judged_is_unknown() {
    for (play, words) in [
        (Play::text(200, "<html>"), "the answer is no JSON"),
        (Play::text(200, &"[".repeat(100_000)), "the answer is no JSON"),
        (Play::json(200, json!({"b": 1})), "nothing of what is picked"),
        (Play::json(200, json!({"a": "x".repeat(5_000)})), "larger than the 4096 bytes"),
        (Play::json(503, json!({"a": 1})), "HTTP 503 where 2xx was expected"),
    ] {
        let finding = pick(play, json!({"a": "/a"})).await;
        assert!(reason(&finding).contains(words), "{words}: {finding:?}");
    }
    let params = json!({"pick": {"a": "/a"}, "expect": {"status": [200, 503]}});
    let (finding, _) = probe("http.json", Play::json(503, json!({"a": 1})), params).await;
    assert_eq!((&finding.fields["a"], &finding.fields["http_status"]), (&json!(1), &json!(503)));
}

#[tokio::test]
async fn values_are_picked_out_of_a_metrics_page() {
    let page = "# HELP x y\nhits{tier=\"l1\"} 90\nhits{tier=\"l2\"} 10\nratio 0.9\nidle NaN\nbroken{\n";
    let wanted = json!([
        {"name": "ratio", "series": "ratio"},
        {"name": "hits", "series": "hits", "combine": "sum"},
        {"name": "most", "series": "{__name__=\"hits\"}", "combine": "max"},
        {"name": "l2", "series": "hits{tier=~\"l2|l3\"}"},
        {"name": "several", "series": "hits"},
        {"name": "idle", "series": "idle"},
        {"name": "gone", "series": "gone"},
    ]);
    let finding = metrics(page, wanted).await;
    assert_known(&finding);
    let mut fields = finding.fields.clone();
    assert!(fields.remove("latency_ms").is_some());
    assert_eq!(
        Value::Object(fields),
        json!({"ratio": 0.9, "hits": 100.0, "most": 90.0, "l2": 10.0, "http_status": 200})
    );
    for words in [
        "several: 2 series match: say how to `combine` them (hits)",
        "idle: NaN",
        "gone: not there",
        "1 lines",
    ] {
        assert!(finding.text.contains(words), "{}", finding.text);
    }
    let finding = metrics("other 1\n", json!([{"name": "a", "series": "a"}])).await;
    assert!(reason(&finding).contains("nothing of what is picked"), "{finding:?}");
    let nan_within =
        metrics("a{x=\"1\"} NaN\na{x=\"2\"} 1\n", json!([{"name": "a", "series": "a", "combine": "max"}]))
            .await;
    assert!(reason(&nan_within).contains("a: NaN"), "{nan_within:?}");
}

#[tokio::test]
async fn secrets_that_a_service_shows_are_taken_out() {
    let finding = check(Play::text(500, &format!("failed with {SECRET}")), json!({})).await;
    assert!(finding.text.contains("failed with [redacted]"), "{}", finding.text);
    let finding =
        pick(Play::json(200, json!({"a": SECRET, "b": {"c": [SECRET]}})), json!({"a": "/a", "b": "/b"}))
            .await;
    assert_eq!(
        (&finding.fields["a"], &finding.fields["b"]),
        (&json!("[redacted]"), &json!({"c": ["[redacted]"]}))
    );
    let (finding, _) = probe("http.json", Play::text(200, SECRET), json!({"pick": {"a": "/a"}})).await;
    assert!(reason(&finding).contains("[redacted]"), "{finding:?}");
}

#[test]
fn selectors_and_pointers_are_checked_when_rules_are_loaded() {
    let check = |kind: &str, params: Value| {
        let kind = kinds().into_iter().find(|k| k.name == kind).expect("a kind");
        (kind.check)(&params).map(|checked| checked.fields).map_err(|error| (error.pointer, error.message))
    };
    let json_params = json!({"url": "http://h/", "pick": {"hits": "/a"}});
    assert_eq!(
        check("http.json", json_params),
        Ok(["hits", "http_status", "latency_ms"].map(str::to_owned).to_vec())
    );
    let (place, _) =
        check("http.json", json!({"url": "http://h/", "pick": {"hits": "a"}})).expect_err("no pointer");
    assert_eq!(place, "/pick/hits");
    for (series, words) in [
        ("hits{", "closing `}`"),
        ("{}", "selects everything"),
        ("hits{pod=\"{{ labels.pod }}\"}", "holds no templates"),
        ("", "empty"),
    ] {
        let params = json!({"url": "http://h/", "pick": [{"name": "a", "series": series}]});
        let (place, message) = check("http.metrics", params).expect_err(series);
        assert!(place == "/pick/0/series" && message.contains(words), "{place} {message}");
    }
    let head = json!({"url": "http://h/", "method": "HEAD", "expect": {"contains": "x"}});
    assert!(check("http.check", head).is_err_and(|(place, _)| place == "/expect/contains"));
    assert!(check("http.check", json!({"url": "http://h/", "method": "POST"})).is_err());
}
