//! One alerting rule at work: inactive, pending, firing. A pure state machine, as in Prometheus' rule manager.

/// Where an alerting rule stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Alarm {
    /// The measure is below its threshold.
    #[default]
    Inactive,
    /// It has been above since then (seconds since 1970), not yet for long enough.
    Pending {
        /// Since when.
        since: f64,
    },
    /// It has been above for long enough.
    Firing,
}

/// What the sender is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The alert begins to fire.
    Fires,
    /// The alert has ended.
    Ends,
}

impl Alarm {
    /// Looks at the measure: whether it is above its threshold at `now`, and how many seconds it must stay there.
    pub(super) fn observe(&mut self, above: bool, now: f64, hold_seconds: f64) -> Option<Change> {
        let (next, change) = match (*self, above) {
            (Self::Inactive, true) if hold_seconds <= 0.0 => (Self::Firing, Some(Change::Fires)),
            (Self::Inactive, true) => (Self::Pending { since: now }, None),
            (Self::Pending { since }, true) if now - since >= hold_seconds => {
                (Self::Firing, Some(Change::Fires))
            }
            (Self::Firing, false) => (Self::Inactive, Some(Change::Ends)),
            (Self::Pending { .. } | Self::Inactive, false) => (Self::Inactive, None),
            (unchanged, _) => (unchanged, None),
        };
        *self = next;
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fires_only_after_staying_above_for_long_enough() {
        let mut alarm = Alarm::default();
        assert_eq!(alarm.observe(true, 0.0, 10.0), None);
        assert_eq!(alarm.observe(true, 9.9, 10.0), None);
        assert_eq!(alarm.observe(true, 10.0, 10.0), Some(Change::Fires));
        assert_eq!(alarm.observe(true, 99.0, 10.0), None, "once");
        assert_eq!(alarm.observe(false, 100.0, 10.0), Some(Change::Ends));
        assert_eq!(alarm.observe(false, 101.0, 10.0), None);
    }

    #[test]
    fn a_dip_while_pending_starts_the_wait_anew() {
        let mut alarm = Alarm::default();
        alarm.observe(true, 0.0, 10.0);
        alarm.observe(false, 5.0, 10.0);
        assert_eq!(alarm.observe(true, 6.0, 10.0), None);
        assert_eq!(alarm.observe(true, 12.0, 10.0), None);
        assert_eq!(alarm.observe(true, 16.0, 10.0), Some(Change::Fires));
    }
}
