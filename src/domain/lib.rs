//! Ground floor of the house: the nouns of incident response and the total functions over them.
//!
//! Everything here is pure. Time comes in as an argument, identifiers come in as arguments, and what should
//! happen in the world goes out as values. It must never do IO, read a clock, draw a random number or look at
//! the environment: that is what makes a crash, a replay and a test the same thing.
//!
//! Reading order follows the path of an alert: [`alert`] → [`matcher`] → [`rule`] → [`correlate`] →
//! [`incident`] → [`diagnosis`] → [`survey`] → [`decision`] and [`guardrail`] → [`approval`] → [`action`] →
//! [`verification`] → [`escalation`] and [`notification`] → [`timeline`]. [`mod@apply`] is where one event meets
//! one incident; [`effect`] is what comes out.

pub mod access;
pub mod action;
pub mod alert;
pub mod apply;
pub mod approval;
pub mod bridge;
pub mod catalog;
pub mod chart;
pub mod correlate;
pub mod counted;
pub mod decision;
pub mod diagnosis;
pub mod dns;
pub mod effect;
pub mod escalation;
pub mod event;
pub mod fingerprint;
pub mod guardrail;
pub mod incident;
pub mod manifest;
pub mod matcher;
pub mod notification;
pub mod people;
pub mod redact;
pub mod rule;
pub mod schedule;
pub mod scheduled;
pub mod selector;
pub mod severity;
pub mod shadow;
pub mod silence;
pub mod survey;
pub mod temporary;
pub mod timeline;
pub mod verification;
pub mod vitals;

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests find their tables through the environment")]
mod vectors;

/// Labels or annotations of an alert: names and values as the sender wrote them.
///
/// They are data from outside. Nothing may treat a value as a template, a query, a path or a command.
pub type Labels = std::collections::BTreeMap<String, String>;
