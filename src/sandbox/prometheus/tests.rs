//! The query API over real HTTP, honest and lying.

use std::time::Duration;

use serde_json::{Value as JsonValue, json};

use super::series::{Course, Shape, Signal};
use super::*;
use crate::sandbox::form::{Spaces, encode};
use crate::sandbox::test_support::mk_client;

async fn mk_prometheus() -> PrometheusSandbox {
    let prometheus = PrometheusSandbox::start(0, 1.0).await.expect("a free port");
    prometheus.add([
        Series::new("up", &[("job", "api"), ("instance", "a")], Signal::Constant(1.0)),
        Series::new("up", &[("job", "api"), ("instance", "b")], Signal::Constant(0.0)),
    ]);
    prometheus
}

/// Asks with GET; returns status and body.
async fn ask(prometheus: &PrometheusSandbox, path: &str, params: &[(&str, &str)]) -> (u16, JsonValue) {
    let pairs: Vec<_> =
        params.iter().map(|(name, value)| format!("{name}={}", encode(value, Spaces::Plus))).collect();
    let url = format!("{}{path}?{}", prometheus.base_url(), pairs.join("&"));
    let response = mk_client().get(url).send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

#[tokio::test]
async fn an_instant_query_answers_a_vector_with_strings_for_values() {
    let prometheus = mk_prometheus().await;
    let (status, body) =
        ask(&prometheus, QUERY, &[("query", r#"up{instance="a"}"#), ("time", "1800000000")]).await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {"__name__": "up", "instance": "a", "job": "api"}, "value": [1_800_000_000.0, "1"]}]}})
    );
    let (_, body) = ask(&prometheus, QUERY, &[("query", "1/0")]).await;
    assert_eq!((&body["data"]["resultType"], &body["data"]["result"][1]), (&json!("scalar"), &json!("+Inf")));
    let (status, body) = ask(&prometheus, QUERY, &[("query", "unheard_of")]).await;
    assert_eq!((status, &body["data"]["result"]), (200, &json!([])), "unknown is empty, not an error");
}

#[tokio::test]
async fn a_post_form_asks_the_same() {
    let prometheus = mk_prometheus().await;
    let body = format!("query={}&time=5", encode("sum(up)", Spaces::Plus));
    let request = mk_client()
        .post(format!("{}{QUERY}", prometheus.base_url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer: JsonValue = request.send().await.expect("answer").json().await.expect("JSON");
    assert_eq!(answer["data"]["result"], json!([{"metric": {}, "value": [5.0, "1"]}]));
}

#[tokio::test]
async fn a_range_query_answers_a_matrix_that_follows_the_course() {
    let prometheus = mk_prometheus().await;
    let course = Course::default();
    let shape = Shape {
        course: course.clone(),
        calm: 0.0,
        peak: 10.0,
        ramp_seconds: 10.0,
        recovery_seconds: 10.0,
        noise: 0.0,
        seed: 1,
    };
    prometheus.add([Series::new("trouble", &[], Signal::Gauge(shape))]);
    course.begin(100.0);
    course.remedy(120.0);
    let params = [("query", "trouble"), ("start", "90"), ("end", "140"), ("step", "10")];
    let (_, body) = ask(&prometheus, QUERY_RANGE, &params).await;
    assert_eq!(body["data"]["resultType"], "matrix");
    assert_eq!(
        body["data"]["result"][0]["values"],
        json!([[90.0, "0"], [100.0, "0"], [110.0, "10"], [120.0, "10"], [130.0, "0"], [140.0, "0"]])
    );
}

#[tokio::test]
async fn errors_bear_prometheus_status_and_type() {
    let prometheus = mk_prometheus().await;
    for (path, params, status, kind) in [
        (QUERY, vec![], 400, "bad_data"),
        (QUERY, vec![("query", "sum(")], 400, "bad_data"),
        (QUERY, vec![("query", "up"), ("time", "noon")], 400, "bad_data"),
        (QUERY, vec![("query", "stddev(up)")], 422, "execution"),
        (QUERY_RANGE, vec![("query", "up")], 400, "bad_data"),
        (
            QUERY_RANGE,
            vec![("query", "up"), ("start", "0"), ("end", "99999"), ("step", "1")],
            400,
            "bad_data",
        ),
    ] {
        let (code, body) = ask(&prometheus, path, &params).await;
        assert_eq!(
            (code, &body["status"], &body["errorType"]),
            (status, &json!("error"), &json!(kind)),
            "{params:?}"
        );
        assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

#[tokio::test]
async fn it_lies_on_demand_and_stops_lying() {
    let prometheus = mk_prometheus().await;
    prometheus.lie(About::Exactly("up".into()), Lie::Nothing);
    prometheus.lie(About::Containing("instance".into()), Lie::Always(f64::NAN));
    prometheus.lie(About::Matching(Regex::new("^sum").expect("valid")), Lie::Warned(vec!["partial".into()]));
    let (_, body) = ask(&prometheus, QUERY, &[("query", "up")]).await;
    assert_eq!(body["data"]["result"], json!([]));
    let (_, body) = ask(&prometheus, QUERY, &[("query", r#"up{instance="a"}"#)]).await;
    assert_eq!(body["data"]["result"][0]["value"][1], "NaN");
    let (_, body) = ask(&prometheus, QUERY, &[("query", "sum(up)")]).await;
    assert_eq!(
        (&body["warnings"], &body["data"]["result"][0]["value"][1]),
        (&json!(["partial"]), &json!("1"))
    );
    let params = [("query", "up"), ("start", "0"), ("end", "2"), ("step", "1")];
    assert_eq!(ask(&prometheus, QUERY_RANGE, &params).await.1["data"]["result"], json!([]));
    prometheus.tell_the_truth();
    prometheus.lie(About::Everything, Lie::Always(3.0));
    let (_, body) = ask(&prometheus, QUERY_RANGE, &params).await;
    assert_eq!(body["data"]["result"][0]["values"], json!([[0.0, "3"], [1.0, "3"], [2.0, "3"]]));
    prometheus.tell_the_truth();
    assert_eq!(
        ask(&prometheus, QUERY, &[("query", "up")]).await.1["data"]["result"].as_array().map(Vec::len),
        Some(2)
    );
}

#[tokio::test]
async fn faults_and_limits_are_told_and_every_query_is_recorded() {
    let prometheus = mk_prometheus().await;
    prometheus.faults().next(QUERY, Fault::vendor_error("timeout"));
    prometheus.faults().next(QUERY, Fault::slow(Duration::from_millis(1)));
    let (status, body) = ask(&prometheus, QUERY, &[("query", "up")]).await;
    assert_eq!((status, &body["errorType"]), (503, &json!("timeout")));
    let (status, body) = ask(&prometheus, QUERY, &[("query", "up"), ("limit", "1")]).await;
    assert_eq!((status, &body["warnings"]), (200, &json!(["results truncated due to limit"])));
    let seen: Vec<_> =
        prometheus.queries().entries().into_iter().map(|call| (call.what.expr, call.what.series)).collect();
    assert_eq!(seen, [("up".to_owned(), None), ("up".to_owned(), Some(1))]);
    let health =
        mk_client().get(format!("{}/-/healthy", prometheus.base_url())).send().await.expect("answer");
    assert_eq!(health.status(), 200);
}
