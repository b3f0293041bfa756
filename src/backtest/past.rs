//! The world of a backtest: remedies are carried out on paper, everybody is told, and nobody answers.
//!
//! Evidence of the past comes from three places: what the caller takes for granted, what a Prometheus still knows of
//! that time, and otherwise nowhere, which is an unknown finding with its reason. Never from the present.

use super::report::Evidence;
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::notification::{Destination, Notice};
use crate::domain::rule::DiagnosticSpec;
use crate::engine::ports::{Delivered, Diagnoser, DiagnosisContext, IncidentView, Notifier, PortFuture};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Kinds of diagnostics that Prometheus can answer for a time in the past.
const ANSWERED_BY_PROMETHEUS: [&str; 2] = ["prom.query", "prom.range"];

/// Why a finding is unknown.
const NOT_KNOWN: &str = "nobody knows what this was in the past";

/// A finding that is taken for granted: its fields, or why it is unknown.
pub type Given = Result<Map<String, Value>, String>;

/// Who gathers evidence of the past.
pub struct Past {
    /// What is taken for granted, by the names that the rules give.
    given: BTreeMap<String, Given>,
    /// Who asks Prometheus; none where nobody does.
    asks: Option<Arc<dyn Diagnoser>>,
    /// How many questions may be asked.
    questions_max: u64,
    asked: AtomicU64,
}

impl Past {
    /// Evidence from these places.
    pub fn new(given: BTreeMap<String, Given>, asks: Option<Arc<dyn Diagnoser>>, questions_max: u64) -> Self {
        Self { given, asks, questions_max, asked: AtomicU64::new(0) }
    }

    /// How many questions were asked, and how many were not.
    pub fn evidence(&self) -> Evidence {
        let wanted = self.asked.load(Ordering::Relaxed);
        Evidence {
            asked: wanted.min(self.questions_max),
            left_out: wanted.saturating_sub(self.questions_max),
        }
    }
}

impl Diagnoser for Past {
    fn diagnose<'a>(
        &'a self,
        spec: &'a DiagnosticSpec,
        params: Value,
        context: DiagnosisContext,
        timeout: Duration,
    ) -> PortFuture<'a, Finding> {
        let unknown = |why: &str| Finding::unknown(&spec.name, &spec.kind, why, context.now, 0);
        let finding = match self.given.get(&spec.name) {
            Some(Err(why)) => unknown(why),
            Some(Ok(fields)) => {
                Finding { status: FindingStatus::Known, fields: fields.clone(), ..unknown("") }
            }
            None => {
                let asks =
                    self.asks.as_ref().filter(|_| ANSWERED_BY_PROMETHEUS.contains(&spec.kind.as_str()));
                if let Some(asks) = asks {
                    if self.asked.fetch_add(1, Ordering::Relaxed) < self.questions_max {
                        return asks.diagnose(spec, params, context, timeout);
                    }
                    unknown("more questions about the past than may be asked")
                } else {
                    unknown(NOT_KNOWN)
                }
            }
        };
        Box::pin(std::future::ready(finding))
    }
}

/// Everybody is told at once.
pub struct Everybody;

impl Notifier for Everybody {
    fn notify<'a>(
        &'a self,
        _: &'a Destination,
        _: &'a Notice,
        _: &'a IncidentView,
        _: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        Box::pin(std::future::ready(Delivered::Yes { message: None }))
    }
}
