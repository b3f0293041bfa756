//! Pages that their destination does not take: somebody else hears within minutes.

use crate::desk::{Desk, mk_alert};
use jiff::SignedDuration;
use smokejumper::engine::ports::Delivered;
use std::time::Duration;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Who hears instead, within three minutes, where the first level answers so.
async fn heard_instead(answer: Delivered) -> Vec<String> {
    let desk = Desk::new().await;
    desk.refuses("slack:#incidents", answer);
    desk.post(&[mk_alert("api", desk.now())]).await;
    desk.pass(3 * MINUTE).await;
    desk.told()
}

#[tokio::test]
async fn a_page_that_is_delayed_refused_or_held_back_is_told_to_the_next_destination() {
    let reason = || "it is down".to_owned();
    for answer in [
        Delivered::Never { reason: reason() },
        Delivered::Later { wait: None, reason: reason(), failed: true },
        // However long it asks for.
        Delivered::Later { wait: Some(Duration::from_secs(3_600)), reason: reason(), failed: false },
        Delivered::Paced { wait: Duration::from_secs(3_600), reason: reason() },
    ] {
        let told = heard_instead(answer.clone()).await;
        assert!(told.contains(&"slack:#last card".to_owned()), "{answer:?}: {told:?}");
    }
}
