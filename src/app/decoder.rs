//! Reads stored deliveries with the clients that checked them on receipt.

use crate::clients::alertmanager;
use crate::engine::ports::{Decoded, Decoder, Delivery, Source};
use crate::notify::pagerduty::news::PagerDutyDecoder;
use crate::notify::slack::click::SlackDecoder;

/// Reads deliveries of every source.
pub struct HouseDecoder {
    slack: SlackDecoder,
    pagerduty: PagerDutyDecoder,
}

impl HouseDecoder {
    /// A decoder that knows the people behind Slack's and PagerDuty's users.
    pub fn new(slack: SlackDecoder, pagerduty: PagerDutyDecoder) -> Self {
        Self { slack, pagerduty }
    }
}

impl Decoder for HouseDecoder {
    fn decode(&self, delivery: &Delivery) -> Result<Decoded, String> {
        match delivery.source {
            // Grafana sends the same shape.
            Source::Alertmanager | Source::Grafana => {
                let payload = alertmanager::parse(&delivery.body).map_err(|error| error.to_string())?;
                Ok(Decoded::Alerts(payload.to_alerts(delivery.received_at)))
            }
            Source::Reconciler | Source::Own => {
                let alerts = serde_json::from_slice(&delivery.body).map_err(|error| error.to_string())?;
                Ok(Decoded::Alerts(alerts))
            }
            Source::PagerDuty => self.pagerduty.read(&delivery.body).map_err(|error| error.to_string()),
            Source::Slack => self.slack.read(&delivery.body).map_err(|error| error.to_string()),
        }
    }
}
