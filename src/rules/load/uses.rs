//! What the rules use: texts with placeholders, conditions, parameters of the catalog's kinds, names of the settings.

use super::Surroundings;
use super::report::{Lacking, Report};
use crate::domain::catalog::{CheckedParams, ParamsError, Reference, Slot, SlotLanguage};
use crate::domain::notification::Destination;
use crate::domain::rule::ResponseRule;
use crate::params::pointer as pointer_to;
use crate::rules::condition;
use crate::rules::render::{Templates, probe};
use crate::rules::template::{self, is_template};
use crate::rules::vocabulary::Vocabulary;
use crate::yaml::nearest;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Checks one text that will be rendered for a place: its names, its syntax, and what will come of it.
pub(super) fn text(
    text: &str,
    language: SlotLanguage,
    vocabulary: &Vocabulary,
    pointer: &str,
    report: &mut Report<'_>,
) {
    let problems = template::check(text, vocabulary);
    let sound = problems.is_empty();
    for problem in problems {
        report.error(pointer, problem.message, problem.help);
    }
    if !sound {
        return;
    }
    if let Err(error) = Templates::compile([text]) {
        report.error(pointer, format!("this template cannot be read: {error}"), None);
    } else if let Err(error) = probe(text, language) {
        report.error(pointer, error.to_string(), None);
    }
}

/// Checks one condition. Returns whether it may be used.
pub(super) fn condition(text: &str, vocabulary: &Vocabulary, pointer: &str, report: &mut Report<'_>) -> bool {
    let errors = condition::check(text, vocabulary);
    let sound = errors.is_empty();
    for error in errors {
        match error {
            condition::ConditionError::Unknown(unknown) => {
                report.error(pointer, unknown.message, Some(unknown.help));
            }
            condition::ConditionError::Syntax { column, message } => {
                let help = if message.starts_with("`=") {
                    "`==` compares, as in `findings.x.state == \"failed\"`"
                } else {
                    "conditions are CEL, such as `findings.x.last > 0.05`"
                };
                let message = format!("this condition cannot be read: {message} (character {column} of it)");
                report.error(pointer, message, Some(help.to_owned()));
            }
            condition::ConditionError::TooComplex(message) => report.error(pointer, message, None),
        }
    }
    sound
}

/// The one kind that a map names beside the keys in `others`, with its parameters, or `None` after a complaint.
pub(super) fn one_kind<'m>(
    map: &'m Map<String, Value>,
    others: &[&str],
    what: &str,
    pointer: &str,
    report: &mut Report<'_>,
) -> Option<(&'m str, &'m Value)> {
    let mut kinds = map.iter().filter(|(key, _)| !others.contains(&key.as_str()));
    match (kinds.next(), kinds.next()) {
        (Some((kind, params)), None) => Some((kind, params)),
        (None, _) => {
            let help = format!(
                "add one, such as `{}`",
                if what == "action" { "escalate: {}" } else { "prom.query: { expr: up }" }
            );
            report.error(pointer, format!("there is no {what} here"), Some(help));
            None
        }
        (Some((first, _)), Some((second, _))) => {
            let message = format!("there are two {what}s here, `{first}` and `{second}`");
            report.error(
                &format!("{pointer}{}", pointer_to(&[second])),
                message,
                Some("give each its own entry".to_owned()),
            );
            None
        }
    }
}

/// An unknown kind, with a suggestion.
pub(super) fn unknown_kind<'k>(
    kind: &str,
    what: &str,
    known: impl Iterator<Item = &'k str>,
    pointer: &str,
    report: &mut Report<'_>,
) {
    let known: Vec<&str> = known.collect();
    let help = match nearest(kind, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("there are: {}", known.join(", ")),
    };
    report.error(pointer, format!("there is no {what} `{kind}`"), Some(help));
}

/// Checks the parameters of one use of a kind; `pointer` leads to them.
pub(super) fn params(
    params: &Value,
    checked: Result<CheckedParams, ParamsError>,
    vocabulary: &Vocabulary,
    pointer: &str,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) {
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => {
            report.error(&format!("{pointer}{}", error.pointer), error.message, None);
            return;
        }
    };
    for slot in &checked.slots {
        if let Some(Value::String(content)) = params.pointer(&slot.pointer) {
            text(content, slot.language, vocabulary, &format!("{pointer}{}", slot.pointer), report);
        }
    }
    placeholders_elsewhere(params, "", &checked.slots, pointer, report);
    for name in &checked.references {
        reference(name, pointer, surroundings, report);
    }
}

/// Placeholders in texts that nobody renders would be taken literally.
fn placeholders_elsewhere(value: &Value, at: &str, slots: &[Slot], pointer: &str, report: &mut Report<'_>) {
    match value {
        Value::String(text) if is_template(text) && !slots.iter().any(|slot| slot.pointer == at) => {
            let help = "write the value itself".to_owned();
            report.error(&format!("{pointer}{at}"), "placeholders are not available here", Some(help));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                placeholders_elsewhere(item, &format!("{at}/{index}"), slots, pointer, report);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                placeholders_elsewhere(field, &format!("{at}{}", pointer_to(&[key])), slots, pointer, report);
            }
        }
        _ => {}
    }
}

/// A name that the settings lack: a mistake where it looks like a misspelt one. Otherwise the rule still works, as
/// what needs the name is skipped.
fn reference(name: &Reference, pointer: &str, surroundings: &Surroundings<'_>, report: &mut Report<'_>) {
    let known = surroundings.known;
    let connections;
    let (word, names, section) = match name {
        Reference::Policy(name) => return policy(name, surroundings, pointer, report),
        Reference::Manifest(name) => return manifest(name, surroundings, pointer, report),
        Reference::Endpoint(word) => (word.as_str(), known.endpoints.as_ref(), "endpoints"),
        Reference::PagerDutyService(word) => {
            (word.as_str(), known.pagerduty_services.as_ref(), "pagerduty.services")
        }
        Reference::ReadCommand(word) => {
            (word.as_str(), known.read_commands.as_ref(), "kubernetes.read_commands")
        }
        Reference::Command(word) => (word.as_str(), known.commands.as_ref(), "kubernetes.commands"),
        Reference::Connection { section, name: word, .. } => {
            connections = known.connections_of(section);
            (word.as_str(), connections.as_ref().filter(|names| !names.contains(word)), *section)
        }
        Reference::Query { connection, name: word } => {
            let names = known.queries.as_ref().and_then(|queries| queries.get(connection));
            (word.as_str(), names, "connections.postgres")
        }
        Reference::SlackChannel(word) => (word.as_str(), known.slack_channels.as_ref(), "slack"),
        Reference::Prometheus => return system(name, "prometheus", pointer, surroundings, report),
        Reference::Alertmanager => return system(name, "alertmanager", pointer, surroundings, report),
        Reference::Loki => return system(name, "loki", pointer, surroundings, report),
        Reference::Kubernetes => return system(name, "kubernetes", pointer, surroundings, report),
    };
    let Some(why) = known.missing(name) else { return };
    match nearest(word, names.into_iter().flatten().map(String::as_str)) {
        Some(close) => report.error(pointer, why, Some(format!("did you mean `{close}`?"))),
        None => {
            let help = format!("set it up under `{section}` in the settings; until then this is skipped");
            report.warn(pointer, why, Some(help));
        }
    }
}

/// A whole system that the settings lack is told once for a rule, with all that cannot work without it.
fn system(
    name: &Reference,
    section: &'static str,
    pointer: &str,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) {
    if let Some(why) = surroundings.known.missing(name) {
        report.lack(Lacking { why, section, pointer: pointer.to_owned() });
    }
}

/// Tells what of a rule cannot work, as the settings lack what it needs.
pub(super) fn lacking(rule: &ResponseRule, report: &mut Report<'_>) {
    let mut sections: BTreeMap<&str, Vec<Lacking>> = BTreeMap::new();
    for lacking in report.take_lacking() {
        sections.entry(lacking.section).or_default().push(lacking);
    }
    for (section, uses) in sections {
        let mut parts: Vec<(&str, Vec<&str>)> = Vec::new();
        for (list, name) in uses.iter().filter_map(|lacking| part_of(rule, &lacking.pointer)) {
            match parts.iter_mut().find(|(known, _)| *known == list) {
                Some((_, names)) if names.contains(&name) => {}
                Some((_, names)) => names.push(name),
                None => parts.push((list, vec![name])),
            }
        }
        let parts: Vec<String> =
            parts.into_iter().map(|(list, names)| format!("{list} {}", names.join(", "))).collect();
        let message = format!("{}, so these cannot work: {}", uses[0].why, parts.join("; "));
        let help = format!("set it up under `{section}` in the settings; until then they are skipped");
        report.warn(&uses[0].pointer, message, Some(help));
    }
}

/// What a pointer leads to: the list, and the name in it.
fn part_of<'r>(rule: &'r ResponseRule, pointer: &str) -> Option<(&'static str, &'r str)> {
    let mut steps = pointer.split('/').skip(2);
    let (list, index) = (steps.next()?, steps.next()?.parse::<usize>().ok()?);
    match list {
        "diagnostics" => Some(("diagnostics", rule.diagnostics.get(index)?.name.as_str())),
        "remedies" => Some(("remedies", rule.remedies.get(index)?.name.as_str())),
        _ => Some(("onResolve", rule.on_resolve.get(index)?.kind.as_str())),
    }
}

/// Checks the name of an escalation policy.
pub(super) fn policy(name: &str, surroundings: &Surroundings<'_>, pointer: &str, report: &mut Report<'_>) {
    let names = &surroundings.names;
    named(
        name,
        (&names.policies, &names.unreadable),
        ("escalation policy", "EscalationPolicy"),
        pointer,
        report,
    );
}

/// Checks the name of a schedule.
pub(super) fn schedule(name: &str, surroundings: &Surroundings<'_>, pointer: &str, report: &mut Report<'_>) {
    let names = &surroundings.names;
    named(name, (&names.schedules, &names.unreadable), ("schedule", "Schedule"), pointer, report);
}

/// Checks the name of a schedule that says who is on call.
pub(super) fn on_call(name: &str, surroundings: &Surroundings<'_>, pointer: &str, report: &mut Report<'_>) {
    schedule(name, surroundings, pointer, report);
    if surroundings.names.without_rotations.contains(name) {
        let message = format!("nobody is on call in the schedule `{name}`");
        report.error(pointer, message, Some("give it `rotations`".to_owned()));
    }
}

/// Checks the name of a calendar.
pub(super) fn calendar(name: &str, surroundings: &Surroundings<'_>, pointer: &str, report: &mut Report<'_>) {
    let names = &surroundings.names;
    named(name, (&names.calendars, &names.unreadable), ("calendar", "Calendar"), pointer, report);
}

/// Checks the name of a contact.
pub(super) fn contact(name: &str, surroundings: &Surroundings<'_>, pointer: &str, report: &mut Report<'_>) {
    let names = &surroundings.names;
    named(name, (&names.contacts, &names.unreadable), ("contact", "Contact"), pointer, report);
}

/// Checks the name of a stored manifest.
fn manifest(name: &str, surroundings: &Surroundings<'_>, pointer: &str, report: &mut Report<'_>) {
    let names = &surroundings.names;
    let known = (&names.manifests, names.unreadable.as_str());
    named(name, known, ("stored manifest", "StoredManifest"), &format!("{pointer}/manifest"), report);
}

fn named(
    name: &str,
    (known, unreadable): (&BTreeSet<String>, &str),
    (what, kind): (&str, &str),
    pointer: &str,
    report: &mut Report<'_>,
) {
    if !known.contains(name) && !unreadable.contains(name) {
        let (message, help) = unnamed(name, known.iter().map(String::as_str), what, kind);
        report.error(pointer, message, Some(help));
    }
}

/// What to say of a name that no document has, and the way out.
pub(super) fn unnamed<'n>(
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
    what: &str,
    kind: &str,
) -> (String, String) {
    let help = match nearest(name, known) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("add a document of kind `{kind}` with that name"),
    };
    (format!("there is no {what} `{name}`"), help)
}

/// Whether a text can be a mail address; the server has the last word.
fn is_mail_address(text: &str) -> bool {
    let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"');
    let parts: Vec<&str> = text.split('@').collect();
    matches!(parts[..], [name, domain] if !name.is_empty() && !domain.is_empty()) && !text.contains(strange)
}

/// Whether a destination can be reached as far as the settings tell, or why not.
pub(super) fn reachable(destination: &Destination, surroundings: &Surroundings<'_>) -> Result<(), String> {
    let known = surroundings.known;
    let lacks = |names: &Option<BTreeSet<String>>, name: &str| {
        names.as_ref().is_some_and(|names| !names.contains(name))
    };
    let why = match destination.clone() {
        Destination::Slack { channel } => known.missing(&Reference::SlackChannel(channel)),
        Destination::PagerDuty { service } => known.missing(&Reference::PagerDutyService(service)),
        Destination::Webhook { name } => {
            lacks(&known.webhooks, &name).then(|| format!("there is no webhook `{name}` in the settings"))
        }
        Destination::Teams { channel } => lacks(&known.teams_channels, &channel)
            .then(|| format!("there is no channel `{channel}` under `teams.channels` in the settings")),
        Destination::Email { .. } if !known.email => Some("mail is not set up in the settings".to_owned()),
        Destination::Email { to } => (!is_mail_address(&to)).then(|| format!("`{to}` is no mail address")),
    };
    why.map_or(Ok(()), Err)
}
