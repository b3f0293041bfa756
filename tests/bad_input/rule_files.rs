//! Rule files that are broken or half written, at start and while the service runs.

use crate::house::{House, PATIENCE, Plan, RULES, mk_body};
use crate::servers::eventually;

const REFUSED: &str = "smokejumper_rule_reloads_total{outcome=\"refused\"}";
const ACCEPTED: &str = "smokejumper_rule_reloads_total{outcome=\"accepted\"}";

/// A rule file that was cut off in the middle of a line, as an editor or a copy leaves it for a moment.
fn half_written() -> String {
    RULES[..RULES.find("severity").expect("it is there") + 4].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_rule_file_at_start_is_bad_configuration_with_its_place() {
    let cases: [(&str, Vec<u8>, &[&str]); 6] = [
        ("half written", half_written().into_bytes(), &["rules.yaml:7:"]),
        ("no YAML", b"spec: [1, 2\nkind: {".to_vec(), &["rules.yaml:2:"]),
        (
            "an unknown key",
            RULES.replace("groupBy", "groupedBy").into_bytes(),
            &["groupedBy", "rules.yaml:8:"],
        ),
        ("an unknown matcher", RULES.replace("=\"Errors\"", "=~\"(\"").into_bytes(), &["rules.yaml:6:"]),
        ("not UTF-8", b"kind: \xff\xfe".to_vec(), &["rules.yaml", "UTF-8"]),
        ("an alias bomb", alias_bomb().into_bytes(), &["rules.yaml:"]),
    ];
    for (name, text, words) in cases {
        let plan = Plan::new("");
        std::fs::write(plan.folder.path().join("rules.yaml"), text).expect("a file");
        let (code, stderr) = plan.refused();
        assert_eq!(code, Some(64), "{name}: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "{name}: `{word}` in {stderr}");
        }
        assert!(!stderr.contains("error: error:"), "{stderr}");
    }
}

/// Nine levels of aliases, each ten times the one before: a few hundred bytes that mean a billion.
fn alias_bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let item = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(", ")));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_settings_at_start_are_bad_configuration_with_their_place() {
    for (text, word) in [
        ("server: { listen: \"127.0.0.1:1\"\nstore", "smokejumper.yaml:"),
        ("server: { listne: \"127.0.0.1:1\" }", "listne"),
        ("mode: [enforce", "smokejumper.yaml:1:"),
    ] {
        let (code, stderr) = Plan::new("").refused_with(text);
        assert_eq!(code, Some(64), "{text}: {stderr}");
        assert!(stderr.contains(word), "{text}: {stderr}");
    }
}

/// Waits until the counter has risen beyond what it was.
async fn rises(house: &House, series: &str, before: f64) -> f64 {
    eventually(&format!("{series} above {before}"), PATIENCE, || async {
        house.metric(series).await.filter(|now| *now > before)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_rule_file_at_reload_keeps_the_last_good_rules() {
    let house = House::start("").await;
    assert_eq!(house.metric(REFUSED).await, Some(0.0));
    std::fs::write(house.path("rules.yaml"), half_written()).expect("a file");
    // The change is noticed by itself.
    let refused = rises(&house, REFUSED, 0.0).await;
    let line = house.says("the new rules cannot be used; the old ones stay in force").await;
    assert!(line["errors"].as_str().expect("a text").contains("rules.yaml:7:"), "{line}");
    // Asked for, it is answered with the place.
    let client = crate::servers::http_client();
    let answer = client.post(house.url("/-/reload")).send().await.expect("an answer");
    assert_eq!(answer.status(), 422);
    let problem: serde_json::Value = answer.json().await.expect("JSON");
    assert!(problem["detail"].as_str().expect("a text").contains("rules.yaml:7:"), "{problem}");
    let refused = rises(&house, REFUSED, refused).await;
    house.signal("HUP");
    rises(&house, REFUSED, refused).await;
    assert_eq!(house.metric(ACCEPTED).await, Some(0.0));
    assert_eq!(house.metric("smokejumper_rules_loaded").await, Some(1.0));
    assert_eq!(house.get("/ready").await.status, 200, "the last good rules are in force");
    assert_eq!(house.post(mk_body("meanwhile")).await.status, 200);
    house.knows(&["meanwhile"]).await;
    // Mended, it is in force without a word.
    std::fs::write(house.path("rules.yaml"), RULES.replace("name: errors", "name: mended")).expect("a file");
    rises(&house, ACCEPTED, 0.0).await;
    assert_eq!(house.post(mk_body("afterwards")).await.status, 200);
    house.knows(&["meanwhile", "afterwards"]).await;
    let rules: Vec<String> = house
        .incidents()
        .await
        .iter()
        .map(|incident| incident["rule"].as_str().unwrap_or("").to_owned())
        .collect();
    assert_eq!(rules, ["mended", "errors"], "newest first; the older one keeps its rule");
}
