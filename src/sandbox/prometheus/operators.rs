//! Operators between values: arithmetic, comparison, and `and`, `or`, `unless`, with `on` and `ignoring`.
//!
//! Matching is one to one, or many to one with `group_left`; anything else is an error here.

use promql_parser::label::METRIC_NAME;
use promql_parser::parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality};

use super::promql::{EvalError, Sample, Value, unknown, unnamed};
use super::series::Labels;

/// The value with its sign turned.
pub(super) fn negate(value: Value) -> Value {
    match value {
        Value::Scalar(value) => Value::Scalar(-value),
        Value::Vector(samples) => {
            let negated = |sample: Sample| Sample { value: -sample.value, labels: unnamed(sample.labels) };
            Value::Vector(samples.into_iter().map(negated).collect())
        }
    }
}

/// What a binary operation comes to.
pub(super) fn binary(operation: &BinaryExpr, left: Value, right: Value) -> Result<Value, EvalError> {
    let name = operation.op.to_string();
    let name = name.as_str();
    let as_number = operation.modifier.as_ref().is_some_and(|modifier| modifier.return_bool);
    if matches!(name, "and" | "or" | "unless") {
        let (Value::Vector(left), Value::Vector(right)) = (left, right) else {
            return unknown(format_args!("{name} with a scalar"));
        };
        return Ok(Value::Vector(set_operation(name, operation.modifier.as_ref(), left, right)));
    }
    let Some(operator) = Operator::named(name) else { return unknown(format_args!("the operator {name}")) };
    Ok(match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(operator.number(left, right)),
        (Value::Vector(samples), Value::Scalar(scalar)) => {
            Value::Vector(operator.each(samples, as_number, |value| (value, scalar)))
        }
        (Value::Scalar(scalar), Value::Vector(samples)) => {
            Value::Vector(operator.each(samples, as_number, |value| (scalar, value)))
        }
        (Value::Vector(left), Value::Vector(right)) => {
            Value::Vector(matched(operator, operation.modifier.as_ref(), left, right)?)
        }
    })
}

#[derive(Clone, Copy)]
enum Operator {
    Arithmetic(fn(f64, f64) -> f64),
    Comparison(fn(f64, f64) -> bool),
}

impl Operator {
    #[allow(clippy::float_cmp, reason = "PromQL compares exactly")]
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "+" => Self::Arithmetic(|left, right| left + right),
            "-" => Self::Arithmetic(|left, right| left - right),
            "*" => Self::Arithmetic(|left, right| left * right),
            "/" => Self::Arithmetic(|left, right| left / right),
            "%" => Self::Arithmetic(|left, right| left % right),
            "^" => Self::Arithmetic(f64::powf),
            ">" => Self::Comparison(|left, right| left > right),
            "<" => Self::Comparison(|left, right| left < right),
            ">=" => Self::Comparison(|left, right| left >= right),
            "<=" => Self::Comparison(|left, right| left <= right),
            "==" => Self::Comparison(|left, right| left == right),
            "!=" => Self::Comparison(|left, right| left != right),
            _ => return None,
        })
    }

    /// The result as a number: a comparison gives 1 or 0.
    fn number(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Arithmetic(operation) => operation(left, right),
            Self::Comparison(holds) => f64::from(u8::from(holds(left, right))),
        }
    }

    /// The result for one sample: a comparison keeps it or drops it, unless `bool` asks for a number.
    fn sample(self, kept: Sample, left: f64, right: f64, as_number: bool) -> Option<Sample> {
        match self {
            Self::Comparison(holds) if !as_number => holds(left, right).then_some(kept),
            _ => Some(Sample { value: self.number(left, right), labels: unnamed(kept.labels) }),
        }
    }

    fn each(self, samples: Vec<Sample>, as_number: bool, sides: impl Fn(f64) -> (f64, f64)) -> Vec<Sample> {
        let result = |sample: Sample| {
            let (left, right) = sides(sample.value);
            self.sample(sample, left, right, as_number)
        };
        samples.into_iter().filter_map(result).collect()
    }
}

fn matched(
    operator: Operator,
    modifier: Option<&BinModifier>,
    left: Vec<Sample>,
    right: Vec<Sample>,
) -> Result<Vec<Sample>, EvalError> {
    let many_to_one = match modifier.map(|modifier| &modifier.card) {
        None | Some(VectorMatchCardinality::OneToOne) => false,
        Some(VectorMatchCardinality::ManyToOne(_)) => true,
        Some(_) => return unknown("group_right"),
    };
    let as_number = modifier.is_some_and(|modifier| modifier.return_bool);
    let key = |sample: &Sample| signature(&sample.labels, modifier);
    let ambiguous = |side: &str| {
        EvalError::Execution(format!(
            "found duplicate series for the match group on the {side} side of the operation"
        ))
    };
    let mut used = Vec::new();
    let mut result = Vec::new();
    for sample in left {
        let mut partners = right.iter().filter(|partner| key(partner) == key(&sample));
        let Some(partner) = partners.next() else { continue };
        if partners.next().is_some() {
            return Err(ambiguous("right"));
        }
        if !many_to_one && used.contains(&key(&sample)) {
            return Err(ambiguous("left"));
        }
        used.push(key(&sample));
        let value = sample.value;
        let shown = if many_to_one { sample.labels.clone() } else { visible(&sample.labels, modifier) };
        let comparing = matches!(operator, Operator::Comparison(_)) && !as_number;
        let labels = if comparing { sample.labels } else { shown };
        result.extend(operator.sample(Sample { labels, value }, value, partner.value, as_number));
    }
    Ok(result)
}

fn set_operation(
    name: &str,
    modifier: Option<&BinModifier>,
    left: Vec<Sample>,
    right: Vec<Sample>,
) -> Vec<Sample> {
    let key = |sample: &Sample| signature(&sample.labels, modifier);
    let on_right: Vec<_> = right.iter().map(key).collect();
    let on_left: Vec<_> = left.iter().map(key).collect();
    match name {
        "and" => left.into_iter().filter(|sample| on_right.contains(&key(sample))).collect(),
        "unless" => left.into_iter().filter(|sample| !on_right.contains(&key(sample))).collect(),
        _ => {
            let added = right.into_iter().filter(|sample| !on_left.contains(&key(sample)));
            left.into_iter().chain(added).collect()
        }
    }
}

/// The labels that two sides must share.
fn signature(labels: &Labels, modifier: Option<&BinModifier>) -> Labels {
    let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
    let counts = |name: &str| match matching {
        None => true,
        Some(LabelModifier::Include(on)) => on.labels.iter().any(|label| label == name),
        Some(LabelModifier::Exclude(ignoring)) => !ignoring.labels.iter().any(|label| label == name),
    };
    let kept = labels.iter().filter(|(name, _)| *name != METRIC_NAME && counts(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The labels that a one-to-one result shows: those it was matched by.
fn visible(labels: &Labels, modifier: Option<&BinModifier>) -> Labels {
    signature(labels, modifier)
}
