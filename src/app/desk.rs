//! Hands what has to be answered at once from the doors to the desk that answers it: rooms of one floor do not know each
//! other.

use crate::http::services::SlackDesk;
use crate::notify::slack::desk::Desk;
use std::sync::Arc;

/// The desk, for the doors.
pub(super) fn behind_the_doors(desk: Desk) -> SlackDesk {
    let desk = Arc::new(desk);
    let (asking, telling) = (Arc::clone(&desk), Arc::clone(&desk));
    let (commanding, showing) = (Arc::clone(&desk), desk);
    SlackDesk {
        ask_why: Arc::new(move |body| {
            let opening = Arc::clone(&asking).ask_why(body)?;
            Some(Box::pin(opening))
        }),
        tell_stray: Arc::new(move |body| {
            let desk = Arc::clone(&telling);
            Box::pin(async move { desk.tell_stray(&body).await })
        }),
        command: Arc::new(move |asked| Box::pin(Arc::clone(&commanding).command(asked))),
        open_home: Arc::new(move |opened| {
            let desk = Arc::clone(&showing);
            Box::pin(async move { desk.home_opened(&opened).await })
        }),
    }
}
