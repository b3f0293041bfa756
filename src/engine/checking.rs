//! Runs scheduled checks: the effects [`Effect::Check`] and [`Effect::Report`].
//!
//! The next run of a check is an effect that is due then, as every timer is: it survives a restart, and of several replicas
//! one leases it. The commit that ends a run writes its result, its reports and the next run in one transaction, so none is
//! lost and none is told twice. A run that nobody could carry out in time is carried out once, late, and its report says
//! so and how many more were missed; what was red at nine matters at eleven as well.
//!
//! Checks come and go with the rules, so [`Executor::look_at_checks`] sets right what is planned. Nothing here changes the
//! world: a red item becomes an alert of our own, and what follows is a matter of the rules.

use super::executor::{Executor, NOTICE_AGE_MAX, NOTIFY_TIMEOUT, backoff};
use super::gathering::gather;
use super::own_alerts::HeraldError;
use super::playbook::KeptCheck;
use super::ports::{Commit, Delivered, Finish, Leased, Pending, Sending, Store, StoreError};
use crate::domain::Labels;
use crate::domain::alert::AlertStatus;
use crate::domain::effect::{Effect, EffectId, NewEffect};
use crate::domain::notification::Destination;
use crate::domain::scheduled::{CheckItem, CheckReport, ItemOutcome, ItemResult};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often is looked whether what is planned fits the rules: a new check is planned within this.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Identity of the run of a check that is due then.
fn run_id(check: &str, due_at: Timestamp) -> EffectId {
    EffectId(format!("check:{check}-e{}", due_at.as_second()))
}

/// The next run, as an effect.
fn planned(check: &str, due_at: Timestamp) -> NewEffect {
    let effect = Effect::Check { check: check.to_owned(), asked_by: None };
    NewEffect { id: run_id(check, due_at), due_at, lane: None, queue: None, urgent: false, effect }
}

/// Wishes for a run that somebody asks for, due at once. The next run by the schedule comes all the same.
pub(super) async fn ask_for(
    store: &dyn Store,
    check: &str,
    by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = EffectId(format!("check:{check}/asked-e{}", now.as_millisecond()));
    let effect = Effect::Check { check: check.to_owned(), asked_by: Some(by.to_owned()) };
    let effects = vec![NewEffect { id, due_at: now, lane: None, queue: None, urgent: false, effect }];
    match store.commit(Commit { at: Some(now), effects, ..Commit::default() }).await {
        // Somebody else asked within the same millisecond.
        Err(StoreError::Conflict) => Ok(()),
        other => other,
    }
}

impl Executor {
    /// Plans the next run of each check, and takes back runs that no check has any more. Alerts of checks and items that
    /// are gone are ended.
    ///
    /// # Errors
    /// A store that is not available.
    pub async fn look_at_checks(&self) -> Result<(), HeraldError> {
        let now = self.clock.now();
        let checks = self.playbook.scheduled_checks();
        let view = self.reader.checks().await?;
        let mut pending: BTreeMap<&str, Vec<&Pending>> = BTreeMap::new();
        for run in &view.pending {
            pending.entry(run.check.as_str()).or_default().push(run);
        }
        for (name, kept) in checks.iter() {
            let next = kept.check.moments.after(now);
            self.plan(name, next, pending.remove(name.as_str()).unwrap_or_default(), now).await?;
        }
        for (name, runs) in pending {
            self.plan(name, None, runs, now).await?;
        }
        for report in view.results.values() {
            self.forget(report, checks.get(&report.check).map(AsRef::as_ref)).await?;
        }
        Ok(())
    }

    /// Leaves what is due, which is being run or soon will be; of what is to come only `next` stays.
    async fn plan(
        &self,
        check: &str,
        next: Option<Timestamp>,
        pending: Vec<&Pending>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let to_come = pending.iter().filter(|run| run.due_at > now);
        let wrong: Vec<EffectId> =
            to_come.filter(|run| Some(run.due_at) != next).map(|run| run.id.clone()).collect();
        let stays = pending.len() > wrong.len();
        let effects: Vec<NewEffect> =
            next.filter(|_| !stays).map(|due_at| planned(check, due_at)).into_iter().collect();
        if wrong.is_empty() && effects.is_empty() {
            return Ok(());
        }
        let commit = Commit { at: Some(now), effects, cancelled: wrong, ..Commit::default() };
        match self.store.commit(commit).await {
            // Another replica did the same.
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }

    /// Ends the alerts of red items that a check has no more, and forgets the last result of a check that is gone.
    async fn forget(&self, report: &CheckReport, kept: Option<&KeptCheck>) -> Result<(), HeraldError> {
        let has = |name: &str| kept.is_some_and(|kept| kept.check.items.iter().any(|item| item.name == name));
        for item in report.items.iter().filter(|item| !has(&item.name)) {
            if let Some(labels) = &item.alert {
                let summary = format!("`{}` is not looked at any more", item.name);
                self.herald.tell(labels.clone(), summary, AlertStatus::Resolved).await?;
            }
        }
        if kept.is_none() {
            let forgotten = vec![report.check.clone()];
            let commit = Commit { at: Some(self.clock.now()), forgotten, ..Commit::default() };
            self.store.commit(commit).await?;
        }
        Ok(())
    }

    /// Runs a check, raises and ends the alerts of its items, and writes what came of it with the next run.
    pub(super) async fn check(
        &self,
        leased: &Leased,
        name: &str,
        asked_by: Option<&str>,
    ) -> Result<(), StoreError> {
        let checks = self.playbook.scheduled_checks();
        let Some(kept) = checks.get(name) else { return self.done(leased, Commit::default()).await };
        let last = self.reader.checks().await?.results.remove(name);
        let next = match asked_by {
            None => kept.check.moments.after(self.clock.now()),
            Some(_) => None,
        };
        let again = next.map(|due_at| planned(name, due_at));
        if asked_by.is_none() && last.as_ref().is_some_and(|last| self.was_told(last, leased.due_at)) {
            return self
                .done(leased, Commit { effects: again.into_iter().collect(), ..Commit::default() })
                .await;
        }
        let report = self.run(kept, leased, asked_by, last.as_ref()).await;
        self.raise(kept, &report, last.as_ref()).await.map_err(|error| match error {
            HeraldError::Store(error) => error,
            HeraldError::Intake(error) => StoreError::Unavailable(error.to_string()),
        })?;
        self.meter.checked(&report);
        tracing::info!(
            check = name,
            verdict = report.verdict().as_str(),
            found = report.in_short(),
            "a scheduled check was run"
        );
        let told = kept.check.report.iter().enumerate().map(|(at, destination)| NewEffect {
            id: EffectId(format!("{}-e{at}", leased.id)),
            due_at: report.ran_at,
            lane: None,
            queue: Some(destination.to_string()),
            urgent: false,
            effect: Effect::Report { destination: destination.clone(), report: Box::new(report.clone()) },
        });
        let effects = told.chain(again).collect();
        self.done(leased, Commit { effects, reports: vec![report.clone()], ..Commit::default() }).await
    }

    /// Whether the run that was due then has been told of already, as by a replica that planned it from an old view. A
    /// result from the future says nothing: the clock was set back since.
    fn was_told(&self, last: &CheckReport, due_at: Timestamp) -> bool {
        last.asked_by.is_none() && last.due_at >= due_at && last.ran_at <= self.clock.now()
    }

    async fn run(
        &self,
        kept: &KeptCheck,
        leased: &Leased,
        asked_by: Option<&str>,
        last: Option<&CheckReport>,
    ) -> CheckReport {
        let check = &kept.check;
        let run = check.as_incident(self.clock.now());
        let playbook = self.playbook.as_ref();
        let findings =
            gather(playbook, self.diagnoser.as_ref(), self.clock.as_ref(), &kept.looks, &run).await;
        let mut items = check.judged(&findings, &playbook.expectations(kept, &run, &findings));
        let ran_at = self.clock.now();
        for (item, result) in check.items.iter().zip(&mut items) {
            result.alert = alert_of(kept, item, result, last);
        }
        CheckReport {
            check: check.name.clone(),
            summary: check.summary.clone(),
            runbook: check.runbook.clone(),
            due_at: leased.due_at,
            ran_at,
            next_at: check.moments.after(ran_at),
            missed: match asked_by {
                None => check.moments.between(leased.due_at, ran_at),
                Some(_) => 0,
            },
            asked_by: asked_by.map(str::to_owned),
            items,
        }
    }

    /// Red items raise their alerts, green ones end them, and what nobody can tell leaves them as they are. One whose
    /// labels have changed since the last run is ended under the old ones.
    async fn raise(
        &self,
        kept: &KeptCheck,
        report: &CheckReport,
        last: Option<&CheckReport>,
    ) -> Result<(), HeraldError> {
        for (item, result) in kept.check.items.iter().zip(&report.items) {
            let before = last.and_then(|last| last.items.iter().find(|before| before.name == item.name));
            let old = before.and_then(|before| before.alert.clone());
            let labels = kept.check.alert_labels(item);
            let mut told = Vec::new();
            if result.alert != old {
                told.extend(old.clone().map(|old| (old, AlertStatus::Resolved)));
            }
            match result.outcome {
                ItemOutcome::Red => told.push((labels, AlertStatus::Firing)),
                // Also where nothing is known of an earlier run.
                ItemOutcome::Green if old.as_ref() != Some(&labels) => {
                    told.push((labels, AlertStatus::Resolved))
                }
                _ => {}
            }
            for (labels, status) in told {
                self.herald.tell(labels, summary(report, result), status).await?;
            }
        }
        Ok(())
    }

    /// Tells one destination of a report.
    pub(super) async fn report(
        &self,
        leased: &Leased,
        destination: &Destination,
        report: &CheckReport,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let telling = self.notifier.report(Sending::of(leased), destination, report, now);
        let told = tokio::time::timeout(NOTIFY_TIMEOUT, telling).await.unwrap_or(Delivered::Later {
            wait: None,
            reason: format!("no answer within {NOTIFY_TIMEOUT:?}"),
            failed: true,
        });
        let (wait, reason, failed) = match told {
            Delivered::Yes { .. } => {
                self.meter.effect_done(leased.effect.kind(), "delivered");
                return self.done(leased, Commit::default()).await;
            }
            Delivered::Never { reason } => {
                self.meter.effect_done(leased.effect.kind(), "refused");
                return self.give_up(leased, destination, report, &reason).await;
            }
            Delivered::Paced { wait, reason } => {
                if let Some(queue) = &leased.queue {
                    self.holds.hold(queue, wait);
                }
                (wait, reason, false)
            }
            Delivered::Later { wait, reason, failed } => (wait.unwrap_or_default(), reason, failed),
        };
        self.meter.effect_done(leased.effect.kind(), if failed { "failed" } else { "paced" });
        if now.duration_since(leased.created_at) >= NOTICE_AGE_MAX {
            return self.give_up(leased, destination, report, &reason).await;
        }
        let least = if failed { backoff(leased.attempt) } else { Duration::ZERO };
        self.postpone(leased, wait.max(least)).await
    }

    /// Its result stands in the API, and its alerts were raised: what is lost is a card.
    async fn give_up(
        &self,
        leased: &Leased,
        destination: &Destination,
        report: &CheckReport,
        reason: &str,
    ) -> Result<(), StoreError> {
        tracing::warn!(check = report.check, destination = %destination, reason, "a report could not be told");
        self.done(leased, Commit::default()).await
    }

    /// Ends an effect that belongs to no incident, with what it brought. A lease that was lost is somebody else's.
    async fn done(&self, leased: &Leased, commit: Commit) -> Result<(), StoreError> {
        let finished = vec![Finish { id: leased.id.clone(), attempt: leased.attempt }];
        match self.store.commit(Commit { at: Some(self.clock.now()), finished, ..commit }).await {
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }
}

/// Labels of the alert that stands for an item after a run: of one that nobody can tell, those from before.
fn alert_of(
    kept: &KeptCheck,
    item: &CheckItem,
    result: &ItemResult,
    last: Option<&CheckReport>,
) -> Option<Labels> {
    match result.outcome {
        ItemOutcome::Red => Some(kept.check.alert_labels(item)),
        ItemOutcome::Unknown { .. } => {
            let before = last?.items.iter().find(|before| before.name == item.name)?;
            before.alert.clone()
        }
        ItemOutcome::Green | ItemOutcome::Shown | ItemOutcome::ForPeople { .. } => None,
    }
}

/// What the alert says: which item, of what, and what was found.
fn summary(report: &CheckReport, item: &ItemResult) -> String {
    let head = format!("{}: not as it should be ({})", item.title, report.summary);
    // The rest is in the report, which the incident leads to; a summary is one line.
    match item.text.lines().next() {
        Some(first) => format!("{head}; {first}"),
        None => head,
    }
}
