//! `k8s.set_image`: gives a container another image. A deployment by hand, so always for two people.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::container::{container, survey_change};
use super::cluster::declared::Declared;
use super::cluster::plan::outlined;
use super::cluster::subject::Naming;
use super::cluster::workload::{WORKLOADS, Workload};
use super::cluster::{drafted, hand, nothing_to_do, object_of};
use super::request::fixed_name;
use super::{Entry, Hands, Looked};
use crate::clients::kubernetes::changes::Change;
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{AccessNeed, CheckedParams, Inverse, ParamsError, PlanOutline, PlanSubject};
use crate::domain::rule::TargetSpec;
use crate::engine::ports::SurveyContext;
use crate::params;

pub(super) const ENTRY: Entry = Declared {
    name: "k8s.set_image",
    summary: "Gives one container of a Deployment, StatefulSet or DaemonSet the image that stands in the rule, which \
              starts a rollout.",
    tier_floor: Tier::T3,
    inverse: Inverse::Recorded,
    check,
    schema: params::schema::<Params>,
    access,
    outline,
    survey: |hands, draft, context| Box::pin(survey(hands, draft, context)),
}
.by_edit();

/// Parameters of `k8s.set_image`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// `Deployment`, `StatefulSet` or `DaemonSet`. Default: the target's.
    kind: Option<String>,
    /// Namespace, as it stands in the rule. Default: the target's.
    namespace: Option<String>,
    /// Name of the workload. Default: the target's. May hold templates.
    name: Option<String>,
    /// Name of the container. Default: the only one.
    container: Option<String>,
    /// The image, with its tag or digest. No templates.
    #[schemars(length(min = 1, max = 200))]
    image: String,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name, image, .. } = params::read(params)?;
    fixed_name("/image", &image, "an image")?;
    let is_reference = |c: char| c.is_ascii_alphanumeric() || "./:@_-".contains(c);
    if !image.chars().all(is_reference) {
        return Err(ParamsError::at("/image", format!("{image:?} is no reference of an image")));
    }
    Naming::of(&kind, &namespace, &name).checked(&WORKLOADS)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    Naming::in_params(params).need_template(target)
}

fn outline(params: &Value, plan: &PlanSubject<'_>) -> Result<PlanOutline, ParamsError> {
    check(params)?;
    let Params { image, .. } = params::read(params)?;
    let subject = Naming::in_params(params).subject(&WORKLOADS, plan.target)?;
    Ok(outlined(&subject, params, format!("give {} the image {image}", subject.shown())))
}

async fn survey(hands: &Hands, draft: &ActionPlan, context: &SurveyContext) -> Looked {
    let cluster = hand(hands)?;
    let params: Params = drafted(draft)?;
    let subject = object_of(draft)?;
    let workload = Workload::read(cluster, subject).await?;
    let (_, place) = container(&workload, params.container.as_deref())?;
    let change = Change::of(&workload.object, place.field("image"), json!(params.image));
    if change.from == change.to {
        return Err(nothing_to_do(format!("{} has this image already", workload.subject.shown())));
    }
    survey_change(cluster, draft, &workload, vec![change], Tier::T3, context.now).await
}
