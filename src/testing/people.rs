//! People of a rule test: who presses what, and which incident they mean.

use super::format::{Input, Person};
use crate::domain::action::{Action, ActionStatus};
use crate::domain::approval::Verdict;
use crate::domain::people::{Actor, Role, Via};
use crate::engine::commands::Commands;
use crate::engine::ports::IncidentView;
use crate::settings;
use crate::yaml::nearest;
use jiff::Timestamp;

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// I have it.
    Acknowledge,
    /// Do it.
    Approve,
    /// Do not.
    Reject,
    /// I go on by hand.
    TakeOver,
    /// Call the next level.
    Escalate,
    /// The task is done.
    Done,
    /// Keep its alerts quiet.
    Silence,
    /// Tell of them again.
    Unsilence,
    /// It is over.
    Resolve,
    /// No actions from now on.
    Pause,
    /// Actions again.
    Resume,
}

impl Press {
    /// The key of the test file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::TakeOver => "takeOver",
            Self::Escalate => "escalate",
            Self::Done => "done",
            Self::Silence => "silence",
            Self::Unsilence => "unsilence",
            Self::Resolve => "resolve",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

/// What people do in one entry, in the order of the format.
pub fn presses(input: &Input) -> Vec<(Press, &Person)> {
    let all = [
        (Press::Acknowledge, &input.acknowledge),
        (Press::Approve, &input.approve),
        (Press::Reject, &input.reject),
        (Press::TakeOver, &input.take_over),
        (Press::Escalate, &input.escalate),
        (Press::Done, &input.done),
        (Press::Silence, &input.silence),
        (Press::Unsilence, &input.unsilence),
        (Press::Resolve, &input.resolve),
        (Press::Pause, &input.pause),
        (Press::Resume, &input.resume),
    ];
    all.into_iter().filter_map(|(press, person)| Some((press, &person.as_ref()?.0))).collect()
}

/// What changes in the world in one entry, in words.
pub fn of_the_world(input: &Input) -> Vec<String> {
    let names = |what: &str, names: Vec<&String>| {
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("{what} change: {}", names.join(", ")))
    };
    let blind = input.blind.as_ref().map(|why| match why.is_empty() {
        true => "monitoring works again".to_owned(),
        false => format!("monitoring is blind: {why}"),
    });
    [
        names("findings", input.findings.keys().collect()),
        names("targets", input.targets.keys().collect()),
        names("outcomes", input.outcomes.keys().collect()),
        blind,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Lets somebody press; an error says why it did not count.
pub async fn press(
    press: Press,
    person: &Person,
    views: &[IncidentView],
    people: &[settings::Person],
    commands: &Commands,
    now: Timestamp,
) -> Result<(), String> {
    let actor = actor(person, people)?;
    let reason = person.reason.clone();
    let told = match press {
        Press::Pause => {
            let why = reason.unwrap_or_else(|| "the test says so".to_owned());
            commands.pause(person.namespace.clone(), &actor, why, now).await
        }
        Press::Resume => commands.resume(person.namespace.clone()).await,
        Press::Approve | Press::Reject => {
            let action = asked(person, views)?;
            let verdict = if press == Press::Approve { Verdict::Approve } else { Verdict::Reject };
            commands.decide(action.id.clone(), actor, verdict, Some(action.digest.clone()), reason).await
        }
        Press::Acknowledge => commands.acknowledge(meant(person, views)?, actor, reason).await,
        Press::TakeOver => commands.take_over(meant(person, views)?, actor, reason).await,
        Press::Escalate => commands.escalate(meant(person, views)?, actor, reason).await,
        Press::Silence => commands.silence(meant(person, views)?, actor, None, reason).await,
        Press::Unsilence => commands.unsilence(meant(person, views)?, actor, reason).await,
        Press::Resolve => commands.resolve(meant(person, views)?, actor, reason).await,
        Press::Done => {
            let id = meant(person, views)?;
            let tasks = views.iter().find(|view| view.incident.id == id).map(|view| &view.incident.tasks);
            let open = tasks.and_then(|tasks| tasks.iter().position(|task| !task.is_done()));
            commands.item_done(id, open.ok_or("there is no open task")?, None, actor).await
        }
    };
    told.map_err(|error| error.to_string())
}

fn actor(person: &Person, people: &[settings::Person]) -> Result<Actor, String> {
    let known = people.iter().find(|known| known.name == person.by);
    let role = match (known, person.role) {
        (_, Some(role)) => role,
        (Some(known), None) => known.role,
        (None, None) if people.is_empty() => Role::Approver,
        (None, None) => {
            let names = people.iter().map(|known| known.name.as_str());
            let close = nearest(&person.by, names).map(|close| format!("; did you mean {close}?"));
            return Err(format!(
                "`people` of the settings have no {}{}",
                person.by,
                close.unwrap_or_default()
            ));
        }
    };
    Ok(Actor { name: person.by.clone(), via: Via::Slack, role })
}

/// Whether somebody means this incident.
fn is_meant(person: &Person, view: &IncidentView) -> bool {
    let incident = &view.incident;
    let target = incident.target.as_ref().map(ToString::to_string);
    person.rule.as_ref().is_none_or(|rule| *rule == incident.rule)
        && person.target.as_ref().is_none_or(|wanted| Some(wanted) == target.as_ref())
}

/// The incident that somebody means: an open one where there is one.
fn meant(person: &Person, views: &[IncidentView]) -> Result<crate::domain::incident::IncidentId, String> {
    let all = || views.iter().filter(|view| is_meant(person, view));
    let open: Vec<&IncidentView> = all().filter(|view| view.incident.is_open()).collect();
    match (open.as_slice(), all().next_back()) {
        ([one], _) => Ok(one.incident.id.clone()),
        ([], Some(over)) => Ok(over.incident.id.clone()),
        ([], None) => Err("there is no such incident".to_owned()),
        _ => Err("several incidents are open: say which with `rule` or `target`".to_owned()),
    }
}

/// The action that somebody is asked about; the newest of its remedy where nobody asks any more.
fn asked<'v>(person: &Person, views: &'v [IncidentView]) -> Result<&'v Action, String> {
    let fits = |action: &&Action| person.remedy.as_ref().is_none_or(|remedy| *remedy == action.remedy);
    let all = || views.iter().filter(|view| is_meant(person, view)).flat_map(|view| &view.incident.actions);
    let waits = |action: &&Action| action.status == ActionStatus::AwaitingApproval;
    let asked: Vec<&Action> = all().filter(fits).filter(waits).collect();
    match (asked.as_slice(), all().rfind(fits)) {
        ([one], _) => Ok(one),
        ([], Some(newest)) => Ok(newest),
        ([], None) => Err("nobody is asked for anything".to_owned()),
        _ => Err("several approvals are wanted: say which with `remedy`, `rule` or `target`".to_owned()),
    }
}
