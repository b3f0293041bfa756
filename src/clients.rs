//! Vendor protocols, both ways: how to speak to Slack, PagerDuty, Prometheus, databases and plain HTTP, and how to read
//! what Alertmanager and Slack send.
//!
//! A client knows a protocol and nothing of the product: it never decides, never stores, never retries. It
//! makes one exchange and says in one word how that ended ([`answer::SendError`]), so that the engine can
//! reschedule, give up, or look at the world first. Secrets come in as `secrecy` types and never leave by
//! `Debug`, `Display` or an error.

pub mod alertmanager;
pub mod answer;
pub mod grafana;
pub mod http;
pub mod kubernetes;
pub mod loki;
pub mod openmetrics;
pub mod pace;
pub mod pagerduty;
pub mod postgres;
pub mod prometheus;
pub mod rabbitmq;
pub mod redis;
pub mod registry;
pub mod signing;
pub mod slack;
pub mod smtp;
pub mod tls;
pub mod webhook;

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests find their tables through the environment")]
pub(crate) mod stand_in;
