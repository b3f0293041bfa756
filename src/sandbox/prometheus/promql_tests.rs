//! The evaluator against what Prometheus' documentation says of each construct.

use super::*;
use crate::sandbox::prometheus::series::{Course, Shape, Signal};

fn mk_shape(calm: f64) -> Shape {
    let course = Course::default();
    Shape { course, calm, peak: calm, ramp_seconds: 1.0, recovery_seconds: 1.0, noise: 0.0, seed: 1 }
}

fn mk_world() -> Vec<Series> {
    let requests = |status: &str, service: &str, rate: f64| {
        let labels = [("status", status), ("service", service)];
        Series::new("http_requests_total", &labels, Signal::Counter(mk_shape(rate)))
    };
    let mut world = vec![
        requests("200", "api", 90.0),
        requests("500", "api", 8.0),
        requests("503", "api", 2.0),
        requests("200", "web", 10.0),
        Series::new("disk_free", &[("mount", "/")], Signal::Constant(20.0)),
        Series::new("disk_free", &[("mount", "/data")], Signal::Constant(5.0)),
        Series::new("disk_size", &[("mount", "/")], Signal::Constant(100.0)),
        Series::new("disk_size", &[("mount", "/data")], Signal::Constant(100.0)),
        Series::new("broken", &[], Signal::Constant(f64::NAN)),
    ];
    world.extend(Series::latency("latency_seconds", &[("service", "api")], &mk_shape(0.4), 100.0));
    world
}

fn value_of(expr: &str) -> Result<Value, EvalError> {
    let world = mk_world();
    let evaluator = Evaluator { series: &world, now: 1_800_000_000.0, speed: 1.0 };
    evaluator.value(&parse(expr)?)
}

/// The single number that `expr` comes to.
fn number(expr: &str) -> f64 {
    match value_of(expr) {
        Ok(Value::Scalar(value)) => value,
        Ok(Value::Vector(samples)) if samples.len() == 1 => samples[0].value,
        other => panic!("{expr}: not one number: {other:?}"),
    }
}

fn count(expr: &str) -> usize {
    match value_of(expr) {
        Ok(Value::Vector(samples)) => samples.len(),
        other => panic!("{expr}: not a vector: {other:?}"),
    }
}

#[test]
fn an_error_ratio_is_computed_from_its_series() {
    let ratio = number(
        r#"sum(rate(http_requests_total{service="api",status=~"5.."}[5m])) / sum(rate(http_requests_total{service="api"}[5m]))"#,
    );
    assert!((ratio - 0.1).abs() < 1e-9, "{ratio}");
}

#[test]
fn selectors_obey_all_matchers_and_a_missing_label_is_empty() {
    for (expr, expected) in [
        ("http_requests_total", 4),
        (r#"http_requests_total{service="api"}"#, 3),
        (r#"http_requests_total{service!="api"}"#, 1),
        (r#"http_requests_total{status=~"5..|200"}"#, 4),
        (r#"http_requests_total{status!~"5.."}"#, 2),
        (r#"http_requests_total{zone=""}"#, 4),
        (r#"http_requests_total{zone!=""}"#, 0),
        (r#"{__name__="disk_free"}"#, 2),
        ("nothing_like_that", 0),
    ] {
        assert_eq!(count(expr), expected, "{expr}");
    }
}

#[test]
fn aggregations_group_by_and_without() {
    assert_eq!(count("sum by (service) (rate(http_requests_total[5m]))"), 2);
    assert_eq!(count("sum without (status) (rate(http_requests_total[5m]))"), 2);
    assert!((number("max(disk_free)") - 20.0).abs() < 1e-9);
    assert!((number("min(disk_free)") - 5.0).abs() < 1e-9);
    assert!((number("avg(disk_free)") - 12.5).abs() < 1e-9);
    assert!((number("count(http_requests_total)") - 4.0).abs() < 1e-9);
    assert!((number("topk(1, disk_free)") - 20.0).abs() < 1e-9);
    assert!((number("bottomk(1, disk_free)") - 5.0).abs() < 1e-9);
}

#[test]
fn arithmetic_matches_sides_by_their_labels() {
    assert_eq!(count("1 - disk_free / disk_size"), 2);
    assert!((number(r#"1 - disk_free{mount="/data"} / disk_size"#) - 0.95).abs() < 1e-9);
    assert!((number("-2 ^ 2 + 7 % 4") - -1.0).abs() < 1e-9);
    let shares = "rate(http_requests_total[5m]) / on(service) group_left sum by (service) (rate(http_requests_total[5m]))";
    assert_eq!(count(shares), 4);
    assert!(matches!(
        value_of("http_requests_total / on(service) http_requests_total"),
        Err(EvalError::Execution(_))
    ));
}

#[test]
fn comparisons_filter_or_with_bool_judge() {
    assert_eq!(count("disk_free < 10"), 1);
    assert_eq!(count("disk_free > 100"), 0);
    assert!((number("sum(disk_free < bool 10)") - 1.0).abs() < 1e-9);
    assert_eq!(count("disk_free == 5 or disk_free == 20"), 2);
    assert_eq!(count("disk_free and disk_size"), 2);
    assert_eq!(count(r#"disk_free unless disk_size{mount="/"}"#), 1);
    assert_eq!(count("broken > 0"), 0, "NaN is never above anything");
}

#[test]
fn quantiles_come_from_the_buckets() {
    let p99 =
        number(r#"histogram_quantile(0.99, sum by (le) (rate(latency_seconds_bucket{service="api"}[5m])))"#);
    assert!((0.25..0.5).contains(&p99), "{p99}");
    let p50 = number("histogram_quantile(0.5, rate(latency_seconds_bucket[5m]))");
    assert!(p50 < p99, "{p50} {p99}");
}

#[test]
fn ranges_give_rates_increases_and_predictions() {
    assert!((number(r#"increase(http_requests_total{status="503"}[1m])"#) - 120.0).abs() < 1e-6);
    assert!((number(r#"avg_over_time(disk_free{mount="/"}[1h])"#) - 20.0).abs() < 1e-9);
    assert!((number(r#"predict_linear(disk_free{mount="/"}[1h], 86400)"#) - 20.0).abs() < 1e-6);
    assert!(number(r#"deriv(disk_free{mount="/"}[1h])"#).abs() < 1e-9);
    let shape = Shape { peak: 100.0, ramp_seconds: 1_000.0, ..mk_shape(50.0) };
    shape.course.begin(0.0);
    let filling = [Series::new("used", &[], Signal::Gauge(shape))];
    let evaluator = Evaluator { series: &filling, now: 500.0, speed: 1.0 };
    let predicted =
        evaluator.value(&parse("predict_linear(used[5m], 600)").expect("valid")).expect("a value");
    assert!(matches!(predicted, Value::Vector(ref found) if found[0].value > 75.0), "{predicted:?}");
}

#[test]
fn a_faster_world_shrinks_ranges_and_offsets() {
    let shape = Shape { peak: 100.0, ramp_seconds: 0.001, ..mk_shape(0.0) };
    shape.course.begin(1_000.0);
    let series = [Series::new("errors_total", &[], Signal::Counter(shape))];
    let rate = |speed: f64| {
        let evaluator = Evaluator { series: &series, now: 1_010.0, speed };
        match evaluator.value(&parse("rate(errors_total[5m])").expect("valid")) {
            Ok(Value::Vector(found)) => found[0].value,
            other => panic!("{other:?}"),
        }
    };
    assert!(rate(1.0) < 10.0, "over five minutes the last ten seconds are little");
    assert!(rate(30.0) > 90.0, "thirty times faster, five minutes are ten seconds");
}

#[test]
fn absence_scalars_and_time() {
    assert!((number("absent(nothing)") - 1.0).abs() < 1e-9);
    assert_eq!(count("absent(disk_free)"), 0);
    assert!((number("vector(3) + time() * 0") - 3.0).abs() < 1e-9);
    assert!(number("scalar(disk_free)").is_nan(), "two values are not one");
    assert!((number("clamp_max(max(disk_free), 7)") - 7.0).abs() < 1e-9);
}

#[test]
fn what_is_not_promql_or_not_known_is_an_error_with_its_kind() {
    for expr in ["", "sum(", "rate(http_requests_total)", "{}"] {
        assert!(matches!(value_of(expr), Err(EvalError::Parse(_))), "{expr:?}: {:?}", value_of(expr));
    }
    for expr in [
        "label_replace(disk_free, \"a\", \"b\", \"c\", \"d\")",
        "stddev(disk_free)",
        "max_over_time(disk_free[5m:1m])",
    ] {
        assert!(matches!(value_of(expr), Err(EvalError::Execution(_))), "{expr}");
    }
    let deep = format!("{}1{}", "(".repeat(500), ")".repeat(500));
    assert!(matches!(value_of(&deep), Err(EvalError::Execution(_))));
}
