//! The audit: every open incident that nobody has must have its next step in the store, what is due must be carried
//! out, and of every urgent one somebody must have heard. A defect, a hand in the database or workers that stand still would otherwise show only by a page that never comes.
//!
//! What is found is counted, logged and raised as an alert of our own; a step that is missing is set anew. While an audit
//! does not pass, the outbound heartbeat stays away, so somebody outside notices even where nothing of ours works.

use super::meter::Meter;
use super::own_alerts::{Herald, HeraldError};
use super::ports::AuditView;
use super::step::{Input, Lease};
use super::stepping::Steps;
use crate::domain::Labels;
use crate::domain::alert::AlertStatus;
use crate::domain::event::Event;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often everything is looked at.
pub const AUDIT_EVERY: Duration = Duration::from_secs(30);

/// What is due for longer than this is not worked on: levels are promised within half a minute.
const OVERDUE_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// An urgent notice that waits for longer than this has not reached anybody, whatever holds it up. After two minutes the
/// next destination is told instead, which has the same time.
const UNTOLD_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// Name of the alert that we raise ourselves.
pub const FAILED: &str = "SmokejumperAuditFailed";

/// Incidents that are named in the log.
const NAMED_MAX: usize = 10;

/// How the last audit went, and when. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AuditState(Arc<Mutex<Option<(Timestamp, bool)>>>);

impl AuditState {
    /// Whether an audit has passed lately.
    pub fn has_passed(&self, now: Timestamp) -> bool {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = SignedDuration::try_from(AUDIT_EVERY * 4).unwrap_or(SignedDuration::MAX);
        known.is_some_and(|(at, passed)| passed && now.duration_since(at).abs() < lately)
    }

    fn note(&self, at: Timestamp, passed: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, passed));
    }
}

/// Looks at everything.
pub struct Auditor {
    /// Sets anew what is missing.
    pub steps: Steps,
    /// Raises the alarm; its store is looked at.
    pub herald: Herald,
    /// Counts.
    pub meter: Arc<dyn Meter>,
    /// For whoever goes by it.
    pub state: AuditState,
}

impl Auditor {
    /// Looks once; returns what was found.
    ///
    /// # Errors
    /// A store that does not answer: an audit that could not be made has not passed.
    pub async fn audit(&self) -> Result<AuditView, HeraldError> {
        let now = self.herald.clock.now();
        let audited = self.audit_at(now).await;
        let passed = audited.as_ref().is_ok_and(AuditView::is_clean);
        self.state.note(now, passed);
        self.meter.audited(passed, audited.as_ref().map_or(0, |view| view.without_step.len()));
        audited
    }

    async fn audit_at(&self, now: Timestamp) -> Result<AuditView, HeraldError> {
        let overdue = now.checked_sub(OVERDUE_AFTER).unwrap_or(Timestamp::MIN);
        let untold = now.checked_sub(UNTOLD_AFTER).unwrap_or(Timestamp::MIN);
        let view = self.herald.store.audit(overdue, untold).await?;
        if view.is_clean() {
            self.herald.tell(labels(), String::new(), AlertStatus::Resolved).await?;
            return Ok(view);
        }
        let named: Vec<&str> = view
            .without_step
            .iter()
            .chain(&view.untold)
            .take(NAMED_MAX)
            .map(|incident| incident.0.as_str())
            .collect();
        tracing::error!(
            without_step = view.without_step.len(),
            untold = view.untold.len(),
            overdue_wakes = view.overdue_wakes,
            overdue_deliveries = view.overdue_deliveries,
            incidents = named.join(" "),
            "the audit failed: what must happen next would not happen"
        );
        for incident in &view.without_step {
            let (incident, event) = (incident.clone(), Some(Event::StepMissing));
            self.steps.take(Input::Event { incident, event, lease: Lease::None }).await?;
        }
        self.herald.tell(labels(), view.to_string(), AlertStatus::Firing).await?;
        Ok(view)
    }
}

fn labels() -> Labels {
    [("alertname", FAILED), ("severity", "P1"), ("service", "smokejumper")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}
