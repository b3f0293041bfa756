//! `prom.range`: how a PromQL expression went over a window, its trend, and where the trend leads.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::evidence::{Evidence, Unknown, clock_time, finite, length, shown, table, whole_list};
use super::trend::{Crossings, Trend};
use super::{Entry, Moment, Tools, prom};
use crate::clients::prometheus::Range;
use crate::clients::prometheus::answer::{Data, Labels, Point, Series};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError, no_access};
use crate::domain::chart::{self, CHART_LINES_MAX, Chart, ChartLine};
use crate::params;
use crate::period::Period;

/// Shortest window: a few scrapes.
const WINDOW_MIN: Period = Period::from_mins(1);
/// Longest window and longest look ahead: a month.
const WINDOW_MAX: Period = Period::from_days(31);
/// Shortest distance of points: below it, most of them repeat the same scrape.
const STEP_MIN: Period = Period::from_secs(1);
/// Most points of one series; enough for any curve that a person looks at.
const POINTS_MAX: i64 = 1_000;
/// Points of one series where the rule names no step.
const POINTS_DEFAULT: i64 = 60;
/// The default step is never shorter than the usual scrape interval.
const STEP_DEFAULT_MIN_S: i64 = 15;
/// Most series of one answer: with [`POINTS_MAX`] points each, some 3 MB.
const SERIES_MAX: usize = 100;
/// A series whose newest point is older than this has ended: Prometheus itself looks back that far.
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(5);

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "prom.range",
        summary: "Asks Prometheus how an expression went over a window: extremes, trend, crossings of a threshold, \
                  and where the trend leads.",
        fields: &[
            (
                "last",
                "The newest value. This and all fields down to `bad_points` are there for exactly one series.",
            ),
            ("min", "The smallest value."),
            ("max", "The largest value."),
            ("avg", "The mean of the values."),
            ("slope_per_hour", "Rise for each hour, of the line of best fit."),
            (
                "predicted",
                "With `predict`: where that line will be. Left out below 5 points or half a window.",
            ),
            ("above", "With `threshold`: whether the newest value is above it."),
            ("above_for_seconds", "With `threshold`: for how long it has been above without a break."),
            (
                "first_crossing",
                "With `threshold`: when it first crossed it in the window. Left out if never.",
            ),
            ("last_crossing", "With `threshold`: when it last crossed it in the window. Left out if never."),
            ("points", "How many values there are."),
            ("bad_points", "How many values are NaN or infinite; they are left aside."),
            ("series_count", "How many series there are now."),
            ("ended_series", "How many series of the window have no value in its last five minutes."),
            (
                "series",
                "All series of now with their `labels` and the fields above; left out if too many to keep.",
            ),
        ],
        timeout: prom::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `prom.range`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// PromQL expression that gives one value for each series. May hold templates.
    #[schemars(length(min = 1, max = 8192))]
    expr: String,
    /// How far to look back, from 1m to 31d.
    window: Period,
    /// Distance of the points, from 1s; at most 1000 points. Default: a sixtieth of the window, at least 15s.
    step: Option<Period>,
    /// Value to compare with, for `above` and the crossings.
    threshold: Option<f64>,
    /// Look ahead along the line of best fit.
    predict: Option<Predict>,
    /// Whether messages bring along a picture of it. Default: the first `prom.range` of the rule, and none beside those
    /// that say `true`. The page of an incident shows all but those that say `false`.
    chart: Option<bool>,
}

/// How far to look ahead.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Predict {
    /// How far, from 1m to 31d.
    #[serde(rename = "in")]
    ahead: Period,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let params: Params = params::read(params)?;
    params::within("/window", params.window, WINDOW_MIN, WINDOW_MAX)?;
    params::period_within("/step", params.step, STEP_MIN, params.window)?;
    params::period_within("/predict/in", params.predict.map(|p| p.ahead), WINDOW_MIN, WINDOW_MAX)?;
    if params.points() > POINTS_MAX {
        let message =
            format!("{} points are too many, {POINTS_MAX} at most: use a longer step", params.points());
        return Err(ParamsError::at("/step", message));
    }
    prom::check_expr(&params.expr)
}

impl Params {
    fn step(&self) -> SignedDuration {
        let by_default = || {
            let rounded_up = (self.window.signed().as_secs() + POINTS_DEFAULT - 1) / POINTS_DEFAULT;
            SignedDuration::from_secs(rounded_up.max(STEP_DEFAULT_MIN_S))
        };
        self.step.map_or_else(by_default, Period::signed)
    }

    /// Whole steps within the window.
    fn points(&self) -> i64 {
        i64::try_from(self.window.signed().as_millis() / self.step().as_millis().max(1)).unwrap_or(i64::MAX)
    }

    /// From whole steps back until now, so that the last point is now.
    fn range(&self, now: Timestamp) -> Range {
        let step = self.step();
        let back =
            step.checked_mul(i32::try_from(self.points()).unwrap_or(i32::MAX)).unwrap_or(SignedDuration::MAX);
        Range { start: now.checked_sub(back).unwrap_or(Timestamp::MIN), end: now, step }
    }
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let params: Params = params::read(params)?;
    let (client, limits) = prom::client(tools, moment, SERIES_MAX)?;
    let answer = client.query_range(&params.expr, params.range(moment.now), limits).await?;
    match prom::whole(answer)?.data {
        Data::Matrix(series) => evidence(series, &params, params.range(moment.now), moment.now),
        _ => Err(Unknown::new("the expression gives no series over time")),
    }
}

/// One living series, reckoned up.
struct Curve {
    labels: Labels,
    points: Vec<Point>,
    trend: Trend,
    crossings: Option<Crossings>,
    predicted: Option<f64>,
    bad_points: usize,
}

fn evidence(series: Vec<Series>, params: &Params, range: Range, now: Timestamp) -> Result<Evidence, Unknown> {
    let all = series.len();
    let mut curves = Vec::new();
    let mut newest: Option<Timestamp> = None;
    for series in series {
        let Some(last) = series.points.last() else { continue };
        newest = newest.max(Some(last.at));
        if now.duration_since(last.at) <= STALE_AFTER {
            prom::number(last.value, &series.labels)?;
            curves.extend(curve(series, params, now));
        }
    }
    let ended = all - curves.len();
    if curves.is_empty() {
        return Err(Unknown::new(match newest {
            None => "no series matches, which is not the same as zero".to_owned(),
            Some(at) => format!("the newest value is {} old", length(now.duration_since(at))),
        }));
    }
    curves.sort_by(|left, right| right.trend.last.total_cmp(&left.trend.last));
    let mut fields = match curves.as_slice() {
        [only] => curve_fields(only),
        _ => Map::new(),
    };
    fields.insert("series_count".to_owned(), json!(curves.len()));
    fields.insert("ended_series".to_owned(), json!(ended));
    let list = curves.iter().map(|curve| {
        let mut fields = curve_fields(curve);
        fields.insert("labels".to_owned(), prom::labels_value(&curve.labels));
        Value::Object(fields)
    });
    fields.extend(whole_list(list.collect()).map(|list| ("series".to_owned(), list)));
    let text = text(&curves, params);
    let chart = (params.chart != Some(false)).then(|| Box::new(chart(&curves, params, range)));
    Ok(Evidence { fields, text, chart })
}

fn curve(series: Series, params: &Params, now: Timestamp) -> Option<Curve> {
    let Series { labels, points } = series;
    let all = points.len();
    let points: Vec<Point> = points.into_iter().filter(|point| point.value.is_finite()).collect();
    let trend = Trend::over(&points, now)?;
    let ahead = params.predict.map(|predict| predict.ahead.signed());
    Some(Curve {
        labels,
        crossings: params.threshold.and_then(|threshold| Crossings::of(&points, threshold)),
        predicted: ahead.and_then(|ahead| trend.predict(ahead, params.window.signed())),
        bad_points: all - points.len(),
        trend,
        points,
    })
}

/// The highest curves on the grid of the question, as few values as a picture needs.
fn chart(curves: &[Curve], params: &Params, range: Range) -> Chart {
    let drawn = &curves[..curves.len().min(CHART_LINES_MAX)];
    let mut factor = 1;
    let lines = drawn.iter().map(|curve| {
        let (values, times) = chart::thin(on_grid(&curve.points, range));
        factor = times;
        ChartLine { name: prom::series_name(&curve.labels), values }
    });
    let lines = lines.collect();
    let step_ms = i64::try_from(range.step.as_millis()).unwrap_or(i64::MAX).saturating_mul(factor);
    Chart {
        from: range.start,
        step_ms,
        threshold: params.threshold,
        lines,
        left_out: u32::try_from(curves.len() - drawn.len()).unwrap_or(u32::MAX),
        asked_for: params.chart == Some(true),
    }
}

/// A value for each step of the question, and none where Prometheus had none.
fn on_grid(points: &[Point], range: Range) -> Vec<Option<f64>> {
    let step = range.step.as_millis().max(1);
    let place = |at: Timestamp| (at.duration_since(range.start).as_millis() + step / 2).div_euclid(step);
    let count = usize::try_from(place(range.end) + 1).unwrap_or_default();
    let mut values = vec![None; count];
    for point in points {
        let at = usize::try_from(place(point.at)).ok();
        if let Some(value) = at.and_then(|at| values.get_mut(at)) {
            *value = Some(point.value);
        }
    }
    values
}

fn curve_fields(curve: &Curve) -> Map<String, Value> {
    let Curve { trend, crossings, predicted, bad_points, .. } = curve;
    let numbers = [
        ("last", Some(trend.last)),
        ("min", Some(trend.min)),
        ("max", Some(trend.max)),
        ("avg", Some(trend.avg)),
        ("slope_per_hour", trend.line.map(|line| line.slope_per_hour)),
        ("predicted", *predicted),
    ];
    let mut fields: Map<String, Value> =
        numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), finite(value?)?))).collect();
    fields.insert("points".to_owned(), json!(trend.points));
    fields.insert("bad_points".to_owned(), json!(bad_points));
    if let Some(crossings) = crossings {
        fields.insert("above".to_owned(), json!(crossings.above));
        fields.insert("above_for_seconds".to_owned(), json!(crossings.above_for.as_secs()));
        for (name, at) in [("first_crossing", crossings.first), ("last_crossing", crossings.last)] {
            fields.extend(at.map(|at| (name.to_owned(), json!(clock_time(at)))));
        }
    }
    fields
}

fn text(curves: &[Curve], params: &Params) -> String {
    let rows: Vec<String> = curves.iter().map(|curve| row(curve, params)).collect();
    format!("over {}:\n{}", params.window, table(&rows))
}

fn row(curve: &Curve, params: &Params) -> String {
    let Curve { labels, trend, crossings, predicted, .. } = curve;
    let Trend { last, min, max, avg, .. } = trend;
    let mut row = format!("{}: {}", prom::series_name(labels), shown(*last));
    row.push_str(&format!(" (min {}, avg {}, max {}", shown(*min), shown(*avg), shown(*max)));
    if let Some(line) = trend.line {
        let sign = if line.slope_per_hour >= 0.0 { "+" } else { "" };
        row.push_str(&format!(", {sign}{} an hour", shown(line.slope_per_hour)));
    }
    row.push(')');
    if let Some(predict) = params.predict {
        let value = predicted.map_or_else(|| "no prediction, too few points".to_owned(), shown);
        row.push_str(&format!("; in {}: {value}", predict.ahead));
    }
    if let (Some(crossings), Some(threshold)) = (crossings, params.threshold) {
        let side = if crossings.above { "above" } else { "not above" };
        row.push_str(&format!("; {side} {}", shown(threshold)));
        row.push_str(&crossings.last.map(|at| format!(" since {}", clock_time(at))).unwrap_or_default());
    }
    row
}
