//! Queries against a stand-in: what is sent, every result type, every error class.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::answer::{Data, Point};
use super::*;
use crate::clients::http::{HttpOptions, ProxyChoice};
use crate::clients::stand_in::{Play, Seen, StandIn, refused_url};

fn mk_client(url: &str, credentials: Credentials) -> PrometheusClient {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    let http = HttpClient::new(&options).expect("an HTTP client");
    PrometheusClient::new(http, url, credentials).expect("a client")
}

fn success(data: Value) -> Play {
    Play::json(200, json!({"status": "success", "data": data}))
}

async fn query(play: Play) -> Result<Answer, PrometheusError> {
    let server = StandIn::play([play]).await;
    mk_client(&server.url(""), Credentials::None).query("up", None, QueryLimits::default()).await
}

fn form(seen: &Seen) -> Vec<(String, String)> {
    form_urlencoded::parse(&seen.body).into_owned().collect()
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

#[tokio::test]
async fn an_instant_query_goes_as_a_form_with_time_timeout_and_limit() {
    let server = StandIn::play([success(json!({"resultType": "vector", "result": []}))]).await;
    let client = mk_client(&server.url("/prefix/?x=1"), Credentials::None);
    let limits = QueryLimits { timeout: Duration::from_millis(1500), series_max: 7 };
    let at = Some(time("2026-11-21T00:00:00.25Z"));
    client.query("rate(x{a=\"b&c\"}[5m]) > 1", at, limits).await.expect("an answer");
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "POST /prefix/api/v1/query HTTP/1.1");
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    let pairs = form(seen);
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("query", "rate(x{a=\"b&c\"}[5m]) > 1"),
        ("time", "1795219200.250"),
        ("timeout", "1500ms"),
        ("limit", "7"),
    ];
    assert_eq!(pairs, expected);
}

#[tokio::test]
async fn a_range_query_names_its_window_and_step() {
    let matrix = json!([{"metric": {"job": "api"}, "values": [[1, "1"], [61.5, "NaN"]]}]);
    let server = StandIn::play([success(json!({"resultType": "matrix", "result": matrix}))]).await;
    let client = mk_client(&server.url(""), Credentials::None);
    let (start, end) = (time("1970-01-01T00:00:01Z"), time("1970-01-01T00:01:01.5Z"));
    let range = Range { start, end, step: SignedDuration::from_millis(60_500) };
    let answer = client.query_range("up", range, QueryLimits::default()).await.expect("an answer");
    let Data::Matrix(series) = answer.data else { panic!("{answer:?}") };
    assert_eq!(series[0].labels["job"], "api");
    assert_eq!(series[0].points[0], Point { at: start, value: 1.0 });
    assert!(series[0].points[1].at == end && series[0].points[1].value.is_nan());
    let pairs = form(&server.seen()[0]);
    assert!(pairs.contains(&("start".to_owned(), "1.000".to_owned())));
    assert!(pairs.contains(&("end".to_owned(), "61.500".to_owned())));
    assert!(pairs.contains(&("step".to_owned(), "60.5".to_owned())));
    assert_eq!(server.seen()[0].line, "POST /api/v1/query_range HTTP/1.1");
}

#[tokio::test]
async fn values_keep_infinities_and_nan_and_labels() {
    let sample = |job: &str, value: &str| json!({"metric": {"job": job}, "value": [1700000000.123, value]});
    let result = json!([
        sample("a", "0.05"),
        sample("b", "+Inf"),
        sample("c", "-Inf"),
        sample("d", "NaN"),
        sample("e", "1e+06")
    ]);
    let answer = query(success(json!({"resultType": "vector", "result": result}))).await.expect("an answer");
    let Data::Vector(samples) = answer.data else { panic!("{answer:?}") };
    let values: Vec<f64> = samples.iter().map(|sample| sample.point.value).collect();
    assert_eq!(values[..3], [0.05, f64::INFINITY, f64::NEG_INFINITY]);
    assert!(values[3].is_nan());
    assert!((values[4] - 1e6).abs() < f64::EPSILON);
    assert_eq!(samples[1].labels["job"], "b");
    assert_eq!(samples[0].point.at, time("2023-11-14T22:13:20.123Z"));
}

#[tokio::test]
async fn an_empty_vector_stays_empty_and_scalars_and_strings_are_told_apart() {
    let empty = query(success(json!({"resultType": "vector", "result": []}))).await.expect("an answer");
    assert_eq!(empty.data, Data::Vector(Vec::new()));
    let scalar =
        query(success(json!({"resultType": "scalar", "result": [1, "42"]}))).await.expect("an answer");
    assert!(matches!(scalar.data, Data::Scalar(Point { value, .. }) if value == 42.0));
    let text = query(success(json!({"resultType": "string", "result": [1, "hi"]}))).await.expect("an answer");
    assert_eq!(text.data, Data::Text("hi".to_owned()));
}

#[tokio::test]
async fn warnings_and_infos_are_kept() {
    let body = json!({
        "status": "success", "data": {"resultType": "vector", "result": []},
        "warnings": ["store-2 is down"], "infos": ["metric might not be a counter"],
    });
    let answer = query(Play::json(200, body)).await.expect("an answer");
    assert_eq!(answer.warnings, ["store-2 is down"]);
    assert_eq!(answer.infos, ["metric might not be a counter"]);
}

#[tokio::test]
async fn native_histograms_and_surplus_series_are_left_out_with_a_warning() {
    let histogram = json!({"metric": {}, "histogram": [1, {"count": "5", "sum": "1"}]});
    let result = json!([histogram, {"metric": {}, "value": [1, "1"]}]);
    let answer = query(success(json!({"resultType": "vector", "result": result}))).await.expect("an answer");
    assert!(matches!(&answer.data, Data::Vector(samples) if samples.len() == 1));
    assert!(answer.warnings[0].contains("native histogram"), "{answer:?}");

    let matrix = json!([{"metric": {}, "histograms": [[1, {}]]}, {"metric": {}, "values": [[1, "1"]]}]);
    let answer = query(success(json!({"resultType": "matrix", "result": matrix}))).await.expect("an answer");
    assert!(matches!(&answer.data, Data::Matrix(series) if series.len() == 1));
    assert_eq!(answer.warnings.len(), 1);

    let many: Vec<Value> =
        (0..5).map(|n| json!({"metric": {"n": n.to_string()}, "value": [1, "1"]})).collect();
    let server = StandIn::play([success(json!({"resultType": "vector", "result": many}))]).await;
    let limits = QueryLimits { series_max: 2, ..QueryLimits::default() };
    let answer =
        mk_client(&server.url(""), Credentials::None).query("up", None, limits).await.expect("an answer");
    assert!(matches!(&answer.data, Data::Vector(samples) if samples.len() == 2));
    assert_eq!(answer.warnings, ["only the first 2 of 5 series were kept"]);
}

#[tokio::test]
async fn every_refusal_has_its_class() {
    let complaint = |kind: &str| json!({"status": "error", "errorType": kind, "error": "because"});
    type Check = fn(&PrometheusError) -> bool;
    let lines: [(u16, &str, Check, bool); 9] = [
        (400, "bad_data", |e| matches!(e, PrometheusError::BadData(_)), false),
        (422, "execution", |e| matches!(e, PrometheusError::CannotExecute(_)), false),
        (503, "timeout", |e| matches!(e, PrometheusError::TimedOut(_)), true),
        (503, "canceled", |e| matches!(e, PrometheusError::TimedOut(_)), true),
        (503, "unavailable", |e| matches!(e, PrometheusError::Unavailable(_)), true),
        (500, "internal", |e| matches!(e, PrometheusError::Unavailable(_)), true),
        (429, "", |e| matches!(e, PrometheusError::Unavailable(_)), true),
        (401, "", |e| matches!(e, PrometheusError::Refused(_)), false),
        (302, "", |e| matches!(e, PrometheusError::Garbled(_)), false),
    ];
    for (status, kind, check, retryable) in lines {
        let error = query(Play::json(status, complaint(kind))).await.expect_err("an error");
        assert!(check(&error), "{status} {kind}: {error:?}");
        assert_eq!(error.retryable(), retryable, "{status} {kind}");
        assert!(error.to_string().ends_with("because"), "{error}");
    }
    let error = query(Play::text(502, "<html>bad gateway</html>")).await.expect_err("an error");
    assert_eq!(error.to_string(), "Prometheus cannot answer now: HTTP 502");
}

#[tokio::test]
async fn what_is_not_an_answer_is_garbled_and_what_is_too_long_is_refused() {
    for body in [
        "",
        "<html>",
        "{}",
        r#"{"status":"error"}"#,
        r#"{"status":"success"}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"scalar","result":[1e300,"1"]}}"#,
        r#"{"status":"success","data":{"resultType":"novelty","result":[]}}"#,
    ] {
        let error = query(Play::text(200, body)).await.expect_err("an error");
        assert!(matches!(error, PrometheusError::Garbled(_)) && !error.retryable(), "{body}: {error:?}");
    }
    let long = "x".repeat(QUERY_ANSWER_BYTES_MAX + 1);
    let error = query(Play::text(200, &long)).await.expect_err("too long");
    assert_eq!(error, PrometheusError::TooLarge(QUERY_ANSWER_BYTES_MAX));
}

#[tokio::test]
async fn connections_that_fail_are_unreachable_and_slow_ones_time_out() {
    let client = mk_client(&refused_url().await, Credentials::None);
    let error = client.query("up", None, QueryLimits::default()).await.expect_err("refused");
    assert!(matches!(error, PrometheusError::Unreachable(HttpError::NotSent { .. })) && error.retryable());
    let error = query(Play::Half).await.expect_err("half");
    assert!(matches!(error, PrometheusError::Unreachable(HttpError::Broken { .. })));
    let error = unanswered(HttpError::TimedOut { place: "p".to_owned(), timeout: Duration::ZERO });
    assert!(matches!(error, PrometheusError::TimedOut(_)) && error.retryable());
    let error = unanswered(HttpError::Denied { place: "p".to_owned(), reason: "r".to_owned() });
    assert!(!error.retryable());
    let options = HttpOptions::configured();
    let http = HttpClient::new(&options).expect("an HTTP client");
    assert!(PrometheusClient::new(http, "prometheus:9090", Credentials::None).is_err());
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let play = || success(json!({"resultType": "vector", "result": []}));
    let secret = || SecretString::from("hunter2");
    let basic = Credentials::Basic { username: "una".to_owned(), password: secret() };
    for (credentials, expected) in
        [(Credentials::Bearer(secret()), "Bearer hunter2"), (basic, "Basic dW5hOmh1bnRlcjI=")]
    {
        let server = StandIn::play([play()]).await;
        let client = mk_client(&server.url(""), credentials);
        client.query("up", None, QueryLimits::default()).await.expect("an answer");
        assert_eq!(server.seen()[0].header("authorization"), Some(expected));
        assert!(!format!("{client:?}").contains("hunter2"));
    }
}
