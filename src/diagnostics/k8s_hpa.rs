//! `k8s.hpa`: what an autoscaler wants, and whether it can still do anything.

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown};
use super::k8s::{Scene, ago, checked, fields, need};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::{ListQuery, Resource};
use crate::domain::catalog::{AccessNeed, CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::rule::TargetSpec;
use crate::domain::timeline::one_line;
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.hpa",
        summary: "Shows an autoscaler: bounds, replicas, metrics. Without a name: the one that scales the incident's target.",
        fields: &[
            ("exists", "Whether there is one. All other fields are left out where there is none."),
            ("name", "Its name."),
            ("scales", "What it scales, such as `Deployment/api`."),
            ("min", "Fewest replicas."),
            ("max", "Most replicas."),
            ("current", "Replicas now."),
            ("desired", "Replicas that it wants."),
            ("at_max", "Whether it wants as many as it may."),
            ("at_min", "Whether it wants as few as it may."),
            ("disabled", "Whether it does nothing, because the replicas are 0."),
            ("able", "Whether it can read its metrics and scale. Left out where it does not say."),
            ("problem", "Why it cannot. Left out where it can."),
            (
                "metrics",
                "Each with `name`, `kind`, `current` and `target`, as the API writes them; percents end in `%`.",
            ),
            ("last_scaled_seconds", "How long ago it last scaled. Left out where it never did."),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.hpa`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Name. Default: the autoscaler that scales the incident's target. May hold templates.
    name: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { namespace, name } = params::read(params)?;
    checked(&[("namespace", namespace.as_deref()), ("name", name.as_deref())], None)
}

fn access(params: &Value, _: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let name = k8s::text(params, "name");
    let verb: &[&'static str] = if name.is_some() { &["get"] } else { &["list"] };
    vec![need(params, &Resource::AUTOSCALERS, "", verb).named(name)]
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { namespace, name } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let found: Option<HorizontalPodAutoscaler> = match &name {
        Some(name) => {
            let namespace = scene.namespace(namespace.as_deref())?;
            scene.reads.find(&Resource::AUTOSCALERS, Some(&namespace), name).await?
        }
        None => {
            let of = scene.object(None, namespace.as_deref(), None)?;
            let mut found = None;
            let scales = |hpa: &HorizontalPodAutoscaler| {
                let scaled = hpa.spec.as_ref().map(|spec| &spec.scale_target_ref);
                scaled.is_some_and(|it| it.kind == of.resource.kind && it.name == of.name)
            };
            let take = |hpa: HorizontalPodAutoscaler| {
                if scales(&hpa) {
                    found = Some(hpa);
                }
            };
            let namespace = of.namespace.as_deref();
            scene.reads.each(&Resource::AUTOSCALERS, namespace, ListQuery::default(), take).await?;
            found
        }
    };
    Ok(found.map_or_else(none, |hpa| evidence(scene, &hpa)))
}

fn none() -> Evidence {
    let found = fields(json!({"exists": false}));
    Evidence { fields: found, text: "there is no such HorizontalPodAutoscaler".to_owned(), chart: None }
}

fn evidence(scene: Scene<'_>, hpa: &HorizontalPodAutoscaler) -> Evidence {
    let spec = hpa.spec.clone().unwrap_or_default();
    let status = hpa.status.clone().unwrap_or_default();
    let name = hpa.metadata.name.clone().unwrap_or_default();
    let (min, max) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
    let (current, desired) = (status.current_replicas.unwrap_or_default(), status.desired_replicas);
    let scales = format!("{}/{}", spec.scale_target_ref.kind, spec.scale_target_ref.name);
    let conditions = status.conditions.unwrap_or_default();
    let disabled = conditions.iter().any(|c| c.reason.as_deref() == Some("ScalingDisabled"));
    let bad = conditions
        .iter()
        .find(|c| matches!(c.type_.as_str(), "AbleToScale" | "ScalingActive") && c.status == "False");
    let problem = bad.map(|c| {
        one_line(
            &format!("{}: {}", c.reason.as_deref().unwrap_or("?"), c.message.as_deref().unwrap_or("")),
            300,
        )
    });
    let current_metrics = status.current_metrics.unwrap_or_default();
    let metrics: Vec<Value> =
        spec.metrics.iter().flatten().map(|spec| metric(spec, &current_metrics)).collect();
    let scaled = scene.age_seconds(status.last_scale_time.as_ref());
    let mut lines =
        vec![format!("{name} scales {scales}: {current} replicas, wants {desired}, {min} to {max}")];
    if desired >= max {
        lines.push("it wants as many as it may have".to_owned());
    }
    lines.extend(problem.clone());
    lines.extend(metrics.iter().map(|metric| {
        let text = |key: &str| metric[key].as_str().unwrap_or("unknown");
        format!("{} {}: {} of {}", text("kind"), text("name"), text("current"), text("target"))
    }));
    lines.extend(scaled.map(|seconds| format!("scaled {} ago", ago(seconds))));
    let found = fields(json!({
        "exists": true,
        "name": name,
        "scales": scales,
        "min": min,
        "max": max,
        "current": current,
        "desired": desired,
        "at_max": desired >= max,
        "at_min": desired <= min,
        "disabled": disabled,
        "able": (!conditions.is_empty()).then_some(problem.is_none()),
        "problem": problem,
        "metrics": metrics,
        "last_scaled_seconds": scaled,
    }));
    Evidence { fields: found, text: lines.join("\n"), chart: None }
}

/// One metric with what it is now, found again by its kind and name.
fn metric(spec: &MetricSpec, all: &[MetricStatus]) -> Value {
    let (name, wanted) = outline(spec);
    let current = all.iter().find_map(|status| {
        let (of, value) = now(status);
        (status.type_ == spec.type_ && of == name).then_some(value).flatten()
    });
    Value::Object(fields(json!({"name": name, "kind": spec.type_, "current": current, "target": wanted})))
}

fn outline(spec: &MetricSpec) -> (String, Option<String>) {
    let wanted = |target: &MetricTarget| {
        let percent = target.average_utilization.map(|percent| format!("{percent}%"));
        let value = || target.average_value.as_ref().or(target.value.as_ref()).map(|value| value.0.clone());
        percent.or_else(value)
    };
    let of = |name: &str, target: &MetricTarget| (name.to_owned(), wanted(target));
    if let Some(m) = &spec.resource {
        of(&m.name, &m.target)
    } else if let Some(m) = &spec.container_resource {
        of(&format!("{}/{}", m.container, m.name), &m.target)
    } else if let Some(m) = &spec.pods {
        of(&m.metric.name, &m.target)
    } else if let Some(m) = &spec.object {
        of(&m.metric.name, &m.target)
    } else if let Some(m) = &spec.external {
        of(&m.metric.name, &m.target)
    } else {
        ("unknown".to_owned(), None)
    }
}

fn now(status: &MetricStatus) -> (String, Option<String>) {
    let value = |current: &MetricValueStatus| {
        let percent = current.average_utilization.map(|percent| format!("{percent}%"));
        let value = || current.average_value.as_ref().or(current.value.as_ref()).map(|value| value.0.clone());
        percent.or_else(value)
    };
    let of = |name: &str, current: &MetricValueStatus| (name.to_owned(), value(current));
    if let Some(m) = &status.resource {
        of(&m.name, &m.current)
    } else if let Some(m) = &status.container_resource {
        of(&format!("{}/{}", m.container, m.name), &m.current)
    } else if let Some(m) = &status.pods {
        of(&m.metric.name, &m.current)
    } else if let Some(m) = &status.object {
        of(&m.metric.name, &m.current)
    } else if let Some(m) = &status.external {
        of(&m.metric.name, &m.current)
    } else {
        (String::new(), None)
    }
}
