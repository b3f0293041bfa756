//! The statements that change something: ending sessions by their identity, and upkeep of one table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Failure, PgError};
use super::{APPLICATION_NAME, PgOptions, PgReads};

/// Longest wait for a lock of upkeep: whoever waits for one holds up all who come after.
const UPKEEP_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection on which something can be changed. It reads as well.
pub struct PgHand(PgReads);

/// One session of a server. A process number comes again; with the time of its start it names one session for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Its process.
    pub pid: i32,
    /// When it was opened, in UTC to the microsecond.
    pub opened: String,
    /// As whom.
    pub user: String,
    /// In which database.
    pub database: String,
    /// What it calls itself.
    pub application: String,
    /// `idle` or `idle in transaction`.
    pub state: String,
    /// How long it has been so, in seconds.
    pub idle_seconds: i64,
}

/// How ending sessions went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How many were told to end.
    pub told: usize,
}

/// What can be done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Upkeep {
    /// Collects statistics for the planner.
    Analyze,
    /// Makes room of dead rows usable, and collects statistics. Does not block.
    VacuumAnalyze,
    /// Builds its indexes anew beside the old ones.
    ReindexConcurrently,
}

impl Upkeep {
    /// The words of SQL before the table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Analyze => "ANALYZE",
            Self::VacuumAnalyze => "VACUUM (ANALYZE)",
            Self::ReindexConcurrently => "REINDEX TABLE CONCURRENTLY",
        }
    }
}

impl PgHand {
    /// As [`PgReads::connect`].
    ///
    /// # Errors
    /// [`PgError`].
    pub async fn connect(options: &PgOptions) -> Result<Self, PgError> {
        PgReads::connect(options).await.map(Self)
    }

    /// What can be read.
    pub fn reads(&mut self) -> &mut PgReads {
        &mut self.0
    }

    /// Says farewell.
    pub async fn close(self) {
        self.0.close().await;
    }

    /// Ends those of these sessions that are still the same and have still been idle for so long. Never our own.
    ///
    /// # Errors
    /// [`PgError`].
    pub async fn end_sessions(&mut self, sessions: &[Session], idle: Duration) -> Result<Ended, PgError> {
        let wanted = serde_json::to_string(sessions).expect("sessions are made of texts and numbers");
        // Whom to end is settled before any is ended: the function is called for those rows only.
        let sql = format!(
            "WITH still AS MATERIALIZED (\
             SELECT activity.pid FROM pg_stat_activity AS activity \
             JOIN jsonb_to_recordset($1::jsonb) AS wanted(pid int, opened text) ON wanted.pid = activity.pid \
             AND wanted.opened = {OPENED} \
             WHERE activity.state IN ('idle', 'idle in transaction', 'idle in transaction (aborted)') \
             AND activity.state_change <= clock_timestamp() - make_interval(secs => $2::double precision) \
             AND activity.backend_type = 'client backend' AND activity.pid <> pg_backend_pid() \
             AND activity.application_name <> '{APPLICATION_NAME}') \
             SELECT pid, pg_terminate_backend(pid) AS told FROM still"
        );
        let values = [wanted, idle.as_secs_f64().to_string()];
        let ended = self.0.rows(&sql, &values, sessions.len()).await?;
        let told = ended.rows.iter().filter(|row| row.get("told") == Some(&serde_json::Value::Bool(true)));
        Ok(Ended { told: told.count() })
    }

    /// How many of these sessions are still there.
    ///
    /// # Errors
    /// [`PgError`].
    pub async fn still_there(&mut self, sessions: &[Session]) -> Result<usize, PgError> {
        let wanted = serde_json::to_string(sessions).expect("sessions are made of texts and numbers");
        let sql = format!(
            "SELECT activity.pid FROM pg_stat_activity AS activity \
             JOIN jsonb_to_recordset($1::jsonb) AS wanted(pid int, opened text) ON wanted.pid = activity.pid \
             AND wanted.opened = {OPENED}"
        );
        Ok(self.0.rows(&sql, &[wanted], sessions.len()).await?.rows.len())
    }

    /// Upkeep of one table, whose name is quoted.
    ///
    /// # Errors
    /// [`PgError`]; [`Failure::Broken`] where it may go on.
    pub async fn keep_up(
        &mut self,
        what: Upkeep,
        schema: &str,
        table: &str,
        within: Duration,
    ) -> Result<(), PgError> {
        let limits = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}",
            within.as_millis(),
            UPKEEP_LOCK_TIMEOUT.as_millis()
        );
        self.0.raw(limits).await?;
        // Such a statement stands for itself: within a transaction, and so beside another one, it is refused.
        self.0.raw(format!("{} {}.{}", what.words(), quoted(schema), quoted(table))).await
    }
}

/// When a session was opened, as text that does not depend on anybody's settings.
pub const OPENED: &str = "to_char(activity.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')";

/// A name as SQL takes it, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\"").replace('\0', ""))
}

/// Whether a failure leaves it open what became of a statement.
pub fn is_unclear(error: &PgError) -> bool {
    matches!(error.failure, Failure::Broken(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_name() {
        assert_eq!(quoted("orders"), "\"orders\"");
        assert_eq!(quoted("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
    }
}
