//! `logs.query` at a stand-in that holds callers to Loki's API: lines, none, tenants, and every kind of refusal.

use std::time::Duration;

use serde_json::{Value, json};
use smokejumper::clients::http::{Credentials, HttpClient, HttpOptions, ProxyChoice};
use smokejumper::clients::loki::LokiClient;
use smokejumper::diagnostics::{Connections, Diagnostics, LokiAccess};
use smokejumper::domain::diagnosis::Finding;

use crate::loki::Loki;
use crate::world::{SECRET, TIMEOUT, diagnose, fresh, known, mk_diagnostics, now, reason};

fn mk_eyes(url: &str, tenant: &str) -> Diagnostics {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    let client = LokiClient::new(HttpClient::new(&options).expect("a client"), url).expect("an address");
    let client = client
        .signed_in(Credentials::Bearer(SECRET.into()), vec![("X-Scope-OrgID".to_owned(), tenant.into())]);
    let access = LokiAccess { client: fresh(client), timeout: Duration::from_secs(5) };
    mk_diagnostics(Connections { loki: Some(access), ..Connections::default() })
}

async fn look(url: &str, params: Value) -> Finding {
    diagnose(&mk_eyes(url, "shop"), "logs.query", params, TIMEOUT).await
}

#[tokio::test]
async fn the_newest_lines_are_found_and_shown_oldest_first() {
    let loki = Loki::start().await;
    let at = now().as_second();
    let api = [("app", "api"), ("pod", "api-1")];
    loki.log(at - 50, &api, "ERROR first");
    loki.log(at - 40, &[("app", "api"), ("pod", "api-2")], "ERROR second");
    loki.log(at - 30, &api, "all is well");
    loki.log(at - 20, &api, &format!("ERROR third, with {SECRET}"));
    loki.log(at - 5_000, &api, "ERROR long ago");
    loki.log(at - 10, &[("app", "web")], "ERROR of others");
    let finding = look(&loki.url, json!({"query": "{app=\"api\"} |= \"ERROR\"", "since": "10m"})).await;
    let found = known(&finding);
    assert_eq!(
        (&found["lines"], &found["streams"], &found["truncated"]),
        (&json!(3), &json!(2), &json!(false))
    );
    assert!(found["last"].as_str().is_some_and(|line| line.starts_with("ERROR third")), "{found:?}");
    let lines: Vec<&str> = finding.text.lines().collect();
    assert_eq!((lines[0], lines[1], lines.len()), ("ERROR first", "ERROR second", 3));

    let two = look(&loki.url, json!({"query": "{app=\"api\"}", "limit": 2})).await;
    assert_eq!((&known(&two)["lines"], &known(&two)["truncated"]), (&json!(2), &json!(true)));
    assert!(two.text.starts_with("all is well"), "{}", two.text);
    let none = look(&loki.url, json!({"query": "{app=\"api\"} |= \"FATAL\""})).await;
    assert_eq!((&known(&none)["lines"], known(&none).get("last")), (&json!(0), None));
    assert_eq!(none.text, "no line was found");
}

#[tokio::test]
async fn what_is_no_answer_is_unknown() {
    let loki = Loki::start().await;
    let query = || json!({"query": "{app=\"api\"}"});
    for (status, words) in [
        (400, "does not take the query"),
        (401, "refuses the credentials"),
        (403, "refuses the credentials"),
        (302, "refuses the credentials"),
        (404, "does not take the query"),
        (429, "cannot answer now"),
        (500, "cannot answer now"),
        (504, "cannot answer now"),
    ] {
        loki.fail_next(status, "why");
        let finding = look(&loki.url, query()).await;
        assert!(reason(&finding).contains(words), "{status}: {finding:?}");
    }
    let stranger = diagnose(&mk_eyes(&loki.url, "others"), "logs.query", query(), TIMEOUT).await;
    assert!(reason(&stranger).contains("no org id"), "{stranger:?}");
    let everything = look(&loki.url, json!({"query": "{app=\"\"}"})).await;
    assert!(reason(&everything).contains("at least one"), "{everything:?}");
    let open = look(&loki.url, json!({"query": "{app=\"api\"} |= \"x"})).await;
    assert!(reason(&open).contains("parse error"), "{open:?}");
    let gone = look("http://127.0.0.1:1", query()).await;
    assert!(reason(&gone).contains("was not reached"), "{gone:?}");
    let without = diagnose(&mk_diagnostics(Connections::default()), "logs.query", query(), TIMEOUT).await;
    assert!(reason(&without).contains("set `loki.url`"), "{without:?}");
}

#[test]
fn queries_that_do_not_fit_are_refused_when_rules_are_loaded() {
    let kind =
        smokejumper::diagnostics::kinds().into_iter().find(|kind| kind.name == "logs.query").expect("a kind");
    for bad in [
        json!({"query": ""}),
        json!({"query": "count_over_time({app=\"api\"}[5m])"}),
        json!({"query": "{app=\"api\"}", "limit": 0}),
        json!({"query": "{app=\"api\"}", "limit": 6000}),
        json!({"query": "{app=\"api\"}", "since": "30d"}),
    ] {
        assert!((kind.check)(&bad).is_err(), "{bad}");
    }
}
