//! Prometheus as it answers and as it lies: what is evidence, and what must stay unknown.

use std::future::pending;

use serde_json::{Value, json};

use super::*;
use crate::clients::stand_in::{Play, StandIn, refused_url};
use crate::domain::vitals::Sign;
use crate::engine::ports::Sentinel;

fn answer(data: Value) -> Play {
    Play::json(200, json!({"status": "success", "data": data}))
}

fn vector(samples: Value) -> Play {
    answer(json!({"resultType": "vector", "result": samples}))
}

fn sample(labels: Value, value: &str) -> Value {
    json!({"metric": labels, "value": [1_795_262_400, value]})
}

async fn ask(kind: &str, params: Value, play: Play) -> (Finding, StandIn) {
    let server = StandIn::play([play]).await;
    let finding = diagnose(&mk_diagnostics(Some(&server.url(""))), kind, params, TIMEOUT).await;
    (finding, server)
}

async fn query(play: Play) -> Finding {
    ask("prom.query", json!({"expr": "up"}), play).await.0
}

/// Minutes before now, and values.
fn matrix(series: &[(Value, &[(i64, &str)])]) -> Play {
    let now = mk_now().as_second();
    let series: Vec<Value> = series
        .iter()
        .map(|(labels, points)| {
            let points: Vec<Value> =
                points.iter().map(|(ago, value)| json!([now - ago * 60, value])).collect();
            json!({"metric": labels, "values": points})
        })
        .collect();
    answer(json!({"resultType": "matrix", "result": series}))
}

async fn range(params: Value, play: Play) -> Finding {
    ask("prom.range", params, play).await.0
}

fn window(minutes: u32) -> Value {
    json!({"expr": "up", "window": format!("{minutes}m"), "step": "1m"})
}

#[tokio::test]
async fn a_single_series_is_a_value() {
    let (finding, server) = ask(
        "prom.query",
        json!({"expr": "a{b=\"c\"} / 2"}),
        vector(json!([sample(json!({"job": "api"}), "0.0523")])),
    )
    .await;
    assert_known(&finding);
    assert_eq!(
        Value::Object(finding.fields),
        json!({
            "value": 0.0523, "min": 0.0523, "max": 0.0523, "count": 1,
            "values": [{"labels": {"job": "api"}, "value": 0.0523}],
        })
    );
    assert_eq!(finding.text, "{job=\"api\"}: 0.0523");
    let body = String::from_utf8(server.seen()[0].body.clone()).expect("a form");
    assert!(body.contains("time=1795262400.000") && body.contains("timeout=2500ms"), "{body}");
}

#[tokio::test]
async fn a_prometheus_that_does_not_answer_is_a_sign_of_blindness_and_one_that_does_is_asked_for_much_at_once()
 {
    let blind = mk_diagnostics(Some(&refused_url().await)).vitals(mk_now()).await;
    assert!(matches!(&blind.signs["prometheus"], Sign::Blind(_)), "{blind:?}");
    let three = || vector(json!([sample(json!({}), "3")]));
    let server = StandIn::play([three(), three()]).await;
    let options = DiagnosticsOptions {
        prometheus: Some(mk_access(&server.url(""), SignIn::Anonymous)),
        connections: Default::default(),
        vitals: VitalsOptions {
            alertmanager: Some(refused_url().await.parse().expect("an address")),
            down_percent: 30,
            ..VitalsOptions::default()
        },
        kubernetes: None,
        probe_loopback: false,
        keyring: mk_keyring(),
    };
    let vitals = Diagnostics::new(options).expect("diagnostics").vitals(mk_now()).await;
    assert!(matches!(&vitals.signs["prometheus"], Sign::Widespread(_)), "{vitals:?}");
    assert!(matches!(&vitals.signs["alertmanager"], Sign::Blind(_)), "{vitals:?}");
    assert_eq!(mk_diagnostics(None).vitals(mk_now()).await.signs.len(), 0, "nothing is configured");
}

#[tokio::test]
async fn a_query_signs_in_with_what_is_valid_now() {
    let server = StandIn::play([vector(json!([sample(json!({}), "1")]))]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("password");
    std::fs::write(&path, SECRET).expect("a file");
    let keyring = mk_keyring();
    let password = keyring.open(&SecretSource::File(path)).expect("a secret");
    let sign_in = SignIn::Basic { username: "sj".to_owned(), password };
    for access in [mk_access(&server.url(""), sign_in), mk_access(&server.url(""), SignIn::Anonymous)] {
        let options = DiagnosticsOptions {
            prometheus: Some(access),
            kubernetes: None,
            connections: Default::default(),
            vitals: VitalsOptions::default(),
            probe_loopback: false,
            keyring: keyring.clone(),
        };
        let diagnostics = Diagnostics::new(options).expect("diagnostics");
        assert_known(&diagnose(&diagnostics, "prom.query", json!({"expr": "up"}), TIMEOUT).await);
    }
    let diagnostics = mk_diagnostics(Some(&server.url("")));
    assert_known(&diagnose(&diagnostics, "prom.query", json!({"expr": "up"}), TIMEOUT).await);
    let seen = server.seen();
    let signed: Vec<_> = seen.iter().map(|seen| seen.header("authorization")).collect();
    assert_eq!(
        signed,
        [Some("Basic c2o6cGxhbnRlZC1zZWNyZXQtNDcxMQ=="), None, Some("Bearer planted-secret-4711")]
    );
    assert!(seen.iter().all(|seen| seen.header("x-scope-orgid") == Some("ops")));
}

#[tokio::test]
async fn the_settings_may_give_queries_less_time() {
    let server = StandIn::play([vector(json!([sample(json!({}), "1")]))]).await;
    let access = PrometheusAccess {
        timeout: Duration::from_millis(1_200),
        ..mk_access(&server.url(""), SignIn::Anonymous)
    };
    let options = DiagnosticsOptions {
        prometheus: Some(access),
        kubernetes: None,
        connections: Default::default(),
        vitals: VitalsOptions::default(),
        probe_loopback: false,
        keyring: mk_keyring(),
    };
    let diagnostics = Diagnostics::new(options).expect("diagnostics");
    assert_known(&diagnose(&diagnostics, "prom.query", json!({"expr": "up"}), TIMEOUT).await);
    let body = String::from_utf8(server.seen()[0].body.clone()).expect("a form");
    assert!(body.contains("timeout=1200ms"), "{body}");
}

#[tokio::test]
async fn several_series_are_values_and_no_single_value() {
    let samples = json!([sample(json!({"pod": "a"}), "1"), sample(json!({"pod": "b"}), "3")]);
    let finding = query(vector(samples)).await;
    assert_known(&finding);
    assert_eq!(finding.fields.get("value"), None);
    assert_eq!(
        (&finding.fields["count"], &finding.fields["max"], &finding.fields["min"]),
        (&json!(2), &json!(3.0), &json!(1.0))
    );
    assert_eq!(finding.fields["values"][0], json!({"labels": {"pod": "b"}, "value": 3.0}));
    let finding = query(answer(json!({"resultType": "scalar", "result": [1, "7"]}))).await;
    assert_eq!((finding.fields["value"].clone(), finding.text.as_str()), (json!(7.0), "the result: 7"));
}

#[tokio::test]
async fn too_many_series_are_counted_and_their_list_is_left_out_whole() {
    let samples: Vec<Value> =
        (0..900).map(|nth| sample(json!({"pod": format!("{nth:0100}")}), "1")).collect();
    let finding = query(vector(json!(samples))).await;
    assert_known(&finding);
    assert_eq!((&finding.fields["count"], finding.fields.get("values")), (&json!(900), None));
    assert!(finding.text.ends_with("… and 888 more"), "{}", finding.text);
}

#[tokio::test]
async fn nothing_that_is_no_number_counts_as_zero_or_healthy() {
    let warned = Play::json(
        200,
        json!({
            "status": "success", "warnings": ["one store is down"],
            "data": {"resultType": "vector", "result": [sample(json!({}), "1")]},
        }),
    );
    for (play, words) in [
        (vector(json!([])), "no series matches, which is not the same as zero"),
        (vector(json!([sample(json!({"job": "a"}), "NaN")])), "{job=\"a\"} is NaN"),
        (vector(json!([sample(json!({}), "1"), sample(json!({}), "+Inf")])), "the result is inf"),
        (warned, "only partial: one store is down"),
        (
            vector(json!((0..1001).map(|_| sample(json!({}), "1")).collect::<Vec<_>>())),
            "only partial: only the first 1000",
        ),
        (answer(json!({"resultType": "matrix", "result": []})), "use `prom.range`"),
        (answer(json!({"resultType": "string", "result": [1, "x"]})), "a text and no value"),
        (
            Play::json(400, json!({"status": "error", "errorType": "bad_data", "error": "parse error"})),
            "parse error",
        ),
        (
            Play::json(422, json!({"status": "error", "errorType": "execution", "error": "many-to-many"})),
            "many-to-many",
        ),
        (
            Play::json(503, json!({"status": "error", "errorType": "timeout", "error": "query timed out"})),
            "too long",
        ),
        (Play::text(502, "<html>bad gateway"), "cannot answer now: HTTP 502"),
        (Play::text(200, "<html>login"), "not an answer of Prometheus'"),
        (Play::text(302, "").with("location", "http://169.254.169.254/"), "not an answer of Prometheus'"),
        (Play::Close, "no complete answer"),
        (Play::Half, "no complete answer"),
        (Play::text(200, &"x".repeat(5 << 20)), "over 4194304 bytes"),
    ] {
        let finding = query(play).await;
        assert!(reason(&finding).contains(words), "{words}: {finding:?}");
    }
}

#[tokio::test]
async fn an_absent_or_silent_prometheus_is_unknown_in_time() {
    let finding = diagnose(&mk_diagnostics(None), "prom.query", json!({"expr": "up"}), TIMEOUT).await;
    assert!(reason(&finding).contains("set `prometheus.url`"), "{finding:?}");
    let refused = mk_diagnostics(Some(&refused_url().await));
    let finding = diagnose(&refused, "prom.query", json!({"expr": "up"}), TIMEOUT).await;
    assert!(reason(&finding).contains("was not reached"), "{finding:?}");
    let silent = StandIn::play([Play::Silence]).await;
    let diagnostics = mk_diagnostics(Some(&silent.url("")));
    let finding =
        diagnose(&diagnostics, "prom.query", json!({"expr": "up"}), Duration::from_millis(300)).await;
    assert_eq!(reason(&finding), "no answer within 300 ms");
    assert!(finding.duration_ms >= 300, "{finding:?}");
}

#[tokio::test]
async fn more_runs_than_there_are_slots_wait_within_their_own_time() {
    let diagnostics = mk_diagnostics(None);
    let slots = diagnostics.slots.acquire_many(RUNS_MAX as u32).await.expect("all slots");
    let links = json!({"links": {"a": "http://h/"}});
    let finding = diagnose(&diagnostics, "links.render", links.clone(), Duration::from_millis(50)).await;
    assert_eq!(reason(&finding), "no answer within 50 ms");
    drop(slots);
    assert_known(&diagnose(&diagnostics, "links.render", links, TIMEOUT).await);
    let held = tokio::time::timeout(Duration::from_millis(1), pending::<()>()).await;
    assert!(held.is_err());
}

#[tokio::test]
async fn secrets_in_labels_and_answers_are_taken_out() {
    let labels = json!({"dsn": format!("postgres://u:{SECRET}@h/db"), "token_holder": SECRET});
    let finding = query(vector(json!([sample(labels, "1")]))).await;
    assert_known(&finding);
    assert!(finding.text.contains("[redacted]"), "{}", finding.text);
    assert!(finding.fields["values"].to_string().contains("[redacted]"), "{:?}", finding.fields);
    let complaint = json!({"status": "error", "errorType": "execution", "error": format!("for {SECRET}")});
    assert!(reason(&query(Play::json(422, complaint)).await).contains("[redacted]"));
}

#[tokio::test]
async fn hostile_labels_stay_on_their_line() {
    let labels = json!({"a": "x\n\u{1b}[2J```\n<!channel>", "b": "y".repeat(5_000)});
    let finding = query(vector(json!([sample(labels, "1")]))).await;
    assert!(!finding.text.contains('\n') && !finding.text.contains('\u{1b}'), "{}", finding.text);
    assert!(finding.text.len() < 400, "{}", finding.text.len());
}

#[tokio::test]
async fn a_window_gives_extremes_trend_crossings_and_a_prediction() {
    let mut params = window(4);
    params["threshold"] = json!(2.5);
    params["predict"] = json!({"in": "10m"});
    let play = matrix(&[(json!({"job": "api"}), &[(4, "1"), (3, "2"), (2, "3"), (1, "4"), (0, "5")])]);
    let (finding, server) = ask("prom.range", params, play).await;
    assert_known(&finding);
    let fields = &finding.fields;
    let numbers: Vec<f64> = ["last", "min", "max", "avg", "slope_per_hour", "predicted"]
        .iter()
        .map(|name| (fields[*name].as_f64().expect("a number") * 1e6).round() / 1e6)
        .collect();
    assert_eq!(numbers, [5.0, 1.0, 5.0, 3.0, 60.0, 15.0]);
    assert_eq!((&fields["above"], &fields["above_for_seconds"]), (&json!(true), &json!(120)));
    assert_eq!(
        (&fields["first_crossing"], &fields["last_crossing"]),
        (&json!("2026-11-21T11:58:00Z"), &json!("2026-11-21T11:58:00Z"))
    );
    assert_eq!(
        (&fields["points"], &fields["bad_points"], &fields["series_count"]),
        (&json!(5), &json!(0), &json!(1))
    );
    assert_eq!(
        finding.text,
        "over 4m:\n{job=\"api\"}: 5 (min 1, avg 3, max 5, +60 an hour); in 10m: 15; above 2.5 since 2026-11-21T11:58:00Z"
    );
    let body = String::from_utf8(server.seen()[0].body.clone()).expect("a form");
    assert!(body.contains("start=1795262160.000&end=1795262400.000&step=60"), "{body}");
}

#[tokio::test]
async fn several_series_are_listed_and_have_no_common_value() {
    let play =
        matrix(&[(json!({"pod": "a"}), &[(1, "1"), (0, "1")]), (json!({"pod": "b"}), &[(1, "5"), (0, "6")])]);
    let finding = range(window(5), play).await;
    assert_known(&finding);
    assert_eq!((finding.fields.get("last"), &finding.fields["series_count"]), (None, &json!(2)));
    assert_eq!(finding.fields["series"][0]["last"], json!(6.0));
    assert_eq!(finding.fields["series"][1]["labels"]["pod"], json!("a"));
}

#[tokio::test]
async fn a_series_that_ended_does_not_speak_for_now() {
    let play = matrix(&[
        (json!({"pod": "old"}), &[(9, "9"), (6, "9")]),
        (json!({"pod": "new"}), &[(3, "1"), (0, "1")]),
    ]);
    let finding = range(window(10), play).await;
    assert_known(&finding);
    assert_eq!((&finding.fields["last"], &finding.fields["ended_series"]), (&json!(1.0), &json!(1)));
    let finding = range(window(10), matrix(&[(json!({}), &[(9, "0"), (6, "0")])])).await;
    assert_eq!(reason(&finding), "the newest value is 6m old");
}

#[tokio::test]
async fn nan_within_the_window_is_left_aside_and_counted_and_at_its_end_is_unknown() {
    let finding = range(window(5), matrix(&[(json!({}), &[(2, "1"), (1, "NaN"), (0, "3")])])).await;
    assert_known(&finding);
    assert_eq!(
        (&finding.fields["avg"], &finding.fields["bad_points"], &finding.fields["points"]),
        (&json!(2.0), &json!(1), &json!(2))
    );
    let finding = range(window(5), matrix(&[(json!({}), &[(1, "1"), (0, "NaN")])])).await;
    assert!(reason(&finding).contains("the result is NaN"), "{finding:?}");
    assert!(reason(&range(window(5), matrix(&[])).await).contains("no series matches"));
}

#[tokio::test]
async fn too_few_points_give_no_prediction_and_say_so() {
    let mut params = window(60);
    params["predict"] = json!({"in": "4h"});
    let finding = range(params, matrix(&[(json!({}), &[(1, "1"), (0, "2")])])).await;
    assert_known(&finding);
    assert_eq!(finding.fields.get("predicted"), None);
    assert!(finding.text.contains("in 4h: no prediction, too few points"), "{}", finding.text);
}

#[test]
fn windows_and_steps_have_bounds() {
    let kind = kinds().into_iter().find(|kind| kind.name == "prom.range").expect("a kind");
    let check = |params: Value| (kind.check)(&params).map(|_| ()).map_err(|error| error.pointer);
    assert_eq!(check(json!({"expr": "up", "window": "31d"})), Ok(()));
    assert_eq!(check(json!({"expr": "up", "window": "1m", "step": "1s", "predict": {"in": "4h"}})), Ok(()));
    for (params, place) in [
        (json!({"expr": "up", "window": "59s"}), "/window"),
        (json!({"expr": "up", "window": "32d"}), "/window"),
        (json!({"expr": "up", "window": "1h", "step": "2h"}), "/step"),
        (json!({"expr": "up", "window": "1h", "step": "1s"}), "/step"),
        (json!({"expr": "up", "window": "1h", "predict": {"in": "1s"}}), "/predict/in"),
        (json!({"expr": "up", "window": "1h", "threshold": "high"}), "/threshold"),
        (json!({"expr": " ", "window": "1h"}), "/expr"),
    ] {
        assert_eq!(check(params.clone()), Err(place.to_owned()), "{params}");
    }
}

/// A series that is known at these minutes before now.
fn drawn(chart: &crate::domain::chart::Chart, line: usize) -> Vec<(i64, f64)> {
    let values = chart.lines[line].values.iter().enumerate();
    let ago = |place: usize| mk_now().duration_since(chart.at(place)).as_mins();
    values.filter_map(|(place, value)| Some((ago(place), (*value)?))).collect()
}

#[tokio::test]
async fn a_curve_is_kept_for_a_picture_on_the_grid_of_the_question_with_its_gaps() {
    let mut params = window(5);
    params["threshold"] = json!(2);
    let points: &[(i64, &str)] = &[(5, "1"), (4, "NaN"), (2, "3.250000123456"), (0, "4")];
    let finding = range(params.clone(), matrix(&[(json!({"job": "api"}), points)])).await;
    let chart = finding.chart.expect("a chart");
    assert_eq!((chart.threshold, chart.asked_for, chart.left_out), (Some(2.0), false, 0));
    assert_eq!((chart.lines[0].name.as_str(), chart.lines[0].values.len()), ("{job=\"api\"}", 6));
    assert_eq!(drawn(&chart, 0), [(5, 1.0), (2, 3.25), (0, 4.0)]);
    assert_eq!(chart.until(), mk_now());
    // The rule decides whether there is one.
    for (says, asked) in [(json!(true), Some(true)), (json!(false), None)] {
        params["chart"] = says;
        let finding = range(params.clone(), matrix(&[(json!({}), points)])).await;
        assert_eq!(finding.chart.map(|chart| chart.asked_for), asked);
    }
}

#[tokio::test]
async fn a_picture_has_few_curves_of_few_values_whatever_prometheus_answers() {
    let points: Vec<(i64, String)> = (0..=1_000).rev().map(|ago| (ago, format!("{}", 1_000 - ago))).collect();
    let points: Vec<(i64, &str)> = points.iter().map(|(ago, value)| (*ago, value.as_str())).collect();
    let series: Vec<(Value, &[(i64, &str)])> =
        (0..20).map(|pod| (json!({"pod": format!("api-{pod}")}), &points[..])).collect();
    let finding = range(window(1_000), matrix(&series)).await;
    let chart = finding.chart.expect("a chart");
    assert_eq!((chart.lines.len(), chart.left_out), (5, 15));
    assert!(chart.lines.iter().all(|line| line.values.len() <= 240), "{}", chart.lines[0].values.len());
    assert_eq!(drawn(&chart, 0).last().map(|(_, value)| *value), Some(1_000.0));
    let stored = serde_json::to_string(&chart).expect("JSON").len();
    assert!(stored < 16_000, "{stored}");
}
