//! The query API over HTTP: parameters in, the value or a lie or a fault out, in Prometheus' shapes.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value as JsonValue, json};

use super::params::{BadParameter, Params};
use super::promql::{self, EvalError, Sample, Value};
use super::series::Labels;
use super::{Lie, QUERY, QUERY_RANGE, QueryCall, RangeSeries, Shared, instants, now_seconds};
use crate::sandbox::faults::{Fault, FaultOrder, Outcome};

/// An error of the query API.
struct ApiError {
    kind: String,
    message: String,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self.kind.as_str() {
            "bad_data" => StatusCode::BAD_REQUEST,
            "execution" => StatusCode::UNPROCESSABLE_ENTITY,
            "timeout" | "canceled" | "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "not_found" => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"status": "error", "errorType": self.kind, "error": self.message});
        (self.status(), Json(body)).into_response()
    }
}

impl From<BadParameter> for ApiError {
    fn from(BadParameter(message): BadParameter) -> Self {
        Self { kind: "bad_data".into(), message }
    }
}

impl From<EvalError> for ApiError {
    fn from(error: EvalError) -> Self {
        let kind = if matches!(error, EvalError::Parse(_)) { "bad_data" } else { "execution" };
        Self { kind: kind.into(), message: error.to_string() }
    }
}

pub(super) async fn instant(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.receive(QUERY, &Params::of(&uri, &headers, &body)).await
}

pub(super) async fn range(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.receive(QUERY_RANGE, &Params::of(&uri, &headers, &body)).await
}

impl Shared {
    async fn receive(&self, path: &'static str, params: &Params) -> Response {
        let Some(fault) = self.faults.take(path) else { return self.answer(path, params, None) };
        let told = fault.clone();
        if !fault.takes_effect && fault.outcome != Outcome::Honest {
            let expr = params.query().unwrap_or_default().to_owned();
            self.queries.push(QueryCall { path, expr, series: None, fault: Some(fault.clone()) });
        }
        let vendor_error = |kind: &str| {
            let message = "scripted fault of the sandbox".to_owned();
            ApiError { kind: kind.to_owned(), message }.into_response()
        };
        fault.play(|| self.answer(path, params, Some(told)), vendor_error).await
    }

    fn answer(&self, path: &'static str, params: &Params, fault: Option<Fault>) -> Response {
        let expr = params.query().unwrap_or_default().to_owned();
        let answered = self.carry_out(path, params);
        let series = answered.as_ref().ok().map(|(data, _)| match &data["result"] {
            JsonValue::Array(items) if data["resultType"] != "scalar" => items.len(),
            _ => 1,
        });
        self.queries.push(QueryCall { path, expr, series, fault });
        match answered {
            Err(error) => error.into_response(),
            Ok((data, warnings)) => {
                let mut body = json!({"status": "success", "data": data});
                if !warnings.is_empty() {
                    body["warnings"] = json!(warnings);
                }
                Json(body).into_response()
            }
        }
    }

    fn carry_out(&self, path: &'static str, params: &Params) -> Result<(JsonValue, Vec<String>), ApiError> {
        params.check_timeout()?;
        let (expr, limit) = (params.query()?, params.limit()?);
        let parsed = promql::parse(expr)?;
        let lie = self.lie_about(expr);
        let mut warnings = if let Some(Lie::Warned(warnings)) = &lie { warnings.clone() } else { Vec::new() };
        let mut data = if path == QUERY {
            let at = params.time(now_seconds())?;
            let value = match lie {
                Some(Lie::Nothing) => Value::Vector(Vec::new()),
                Some(Lie::Always(value)) => Value::Vector(vec![Sample { labels: Labels::new(), value }]),
                Some(Lie::Warned(_)) | None => self.value(&parsed, at)?,
            };
            instant_json(&value, at)
        } else {
            let (start, end, step) = params.range()?;
            let series = match lie {
                Some(Lie::Nothing) => Vec::new(),
                Some(Lie::Always(value)) => {
                    vec![(Labels::new(), instants(start, end, step).map(|at| (at, value)).collect())]
                }
                Some(Lie::Warned(_)) | None => self.range_values(&parsed, start, end, step)?,
            };
            range_json(&series)
        };
        if let (true, JsonValue::Array(items)) = (limit > 0, &mut data["result"])
            && items.len() > limit
        {
            items.truncate(limit);
            warnings.push("results truncated due to limit".to_owned());
        }
        Ok((data, warnings))
    }
}

fn instant_json(value: &Value, at: f64) -> JsonValue {
    match value {
        Value::Scalar(value) => json!({"resultType": "scalar", "result": [at, number(*value)]}),
        Value::Vector(samples) => {
            let sample =
                |sample: &Sample| json!({"metric": sample.labels, "value": [at, number(sample.value)]});
            json!({"resultType": "vector", "result": samples.iter().map(sample).collect::<Vec<_>>()})
        }
    }
}

fn range_json(series: &[RangeSeries]) -> JsonValue {
    let one = |(labels, points): &RangeSeries| {
        let values: Vec<_> = points.iter().map(|&(at, value)| json!([at, number(value)])).collect();
        json!({"metric": labels, "values": values})
    };
    json!({"resultType": "matrix", "result": series.iter().map(one).collect::<Vec<_>>()})
}

/// A value as Prometheus writes it: a string, with `+Inf`, `-Inf` and `NaN`.
fn number(value: f64) -> String {
    if value.is_infinite() {
        if value > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else {
        value.to_string()
    }
}

#[derive(Deserialize)]
pub(super) struct AfterQuery {
    #[serde(default)]
    after: u64,
}

pub(super) async fn told_queries(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<AfterQuery>,
) -> Json<JsonValue> {
    Json(json!({"forgotten": shared.queries.forgotten(), "queries": shared.queries.after(query.after)}))
}

pub(super) async fn ordered_faults(
    State(shared): State<Arc<Shared>>,
    Json(order): Json<FaultOrder>,
) -> StatusCode {
    shared.faults.obey(order);
    StatusCode::NO_CONTENT
}
