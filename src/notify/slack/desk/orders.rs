//! Carries out what people write after `/smokejumper`, with the rights that they have at the buttons.

use super::super::card::{self, Frame};
use super::super::home;
use super::super::markup::{Scribe, moment};
use super::super::order::{self, Order};
use super::Desk;
use crate::domain::action::{Action, ActionId, ActionStatus};
use crate::domain::approval::{Ballot, Verdict};
use crate::domain::dns::is_dns_label;
use crate::domain::incident::{Incident, IncidentId, IncidentStatus};
use crate::domain::people::{Actor, Role};
use crate::domain::schedule::{Duty, Turn, duties};
use crate::engine::commands::CommandError;
use crate::engine::ports::{IncidentQuery, IncidentView, StoreError};

/// Open incidents that are read together. A page of the store holds no more.
const PAGE: u32 = 500;
/// Open incidents that are looked through: more than a bad hour opens, and still read within a second.
const INCIDENTS_MAX: usize = 5_000;
/// Incidents that one answer names. More are on the home tab.
const LISTED_MAX: usize = 15;
/// Characters of the end of an identity that are enough to name an incident.
const TAIL_CHARS_MIN: usize = 4;
/// UTF-16 units of a name.
const NAME_UNITS_MAX: usize = 80;
/// UTF-16 units of one line of an answer.
const LINE_UNITS_MAX: usize = 300;
/// Lines of evidence in one answer.
const EVIDENCE_LINES_MAX: usize = 20;

/// Who gives an order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) actor: &'a Actor,
    /// Their member id.
    pub(super) member: &'a str,
    /// Whether the settings or a group give them their role.
    pub(super) is_known: bool,
    /// Where they wrote it.
    pub(super) channel: Option<&'a str>,
}

impl Asker<'_> {
    /// Whoever has no role of their own takes an incident where its message stands, as by its button; who has one, anywhere.
    fn may_take(&self, incident: &Incident) -> Result<(), Refusal> {
        let is_there = || self.channel.is_some_and(|channel| incident.is_shown_in(channel));
        match self.is_known || is_there() {
            true => Ok(()),
            false => Err("That did not count: without a role of your own you take an incident in the channel in which its \
                          message stands."
                .to_owned()),
        }
    }
}

/// Why an order was not carried out, in mrkdwn.
type Refusal = String;

impl Desk {
    /// Carries an order out, and says in mrkdwn what became of it.
    pub(super) async fn carry_out(&self, asker: Asker<'_>, text: &str, frame: &Frame<'_>) -> String {
        let done = match order::parse(text) {
            Ok(order) => self.obey(asker, order, frame).await,
            Err(why) => {
                Err(format!("{}\n{}", Scribe::new(frame.redactor).prose(&why, LINE_UNITS_MAX), hint()))
            }
        };
        done.unwrap_or_else(|why| why)
    }

    async fn obey(&self, asker: Asker<'_>, order: Order, frame: &Frame<'_>) -> Result<String, Refusal> {
        let actor = asker.actor;
        let scribe = Scribe::new(frame.redactor);
        match order {
            Order::Help => Ok(order::help().join("\n")),
            Order::Status => self.status(frame).await,
            Order::Incident(name) => {
                let view = self.view_of(&name, scribe).await?;
                let asked = asked(&view.incident).map(|action| {
                    let plan = scribe.prose(&action.plan.summary, LINE_UNITS_MAX);
                    format!("\nProposed: {plan}\n`/smokejumper approve {}`", action.id.0)
                });
                Ok(format!("{}{}", card::in_a_line(&view.incident, frame), asked.unwrap_or_default()))
            }
            Order::Evidence(name) => {
                let view = self.view_of(&name, scribe).await?;
                let mut lines = card::findings_in_lines(&view, frame);
                if lines.is_empty() {
                    lines.push("Nothing was gathered yet.".to_owned());
                }
                lines.truncate(EVIDENCE_LINES_MAX);
                Ok(format!("{}\n{}", card::in_a_line(&view.incident, frame), lines.join("\n")))
            }
            Order::Acknowledge { incident, reason } => {
                let incident = self.find(&incident, scribe).await?;
                asker.may_take(&incident)?;
                let done = self.commands.acknowledge(incident.id.clone(), actor.clone(), reason).await;
                told(done, scribe)?;
                Ok(format!("You have it: {}", scribe.prose(&incident.summary, LINE_UNITS_MAX)))
            }
            Order::Approve { subject, reason } => self.approve(asker, &subject, reason, scribe).await,
            Order::OnCall { schedule } => self.on_call(schedule.as_deref(), scribe),
            Order::Pause { namespace, reason } => {
                self.pause(actor, namespace, reason).await?;
                self.status(frame).await
            }
            Order::Resume { namespace } => {
                allowed(actor, Role::Admin)?;
                told(self.commands.resume(namespace).await, scribe)?;
                tracing::warn!(actor.name = %actor.name, paused = false, "the kill switch was used");
                self.status(frame).await
            }
        }
    }

    async fn status(&self, frame: &Frame<'_>) -> Result<String, Refusal> {
        let mut incidents = self.open_incidents().await?;
        home::sort(&mut incidents);
        let pauses = self.reader.pauses().await.map_err(unavailable)?;
        let mut lines = vec![format!("*{}*", home::headline(incidents.len()))];
        lines.extend(home::paused(&pauses, frame));
        lines.extend(incidents.iter().take(LISTED_MAX).map(|incident| card::in_a_line(incident, frame)));
        let left_out = incidents.len().saturating_sub(LISTED_MAX);
        if left_out > 0 {
            lines.push(format!("… and {left_out} more"));
        }
        Ok(lines.join("\n"))
    }

    /// Who is on call by each schedule that says so, as the API and the command line say it.
    fn on_call(&self, only: Option<&str>, scribe: Scribe<'_>) -> Result<String, Refusal> {
        let schedules = self.playbook.schedules();
        let duties = duties(&schedules, self.clock.now());
        let wanted = duties.iter().filter(|duty| only.is_none_or(|only| only == duty.schedule));
        let lines: Vec<String> = wanted.take(LISTED_MAX).map(|duty| line_of(duty, scribe)).collect();
        match only {
            _ if !lines.is_empty() => Ok(lines.join("\n")),
            None => Err("No schedule says who is on call.".to_owned()),
            Some(name) => {
                Err(format!("No schedule {} says who is on call.", scribe.code(name, NAME_UNITS_MAX)))
            }
        }
    }

    async fn approve(
        &self,
        asker: Asker<'_>,
        subject: &str,
        reason: Option<String>,
        scribe: Scribe<'_>,
    ) -> Result<String, Refusal> {
        let (name, number) = subject.split_once("-a").map_or((subject, None), |(name, n)| (name, Some(n)));
        let incident = self.find(name, scribe).await?;
        let action = match number {
            Some(number) => incident.action(&ActionId(format!("{}-a{number}", incident.id))),
            None => asked(&incident),
        };
        let action = action.ok_or("Nobody is asked about anything there.")?;
        if number.is_none() {
            // Of an incident there may be another plan by now than the one that somebody has read.
            return Err(format!(
                "This is asked: {}\nTo approve exactly that: {}",
                scribe.prose(&action.plan.summary, LINE_UNITS_MAX),
                scribe.code(&format!("approve {}", action.id), LINE_UNITS_MAX),
            ));
        }
        let ballot = Ballot {
            actor: asker.actor.clone(),
            member: Some(asker.member.to_owned()),
            is_named: false,
            verdict: Verdict::Approve,
            digest: Some(action.digest.clone()),
            reason,
        };
        told(self.commands.vote(action.id.clone(), ballot).await, scribe)?;
        Ok(format!("You approved: {}", scribe.prose(&action.plan.summary, LINE_UNITS_MAX)))
    }

    async fn pause(&self, actor: &Actor, namespace: Option<String>, reason: String) -> Result<(), Refusal> {
        allowed(actor, Role::Admin)?;
        if namespace.as_deref().is_some_and(|name| !is_dns_label(name)) {
            return Err("That is no name of a namespace: it would pause nothing.".to_owned());
        }
        let done = self.commands.pause(namespace, actor, reason, self.clock.now()).await;
        done.map_err(|error| format!("That did not work: {error}"))?;
        tracing::warn!(actor.name = %actor.name, paused = true, "the kill switch was used");
        Ok(())
    }

    /// All that is open, in no order.
    pub(super) async fn open_incidents(&self) -> Result<Vec<Incident>, Refusal> {
        let statuses = vec![IncidentStatus::Triggered, IncidentStatus::Acknowledged];
        let mut query = IncidentQuery { statuses, limit: PAGE, after: None };
        let mut open = Vec::new();
        loop {
            let page = self.reader.incidents(query.clone()).await.map_err(unavailable)?;
            let is_last = page.len() < PAGE as usize;
            query.after = page.last().map(|incident| incident.id.clone());
            open.extend(page);
            if is_last || open.len() >= INCIDENTS_MAX {
                return Ok(open);
            }
        }
    }

    async fn view_of(&self, name: &str, scribe: Scribe<'_>) -> Result<IncidentView, Refusal> {
        let id = IncidentId(name.to_owned());
        if let Some(view) = self.reader.incident(&id).await.map_err(unavailable)? {
            return Ok(view);
        }
        let id = self.find(name, scribe).await?.id;
        let view = self.reader.incident(&id).await.map_err(unavailable)?;
        view.ok_or_else(|| nothing_called(name, scribe))
    }

    /// The open incident of this identity, or the only one that ends so.
    async fn find(&self, name: &str, scribe: Scribe<'_>) -> Result<Incident, Refusal> {
        let open = self.open_incidents().await?;
        let is_meant = |incident: &&Incident| {
            incident.id.0 == name || (name.len() >= TAIL_CHARS_MIN && incident.id.0.ends_with(name))
        };
        let mut found = open.iter().filter(is_meant);
        match (found.next(), found.next()) {
            (Some(incident), None) => Ok(incident.clone()),
            (Some(_), Some(_)) => {
                Err("Several open incidents end so; write more of the identity.".to_owned())
            }
            (None, _) => Err(nothing_called(name, scribe)),
        }
    }
}

fn line_of(duty: &Duty<'_>, scribe: Scribe<'_>) -> String {
    let person = |turn: Option<Turn<'_>>| match turn {
        Some(turn) => format!("*{}*", scribe.prose(turn.person, NAME_UNITS_MAX)),
        None => "nobody".to_owned(),
    };
    let mut line = format!("{}: {}", scribe.code(duty.schedule, NAME_UNITS_MAX), person(duty.now));
    if let Some(until) = duty.until {
        line.push_str(&format!(" until {}, then {}", moment(until), person(duty.next)));
    }
    line
}

fn nothing_called(name: &str, scribe: Scribe<'_>) -> Refusal {
    format!("There is no open incident {}.\n{}", scribe.code(name, 80), hint())
}

/// The action that people are asked about.
fn asked(incident: &Incident) -> Option<&Action> {
    incident.current_action().filter(|action| action.status == ActionStatus::AwaitingApproval)
}

fn hint() -> &'static str {
    "`/smokejumper status` lists what is open, `/smokejumper help` what can be written."
}

fn allowed(actor: &Actor, needed: Role) -> Result<(), Refusal> {
    if actor.role >= needed {
        return Ok(());
    }
    Err(format!("That needs the role {}, and you have {}.", needed.as_str(), actor.role.as_str()))
}

fn told(done: Result<(), CommandError>, scribe: Scribe<'_>) -> Result<(), Refusal> {
    done.map_err(|error| format!("That did not count: {}", scribe.prose(&error.to_string(), LINE_UNITS_MAX)))
}

fn unavailable(error: StoreError) -> Refusal {
    tracing::warn!(%error, "a command of Slack's could not read the store");
    "The store does not answer; try again in a moment.".to_owned()
}
