//! `k8s.pods`: how the pods of a workload or a selector fare.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown, table, whole_list};
use super::k8s::pod::PodGlance;
use super::k8s::{PodChoice, Scene, checked, fields, need_pods};
use super::{Entry, Moment, Tools, k8s};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError};
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.pods",
        summary: "Lists pods and says what is wrong with them. Without a selector: the pods of the incident's target.",
        fields: &[
            ("count", "How many pods there are. None at all is a count of 0."),
            ("ready", "How many are ready."),
            ("not_ready", "How many should be ready and are not: neither done nor ending."),
            ("restarts", "Restarts of all their containers."),
            ("restarts_max", "Restarts of the pod that has most."),
            ("crash_looping", "How many wait in CrashLoopBackOff."),
            ("image_failing", "How many cannot have an image."),
            ("oom_killed", "How many have a container that is or was last ended for its memory."),
            ("pending", "How many are pending."),
            ("unschedulable", "How many find no node."),
            ("evicted", "How many were evicted by their node."),
            ("terminating", "How many are ending."),
            ("phases", "How many are in each phase, such as `phases.Running`."),
            ("nodes", "How many run on each node."),
            (
                "pods",
                "Each with `name`, `phase`, `status`, `ready`, `restarts`, `node`, `age_seconds`, `oom_killed`; left out where they are too many to keep.",
            ),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: need_pods,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.pods`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Selector over labels, such as `app=api`. Default: the pods of the incident's target. May hold templates.
    #[schemars(length(min = 1, max = 2048))]
    selector: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { namespace, selector } = params::read(params)?;
    checked(&[("namespace", namespace.as_deref())], selector.as_deref())
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { namespace, selector } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let choice = PodChoice { namespace: namespace.as_deref(), selector: selector.as_deref(), pod: None };
    let selection = scene.selection(choice).await?;
    let mut pods = Vec::new();
    scene.each_pod(&selection, |pod| pods.push(PodGlance::of(scene, &pod))).await?;
    Ok(evidence(pods))
}

fn evidence(mut pods: Vec<PodGlance>) -> Evidence {
    // What is wrong comes first, for people and where the list is cut.
    pods.sort_by(|a, b| (b.is_unwell(), b.restarts, &a.name).cmp(&(a.is_unwell(), a.restarts, &b.name)));
    let count = |is: fn(&PodGlance) -> bool| pods.iter().filter(|pod| is(pod)).count();
    let tally = |of: fn(&PodGlance) -> Option<&str>| {
        let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
        pods.iter().filter_map(of).for_each(|word| *tally.entry(word).or_default() += 1);
        tally
    };
    let (ready, unwell) = (count(|pod| pod.ready), count(PodGlance::is_unwell));
    let found = fields(json!({
        "count": pods.len(),
        "ready": ready,
        "not_ready": count(|pod| !pod.ready && !pod.terminating && pod.phase != "Succeeded"),
        "restarts": pods.iter().map(|pod| pod.restarts).sum::<i64>(),
        "restarts_max": pods.iter().map(|pod| pod.restarts).max().unwrap_or_default(),
        "crash_looping": count(|pod| pod.crash_looping),
        "image_failing": count(|pod| pod.image_failing),
        "oom_killed": count(|pod| pod.oom_killed),
        "pending": count(|pod| pod.phase == "Pending"),
        "unschedulable": count(|pod| pod.unschedulable),
        "evicted": count(|pod| pod.status == "Evicted"),
        "terminating": count(|pod| pod.terminating),
        "phases": tally(|pod| Some(&pod.phase)),
        "nodes": tally(|pod| pod.node.as_deref()),
        "pods": whole_list(pods.iter().map(PodGlance::value).collect()),
    }));
    let rows: Vec<String> = pods.iter().map(PodGlance::row).collect();
    let head = match pods.len() {
        0 => "no pod is selected".to_owned(),
        all => format!("{ready} of {all} pods are ready, {unwell} need a look"),
    };
    let text = [head, table(&rows)].join("\n").trim_end().to_owned();
    Evidence { fields: found, text, chart: None }
}
