//! `prom.query`: the value of a PromQL expression now.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::evidence::{Evidence, Unknown, finite, shown, table, whole_list};
use super::{Entry, Moment, Tools, prom};
use crate::clients::prometheus::SERIES_MAX;
use crate::clients::prometheus::answer::{Data, Sample};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError, no_access};
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "prom.query",
        summary: "Asks Prometheus for the value of an expression now.",
        fields: &[
            ("value", "The value, where the expression gives exactly one series."),
            ("values", "All series as `{labels, value}`; left out where they are too many to keep."),
            ("count", "How many series there are: at least 1, as an empty answer is unknown and not zero."),
            ("min", "The smallest value."),
            ("max", "The largest value."),
        ],
        timeout: prom::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `prom.query`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// PromQL expression that gives one value for each series, or a scalar. May hold templates.
    #[schemars(length(min = 1, max = 8192))]
    expr: String,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let params: Params = params::read(params)?;
    prom::check_expr(&params.expr)
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { expr } = params::read(params)?;
    let (client, limits) = prom::client(tools, moment, SERIES_MAX)?;
    let answer = client.query(&expr, Some(moment.now), limits).await?;
    let samples = match prom::whole(answer)?.data {
        Data::Vector(samples) => samples,
        Data::Scalar(point) => vec![Sample { labels: Default::default(), point }],
        Data::Matrix(_) => {
            return Err(Unknown::new(
                "the expression gives a range: use `prom.range`, or a function such as `rate`",
            ));
        }
        Data::Text(_) => return Err(Unknown::new("the expression gives a text and no value")),
    };
    evidence(&samples)
}

fn evidence(samples: &[Sample]) -> Result<Evidence, Unknown> {
    let mut rows: Vec<(f64, &Sample)> = Vec::with_capacity(samples.len());
    for sample in samples {
        rows.push((prom::number(sample.point.value, &sample.labels)?, sample));
    }
    rows.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    let (Some((max, _)), Some((min, _))) = (rows.first(), rows.last()) else {
        return Err(Unknown::new("no series matches, which is not the same as zero"));
    };
    let mut fields = Map::new();
    fields.insert("count".to_owned(), json!(rows.len()));
    let single = (rows.len() == 1).then_some(*max);
    for (name, value) in [("value", single), ("min", Some(*min)), ("max", Some(*max))] {
        fields.extend(value.and_then(finite).map(|value| (name.to_owned(), value)));
    }
    let list = rows
        .iter()
        .map(|(value, sample)| json!({"labels": prom::labels_value(&sample.labels), "value": value}));
    fields.extend(whole_list(list.collect()).map(|list| ("values".to_owned(), list)));
    let lines: Vec<String> = rows
        .iter()
        .map(|(value, sample)| format!("{}: {}", prom::series_name(&sample.labels), shown(*value)))
        .collect();
    Ok(Evidence { fields, text: table(&lines), chart: None })
}
