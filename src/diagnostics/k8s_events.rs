//! `k8s.events`: what the cluster's controllers say happened, counted by reason.
//!
//! Both APIs show the same events. The core one is asked first; where it is not permitted, the newer one is. An event of
//! the newer API has no last time in the core fields, so its time is looked for in all of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown, clock_time, table, whole_list};
use super::k8s::{Scene, ago, checked, fields, need, one_of};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::{Failure, KubernetesError, ListQuery, Resource};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::timeline::one_line;
use crate::params;
use crate::period::Period;

/// Events that are kept for conditions and people: the newest.
const KEPT_MAX: usize = 60;

/// Events that are held while more are read; beyond it all but the newest are dropped.
const HELD_MAX: usize = 4 * KEPT_MAX;

/// Longest time to look back. A cluster keeps its events for an hour by default.
const SINCE_MAX: Period = Period::from_days(7);

/// Characters of a message.
const MESSAGE_CHARS_MAX: usize = 240;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.events",
        summary: "Counts events by reason and shows the newest, warnings first. The cluster keeps them for an hour by default.",
        fields: &[
            ("count", "How many events there are; one that was seen again counts once."),
            ("warnings", "How many of them are warnings."),
            ("occurrences", "How often they happened in all."),
            ("reasons", "Occurrences by reason, such as `reasons.BackOff`."),
            ("newest_seconds", "How long ago the newest happened."),
            (
                "events",
                "The newest, each with `type`, `reason`, `object`, `occurrences`, `seconds` and `message`.",
            ),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        // Whichever of both APIs a cluster lets us read, the other is asked where it does not.
        access: |params, _| {
            [Resource::EVENTS, Resource::NEW_EVENTS]
                .map(|events| need(params, &events, "", &["list"]))
                .to_vec()
        },
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.events`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Only events about this kind, such as `Pod`.
    kind: Option<String>,
    /// Only events about objects of this name. May hold templates.
    name: Option<String>,
    /// Only events about the object of this name and those whose names begin with it and `-`, as the pods of a Deployment
    /// do. May hold templates.
    prefix: Option<String>,
    /// Only events with this reason, such as `FailedScheduling`.
    reason: Option<String>,
    /// Whether to leave out all but warnings.
    #[serde(default)]
    warnings_only: bool,
    /// How far to look back, at most 7d. Default: 1h.
    #[serde(default = "default_since")]
    since: Period,
}

fn default_since() -> Period {
    Period::from_hours(1)
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    namespace: String,
    /// Kind and name of the object that they are about.
    object: Option<(String, String)>,
    kind: Option<String>,
    name: Option<String>,
    prefix: Option<String>,
    reason: Option<String>,
    warnings_only: bool,
    since: Option<Timestamp>,
}

impl Wanted {
    /// All events about one object.
    pub(super) fn about(namespace: &str, kind: &str, name: &str) -> Self {
        let object = Some((kind.to_owned(), name.to_owned()));
        Self { namespace: namespace.to_owned(), object, ..Self::default() }
    }
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { namespace, kind: _, name, prefix, reason: _, warnings_only: _, since } =
        params::read(params)?;
    params::within("/since", since, Period::from_secs(1), SINCE_MAX)?;
    one_of(&[("name", name.is_some()), ("prefix", prefix.is_some())])?;
    let names = [("namespace", &namespace), ("name", &name), ("prefix", &prefix)];
    checked(&names.map(|(key, text)| (key, text.as_deref())), None)
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { namespace, kind, name, prefix, reason, warnings_only, since } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let wanted = Wanted {
        namespace: scene.namespace(namespace.as_deref())?,
        object: None,
        kind,
        name,
        prefix,
        reason,
        warnings_only,
        since: scene.now.checked_sub(since.signed()).ok(),
    };
    Ok(Happenings::read(scene, &wanted).await?.evidence(scene))
}

/// One event, of either API.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(alias = "regarding", default)]
    involved_object: About,
    #[serde(rename = "type", default)]
    type_: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(alias = "note", default)]
    message: Option<String>,
    #[serde(alias = "deprecatedCount", default)]
    count: Option<i64>,
    #[serde(alias = "deprecatedLastTimestamp", default)]
    last_timestamp: Option<Timestamp>,
    #[serde(default)]
    event_time: Option<Timestamp>,
    #[serde(default)]
    series: Option<Series>,
    #[serde(default)]
    metadata: Born,
}

#[derive(Debug, Default, Deserialize)]
struct About {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    #[serde(default)]
    count: Option<i64>,
    #[serde(default)]
    last_observed_time: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Born {
    #[serde(default)]
    creation_timestamp: Option<Timestamp>,
}

impl Event {
    /// When it last happened: the newest of all the times that it may carry.
    fn last(&self) -> Option<Timestamp> {
        let series = self.series.as_ref().and_then(|series| series.last_observed_time);
        let happened = [self.last_timestamp, self.event_time, series].into_iter().flatten().max();
        happened.or(self.metadata.creation_timestamp)
    }

    fn occurrences(&self) -> i64 {
        let series = self.series.as_ref().and_then(|series| series.count);
        series.or(self.count).unwrap_or(1).max(1)
    }

    fn is_warning(&self) -> bool {
        self.type_.as_deref() == Some("Warning")
    }

    fn is_wanted(&self, wanted: &Wanted) -> bool {
        let About { kind, name } = &self.involved_object;
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        is(&wanted.kind, kind)
            && is(&wanted.name, name)
            && is(&wanted.reason, self.reason.as_deref().unwrap_or_default())
            && wanted.object.as_ref().is_none_or(|(of_kind, of_name)| of_kind == kind && of_name == name)
            && wanted.prefix.as_ref().is_none_or(|prefix| {
                name.strip_prefix(prefix.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            })
            && (!wanted.warnings_only || self.is_warning())
            && wanted.since.is_none_or(|since| self.last().is_none_or(|last| last >= since))
    }
}

/// What happened, counted, with the newest events.
#[derive(Debug, Default)]
pub(super) struct Happenings {
    count: usize,
    warnings: usize,
    occurrences: i64,
    reasons: BTreeMap<String, i64>,
    newest: Vec<Event>,
}

impl Happenings {
    /// Reads what is wanted.
    pub(super) async fn read(scene: Scene<'_>, wanted: &Wanted) -> Result<Self, Unknown> {
        match Self::read_from(scene, &Resource::EVENTS, "involvedObject", wanted).await {
            Err(KubernetesError { failure: Failure::Forbidden(_) | Failure::NotFound(_), .. }) => {
                Ok(Self::read_from(scene, &Resource::NEW_EVENTS, "regarding", wanted).await?)
            }
            other => Ok(other?),
        }
    }

    async fn read_from(
        scene: Scene<'_>,
        resource: &Resource,
        about: &str,
        wanted: &Wanted,
    ) -> Result<Self, KubernetesError> {
        let selector =
            wanted.object.as_ref().map(|(kind, name)| format!("{about}.kind={kind},{about}.name={name}"));
        let query = ListQuery { fields: selector.as_deref(), ..ListQuery::default() };
        let mut found = Self::default();
        scene.reads.each(resource, Some(&wanted.namespace), query, |event| found.take(event, wanted)).await?;
        found.keep_newest();
        Ok(found)
    }

    fn take(&mut self, mut event: Event, wanted: &Wanted) {
        if !event.is_wanted(wanted) {
            return;
        }
        self.count += 1;
        self.warnings += usize::from(event.is_warning());
        let occurrences = event.occurrences();
        self.occurrences += occurrences;
        let reason = event.reason.clone().unwrap_or_else(|| "Unknown".to_owned());
        *self.reasons.entry(one_line(&reason, 60)).or_default() += occurrences;
        event.message = event.message.map(|text| one_line(&text, MESSAGE_CHARS_MAX));
        self.newest.push(event);
        if self.newest.len() >= HELD_MAX {
            self.keep_newest();
        }
    }

    /// Warnings first, and the newest of each.
    fn keep_newest(&mut self) {
        self.newest.sort_by_key(|event| std::cmp::Reverse((event.is_warning(), event.last())));
        self.newest.truncate(KEPT_MAX);
    }

    pub(super) fn warnings(&self) -> usize {
        self.warnings
    }

    /// The newest for people.
    pub(super) fn rows(&self, scene: Scene<'_>, most: usize) -> Vec<String> {
        self.newest.iter().take(most).map(|event| row(scene, event)).collect()
    }

    fn evidence(self, scene: Scene<'_>) -> Evidence {
        let seconds = |at: Timestamp| scene.now.duration_since(at).as_secs().max(0);
        let value = |event: &Event| {
            let About { kind, name } = &event.involved_object;
            Value::Object(fields(json!({
                "type": event.type_,
                "reason": event.reason,
                "object": format!("{kind}/{name}"),
                "occurrences": event.occurrences(),
                "seconds": event.last().map(seconds),
                "message": event.message,
            })))
        };
        let newest = self.newest.iter().filter_map(Event::last).max();
        let rows = self.rows(scene, usize::MAX);
        let head = match self.count {
            0 => "no such event".to_owned(),
            all => format!("{all} events, {} of them warnings", self.warnings),
        };
        let found = fields(json!({
            "count": self.count,
            "warnings": self.warnings,
            "occurrences": self.occurrences,
            "reasons": self.reasons,
            "newest_seconds": newest.map(seconds),
            "events": whole_list(self.newest.iter().map(value).collect()),
        }));
        Evidence { fields: found, text: [head, table(&rows)].join("\n").trim_end().to_owned(), chart: None }
    }
}

fn row(scene: Scene<'_>, event: &Event) -> String {
    let About { kind, name } = &event.involved_object;
    let when = event.last().map_or_else(
        || "at an unknown time".to_owned(),
        |at| match scene.now.duration_since(at).as_secs() {
            s if s < 0 => clock_time(at),
            s => format!("{} ago", ago(s)),
        },
    );
    let times = match event.occurrences() {
        1 => String::new(),
        times => format!(" x{times}"),
    };
    let [type_, reason, message] =
        [&event.type_, &event.reason, &event.message].map(|text| text.as_deref().unwrap_or_default());
    one_line(format!("{type_} {reason}{times} {kind}/{name} {when}: {message}").trim(), 400)
}
