//! A small evaluator: the part of PromQL that alerting and diagnosis use, over the simulated series.
//!
//! It is not Prometheus. It knows selectors with all four matchers, offsets, the rates, `*_over_time`, aggregations,
//! arithmetic, comparison, set operators and `histogram_quantile`. What it does not know is an error (422), never a
//! wrong number. Meanings: prometheus.io/docs/prometheus/latest/querying.
//!
//! One thing differs on purpose: where the world runs faster than the clock, ranges shrink with it, so that
//! `rate(…[5m])` follows the story and not the wall clock.

use std::time::Duration;

use promql_parser::label::{METRIC_NAME, Matchers};
use promql_parser::parser::{
    AggregateExpr, Call, Expr, LabelModifier, MatrixSelector, Offset, VectorSelector,
};

use super::operators::{binary, negate};
use super::series::{Labels, Series};

/// Nesting that the evaluator follows.
const MAX_DEPTH: usize = 64;
/// Samples that a range is looked at through.
const SAMPLES_PER_RANGE: u32 = 20;

/// One labelled value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The labels, the metric's name as `__name__` among them.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

/// What an expression comes to at one instant.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A plain number.
    Scalar(f64),
    /// Labelled values; none is an answer too.
    Vector(Vec<Sample>),
}

/// Why an expression has no value here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// It is not PromQL: HTTP 400, `bad_data`.
    #[error("invalid parameter \"query\": {0}")]
    Parse(String),
    /// It cannot be carried out: HTTP 422, `execution`.
    #[error("{0}")]
    Execution(String),
}

pub(super) fn unknown<T>(what: impl std::fmt::Display) -> Result<T, EvalError> {
    Err(EvalError::Execution(format!("the simulated Prometheus does not know {what}")))
}

/// Parses an expression.
///
/// # Errors
/// [`EvalError::Parse`] with the parser's words.
pub fn parse(text: &str) -> Result<Expr, EvalError> {
    promql_parser::parser::parse(text).map_err(EvalError::Parse)
}

/// Evaluates at one instant over all series.
#[derive(Clone, Copy, Debug)]
pub struct Evaluator<'a> {
    /// All series there are.
    pub series: &'a [Series],
    /// The instant, in seconds since 1970.
    pub now: f64,
    /// How many times faster than the clock the world runs.
    pub speed: f64,
}

/// A series over a range: its labels and what was seen of it.
struct Ranged {
    labels: Labels,
    /// Time and value, oldest first.
    samples: Vec<(f64, f64)>,
    /// Average growth a second over the range.
    growth: f64,
}

impl Evaluator<'_> {
    /// The value of `expr`.
    ///
    /// # Errors
    /// [`EvalError::Execution`] where it uses what the evaluator does not know, or matches ambiguously.
    pub fn value(&self, expr: &Expr) -> Result<Value, EvalError> {
        self.eval(expr, 0)
    }

    fn eval(&self, expr: &Expr, depth: usize) -> Result<Value, EvalError> {
        if depth > MAX_DEPTH {
            return unknown(format_args!("expressions nested deeper than {MAX_DEPTH}"));
        }
        match expr {
            Expr::NumberLiteral(number) => Ok(Value::Scalar(number.val)),
            Expr::Paren(paren) => self.eval(&paren.expr, depth + 1),
            Expr::Unary(unary) => Ok(negate(self.eval(&unary.expr, depth + 1)?)),
            Expr::Binary(operation) => {
                let (left, right) =
                    (self.eval(&operation.lhs, depth + 1)?, self.eval(&operation.rhs, depth + 1)?);
                binary(operation, left, right)
            }
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::Aggregate(aggregation) => self.aggregate(aggregation, depth + 1),
            Expr::Call(call) => self.call(call, depth + 1),
            Expr::StringLiteral(_) | Expr::MatrixSelector(_) | Expr::Subquery(_) | Expr::Extension(_) => {
                unknown(format_args!("this expression here: {expr}"))
            }
        }
    }

    fn select(&self, selector: &VectorSelector) -> Result<Value, EvalError> {
        let at = self.shifted(selector)?;
        let found =
            self.matching(selector).map(|series| Sample { labels: full(series), value: series.at(at) });
        Ok(Value::Vector(found.collect()))
    }

    fn range(&self, expr: &Expr) -> Result<Vec<Ranged>, EvalError> {
        let Expr::MatrixSelector(MatrixSelector { vs, range }) = expr else {
            return unknown(format_args!("a range function over {expr}"));
        };
        let (end, length) = (self.shifted(vs)?, self.scaled(*range));
        let step = length / f64::from(SAMPLES_PER_RANGE);
        let times: Vec<f64> =
            (0..=SAMPLES_PER_RANGE).rev().map(|back| end - step * f64::from(back)).collect();
        Ok(self
            .matching(vs)
            .map(|series| Ranged {
                labels: series.labels.clone(),
                samples: times.iter().map(|&at| (at, series.at(at))).collect(),
                growth: mean(times.iter().map(|&at| series.growth_at(at))),
            })
            .collect())
    }

    fn matching<'s>(&'s self, selector: &'s VectorSelector) -> impl Iterator<Item = &'s Series> {
        self.series.iter().filter(move |series| selects(selector, series))
    }

    fn shifted(&self, selector: &VectorSelector) -> Result<f64, EvalError> {
        if selector.at.is_some() {
            return unknown("the @ modifier");
        }
        Ok(match &selector.offset {
            None => self.now,
            Some(Offset::Pos(back)) => self.now - self.scaled(*back),
            Some(Offset::Neg(ahead)) => self.now + self.scaled(*ahead),
        })
    }

    fn scaled(&self, duration: Duration) -> f64 {
        duration.as_secs_f64() / self.speed
    }

    fn aggregate(&self, aggregation: &AggregateExpr, depth: usize) -> Result<Value, EvalError> {
        let Value::Vector(samples) = self.eval(&aggregation.expr, depth)? else {
            return unknown("an aggregation over a scalar");
        };
        let name = aggregation.op.to_string();
        let parameter = match &aggregation.param {
            Some(parameter) => match self.eval(parameter, depth)? {
                Value::Scalar(value) => Some(value),
                Value::Vector(_) => return unknown(format_args!("a vector as the parameter of {name}")),
            },
            None => None,
        };
        let mut groups: Vec<(Labels, Vec<Sample>)> = Vec::new();
        for sample in samples {
            let labels = grouped(&sample.labels, aggregation.modifier.as_ref());
            match groups.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, members)) => members.push(sample),
                None => groups.push((labels, vec![sample])),
            }
        }
        let mut result = Vec::new();
        for (labels, members) in groups {
            aggregate_group(&name, parameter, labels, members, &mut result)?;
        }
        Ok(Value::Vector(result))
    }

    fn call(&self, call: &Call, depth: usize) -> Result<Value, EvalError> {
        let name = call.func.name;
        let arguments = &call.args.args;
        let first =
            || arguments.first().ok_or_else(|| EvalError::Execution(format!("{name} needs an argument")));
        match name {
            "rate" | "irate" => over_range(self.range(first()?)?, |range| range.growth),
            "increase" => {
                let ranges = self.range(first()?)?;
                // Over the range as written: an increase in five minutes is five minutes' worth, however fast time runs.
                over_range(ranges, |range| range.growth * range.length() * self.speed)
            }
            "delta" => over_range(self.range(first()?)?, Ranged::change),
            "deriv" => over_range(self.range(first()?)?, |range| range.slope() / self.speed),
            "predict_linear" => {
                let ahead = self.number(arguments.get(1).map(AsRef::as_ref), depth)?;
                over_range(self.range(first()?)?, |range| range.last() + range.slope() * ahead / self.speed)
            }
            "avg_over_time" => over_range(self.range(first()?)?, |range| mean(range.values())),
            "max_over_time" => {
                over_range(self.range(first()?)?, |range| range.values().fold(f64::NAN, f64::max))
            }
            "min_over_time" => {
                over_range(self.range(first()?)?, |range| range.values().fold(f64::NAN, f64::min))
            }
            "last_over_time" => over_range(self.range(first()?)?, |range| range.last()),
            "time" => Ok(Value::Scalar(self.now)),
            "vector" => {
                let value = self.number(Some(first()?), depth)?;
                Ok(Value::Vector(vec![Sample { labels: Labels::new(), value }]))
            }
            "scalar" => Ok(Value::Scalar(single(&self.eval(first()?, depth)?))),
            "absent" => Ok(Value::Vector(match self.eval(first()?, depth)? {
                Value::Vector(found) if found.is_empty() => {
                    vec![Sample { labels: Labels::new(), value: 1.0 }]
                }
                _ => Vec::new(),
            })),
            "histogram_quantile" => {
                let quantile = self.number(Some(first()?), depth)?;
                match arguments.get(1).map(|buckets| self.eval(buckets, depth)).transpose()? {
                    Some(Value::Vector(buckets)) => {
                        Ok(Value::Vector(super::histogram::quantiles(quantile, buckets)))
                    }
                    _ => unknown("histogram_quantile without buckets"),
                }
            }
            "abs" => self.each(first()?, depth, f64::abs),
            "ceil" => self.each(first()?, depth, f64::ceil),
            "floor" => self.each(first()?, depth, f64::floor),
            "round" if arguments.len() == 1 => self.each(first()?, depth, f64::round),
            "clamp_min" => {
                let bound = self.number(arguments.get(1).map(AsRef::as_ref), depth)?;
                self.each(first()?, depth, |value| value.max(bound))
            }
            "clamp_max" => {
                let bound = self.number(arguments.get(1).map(AsRef::as_ref), depth)?;
                self.each(first()?, depth, |value| value.min(bound))
            }
            other => unknown(format_args!("the function {other}")),
        }
    }

    fn each(&self, expr: &Expr, depth: usize, change: impl Fn(f64) -> f64) -> Result<Value, EvalError> {
        Ok(match self.eval(expr, depth)? {
            Value::Scalar(value) => Value::Scalar(change(value)),
            Value::Vector(samples) => {
                let changed =
                    |sample: Sample| Sample { value: change(sample.value), labels: unnamed(sample.labels) };
                Value::Vector(samples.into_iter().map(changed).collect())
            }
        })
    }

    fn number(&self, expr: Option<&Expr>, depth: usize) -> Result<f64, EvalError> {
        match expr.map(|expr| self.eval(expr, depth)).transpose()? {
            Some(Value::Scalar(value)) => Ok(value),
            _ => unknown("a number that is not a scalar"),
        }
    }
}

fn over_range(ranges: Vec<Ranged>, value: impl Fn(&Ranged) -> f64) -> Result<Value, EvalError> {
    let sample = |range: Ranged| Sample { value: value(&range), labels: range.labels };
    Ok(Value::Vector(ranges.into_iter().map(sample).collect()))
}

impl Ranged {
    fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|&(_, value)| value)
    }

    fn last(&self) -> f64 {
        self.values().last().unwrap_or(f64::NAN)
    }

    fn change(&self) -> f64 {
        self.last() - self.values().next().unwrap_or(f64::NAN)
    }

    /// Length in seconds of the clock.
    fn length(&self) -> f64 {
        let time = |sample: Option<&(f64, f64)>| sample.map_or(f64::NAN, |&(at, _)| at);
        time(self.samples.last()) - time(self.samples.first())
    }

    /// Least-squares slope, per second of the clock.
    fn slope(&self) -> f64 {
        let middle_time = mean(self.samples.iter().map(|&(at, _)| at));
        let middle_value = mean(self.values());
        let (mut above, mut below) = (0.0, 0.0);
        for &(at, value) in &self.samples {
            above += (at - middle_time) * (value - middle_value);
            below += (at - middle_time) * (at - middle_time);
        }
        above / below
    }
}

fn aggregate_group(
    name: &str,
    parameter: Option<f64>,
    labels: Labels,
    mut members: Vec<Sample>,
    result: &mut Vec<Sample>,
) -> Result<(), EvalError> {
    #[allow(clippy::cast_precision_loss, reason = "a handful of series")]
    let count = members.len() as f64;
    let values = || members.iter().map(|member| member.value);
    let value = match name {
        "sum" => values().sum(),
        "avg" => values().sum::<f64>() / count,
        "min" => values().fold(f64::NAN, f64::min),
        "max" => values().fold(f64::NAN, f64::max),
        "count" => count,
        "group" => 1.0,
        "topk" | "bottomk" => {
            members.sort_by(|left, right| right.value.total_cmp(&left.value));
            if name == "bottomk" {
                members.reverse();
            }
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first")]
            let wanted = parameter.unwrap_or(0.0).clamp(0.0, 1_000.0) as usize;
            result.extend(members.into_iter().take(wanted));
            return Ok(());
        }
        other => return unknown(format_args!("the aggregation {other}")),
    };
    result.push(Sample { labels, value });
    Ok(())
}

fn grouped(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    let kept = |name: &str| match modifier {
        None => false,
        Some(LabelModifier::Include(by)) => by.labels.iter().any(|label| label == name),
        Some(LabelModifier::Exclude(without)) => {
            name != METRIC_NAME && !without.labels.iter().any(|label| label == name)
        }
    };
    labels.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn selects(selector: &VectorSelector, series: &Series) -> bool {
    let Matchers { matchers, or_matchers } = &selector.matchers;
    let holds = |matcher: &promql_parser::label::Matcher| {
        let value = if matcher.name == METRIC_NAME {
            &series.metric
        } else {
            // A missing label is an empty one.
            series.labels.get(&matcher.name).map_or("", String::as_str)
        };
        matcher.is_match(value)
    };
    selector.name.as_ref().is_none_or(|name| *name == series.metric)
        && matchers.iter().all(holds)
        && (or_matchers.is_empty() || or_matchers.iter().any(|all| all.iter().all(holds)))
}

fn full(series: &Series) -> Labels {
    let mut labels = series.labels.clone();
    labels.insert(METRIC_NAME.to_owned(), series.metric.clone());
    labels
}

/// The labels without the metric's name: what is left after any calculation.
pub(super) fn unnamed(mut labels: Labels) -> Labels {
    labels.remove(METRIC_NAME);
    labels
}

fn single(value: &Value) -> f64 {
    match value {
        Value::Scalar(value) => *value,
        Value::Vector(samples) if samples.len() == 1 => samples[0].value,
        Value::Vector(_) => f64::NAN,
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

#[cfg(test)]
#[path = "promql_tests.rs"]
mod tests;
