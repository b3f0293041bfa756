//! Reads when alerts fired out of Prometheus' `ALERTS` series, a piece of the range at a time, and tells it as episodes:
//! an alert began, an alert ended.
//!
//! Bounded: a piece has at most [`POINTS_MAX`] points a series and what one answer may hold, and is halved where that is
//! too much. Nothing is kept but the alerts that fire and one piece.

use crate::clients::prometheus::answer::{Data, Series};
use crate::clients::prometheus::{PrometheusClient, PrometheusError, QueryLimits, Range};
use crate::domain::Labels;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::fingerprint::Fingerprint;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Points of a series in one answer. Prometheus refuses more than 11,000.
const POINTS_MAX: i64 = 10_000;

/// Points of a piece at first: six hours by the minute. Few enough that an answer about hundreds of alerts is small.
const POINTS_FIRST: i64 = 360;

/// Series of one answer. More alerts than that within minutes are no history of alerts.
const SERIES_MAX: usize = 100_000;

/// Longest time for one question.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a piece is asked for once Prometheus has answered before: a restart is over within it.
const TRIES_MAX: u32 = 5;

/// First wait before a piece is asked for again; it doubles.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Points of the whole range, over all pieces. At a minute that is two years.
pub const RANGE_POINTS_MAX: i64 = 1_100_000;

/// Holes in the history that are listed.
pub const HOLES_MAX: usize = 50;

/// What shows whether Prometheus itself was there.
const PULSE: &str = "count(up)";

/// Which history is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// The distance of the points.
    pub step: SignedDuration,
    /// An alert that is missing for no longer than this has not ended: Prometheus restarted.
    pub grace: SignedDuration,
}

impl Span {
    /// How many points it has.
    pub fn points(&self) -> i64 {
        let step = self.step.as_millis().max(1);
        i64::try_from(self.to.duration_since(self.from).as_millis() / step).unwrap_or(i64::MAX) + 1
    }
}

/// Why the history cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Prometheus has no answer.
    #[error("the history from {from} on cannot be read: {error}")]
    Asked {
        /// Where the piece begins.
        from: Timestamp,
        /// Why.
        error: PrometheusError,
    },
    /// Even one point is too much.
    #[error("so many alerts fired at {at} that one answer cannot hold them: {error}")]
    TooMuch {
        /// When.
        at: Timestamp,
        /// What Prometheus said.
        error: PrometheusError,
    },
}

/// A time of which Prometheus knows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// The last point before it.
    pub from: Timestamp,
    /// The first point after it.
    pub to: Timestamp,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Read {
    /// Times that an alert began, those included that fired at the start.
    pub episodes: u64,
    /// Alerts that fired when the range began: when they began is not known.
    pub firing_at_start: u64,
    /// Alerts that fired when it ended.
    pub firing_at_end: u64,
    /// Points that were read.
    pub points: u64,
    /// Times without any data, longest known first; at most [`HOLES_MAX`].
    pub holes: Vec<Hole>,
    /// Whether holes would have shown: there is a series `up`.
    pub has_pulse: bool,
    /// What Prometheus remarked.
    pub warnings: Vec<String>,
}

/// What happened at one time, ends first.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What began or ended.
    pub alerts: Vec<Alert>,
}

/// An alert that fires.
struct Firing {
    labels: Labels,
    since: Timestamp,
    last: Timestamp,
}

/// Reads a history, piece by piece.
pub struct History {
    client: PrometheusClient,
    span: Span,
    /// Labels that Prometheus adds when it sends.
    added: Labels,
    next: Timestamp,
    points: i64,
    has_answered: bool,
    episodes: Episodes,
}

/// Tells points as episodes.
struct Episodes {
    span: Span,
    added: Labels,
    firing: HashMap<Fingerprint, Firing>,
    /// What is known to have happened and not told yet.
    untold: BTreeMap<Timestamp, Vec<Alert>>,
    pulse: Option<Timestamp>,
    read: Read,
}

impl History {
    /// The history of this span.
    pub fn new(client: PrometheusClient, span: Span, added: Labels) -> Self {
        let episodes = Episodes::new(span, added.clone());
        Self { client, span, added, next: span.from, points: POINTS_FIRST, has_answered: false, episodes }
    }

    /// Labels that every alert gets.
    pub fn added(&self) -> &Labels {
        &self.added
    }

    /// What happened in the next piece, in order; none after the last.
    ///
    /// # Errors
    /// Where Prometheus cannot tell.
    pub async fn next(&mut self) -> Result<Option<Vec<Moment>>, HistoryError> {
        if self.next > self.span.to {
            return Ok(None);
        }
        let (end, series) = self.piece().await?;
        let range = Range { start: self.next, end, step: self.span.step };
        let pulse = match self.ask(PULSE, range).await {
            Ok(series) => series,
            Err(error) => return Err(HistoryError::Asked { from: self.next, error }),
        };
        self.episodes.pulse(&pulse);
        self.next = end + self.span.step;
        let is_last = self.next > self.span.to;
        Ok(Some(self.episodes.take(series, end, is_last)))
    }

    /// What was read, after the last piece.
    pub fn read(self) -> Read {
        self.episodes.read
    }

    /// The points of one piece, and its end. It is halved as long as it is too large.
    async fn piece(&mut self) -> Result<(Timestamp, Vec<Series>), HistoryError> {
        loop {
            let points = self.points.clamp(1, POINTS_MAX);
            let wanted = self.span.step.saturating_mul(i32::try_from(points - 1).unwrap_or(i32::MAX));
            let end = self.next.checked_add(wanted).unwrap_or(self.span.to).min(self.span.to);
            let range = Range { start: self.next, end, step: self.span.step };
            match self.ask("ALERTS{alertstate=\"firing\"}", range).await {
                Ok(series) => {
                    // What was too much once may be little later.
                    self.points = (points + points / 4 + 1).min(POINTS_FIRST);
                    return Ok((end, series));
                }
                Err(error) if is_too_much(&error) && points > 1 => self.points = points / 2,
                Err(error) if is_too_much(&error) => {
                    return Err(HistoryError::TooMuch { at: self.next, error });
                }
                Err(error) => return Err(HistoryError::Asked { from: self.next, error }),
            }
        }
    }

    async fn ask(&mut self, expr: &str, range: Range) -> Result<Vec<Series>, PrometheusError> {
        let limits = QueryLimits { timeout: QUERY_TIMEOUT, series_max: SERIES_MAX };
        let mut wait = RETRY_WAIT;
        let mut tries = 1;
        let answer = loop {
            match self.client.query_range(expr, range, limits).await {
                Err(error) if self.has_answered && error.retryable() && tries < TRIES_MAX => {
                    tokio::time::sleep(wait).await;
                    (wait, tries) = (wait * 2, tries + 1);
                }
                other => break other?,
            }
        };
        self.has_answered = true;
        for warning in answer.warnings {
            if !self.episodes.read.warnings.contains(&warning) {
                self.episodes.read.warnings.push(warning);
            }
        }
        match answer.data {
            Data::Matrix(series) => Ok(series),
            _ => Err(PrometheusError::Garbled("a range was asked for, and no range came".to_owned())),
        }
    }
}

/// Whether fewer points could be told.
fn is_too_much(error: &PrometheusError) -> bool {
    matches!(
        error,
        PrometheusError::TooLarge(_) | PrometheusError::CannotExecute(_) | PrometheusError::TimedOut(_)
    )
}

impl Episodes {
    fn new(span: Span, added: Labels) -> Self {
        Self {
            span,
            added,
            firing: HashMap::new(),
            untold: BTreeMap::new(),
            pulse: None,
            read: Read::default(),
        }
    }

    /// Takes note of when Prometheus was there.
    fn pulse(&mut self, series: &[Series]) {
        for point in series.iter().flat_map(|one| &one.points) {
            self.read.has_pulse = true;
            let before = self.pulse.replace(point.at).unwrap_or(self.span.from);
            self.hole(before, point.at);
        }
    }

    fn hole(&mut self, from: Timestamp, to: Timestamp) {
        if to.duration_since(from) > self.span.grace && self.read.holes.len() < HOLES_MAX {
            self.read.holes.push(Hole { from, to });
        }
    }

    /// Takes in the points of a piece, and gives what is certain by now, in order.
    fn take(&mut self, series: Vec<Series>, end: Timestamp, is_last: bool) -> Vec<Moment> {
        for Series { labels, points } in series {
            let labels = self.labels_of(labels);
            let fingerprint = Fingerprint::of_labels(&labels);
            self.read.points += points.len() as u64;
            for point in points {
                self.see(fingerprint, &labels, point.at);
            }
        }
        let certain = match is_last {
            true => Timestamp::MAX,
            false => end - self.span.grace - self.span.step,
        };
        self.end_those_gone(end, is_last);
        if is_last && self.read.has_pulse {
            self.hole(self.pulse.unwrap_or(self.span.from), self.span.to);
        }
        let later = self.untold.split_off(&certain);
        let told = std::mem::replace(&mut self.untold, later);
        told.into_iter().map(|(at, alerts)| Moment { at, alerts }).collect()
    }

    /// The labels that Alertmanager would have seen.
    fn labels_of(&self, mut labels: Labels) -> Labels {
        labels.remove("__name__");
        labels.remove("alertstate");
        for (name, value) in &self.added {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        labels
    }

    fn see(&mut self, fingerprint: Fingerprint, labels: &Labels, at: Timestamp) {
        if let Some(known) = self.firing.get_mut(&fingerprint) {
            if at.duration_since(known.last) <= self.span.grace.max(self.span.step) {
                known.last = known.last.max(at);
                return;
            }
            let ended = Firing { labels: labels.clone(), since: known.since, last: known.last };
            self.end(fingerprint, ended);
        }
        self.read.episodes += 1;
        self.read.firing_at_start += u64::from(at == self.span.from);
        self.firing.insert(fingerprint, Firing { labels: labels.clone(), since: at, last: at });
        let alert = alert(fingerprint, labels.clone(), at, None);
        self.untold.entry(at).or_default().push(alert);
    }

    fn end_those_gone(&mut self, now: Timestamp, is_last: bool) {
        // At the very end nobody knows whether an alert that is missing comes back within the grace: what is missing at
        // the last points is taken to have ended.
        let grace = if is_last { self.span.step } else { self.span.grace.max(self.span.step) };
        let is_gone = |firing: &Firing| now.duration_since(firing.last) > grace;
        let mut gone: Vec<Fingerprint> =
            self.firing.iter().filter(|(_, firing)| is_gone(firing)).map(|(key, _)| *key).collect();
        gone.sort_unstable();
        for fingerprint in gone {
            if let Some(ended) = self.firing.remove(&fingerprint) {
                self.end(fingerprint, ended);
            }
        }
        if is_last {
            self.read.firing_at_end = self.firing.len() as u64;
        }
    }

    /// It ended at the first point at which it was missing.
    fn end(&mut self, fingerprint: Fingerprint, ended: Firing) {
        let at = ended.last + self.span.step;
        let alert = alert(fingerprint, ended.labels, ended.since, Some(at));
        self.untold.entry(at).or_default().insert(0, alert);
    }
}

fn alert(
    fingerprint: Fingerprint,
    labels: Labels,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
) -> Alert {
    let status = if ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing };
    Alert { fingerprint, status, labels, annotations: Labels::new(), starts_at, ends_at, generator_url: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::prometheus::answer::Point;

    fn at(minutes: i64) -> Timestamp {
        let start: Timestamp = "2026-03-10T10:00:00Z".parse().expect("a time");
        start + SignedDuration::from_mins(minutes)
    }

    fn mk_episodes(minutes: i64, added: &[(&str, &str)]) -> Episodes {
        let (step, grace) = (SignedDuration::from_mins(1), SignedDuration::from_mins(5));
        let added = added.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Episodes::new(Span { from: at(0), to: at(minutes), step, grace }, added.collect())
    }

    fn mk_series(name: &str, minutes: impl IntoIterator<Item = i64>) -> Series {
        let labels = [("__name__", "ALERTS"), ("alertstate", "firing"), ("alertname", name)];
        Series {
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            points: minutes.into_iter().map(|minute| Point { at: at(minute), value: 1.0 }).collect(),
        }
    }

    /// The minutes at which something was told, in order: what began with a plus, what ended with a minus.
    fn told(moments: &[Moment]) -> Vec<String> {
        let minute = |moment: &Moment| moment.at.duration_since(at(0)).as_mins();
        let one = |moment: &Moment, alert: &Alert| {
            let sign = if alert.ends_at.is_some() { '-' } else { '+' };
            format!("{sign}{}@{}", alert.name(), minute(moment))
        };
        moments.iter().flat_map(|moment| moment.alerts.iter().map(move |alert| one(moment, alert))).collect()
    }

    #[test]
    fn an_alert_over_several_pieces_is_one_episode_and_everything_comes_in_order() {
        let mut episodes = mk_episodes(59, &[]);
        let mut all = episodes.take(vec![mk_series("A", 10..20), mk_series("B", 15..17)], at(19), false);
        all.extend(episodes.take(vec![mk_series("A", 20..30), mk_series("C", 38..40)], at(39), false));
        all.extend(episodes.take(vec![mk_series("C", 40..60)], at(59), true));
        assert_eq!(told(&all), ["+A@10", "+B@15", "-B@17", "-A@30", "+C@38"]);
        assert!(all.is_sorted_by_key(|moment| moment.at));
        assert_eq!((episodes.read.episodes, episodes.read.firing_at_end), (3, 1));
    }

    #[test]
    fn what_is_missing_for_no_longer_than_the_grace_has_not_ended() {
        let mut episodes = mk_episodes(59, &[]);
        // Away for five minutes, then for six.
        let away = (0..10).chain(14..20).chain(25..30);
        let all = episodes.take(vec![mk_series("A", away)], at(59), true);
        assert_eq!(told(&all), ["+A@0", "-A@20", "+A@25", "-A@30"]);
        assert_eq!((episodes.read.episodes, episodes.read.firing_at_start), (2, 1));
    }

    #[test]
    fn alerts_have_the_labels_that_alertmanager_would_have_seen() {
        let mut episodes = mk_episodes(59, &[("cluster", "eu"), ("alertname", "never")]);
        let all = episodes.take(vec![mk_series("A", 0..3)], at(59), true);
        let labels: Vec<_> =
            all[0].alerts[0].labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(labels, ["alertname=A", "cluster=eu"]);
    }

    #[test]
    fn times_without_a_pulse_are_holes() {
        let mut episodes = mk_episodes(59, &[]);
        episodes.pulse(&[mk_series("up", 8..20)]);
        episodes.pulse(&[mk_series("up", (24..30).chain(40..50))]);
        episodes.take(Vec::new(), at(59), true);
        let holes: Vec<_> = episodes.read.holes.iter().map(|hole| (hole.from, hole.to)).collect();
        assert_eq!(holes, [(at(0), at(8)), (at(29), at(40)), (at(49), at(59))]);
    }
}
