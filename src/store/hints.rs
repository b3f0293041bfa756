//! Tells other replicas that there is something to do, and hears it from them: PostgreSQL's NOTIFY and LISTEN.
//!
//! Only a hint. It is sent after the transaction, not within it, since NOTIFY serialises the commits of a whole
//! server; it is sent at most once in a while; and whoever misses it finds out by polling.

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// The channel; a database holds one installation.
const CHANNEL: &str = "smokejumper";

/// Least time between two notifications of one process: many writes become one hint.
const SEND_EVERY: Duration = Duration::from_millis(20);

/// Wait after a failure to listen or to send, so that a server that is down is not hammered.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// The hearing side, with the two tasks behind it, which end with this value.
pub(super) struct Hints {
    hear: Arc<watch::Sender<u64>>,
    tasks: JoinSet<()>,
}

impl Hints {
    /// For a database of one process: nobody else writes, so nothing is ever heard.
    pub(super) fn silent() -> Self {
        Self { hear: Arc::new(watch::Sender::new(0)), tasks: JoinSet::new() }
    }

    /// Starts to listen with a connection of its own, and to send over the pool whenever there is news.
    pub(super) fn start(server: PgConnectOptions, pool: PgPool, news: Arc<Notify>) -> Self {
        let mut hints = Self::silent();
        hints.tasks.spawn(send(pool, news));
        hints.tasks.spawn(listen(server.disable_statement_logging(), Arc::clone(&hints.hear)));
        hints
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.hear.subscribe()
    }
}

async fn send(pool: PgPool, news: Arc<Notify>) {
    loop {
        news.notified().await;
        if pool.is_closed() {
            return;
        }
        let sent = sqlx::query("NOTIFY smokejumper").execute(&pool).await;
        tokio::time::sleep(if sent.is_ok() { SEND_EVERY } else { RETRY_WAIT }).await;
    }
}

async fn listen(server: PgConnectOptions, hear: Arc<watch::Sender<u64>>) {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(server);
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            // What was missed while nobody listened is made up for by one hint. `try_recv` answers nothing after a
            // lost connection, which it has then made anew: that counts as well.
            hear.send_modify(|count| *count += 1);
            while listener.try_recv().await.is_ok() {
                hear.send_modify(|count| *count += 1);
            }
        }
        tokio::time::sleep(RETRY_WAIT).await;
    }
}
