//! The Alertmanagers of the settings, as the engine asks them: the port [`Alerting`] over their API.
//!
//! [`silences`] sets and ends them. The peers of one cluster each get every alert from Prometheus, so each is asked what it holds. What they say is not
//! weighed here; `engine::reconciling` does that.

mod silences;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use secrecy::SecretString;

use crate::clients::alertmanager::api::{AlertmanagerClient, ApiError, Listed};
use crate::clients::http::Credentials;
use crate::engine::ports::{Alerting, Held, HeldAlert, Kept, Peer, PortFuture, SilenceOrder, SilenceRefused};
use crate::secret::Keyring;

/// What to show a peer now: credentials and further headers, since secrets may change while we run.
pub type SignIn = Arc<dyn Fn() -> (Credentials, Vec<(String, SecretString)>) + Send + Sync>;

/// The peers of one Alertmanager cluster.
pub struct Alertmanagers {
    /// One for each address.
    pub peers: Vec<AlertmanagerClient>,
    /// How to sign in at all of them.
    pub sign_in: SignIn,
    /// Knows the secrets that must not show.
    pub keyring: Keyring,
}

impl Alertmanagers {
    /// The peers with the credentials that are valid now.
    pub fn signed_in(&self) -> impl Iterator<Item = AlertmanagerClient> {
        let (credentials, headers) = (self.sign_in)();
        self.peers.iter().map(move |peer| peer.signed_in(credentials.clone(), headers.clone()))
    }

    /// What went wrong, for people.
    fn words(&self, error: &ApiError) -> String {
        self.keyring.redactor().redact(&error.to_string()).into_owned()
    }
}

impl Alerting for Alertmanagers {
    fn held(&self) -> PortFuture<'_, Vec<Peer>> {
        Box::pin(async move {
            let asked = self.signed_in().map(|peer| async move {
                let held = held(&peer).await.map_err(|error| self.words(&error));
                Peer { address: peer.address().to_owned(), held }
            });
            futures::future::join_all(asked).await
        })
    }

    fn silence<'a>(&'a self, order: &'a SilenceOrder) -> PortFuture<'a, Result<Kept, SilenceRefused>> {
        Box::pin(self.keep(order))
    }

    fn end_silence<'a>(&'a self, order: &'a SilenceOrder) -> PortFuture<'a, Result<(), SilenceRefused>> {
        Box::pin(self.end(order))
    }
}

/// The age comes first: a peer that starts in between is then younger than its list, and not older.
async fn held(peer: &AlertmanagerClient) -> Result<Held, ApiError> {
    let up_for = peer.status().await?.up_for;
    let alerts = peer.alerts().await?;
    Ok(Held { up_for, alerts: alerts.into_iter().map(held_alert).collect() })
}

fn held_alert(listed: Listed) -> HeldAlert {
    HeldAlert {
        is_silenced: !listed.silenced_by.is_empty(),
        is_inhibited: !listed.inhibited_by.is_empty(),
        alert: listed.alert,
        receivers: listed.receivers,
    }
}
