//! What watches over alerting itself: watchdogs that always fire, and a heartbeat that somebody else waits for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smokejumper_domain::matcher::{Matchers, ParseMode, parse};
use smokejumper_domain::severity::Severity;

use super::services::Method;
use crate::period::Period;
use crate::secret::SecretSources;

/// An alert that always fires, such as the Watchdog of kube-prometheus. While it comes, alerts get from Prometheus to here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Watchdog {
    /// Which alerts it is, in Alertmanager's matcher language. They open no incident.
    #[schemars(required)]
    pub matchers: Vec<String>,
    /// How long it may stay away, before people are called and nothing is done alone (T1). Longer than Alertmanager's
    /// `repeat_interval` for it.
    pub within: Period,
    /// How bad it is when it stays away.
    pub severity: Severity,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { matchers: Vec::new(), within: Period::from_mins(5), severity: Severity::P1 }
    }
}

impl Watchdog {
    /// Its matchers, or what is wrong with the first that is none.
    pub fn parsed(&self) -> Result<Matchers, (usize, String)> {
        let parse = |(index, text): (usize, &String)| {
            parse(text, ParseMode::Fallback).map_err(|error| (index, error.to_string()))
        };
        let lists = self.matchers.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        Ok(lists.iter().flat_map(|matchers| matchers.iter().cloned()).collect())
    }
}

/// A monitor outside that calls people when it does not hear from us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeat {
    /// Address to call, as a secret: who knows it can pretend that all is well.
    #[schemars(required)]
    pub url: SecretSources,
    /// The request method.
    pub method: Method,
    /// How often. Nothing is sent while the audit of the own store does not pass.
    pub every: Period,
    /// Time for one call, at most 10s.
    pub timeout: Period,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            url: SecretSources::default(),
            method: Method::Get,
            every: Period::from_mins(1),
            timeout: Period::from_secs(10),
        }
    }
}
