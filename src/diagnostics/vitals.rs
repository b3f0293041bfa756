//! Vital signs: whether Prometheus, Alertmanager and the cluster's API answer, whether alerting works from end to end,
//! whether the clock stood still, and whether a large share of all targets, or of the cluster's nodes, is down at once.
//!
//! Guardrails read them: who cannot see does not act alone, and what is wrong with many at once is not healed one by
//! one. A sign that cannot be had is bad news and never good news.

mod cluster;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Diagnostics, PrometheusAccess};
use crate::clients::http::{HttpRequest, Method, Url};
use crate::clients::prometheus::QueryLimits;
use crate::clients::prometheus::answer::Data;
use crate::domain::vitals::{Sign, Vitals};
use crate::engine::clock::LastJump;
use crate::engine::ports::{PortFuture, Sentinel};
use crate::engine::watchdogs::Sight;

pub(super) use cluster::Nodes;

/// Longest time for one sign. Whoever needs longer to say that all is well is not well.
const SIGN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long after the clock was set nothing is done alone: rates and timers need about as long to be right again.
const CLOCK_HOLD: SignedDuration = SignedDuration::from_mins(2);

/// Of how many targets down at once a share is counted; of two targets one is half.
const DOWN_MIN: f64 = 3.0;

/// How many scrape targets are down, and how many there are: 0 of 0 where Prometheus scrapes nothing.
const DOWN_EXPR: &str = "count(up == 0) or vector(0)";
const TARGETS_EXPR: &str = "count(up) or vector(0)";

/// Which signs are taken beside those of the configured Prometheus.
#[derive(Debug, Clone, Default)]
pub struct VitalsOptions {
    /// PromQL that gives a series while alerting works.
    pub watchdog: Option<String>,
    /// Base address of Alertmanager.
    pub alertmanager: Option<Url>,
    /// From which share of targets down, in percent, something larger is wrong; 0 means never.
    pub down_percent: u32,
    /// From which share of nodes that are not ready, in percent; 0 means that they are not looked at.
    pub nodes_percent: u32,
    /// When the wall clock was set.
    pub last_jump: LastJump,
    /// Which watchdogs stay away.
    pub sight: Sight,
}

impl Sentinel for Diagnostics {
    fn vitals(&self, now: Timestamp) -> PortFuture<'_, Vitals> {
        Box::pin(async move {
            let (prometheus, alertmanager, cluster) =
                tokio::join!(self.prometheus_signs(now), self.alertmanager_sign(), self.cluster_signs(now));
            let mut signs: BTreeMap<String, Sign> = prometheus.into_iter().chain(cluster).collect();
            signs.extend(alertmanager.map(|sign| ("alertmanager".to_owned(), sign)));
            signs.extend(clock_sign(&self.vitals.last_jump, now).map(|sign| ("clock".to_owned(), sign)));
            let missing = self.vitals.sight.missing().into_iter();
            signs.extend(missing.map(|(name, why)| (format!("watchdog {name}"), Sign::Blind(why))));
            let redactor = self.tools.keyring.redactor();
            let clean = |sign: Sign| match sign {
                Sign::Good(text) => Sign::Good(redactor.redact(&text).into_owned()),
                Sign::Blind(text) => Sign::Blind(redactor.redact(&text).into_owned()),
                Sign::BlindInCluster(text) => Sign::BlindInCluster(redactor.redact(&text).into_owned()),
                Sign::Widespread(text) => Sign::Widespread(redactor.redact(&text).into_owned()),
            };
            Vitals { at: now, signs: signs.into_iter().map(|(name, sign)| (name, clean(sign))).collect() }
        })
    }
}

impl Diagnostics {
    async fn prometheus_signs(&self, now: Timestamp) -> Vec<(String, Sign)> {
        let Some(access) = &self.tools.prometheus else { return Vec::new() };
        let watchdog = async {
            match &self.vitals.watchdog {
                None => None,
                Some(expr) => Some(watchdog_sign(values(access, expr, now).await)),
            }
        };
        let (down, targets, watchdog) =
            tokio::join!(values(access, DOWN_EXPR, now), values(access, TARGETS_EXPR, now), watchdog);
        let mut signs =
            vec![("prometheus".to_owned(), targets_sign(down, targets, self.vitals.down_percent))];
        signs.extend(watchdog.map(|sign| ("watchdog".to_owned(), sign)));
        signs
    }

    async fn alertmanager_sign(&self) -> Option<Sign> {
        let mut url = self.vitals.alertmanager.clone()?;
        let path = format!("{}/-/healthy", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let request = HttpRequest::new(Method::GET, url).timeout(SIGN_TIMEOUT).answer_bytes_max(1024);
        Some(match self.configured.send(request).await {
            Ok(answer) if answer.status.is_success() => Sign::Good("Alertmanager is healthy".to_owned()),
            Ok(answer) => Sign::Blind(format!("Alertmanager answers {}", answer.status)),
            Err(error) => Sign::Blind(format!("Alertmanager does not answer: {error}")),
        })
    }
}

/// The values of an expression, or why there are none.
async fn values(access: &PrometheusAccess, expr: &str, now: Timestamp) -> Result<Vec<f64>, String> {
    let limits = QueryLimits { timeout: SIGN_TIMEOUT.min(access.timeout), series_max: 10 };
    let query = access.client_now();
    let answer = tokio::time::timeout(SIGN_TIMEOUT, query.query(expr, Some(now), limits)).await;
    let answer = answer.map_err(|_| format!("no answer within {SIGN_TIMEOUT:?}"))?;
    match answer.map_err(|error| error.to_string())?.data {
        Data::Vector(samples) => Ok(samples.into_iter().map(|sample| sample.point.value).collect()),
        Data::Scalar(point) => Ok(vec![point.value]),
        Data::Matrix(_) | Data::Text(_) => Err("the expression gives no values".to_owned()),
    }
}

fn watchdog_sign(values: Result<Vec<f64>, String>) -> Sign {
    match values {
        Ok(values) if values.is_empty() => {
            Sign::Blind("the watchdog expression gives no series: alerting may not work".to_owned())
        }
        Ok(_) => Sign::Good("the watchdog fires".to_owned()),
        Err(why) => Sign::Blind(format!("the watchdog expression could not be asked: {why}")),
    }
}

fn targets_sign(down: Result<Vec<f64>, String>, targets: Result<Vec<f64>, String>, percent: u32) -> Sign {
    let (down, targets) = match (down, targets) {
        (Ok(down), Ok(targets)) => (down, targets),
        (Err(why), _) | (_, Err(why)) => return Sign::Blind(format!("Prometheus does not answer: {why}")),
    };
    let (Some(down), Some(targets)) = (down.first(), targets.first()) else {
        return Sign::Blind("Prometheus answers with nothing".to_owned());
    };
    // All of nothing is well, which says nothing: a Prometheus that lost its targets sees no more than one that is down.
    if *targets < 1.0 {
        return Sign::Blind("Prometheus scrapes no targets".to_owned());
    }
    let text = format!("{down} of {targets} scrape targets are down");
    let share = down / targets * 100.0;
    match percent > 0 && *down >= DOWN_MIN && share >= f64::from(percent) {
        true => Sign::Widespread(text),
        false => Sign::Good(text),
    }
}

fn clock_sign(last_jump: &LastJump, now: Timestamp) -> Option<Sign> {
    let at = last_jump.get()?;
    let is_recent = now.duration_since(at).abs() < CLOCK_HOLD;
    is_recent.then(|| Sign::Blind(format!("the clock was set at {at}")))
}

#[cfg(test)]
mod tests;
