//! `backup.freshness`: how old the newest good backup is: a Job that completed, or an object that a backup tool leaves.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown, clock_time};
use super::k8s::{Scene, ago, checked, fields, need, one_of};
use super::k8s_job::{Run, runs_of};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::{ListQuery, Resource};
use crate::domain::catalog::{AccessNeed, CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::rule::TargetSpec;
use crate::params;
use crate::period::Period;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "backup.freshness",
        summary: "Says how old the newest good backup is: a completed Job, or an object of a backup tool.",
        fields: &[
            ("fresh", "Whether there is a good backup that is not older than `max_age`."),
            ("found", "Whether there is any good backup."),
            ("age_seconds", "How old the newest good one is. Left out where there is none."),
            ("name", "Its name. Left out where there is none."),
            ("at", "When it was done. Left out where there is none."),
            ("failed_since", "How many have failed since then."),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `backup.freshness`. One of `cronjob`, `jobs` and `objects` says what a backup is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Name of a CronJob whose Jobs are the backups. May hold templates.
    cronjob: Option<String>,
    /// Selector over labels of Jobs that are the backups. May hold templates.
    #[schemars(length(min = 1, max = 2048))]
    selector: Option<String>,
    /// Objects of a backup tool.
    objects: Option<Objects>,
    /// How old a backup may be.
    max_age: Period,
}

/// Objects of a backup tool, such as Velero's `Backup`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Objects {
    /// API group, such as `velero.io`.
    group: String,
    /// Version of the group.
    version: String,
    /// Name in the plural, such as `backups`.
    resource: String,
    /// JSON pointer to the time at which it was done. Default: when the object was made.
    #[serde(default = "default_time")]
    time: String,
    /// What a good one must hold: JSON pointer and text, such as `/status/phase: Completed`.
    #[serde(default)]
    good: std::collections::BTreeMap<String, String>,
}

fn default_time() -> String {
    "/metadata/creationTimestamp".to_owned()
}

impl Objects {
    fn resource(&self) -> Resource {
        Resource {
            group: Cow::Owned(self.group.clone()),
            version: Cow::Owned(self.version.clone()),
            kind: Cow::Owned(self.resource.clone()),
            plural: Cow::Owned(self.resource.clone()),
            namespaced: true,
        }
    }

    /// Names that become a part of a path.
    fn check(&self) -> Result<(), ParamsError> {
        use crate::domain::dns::{is_dns_label, is_dns_subdomain};
        let parts = [
            ("/objects/group", is_dns_subdomain(&self.group)),
            ("/objects/version", is_dns_label(&self.version)),
            ("/objects/resource", is_dns_label(&self.resource)),
        ];
        match parts.iter().find(|(_, fits)| !fits) {
            Some((pointer, _)) => Err(ParamsError::at(*pointer, "this is no name of that kind")),
            None => Ok(()),
        }
    }
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { namespace, cronjob, selector, objects, max_age } = params::read(params)?;
    let which =
        [("cronjob", cronjob.is_some()), ("selector", selector.is_some()), ("objects", objects.is_some())];
    one_of(&which)?;
    if which.iter().all(|(_, there)| !there) {
        return Err(ParamsError::at(
            "",
            "say what a backup is: a `cronjob`, a `selector` of Jobs, or `objects`",
        ));
    }
    params::within("/max_age", max_age, Period::from_mins(1), Period::from_days(366))?;
    objects.as_ref().map_or(Ok(()), Objects::check)?;
    checked(&[("namespace", namespace.as_deref()), ("cronjob", cronjob.as_deref())], selector.as_deref())
}

fn access(params: &Value, _: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let objects = params.get("objects").and_then(|objects| params::read::<Objects>(objects).ok());
    match objects {
        Some(objects) => vec![need(params, &objects.resource(), "", &["list"])],
        None => vec![need(params, &Resource::JOBS, "", &["list"])],
    }
}

/// One backup: whether it is good, and when it was done.
struct Backup {
    name: String,
    good: bool,
    failed: bool,
    at: Option<Timestamp>,
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { namespace, cronjob, selector, objects, max_age } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let namespace = scene.namespace(namespace.as_deref())?;
    let place = Some(namespace.as_str());
    let backups: Vec<Backup> = if let Some(cronjob) = &cronjob {
        runs_of(scene, place, cronjob).await?.into_iter().map(Backup::of_run).collect()
    } else if let Some(objects) = &objects {
        let mut backups = Vec::new();
        let take = |object: Value| backups.push(Backup::of_object(objects, &object));
        scene.reads.each(&objects.resource(), place, ListQuery::default(), take).await?;
        backups
    } else {
        let query = ListQuery { labels: selector.as_deref(), ..ListQuery::default() };
        let mut backups = Vec::new();
        let take = |job: Job| backups.push(Backup::of_run(Run::of(&job)));
        scene.reads.each(&Resource::JOBS, place, query, take).await?;
        backups
    };
    Ok(evidence(scene, &backups, max_age))
}

impl Backup {
    fn of_run(run: Run) -> Self {
        let (good, failed) = (run.state == "complete", run.state == "failed");
        Self { name: run.name, good, failed, at: run.ended }
    }

    fn of_object(objects: &Objects, object: &Value) -> Self {
        let is = |(pointer, text): (&String, &String)| match object.pointer(pointer) {
            Some(Value::String(found)) => found == text,
            Some(found) => *text == found.to_string().as_str(),
            None => false,
        };
        let good = objects.good.iter().all(is);
        let at = object.pointer(&objects.time).and_then(Value::as_str).and_then(|text| text.parse().ok());
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        // What is not good yet may still become it, so only a time says that it is over.
        Self { name, good: good && at.is_some(), failed: !good && at.is_some(), at }
    }
}

fn evidence(scene: Scene<'_>, backups: &[Backup], max_age: Period) -> Evidence {
    let newest = backups.iter().filter(|backup| backup.good).max_by_key(|backup| backup.at);
    let at = newest.and_then(|backup| backup.at);
    let age = at.map(|at| scene.now.duration_since(at).as_secs().max(0));
    let failed = backups.iter().filter(|backup| backup.failed && backup.at >= at).count();
    let fresh = age.is_some_and(|age| age <= max_age.signed().as_secs());
    let found = fields(json!({
        "fresh": fresh,
        "found": newest.is_some(),
        "age_seconds": age,
        "name": newest.map(|backup| &backup.name),
        "at": at.map(clock_time),
        "failed_since": failed,
    }));
    let mut text = match (newest, age) {
        (Some(backup), Some(age)) => {
            let verdict = if fresh { "fresh" } else { "too old" };
            format!(
                "the newest good backup is {}, {} old: {verdict} (at most {max_age})",
                backup.name,
                ago(age)
            )
        }
        _ => format!("there is no good backup among {}", backups.len()),
    };
    if failed > 0 {
        text += &format!("\n{failed} have failed since");
    }
    Evidence { fields: found, text, chart: None }
}
