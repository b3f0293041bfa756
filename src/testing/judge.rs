//! Compares what was expected at one time with what is. Says everything that differs, and never stops at the first.

mod actions;
mod escalation;

pub use crate::domain::decision::{Decided, decided};
pub use escalation::{step, steps};

use super::format::{Expect, MessageWanted};
use super::report::Mismatch;
use super::trail::word;
use crate::domain::incident::{Incident, IncidentId};
use crate::domain::timeline::{LineKind, TimelineLine, one_line};
use crate::engine::ports::IncidentView;
use crate::notify::paper::Written;
use crate::rules::RuleBook;
use crate::rules::book::UNMATCHED;
use crate::yaml::nearest;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Characters of a message that are shown where it is not the one that was expected.
const SHOWN_CHARS_MAX: usize = 200;

/// What is, at one time.
pub struct Scene<'s> {
    /// When the test began.
    pub start: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// After which time things count as new; none means from the beginning.
    pub since: Option<Timestamp>,
    /// All incidents, oldest first.
    pub views: &'s [IncidentView],
    /// All messages, in order.
    pub messages: &'s [(IncidentId, Written)],
    /// The rules.
    pub book: &'s RuleBook,
}

impl Scene<'_> {
    fn is_new(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at > since)
    }
}

/// The incidents that an expectation is about.
enum Meant<'s> {
    One(&'s IncidentView),
    /// It names none, and there is not exactly one.
    All,
    /// There is none like it.
    None(Mismatch),
}

/// What differs.
pub fn judge(expect: &Expect, scene: &Scene<'_>) -> Vec<Mismatch> {
    let mut found = Vec::new();
    if let Some(wanted) = expect.incidents {
        let open = scene.views.iter().filter(|view| view.incident.is_open()).count();
        differ(&mut found, "incidents", &wanted.to_string(), &open.to_string());
    }
    let meant = meant(expect, scene);
    let view = match meant {
        Meant::One(view) => Some(view),
        Meant::All => None,
        Meant::None(mismatch) => {
            found.push(mismatch);
            return found;
        }
    };
    let of = view.map(|view| &view.incident.id);
    if expect.nothing {
        nothing(scene, view, &mut found);
    }
    told(expect, scene, of, &mut found);
    messages(expect, scene, of, &mut found);
    let Some(view) = view else {
        if expect.is_about_one() {
            let all: Vec<String> = scene.views.iter().map(|view| name(&view.incident)).collect();
            let said = match all.as_slice() {
                [] => Mismatch::of("incident", "one", "none was opened"),
                all => Mismatch::of("incident", "one", all.join(", "))
                    .with_help("say which with `rule`, `target` or `labels`"),
            };
            found.push(said);
        }
        return found;
    };
    standing(expect, &view.incident, &mut found);
    actions::decisions(expect, view, scene, &mut found);
    actions::actions(expect, view, scene, &mut found);
    actions::tasks(expect, view, &mut found);
    escalation::escalation(expect, view, scene, &mut found);
    found
}

impl Expect {
    /// Whether it says something that only one incident can have.
    fn is_about_one(&self) -> bool {
        let rest = Self {
            at: self.at,
            nothing: self.nothing,
            incidents: self.incidents,
            told: self.told.clone(),
            messages: self.messages.clone(),
            ..Self::default()
        };
        *self != rest
    }
}

fn name(incident: &Incident) -> String {
    match &incident.target {
        Some(target) => format!("{} ({target})", incident.rule),
        None => format!("{} ({})", incident.rule, incident.key.0),
    }
}

/// The incident that is meant: by rule, target and labels; of several an open one, and of those the newest.
fn meant<'s>(expect: &Expect, scene: &Scene<'s>) -> Meant<'s> {
    let Expect { rule, target, labels, .. } = expect;
    if rule.is_none() && target.is_none() && labels.is_empty() {
        return match scene.views {
            [one] => Meant::One(one),
            _ => Meant::All,
        };
    }
    let wanted_rule = rule.as_deref().map(|rule| if rule == "none" { UNMATCHED } else { rule });
    let fits = |view: &&IncidentView| {
        let incident = &view.incident;
        wanted_rule.is_none_or(|rule| rule == incident.rule)
            && target.as_ref().is_none_or(|wanted| {
                incident.target.as_ref().is_some_and(|target| target.to_string() == *wanted)
            })
            && labels.iter().all(|(name, value)| incident.labels.get(name) == Some(value))
    };
    let all: Vec<&IncidentView> = scene.views.iter().filter(fits).collect();
    let open = all.iter().rfind(|view| view.incident.is_open());
    match open.or(all.last()) {
        Some(view) => Meant::One(view),
        None => Meant::None(no_such(expect, wanted_rule, scene)),
    }
}

fn no_such(expect: &Expect, rule: Option<&str>, scene: &Scene<'_>) -> Mismatch {
    let mut wanted: Vec<String> = rule.map(str::to_owned).into_iter().collect();
    wanted.extend(expect.target.clone());
    wanted.extend(expect.labels.iter().map(|(name, value)| format!("{name}={value}")));
    let got: Vec<String> = scene.views.iter().map(|view| name(&view.incident)).collect();
    let got = if got.is_empty() { "no incident".to_owned() } else { got.join(", ") };
    let mismatch = Mismatch::of("rule", wanted.join(" "), got);
    let set = scene.book.current();
    let unknown = rule.filter(|rule| *rule != UNMATCHED && set.rule_by_name(rule).is_none());
    let names = set.rules().iter().map(|kept| kept.rule.name.as_str());
    match unknown.map(|rule| (rule, nearest(rule, names))) {
        None => mismatch,
        Some((rule, Some(close))) => {
            mismatch.with_help(format!("there is no rule `{rule}`; did you mean `{close}`?"))
        }
        Some((rule, None)) => mismatch.with_help(format!("there is no rule `{rule}`")),
    }
}

/// Kinds of lines that tell that something happened.
const HAPPENED: [LineKind; 11] = [
    LineKind::Opened,
    LineKind::Reopened,
    LineKind::Decision,
    LineKind::Approval,
    LineKind::Intent,
    LineKind::Outcome,
    LineKind::Acknowledged,
    LineKind::Escalation,
    LineKind::Task,
    LineKind::HandedOver,
    LineKind::Resolved,
];

fn nothing(scene: &Scene<'_>, view: Option<&IncidentView>, found: &mut Vec<Mismatch>) {
    let views = match view {
        Some(view) => std::slice::from_ref(view),
        None => scene.views,
    };
    let is_new = |line: &&TimelineLine| scene.is_new(line.at) && HAPPENED.contains(&line.kind);
    let lines = views.iter().flat_map(|view| &view.timeline).filter(is_new);
    let mut happened: Vec<String> =
        lines.map(|line| format!("{}: {}", word(line.kind), one_line(&line.text, SHOWN_CHARS_MAX))).collect();
    let calls = new_messages(scene, view.map(|view| &view.incident.id)).filter(|written| written.calls);
    happened.extend(calls.map(|written| format!("{} to {}", written.kind, written.destination)));
    if !happened.is_empty() {
        found.push(Mismatch::of("nothing", "nothing", happened.join("\n")));
    }
}

fn new_messages<'s>(scene: &'s Scene<'_>, of: Option<&'s IncidentId>) -> impl Iterator<Item = &'s Written> {
    let messages = scene.messages.iter().filter(move |(id, _)| of.is_none_or(|of| of == id));
    messages.map(|(_, written)| written).filter(|written| scene.is_new(written.at))
}

fn told(expect: &Expect, scene: &Scene<'_>, of: Option<&IncidentId>, found: &mut Vec<Mismatch>) {
    let Some(wanted) = &expect.told else { return };
    let wanted: BTreeSet<String> = wanted.0.iter().cloned().collect();
    let called = new_messages(scene, of).filter(|written| written.calls);
    let got: BTreeSet<String> = called.map(|written| written.destination.to_string()).collect();
    differ(found, "told", &all_of(&wanted), &all_of(&got));
}

/// Names in a list, or `nobody`.
fn all_of(names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

fn messages(expect: &Expect, scene: &Scene<'_>, of: Option<&IncidentId>, found: &mut Vec<Mismatch>) {
    for wanted in &expect.messages.0 {
        let to_them: Vec<&Written> =
            new_messages(scene, of).filter(|written| written.destination.to_string() == wanted.to).collect();
        let fits = |written: &&&Written| {
            wanted.kind.is_none_or(|kind| kind.as_str() == written.kind)
                && wanted.text.0.iter().all(|text| written.text.contains(text.as_str()))
        };
        if to_them.iter().any(|written| fits(&written)) {
            continue;
        }
        found.push(Mismatch::of("messages", shown(wanted), got(&to_them, scene, of)));
    }
}

fn shown(wanted: &MessageWanted) -> String {
    let kind = wanted.kind.map_or("a message", super::format::Kind::as_str);
    let texts: Vec<String> = wanted.text.0.iter().map(|text| format!("{text:?}")).collect();
    let texts = if texts.is_empty() { String::new() } else { format!(" with {}", texts.join(" and ")) };
    format!("{kind} to {}{texts}", wanted.to)
}

fn got(to_them: &[&Written], scene: &Scene<'_>, of: Option<&IncidentId>) -> String {
    if to_them.is_empty() {
        let others: BTreeSet<String> =
            new_messages(scene, of).map(|written| written.destination.to_string()).collect();
        return format!("none to them; messages went to {}", all_of(&others));
    }
    let told: Vec<String> = to_them
        .iter()
        .map(|written| format!("{}: {}", written.kind, one_line(&written.text, SHOWN_CHARS_MAX)))
        .collect();
    told.join("\n")
}

fn standing(expect: &Expect, incident: &Incident, found: &mut Vec<Mismatch>) {
    if let Some(wanted) = expect.status {
        differ(found, "status", wanted.as_str(), incident.status.as_str());
    }
    if let Some(wanted) = expect.phase {
        differ(found, "phase", wanted.as_str(), incident.phase.as_str());
    }
    if let Some(wanted) = expect.severity {
        differ(found, "severity", wanted.as_str(), incident.severity.as_str());
    }
    if let Some(wanted) = &expect.summary {
        contains(found, "summary", wanted, &incident.summary);
    }
    if let Some(wanted) = &expect.acknowledged_by {
        let by = incident.acknowledged.as_ref().or(incident.taken_over.as_ref());
        differ(found, "acknowledgedBy", wanted, by.map_or("nobody", |by| by.actor.name.as_str()));
    }
}

/// Notes that two texts are not the same.
fn differ(found: &mut Vec<Mismatch>, what: &str, wanted: &str, got: &str) {
    if wanted != got {
        found.push(Mismatch::of(what, wanted, got));
    }
}

/// Notes that a text does not hold another.
fn contains(found: &mut Vec<Mismatch>, what: &str, wanted: &str, got: &str) {
    if !got.contains(wanted) {
        found.push(Mismatch::of(what, format!("… {wanted} …"), got));
    }
}

/// A name that is none of these, with the one that may be meant.
fn unknown_name<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str> + Clone) -> Option<String> {
    if known.clone().any(|one| one == name) {
        return None;
    }
    Some(match nearest(name, known.clone()) {
        Some(close) => format!("there is no {what} `{name}`; did you mean `{close}`?"),
        None => format!("there is no {what} `{name}`; there are: {}", known.collect::<Vec<_>>().join(", ")),
    })
}
