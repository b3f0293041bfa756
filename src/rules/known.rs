//! What the settings know: names outside of rule files that rules refer to.

use crate::domain::catalog::Reference;
use crate::domain::schedule::Contact;
use std::collections::{BTreeMap, BTreeSet};

/// Names that the settings define. `None` means that nobody has said, so that nothing is complained about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Keys of `endpoints`.
    pub endpoints: Option<BTreeSet<String>>,
    /// Keys of `pagerduty.services`; empty where PagerDuty is not set up.
    pub pagerduty_services: Option<BTreeSet<String>>,
    /// Keys of `webhooks`.
    pub webhooks: Option<BTreeSet<String>>,
    /// Keys of `teams.channels`; empty where Teams is not set up.
    pub teams_channels: Option<BTreeSet<String>>,
    /// Whether mail is set up.
    pub email: bool,
    /// Whether Slack is set up.
    pub slack: bool,
    /// Slack's channels, where they are known.
    pub slack_channels: Option<BTreeSet<String>>,
    /// Whether Prometheus is set up.
    pub prometheus: bool,
    /// Whether Alertmanager is set up.
    pub alertmanager: bool,
    /// Whether Loki is set up.
    pub loki: bool,
    /// Whether Kubernetes is set up.
    pub kubernetes: bool,
    /// Keys of `kubernetes.read_commands`; empty where Kubernetes is not set up.
    pub read_commands: Option<BTreeSet<String>>,
    /// Keys of `kubernetes.commands`; empty where Kubernetes is not set up.
    pub commands: Option<BTreeSet<String>>,
    /// Names of connections by the key that they stand under; each says whether something may be changed there.
    pub connections: Option<BTreeMap<&'static str, BTreeMap<String, bool>>>,
    /// Names of queries by the database that they belong to.
    pub queries: Option<BTreeMap<String, BTreeSet<String>>>,
    /// How people are reached, by their names.
    pub people: Option<BTreeMap<String, Contact>>,
    /// Whether somebody hears of incidents for which no escalation policy is found.
    pub default_told: bool,
}

impl Known {
    /// For checking rules without settings: every name is taken to exist.
    pub fn everything() -> Self {
        Self {
            endpoints: None,
            pagerduty_services: None,
            webhooks: None,
            teams_channels: None,
            email: true,
            slack: true,
            slack_channels: None,
            prometheus: true,
            alertmanager: true,
            loki: true,
            kubernetes: true,
            read_commands: None,
            commands: None,
            connections: None,
            queries: None,
            people: None,
            default_told: true,
        }
    }

    /// Why something that an action needs is not there; `None` if it is, or nobody knows.
    pub fn missing(&self, reference: &Reference) -> Option<String> {
        let lacks = |names: &Option<BTreeSet<String>>, name: &str| {
            names.as_ref().is_some_and(|names| !names.contains(name))
        };
        match reference {
            Reference::Endpoint(name) if lacks(&self.endpoints, name) => {
                Some(format!("there is no endpoint `{name}` in the settings"))
            }
            Reference::PagerDutyService(name) if lacks(&self.pagerduty_services, name) => {
                Some(format!("there is no PagerDuty service `{name}` in the settings"))
            }
            Reference::ReadCommand(name) if lacks(&self.read_commands, name) => {
                Some(format!("there is no command `{name}` under `kubernetes.read_commands` in the settings"))
            }
            Reference::Command(name) if lacks(&self.commands, name) => {
                Some(format!("there is no command `{name}` under `kubernetes.commands` in the settings"))
            }
            Reference::Connection { section, name, acts } => self.missing_connection(section, name, *acts),
            Reference::Query { connection, name } => {
                let names = self.queries.as_ref()?.get(connection)?;
                (!names.contains(name)).then(|| {
                    format!("there is no query `{name}` under `connections.postgres.{connection}.queries` in the settings")
                })
            }
            Reference::SlackChannel(_) if !self.slack => {
                Some("Slack is not set up in the settings".to_owned())
            }
            Reference::SlackChannel(name) if lacks(&self.slack_channels, name) => {
                Some(format!("the Slack channel `{name}` is not known"))
            }
            Reference::Prometheus if !self.prometheus => {
                Some("Prometheus is not set up in the settings".to_owned())
            }
            Reference::Alertmanager if !self.alertmanager => {
                Some("Alertmanager is not set up in the settings".to_owned())
            }
            Reference::Loki if !self.loki => Some("Loki is not set up in the settings".to_owned()),
            Reference::Kubernetes if !self.kubernetes => {
                Some("Kubernetes is not set up in the settings".to_owned())
            }
            _ => None,
        }
    }

    fn missing_connection(&self, section: &str, name: &str, acts: bool) -> Option<String> {
        let may_act = self.connections.as_ref()?.get(section).and_then(|names| names.get(name));
        match may_act {
            None => Some(format!("there is no `{name}` under `{section}` in the settings")),
            Some(false) if acts => {
                Some(format!("nothing may be changed there: `{section}.{name}` in the settings has no `act`"))
            }
            Some(_) => None,
        }
    }

    /// Names of the connections under one key of the settings; none where nobody has said.
    pub fn connections_of(&self, section: &str) -> Option<BTreeSet<String>> {
        let names = self.connections.as_ref()?.get(section);
        Some(names.map(|names| names.keys().cloned().collect()).unwrap_or_default())
    }

    /// Whether there is no way at all to tell people: nothing of all that is set up.
    pub fn tells_nobody(&self) -> bool {
        let is_empty = |names: &Option<BTreeSet<String>>| names.as_ref().is_some_and(BTreeSet::is_empty);
        let named = [&self.pagerduty_services, &self.webhooks, &self.teams_channels];
        // Where only PagerDuty and Slack are said to be missing, the others are not known and do not count.
        let others = [&self.webhooks, &self.teams_channels].iter().all(|names| names.is_none());
        let email = self.email && !others;
        !self.slack && !email && named.into_iter().all(|names| is_empty(names) || (others && names.is_none()))
    }
}
