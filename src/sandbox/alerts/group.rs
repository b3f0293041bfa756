//! One alert group as a value: its alerts, what was told of them, and whether there is something to tell.
//!
//! From Alertmanager's `dispatch` and its deduplication stage (`notify.DedupStage.needsUpdate`): a flush happens every
//! group interval, but only a change, or a whole repeat interval without one, makes a notification.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::payload::{Alert, LabelSet, Reason, Timed};

/// A group of alerts with equal values of the group labels.
#[derive(Debug)]
pub(super) struct Group {
    pub labels: LabelSet,
    alerts: BTreeMap<String, Timed>,
    /// Fingerprints of alerts that a silence keeps quiet.
    quiet: BTreeSet<String>,
    told: Option<Told>,
}

/// What the receiver acknowledged last.
#[derive(Debug)]
struct Told {
    firing: BTreeSet<String>,
    resolved: BTreeSet<String>,
    at: Instant,
}

impl Group {
    pub(super) fn new(labels: LabelSet) -> Self {
        Self { labels, alerts: BTreeMap::new(), quiet: BTreeSet::new(), told: None }
    }

    /// The alert fires. One that fires already keeps its start; one that had ended starts anew.
    pub(super) fn fire(&mut self, alert: Alert, now: Timestamp) {
        let fingerprint = alert.fingerprint();
        match self.alerts.get_mut(&fingerprint) {
            Some(timed) if timed.ends_at.is_none() => timed.alert = alert,
            _ => {
                self.alerts.insert(fingerprint, Timed { alert, starts_at: now, ends_at: None });
            }
        }
    }

    /// The alert has ended. One that is not there, or ended before, stays as it is.
    pub(super) fn resolve(&mut self, fingerprint: &str, now: Timestamp) {
        if let Some(timed) = self.alerts.get_mut(fingerprint)
            && timed.ends_at.is_none()
        {
            timed.ends_at = Some(now);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    pub(super) fn is_firing(&self, fingerprint: &str) -> bool {
        self.alerts.get(fingerprint).is_some_and(|timed| timed.ends_at.is_none())
    }

    /// Every alert of the group, in a fixed order.
    pub(super) fn alerts(&self) -> Vec<Timed> {
        self.alerts.values().cloned().collect()
    }

    /// Takes note of which alerts nobody is told of now.
    pub(super) fn keep_quiet(&mut self, is_quiet: impl Fn(&LabelSet) -> bool) {
        let quiet = self.alerts.iter().filter(|(_, timed)| is_quiet(&timed.alert.labels));
        self.quiet = quiet.map(|(fingerprint, _)| fingerprint.clone()).collect();
    }

    /// The alerts that are told of.
    pub(super) fn told_alerts(&self) -> Vec<Timed> {
        self.loud().map(|(_, timed)| timed.clone()).collect()
    }

    fn loud(&self) -> impl Iterator<Item = (&String, &Timed)> {
        self.alerts.iter().filter(|(fingerprint, _)| !self.quiet.contains(*fingerprint))
    }

    /// Why a notification is due, if one is. Without `send_resolved`, an end among firing alerts is no reason.
    pub(super) fn due(&self, now: Instant, repeat: Duration, send_resolved: bool) -> Option<Reason> {
        let (firing, resolved) = self.by_state();
        let Some(told) = &self.told else {
            // A group whose alerts ended before it was ever told has nothing to say.
            return (!firing.is_empty()).then_some(Reason::First);
        };
        if !firing.is_subset(&told.firing) {
            return Some(Reason::NewAlerts);
        }
        if firing.is_empty() {
            return (!told.firing.is_empty()).then_some(Reason::AllResolved);
        }
        if send_resolved && !resolved.is_subset(&told.resolved) {
            return Some(Reason::SomeResolved);
        }
        (now - told.at >= repeat).then_some(Reason::Repeat)
    }

    /// The receiver acknowledged `sent`: it is remembered, and what had ended leaves the group.
    pub(super) fn acknowledged(&mut self, sent: &[Timed], now: Instant) {
        let fingerprints = |ended: bool| {
            let matching = sent.iter().filter(move |timed| timed.ends_at.is_some() == ended);
            matching.map(|timed| timed.alert.fingerprint()).collect::<BTreeSet<_>>()
        };
        let (firing, resolved) = (fingerprints(false), fingerprints(true));
        // Only what is still ended: an alert that fired again while the notification was under way stays.
        self.alerts.retain(|fingerprint, timed| timed.ends_at.is_none() || !resolved.contains(fingerprint));
        self.told = Some(Told { firing, resolved, at: now });
    }

    /// Ended alerts that will never be told leave the group too: those never told as firing, those that ended quietly, and
    /// without `send_resolved` all of them.
    pub(super) fn forget_untold(&mut self, send_resolved: bool) {
        let told = self.told.as_ref().filter(|_| send_resolved);
        let quiet = &self.quiet;
        let waits = |fingerprint: &String| {
            !quiet.contains(fingerprint) && told.is_some_and(|told| told.firing.contains(fingerprint))
        };
        self.alerts.retain(|fingerprint, timed| timed.ends_at.is_none() || waits(fingerprint));
    }

    fn by_state(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let names = |ended: bool| {
            let matching = self.loud().filter(move |(_, timed)| timed.ends_at.is_some() == ended);
            matching.map(|(fingerprint, _)| fingerprint.clone()).collect()
        };
        (names(false), names(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPEAT: Duration = Duration::from_secs(3_600);

    fn mk_alert(instance: &str) -> Alert {
        Alert::new("HighErrorRate", &[("instance", instance)], "")
    }

    /// Acknowledges whatever is due now and returns the reason.
    fn flush(group: &mut Group, now: Instant) -> Option<Reason> {
        let reason = group.due(now, REPEAT, true);
        if reason.is_some() {
            let alerts = group.alerts();
            group.acknowledged(&alerts, now);
        }
        reason
    }

    #[test]
    fn a_change_is_told_once_and_silence_follows() {
        let (mut group, now, time) = (Group::new(LabelSet::new()), Instant::now(), Timestamp::now());
        assert_eq!(flush(&mut group, now), None);
        group.fire(mk_alert("1"), time);
        assert_eq!(flush(&mut group, now), Some(Reason::First));
        assert_eq!(flush(&mut group, now), None);
        group.fire(mk_alert("2"), time);
        assert_eq!(flush(&mut group, now), Some(Reason::NewAlerts));
        group.resolve(&mk_alert("1").fingerprint(), time);
        assert_eq!(flush(&mut group, now), Some(Reason::SomeResolved));
        assert_eq!(flush(&mut group, now), None);
        assert_eq!(flush(&mut group, now + REPEAT), Some(Reason::Repeat));
        group.resolve(&mk_alert("2").fingerprint(), time);
        assert_eq!(flush(&mut group, now + REPEAT), Some(Reason::AllResolved));
        assert!(group.is_empty());
        assert_eq!(flush(&mut group, now + REPEAT * 2), None, "nothing fires: nothing repeats");
    }

    #[test]
    fn what_is_not_acknowledged_stays_due() {
        let (mut group, now) = (Group::new(LabelSet::new()), Instant::now());
        group.fire(mk_alert("1"), Timestamp::now());
        assert_eq!(group.due(now, REPEAT, true), Some(Reason::First));
        assert_eq!(group.due(now, REPEAT, true), Some(Reason::First), "a refused notification comes again");
    }

    #[test]
    fn an_alert_that_fires_again_while_its_end_is_told_is_not_lost() {
        let (mut group, now, time) = (Group::new(LabelSet::new()), Instant::now(), Timestamp::now());
        group.fire(mk_alert("1"), time);
        flush(&mut group, now);
        group.resolve(&mk_alert("1").fingerprint(), time);
        let under_way = group.alerts();
        group.fire(mk_alert("1"), time);
        group.acknowledged(&under_way, now);
        assert_eq!(flush(&mut group, now), Some(Reason::NewAlerts));
    }

    #[test]
    fn what_is_kept_quiet_is_told_neither_at_its_beginning_nor_at_its_end() {
        let (mut group, now, time) = (Group::new(LabelSet::new()), Instant::now(), Timestamp::now());
        let is_one = |labels: &LabelSet| labels["instance"] == "1";
        group.fire(mk_alert("1"), time);
        group.keep_quiet(is_one);
        assert_eq!(flush(&mut group, now), None);
        group.keep_quiet(|_| false);
        assert_eq!(flush(&mut group, now), Some(Reason::First), "the silence is over");
        group.fire(mk_alert("2"), time);
        group.keep_quiet(is_one);
        assert_eq!(group.due(now, REPEAT, true), Some(Reason::NewAlerts));
        assert_eq!(group.told_alerts().len(), 1);
        group.resolve(&mk_alert("1").fingerprint(), time);
        group.forget_untold(true);
        assert_eq!(group.alerts().len(), 1, "its end is never told");
    }

    #[test]
    fn without_send_resolved_an_end_is_neither_told_nor_kept() {
        let (mut group, now, time) = (Group::new(LabelSet::new()), Instant::now(), Timestamp::now());
        group.fire(mk_alert("1"), time);
        group.fire(mk_alert("2"), time);
        flush(&mut group, now);
        group.resolve(&mk_alert("1").fingerprint(), time);
        assert_eq!(group.due(now, REPEAT, false), None);
        group.forget_untold(false);
        assert_eq!(group.alerts().len(), 1);
    }

    #[test]
    fn an_alert_that_ended_before_it_was_told_is_dropped_silently() {
        let (mut group, now, time) = (Group::new(LabelSet::new()), Instant::now(), Timestamp::now());
        group.fire(mk_alert("1"), time);
        group.resolve(&mk_alert("1").fingerprint(), time);
        assert_eq!(flush(&mut group, now), None);
        group.forget_untold(true);
        assert!(group.is_empty());
    }
}
