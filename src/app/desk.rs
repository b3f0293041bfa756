//! Hands what has to be answered at once from the doors to the desk that answers it: rooms of one floor do not know each
//! other.

use crate::http::services::AskWhy;
use crate::notify::slack::desk::Desk;
use std::sync::Arc;

/// Asks why, for the doors.
pub(super) fn asking(desk: Desk) -> Arc<AskWhy> {
    let desk = Arc::new(desk);
    Arc::new(move |body| {
        let desk = Arc::clone(&desk);
        Box::pin(async move { desk.ask_why(&body).await })
    })
}
