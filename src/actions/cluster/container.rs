//! Changes of one container in the template of a workload, which its rollout carries to the pods.

use jiff::Timestamp;
use serde_json::Value;

use super::edit::{Edit, Write};
use super::hanging;
use super::plan::{ready, way_back};
use super::refused;
use super::workload::Workload;
use crate::actions::Looked;
use crate::clients::kubernetes::ActHandle;
use crate::clients::kubernetes::changes::{Change, FieldPath};
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::survey::{Impact, Rollout, SurveyOutcome};

/// The container that is meant: the one of that name, or the only one.
pub(in crate::actions) fn container<'w>(
    workload: &'w Workload,
    name: Option<&str>,
) -> Result<(&'w Value, FieldPath), SurveyOutcome> {
    let shown = workload.subject.shown();
    let all = workload.template().pointer("/spec/containers").and_then(Value::as_array);
    let all = all.map(Vec::as_slice).unwrap_or_default();
    let found = match (name, all) {
        (Some(name), all) => all.iter().find(|container| container["name"] == name),
        (None, [only]) => Some(only),
        (None, _) => {
            return Err(refused(format!(
                "{shown} has {} containers: name one of them in `container`: {}",
                all.len(),
                names(all)
            )));
        }
    };
    let found = found.ok_or_else(|| {
        let name = name.unwrap_or_default();
        refused(format!("{shown} has no container `{name}`, but {}", names(all)))
    })?;
    let name = found["name"].as_str().unwrap_or_default();
    Ok((found, FieldPath::fields(["spec", "template", "spec", "containers"]).item(name)))
}

/// The names of containers, for people.
pub(in crate::actions) fn names(containers: &[Value]) -> String {
    let names: Vec<&str> = containers.iter().filter_map(|container| container["name"].as_str()).collect();
    names.join(", ")
}

/// The survey of such a change, with its way back.
pub(in crate::actions) async fn survey_change(
    cluster: &ActHandle,
    draft: &ActionPlan,
    workload: &Workload,
    changes: Vec<Change>,
    base: Tier,
    now: Timestamp,
) -> Looked {
    workload.refuse_paused()?;
    let mut edit = Edit::of(&workload.subject, &workload.uid, Write::Strategic(changes));
    edit.rehearse(cluster, &workload.object).await?;
    let mut notes: Vec<String> = edit.changes().iter().map(ToString::to_string).collect();
    let tier_floor = workload.floor(base, &mut notes);
    // A template that hangs is replaced by another: that ends its rollout. One that comes on is not interrupted.
    let rollout = hanging::rollout(cluster, workload, now).await;
    let hangs = matches!(rollout, Rollout::Stuck { .. });
    let impact = Impact { rollout, ..workload.impact(workload.disrupted_by_rollout(), hangs) };
    let inverse = way_back(draft, &edit);
    Ok(ready(draft, &edit, edit.basis(), inverse, tier_floor, notes, impact))
}
