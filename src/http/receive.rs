//! Receivers: webhooks come in, are checked, and are stored before they are answered.
//!
//! 200 means stored. 400 means garbage, 401 and 413 what they say. Everything temporary is 503, because that is
//! what senders repeat; a 429 or a redirect would lose an alert until the next group interval.

pub mod alertmanager;
pub mod grafana;
pub mod pagerduty;
pub mod slack;

use super::problem::Problem;
use super::services::Services;
use crate::engine::ports::{Delivery, Source};
use bytes::Bytes;

/// Stores one delivery.
pub(super) async fn store(services: &Services, source: Source, body: Bytes) -> Result<(), Problem> {
    let delivery = Delivery { id: services.ids.delivery(), source, received_at: services.clock.now(), body };
    services.intake.accept(delivery).await.map_err(|error| Problem::unavailable(error.to_string()))
}
