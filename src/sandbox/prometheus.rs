//! A Prometheus on loopback: the query API over series that follow the course of a simulated incident.
//!
//! | enforced | from |
//! |---|---|
//! | `/api/v1/query` and `/query_range`, GET and POST form; `{status,data{resultType,result},warnings}`; values as strings | prometheus.io/docs/prometheus/latest/querying/api |
//! | 400 `bad_data`, 422 `execution`, 503 `timeout` or `unavailable` | the same page |
//! | at most 11,000 points a series | observed answers of Prometheus 2 |
//! | an unknown metric is an empty answer with 200 | the same |
//! | the meaning of expressions | see [`promql`]; what it does not know is 422, never a wrong number |
//!
//! It can lie: empty answers, NaN, warnings, errors. It must never be taken for a time series database: it stores nothing.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::Router;
use axum::routing::{get, post};
use jiff::Timestamp;
use regex::Regex;
use serde::Serialize;

mod api;
mod histogram;
mod operators;
mod params;
pub mod promql;
pub mod series;

use super::faults::{Fault, FaultPlan};
use super::record::{DEFAULT_CAPACITY, Record};
use super::server::{Port, Server, StartError};
use promql::{EvalError, Evaluator, Sample, Value};
use series::{Labels, Series};

/// The instant query's path, and its name in the fault plan.
pub const QUERY: &str = "/api/v1/query";
/// The range query's path, and its name in the fault plan.
pub const QUERY_RANGE: &str = "/api/v1/query_range";

/// One query as it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueryCall {
    /// [`QUERY`] or [`QUERY_RANGE`].
    pub path: &'static str,
    /// The expression.
    pub expr: String,
    /// Series in the answer; `None` where it was an error.
    pub series: Option<usize>,
    /// The misbehaviour that it met.
    pub fault: Option<Fault>,
}

/// Which expressions a [`Lie`] is about.
#[derive(Clone, Debug)]
pub enum About {
    /// Every expression.
    Everything,
    /// Exactly this text.
    Exactly(String),
    /// Any text that contains this, such as a metric's name.
    Containing(String),
    /// Any text that matches.
    Matching(Regex),
}

impl About {
    fn covers(&self, expr: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Exactly(text) => text == expr,
            Self::Containing(text) => expr.contains(text.as_str()),
            Self::Matching(pattern) => pattern.is_match(expr),
        }
    }
}

/// What is answered instead of the truth.
#[derive(Clone, Debug, PartialEq)]
pub enum Lie {
    /// No series at all: unknown, not zero.
    Nothing,
    /// One series without labels, always of this value; NaN and infinities too.
    Always(f64),
    /// The truth, with warnings that say it is partial.
    Warned(Vec<String>),
}

/// The simulated Prometheus. Dropping it stops the server.
#[derive(Debug)]
pub struct PrometheusSandbox {
    shared: Arc<Shared>,
    server: Server,
}

#[derive(Debug)]
struct Shared {
    speed: f64,
    series: RwLock<Vec<Series>>,
    lies: Mutex<Vec<(About, Lie)>>,
    faults: FaultPlan,
    queries: Record<QueryCall>,
}

/// One series of a range: labels and points of time and value.
pub type RangeSeries = (Labels, Vec<(f64, f64)>);

impl PrometheusSandbox {
    /// Starts on `port` (0 for a free one) in a world that runs `speed` times faster than the clock.
    ///
    /// # Errors
    /// [`StartError`] where the port is taken.
    pub async fn start(port: u16, speed: f64) -> Result<Self, StartError> {
        let port = Port::bind(port).await?;
        let shared = Arc::new(Shared {
            speed,
            series: RwLock::default(),
            lies: Mutex::default(),
            faults: FaultPlan::default(),
            queries: Record::new(DEFAULT_CAPACITY),
        });
        let router = Router::new()
            .route(QUERY, get(api::instant).post(api::instant))
            .route(QUERY_RANGE, get(api::range).post(api::range))
            .route("/-/healthy", get(|| async { "Prometheus Server is Healthy.\n" }))
            .route("/-/ready", get(|| async { "Prometheus Server is Ready.\n" }))
            .route("/_sandbox/queries", get(api::told_queries))
            .route("/_sandbox/faults", post(api::ordered_faults))
            .with_state(Arc::clone(&shared));
        Ok(Self { server: port.serve(router), shared })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// The server, for outages.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The misbehaviour to come; the methods are [`QUERY`] and [`QUERY_RANGE`], vendor errors the `errorType`s.
    #[must_use]
    pub fn faults(&self) -> &FaultPlan {
        &self.shared.faults
    }

    /// Every query that came.
    #[must_use]
    pub fn queries(&self) -> &Record<QueryCall> {
        &self.shared.queries
    }

    /// Adds series to the world.
    pub fn add(&self, series: impl IntoIterator<Item = Series>) {
        self.shared.series.write().unwrap_or_else(PoisonError::into_inner).extend(series);
    }

    /// Answers `lie` to whatever `about` covers, until [`PrometheusSandbox::tell_the_truth`]. The first lie told wins.
    pub fn lie(&self, about: About, lie: Lie) {
        self.shared.lies.lock().unwrap_or_else(PoisonError::into_inner).push((about, lie));
    }

    /// Ends all lies.
    pub fn tell_the_truth(&self) {
        self.shared.lies.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The true value of an expression at `at` (seconds since 1970), without HTTP, lies and faults.
    ///
    /// # Errors
    /// [`EvalError`] as in [`promql`].
    pub fn value_at(&self, expr: &str, at: f64) -> Result<Value, EvalError> {
        self.shared.value(&promql::parse(expr)?, at)
    }

    /// The true values of an expression from `start` to `end` every `step` seconds.
    ///
    /// # Errors
    /// [`EvalError`] as in [`promql`].
    pub fn range(&self, expr: &str, start: f64, end: f64, step: f64) -> Result<Vec<RangeSeries>, EvalError> {
        self.shared.range_values(&promql::parse(expr)?, start, end, step)
    }
}

/// The present time as Prometheus writes it.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact in a double")]
pub fn now_seconds() -> f64 {
    Timestamp::now().as_millisecond() as f64 / 1_000.0
}

impl Shared {
    fn lie_about(&self, expr: &str) -> Option<Lie> {
        let lies = self.lies.lock().unwrap_or_else(PoisonError::into_inner);
        lies.iter().find(|(about, _)| about.covers(expr)).map(|(_, lie)| lie.clone())
    }

    fn value(&self, expr: &promql_parser::parser::Expr, now: f64) -> Result<Value, EvalError> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        Evaluator { series: &series, now, speed: self.speed }.value(expr)
    }

    fn range_values(
        &self,
        expr: &promql_parser::parser::Expr,
        start: f64,
        end: f64,
        step: f64,
    ) -> Result<Vec<RangeSeries>, EvalError> {
        let mut all: Vec<RangeSeries> = Vec::new();
        for at in instants(start, end, step) {
            let samples = match self.value(expr, at)? {
                Value::Scalar(value) => vec![Sample { labels: Labels::new(), value }],
                Value::Vector(samples) => samples,
            };
            for Sample { labels, value } in samples {
                match all.iter_mut().find(|(known, _)| *known == labels) {
                    Some((_, points)) => points.push((at, value)),
                    None => all.push((labels, vec![(at, value)])),
                }
            }
        }
        Ok(all)
    }
}

/// The instants of a range, counted so that rounding does not add up.
fn instants(start: f64, end: f64, step: f64) -> impl Iterator<Item = f64> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 11,000, never negative"
    )]
    let last = ((end - start) / step).clamp(0.0, params::MAX_POINTS) as u32;
    (0..=last).map(move |index| start + step * f64::from(index))
}

#[cfg(test)]
#[path = "prometheus/tests.rs"]
mod tests;
