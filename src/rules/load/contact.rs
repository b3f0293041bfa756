//! Whom a level or a fallback names: destinations, whoever is on call, and `Contact`s, which stand for either.

use super::report::Report;
use super::rule::object_name;
use super::{Content, Parsed, Surroundings, uses};
use crate::domain::notification::Destination;
use crate::rules::raw::Whom;
use std::collections::BTreeMap;

/// What a list of [`Whom`] comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Destinations, in order and each once.
    pub(super) destinations: Vec<Destination>,
    /// Schedules whose person on call is told.
    pub(super) on_call: Vec<String>,
}

impl Told {
    fn add(&mut self, other: &Self) {
        for destination in &other.destinations {
            if !self.destinations.contains(destination) {
                self.destinations.push(destination.clone());
            }
        }
        for schedule in &other.on_call {
            if !self.on_call.contains(schedule) {
                self.on_call.push(schedule.clone());
            }
        }
    }

    /// Whether it comes to nobody at all.
    pub(super) fn is_empty(&self) -> bool {
        self.destinations.is_empty() && self.on_call.is_empty()
    }
}

/// Takes the contacts out of all documents.
pub(super) fn take(
    parsed: &mut [Parsed<'_>],
    surroundings: &Surroundings<'_>,
    reports: &mut [Report<'_>],
) -> BTreeMap<String, Told> {
    let mut all = BTreeMap::new();
    for (document, report) in parsed.iter_mut().zip(reports) {
        if let Some(Content::Contact(raw)) =
            document.content.take_if(|content| matches!(content, Content::Contact(_)))
            && let Some(name) = document.name.clone()
        {
            object_name(&name, report);
            for (index, whom) in raw.destinations.iter().enumerate() {
                if let Whom::Contact(_) = whom {
                    let pointer = format!("/spec/destinations/{index}");
                    let help = "write its destinations here".to_owned();
                    report.error(&pointer, "a contact cannot stand for another contact", Some(help));
                }
            }
            let told = whom(&raw.destinations, "/spec/destinations", surroundings, report);
            warn_unreachable(&raw.destinations, "/spec/destinations", surroundings, report);
            if told.is_empty() {
                report.error("/spec/destinations", "this contact tells nobody", None);
            }
            all.insert(name, told);
        }
    }
    all
}

/// Reads a list that stands at `at`.
pub(super) fn whom(
    list: &[Whom],
    at: &str,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Told {
    let mut told = Told::default();
    for (index, whom) in list.iter().enumerate() {
        let pointer = format!("{at}/{index}");
        match whom {
            Whom::OnCall(schedule) => {
                uses::on_call(schedule, surroundings, &pointer, report);
                told.add(&Told { destinations: Vec::new(), on_call: vec![schedule.clone()] });
            }
            Whom::Contact(name) => {
                uses::contact(name, surroundings, &pointer, report);
                told.add(&surroundings.contacts.get(name).cloned().unwrap_or_default());
            }
            Whom::Slack { .. }
            | Whom::PagerDuty { .. }
            | Whom::Webhook { .. }
            | Whom::Email { .. }
            | Whom::Teams { .. } => {
                let destinations = whom.destination().into_iter().collect();
                told.add(&Told { destinations, on_call: Vec::new() });
            }
        }
    }
    told
}

/// Warns of what a list names itself and nobody can reach. What a contact names is told with the contact.
pub(super) fn warn_unreachable(
    list: &[Whom],
    at: &str,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) {
    if surroundings.known.tells_nobody() {
        return;
    }
    for (index, whom) in list.iter().enumerate() {
        if let Some(Err(why)) =
            whom.destination().map(|destination| uses::reachable(&destination, surroundings))
        {
            report.warn(&format!("{at}/{index}"), why, Some("others are told instead".to_owned()));
        }
    }
}
