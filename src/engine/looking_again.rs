//! Looks whether alerts still fire some time after a person said that their incident is over: the effect
//! [`Effect::LookAgain`](crate::domain::effect::Effect).
//!
//! What is found goes the way of every repeat, as a delivery in the inbox, so the incident is opened again, or the alerts
//! join the one that was opened since, by the same steps as when Alertmanager tells of them. It never ends an alert: that
//! is the reconciler's, which looks twice (`reconciling.rs`). `docs/decisions/0007-a-persons-resolve-holds.md` has the reasons.

use super::executor::Executor;
use super::ports::{Delivery, HeldAlert, Leased, Peer, Source, StoreError};
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::fingerprint::Fingerprint;
use std::collections::HashMap;
use std::time::Duration;

/// Longest time to ask Alertmanager, below the lease. Where it does not answer, what we know last counts.
const ASK_TIMEOUT: Duration = Duration::from_secs(20);

/// How long until it is looked again where Alertmanager keeps every alert quiet: somebody decided that there.
const QUIET_WAIT: Duration = Duration::from_secs(30 * 60);

/// Alerts that are repeated. The first opens the incident again, and Alertmanager repeats the others by itself.
const REPEATED_MAX: usize = 250;

/// What Alertmanager says of the alerts that fired.
enum Found {
    /// These fire, as far as anybody knows.
    Firing(Vec<Alert>),
    /// They fire, and it keeps them quiet.
    Quiet,
}

impl Executor {
    pub(super) async fn look_again(&self, leased: &Leased) -> Result<(), StoreError> {
        let Some(view) = self.reader.incident(&leased.incident).await? else {
            return self.finish(leased, None).await;
        };
        let by_a_person =
            view.incident.resolved.as_ref().is_some_and(|resolution| resolution.actor.is_some());
        if !by_a_person {
            return self.finish(leased, None).await;
        }
        let fired = view.alerts.into_iter().filter(|(record, _)| record.status == AlertStatus::Firing);
        let fired: Vec<Alert> = fired.map(|(_, alert)| alert).take(REPEATED_MAX).collect();
        match still_firing(fired, &self.peers().await) {
            Found::Quiet => return self.postpone(leased, QUIET_WAIT).await,
            Found::Firing(alerts) if alerts.is_empty() => {}
            Found::Firing(alerts) => {
                let body = serde_json::to_vec(&alerts).expect("alerts can be written as JSON").into();
                let (id, received_at) = (self.herald.ids.delivery(), self.clock.now());
                let delivery = Delivery { id, source: Source::Reconciler, received_at, body };
                if let Err(error) = self.herald.intake.accept(delivery).await {
                    tracing::warn!(%error, "what still fires could not be stored; it is looked again");
                    return self.postpone(leased, super::executor::backoff(leased.attempt)).await;
                }
            }
        }
        self.finish(leased, None).await
    }

    /// What the Alertmanagers hold; nothing where there is none, or none answers in time.
    async fn peers(&self) -> Vec<Peer> {
        let Some(alerting) = &self.alerting else { return Vec::new() };
        tokio::time::timeout(ASK_TIMEOUT, alerting.held()).await.unwrap_or_default()
    }
}

/// Whether we raised it ourselves: no Alertmanager ever holds it, and nobody tells of it again while it fires.
fn is_raised_here(alert: &Alert) -> bool {
    let own = [super::auditing::FAILED, super::watchdogs::MISSING, crate::domain::scheduled::FAILED];
    alert.labels.get("alertname").is_some_and(|name| own.contains(&name.as_str()))
}

/// An alert is believed to have ended where every peer answers, one of them holds anything at all, and none holds it: a
/// peer that has just started holds nothing yet. In doubt it fires.
fn still_firing(fired: Vec<Alert>, peers: &[Peer]) -> Found {
    let mut held: HashMap<Fingerprint, &HeldAlert> = HashMap::new();
    for alert in peers.iter().filter_map(|peer| peer.held.as_ref().ok()).flat_map(|held| &held.alerts) {
        // A silence that has yet to reach one peer is one all the same.
        let known = held.entry(alert.alert.fingerprint).or_insert(alert);
        if alert.is_silenced || alert.is_inhibited {
            *known = alert;
        }
    }
    let knows_gone = peers.iter().all(|peer| peer.held.is_ok()) && !held.is_empty();
    let is_gone =
        |alert: &Alert| knows_gone && !is_raised_here(alert) && !held.contains_key(&alert.fingerprint);
    let firing = fired.into_iter().filter(|alert| !is_gone(alert));
    let firing: Vec<Alert> = firing.collect();
    let is_quiet = |alert: &Alert| {
        held.get(&alert.fingerprint).is_some_and(|held| held.is_silenced || held.is_inhibited)
    };
    if !firing.is_empty() && firing.iter().all(is_quiet) {
        return Found::Quiet;
    }
    Found::Firing(firing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Labels;
    use crate::engine::ports::Held;
    use jiff::Timestamp;

    fn mk_alert(name: &str) -> Alert {
        let labels: Labels = [("alertname".to_owned(), name.to_owned())].into();
        Alert {
            fingerprint: Fingerprint::of_labels(&labels),
            status: AlertStatus::Firing,
            labels,
            annotations: Labels::new(),
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: None,
            generator_url: None,
        }
    }

    fn mk_peer(names: &[&str]) -> Peer {
        let held = |name: &&str| HeldAlert {
            alert: mk_alert(name),
            receivers: Vec::new(),
            is_silenced: false,
            is_inhibited: false,
        };
        let alerts = names.iter().map(held).collect();
        Peer { address: "am".to_owned(), held: Ok(Held { up_for: Duration::from_secs(3_600), alerts }) }
    }

    fn firing(names: &[&str], peers: &[Peer]) -> Vec<String> {
        match still_firing(names.iter().map(|name| mk_alert(name)).collect(), peers) {
            Found::Firing(alerts) => {
                alerts.into_iter().map(|alert| alert.labels["alertname"].clone()).collect()
            }
            Found::Quiet => vec!["quiet".to_owned()],
        }
    }

    #[test]
    fn what_no_peer_holds_has_ended_but_for_what_we_raised_ourselves() {
        let peers = [mk_peer(&["DiskSpace"])];
        assert_eq!(firing(&["DiskSpace", "HighLatency"], &peers), ["DiskSpace"]);
        for own in ["SmokejumperAuditFailed", "SmokejumperWatchdogMissing", "ScheduledCheckFailed"] {
            assert_eq!(firing(&[own], &peers), [own], "no Alertmanager ever holds it");
        }
        assert_eq!(
            firing(&["HighLatency"], &[mk_peer(&[])]),
            ["HighLatency"],
            "a peer that has just started"
        );
    }
}
