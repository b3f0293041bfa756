//! Databases that an earlier version has written: they open, and nothing of what they hold is lost.
//!
//! The tables are put back into their old form behind the store's back, with the rows that the old version would have
//! written.

use crate::build::*;
use crate::postgres::Postgres;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::timeline::{TimelineLine, verify_chain};
use smokejumper::engine::ports::{Commit, IncidentView, IncidentWrite, Reader, Store, Wanted};
use smokejumper::store::{OpenOptions, SqlStore};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// The tables of schema 3 that schema 4 has replaced; `KEY` stands for the type of keys.
const TABLES_3: &str = "
    ALTER TABLE alert RENAME TO alert_2;
    ALTER TABLE timeline RENAME TO timeline_2;
    CREATE TABLE alert (fingerprint BIGINT NOT NULL, incident_id KEY NOT NULL, status TEXT NOT NULL,
        starts_at BIGINT NOT NULL, ends_at BIGINT, updated_at BIGINT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (fingerprint, incident_id));
    CREATE INDEX alert_by_incident ON alert (incident_id, starts_at);
    INSERT INTO alert SELECT fingerprint, incident_id, status, starts_at, ends_at, updated_at, body FROM alert_2;
    CREATE TABLE timeline (incident_id KEY NOT NULL, seq BIGINT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (incident_id, seq));
    DROP TABLE alert_2;
    DROP TABLE timeline_2;
    DELETE FROM smokejumper_schema WHERE version = 4;";

fn as_in_schema_3(key_type: &str, incident: &str, lines: &[TimelineLine]) -> String {
    let mut sql = TABLES_3.replace("KEY NOT", &format!("{key_type} NOT"));
    for line in lines {
        let body = serde_json::to_string(line).expect("JSON");
        sql.push_str(&format!("INSERT INTO timeline VALUES ('{incident}', {}, '{body}');", line.seq));
    }
    sql
}

/// An incident with a trail of several lines, two alerts, and a tombstone.
async fn filled(store: &SqlStore) -> IncidentWrite {
    let mut write = mk_incident("i1", "key");
    for text in ["it goes on", "and on"] {
        let line = mk_line(&mut write.incident, text);
        write.lines.push(line);
    }
    let alerts = vec![mk_firing(1, "i1"), mk_firing(2, "i1"), mk_ended(3, None)];
    store.commit(Commit { alerts, ..committing(vec![write.clone()]) }).await.expect("stored");
    write
}

async fn view(store: &SqlStore) -> IncidentView {
    store.incident(&id("i1")).await.expect("readable").expect("there")
}

async fn goes_on(store: &SqlStore, written: &IncidentWrite, before: &IncidentView) {
    assert_eq!(view(store).await, *before);
    let fingerprints = [1, 2, 3].map(Fingerprint::from).to_vec();
    let loaded = store.load(Wanted { fingerprints, ..Wanted::default() }).await.expect("it loads");
    assert_eq!(loaded.alerts.len(), 3);
    assert_eq!(loaded.incidents, std::slice::from_ref(&written.incident));

    let change = mk_change(&written.incident, "after the upgrade");
    let alerts = vec![mk_ended(2, Some("i1"))];
    store.commit(Commit { alerts, ..committing(vec![change]) }).await.expect("stored");
    let after = view(store).await;
    assert_eq!(after.timeline.len(), 4);
    verify_chain(&after.timeline).expect("the chain goes on");
    assert_eq!(after.alerts.len(), 2, "the alert was written over");
}

#[tokio::test]
async fn a_file_of_an_earlier_schema_is_brought_up_to_date() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("store.db");
    let open = || async {
        let url = format!("sqlite://{}", path.display());
        SqlStore::open(&url, &OpenOptions::default()).await.expect("it opens")
    };
    let store = open().await;
    let written = filled(&store).await;
    let before = view(&store).await;
    store.close().await;
    drop(store);
    let other = rusqlite::Connection::open(&path).expect("it opens");
    other.execute_batch(&as_in_schema_3("TEXT", "i1", &before.timeline)).expect("as it was");
    drop(other);
    goes_on(&open().await, &written, &before).await;
}

#[tokio::test]
async fn a_postgresql_of_an_earlier_schema_is_brought_up_to_date() {
    let url = tokio::task::spawn_blocking(|| Postgres::shared().database()).await.expect("no panic");
    let open = || async { SqlStore::open(&url, &OpenOptions::default()).await.expect("it opens") };
    let store = open().await;
    let written = filled(&store).await;
    let before = view(&store).await;
    store.close().await;
    let mut other = PgConnection::connect(&url).await.expect("it connects");
    let sql = as_in_schema_3("TEXT COLLATE \"C\"", "i1", &before.timeline);
    other.execute(AssertSqlSafe(sql)).await.expect("as it was");
    other.close().await.expect("it closes");
    goes_on(&open().await, &written, &before).await;
}

/// Small pages stay as they are: only new files have large ones.
#[tokio::test]
async fn a_file_with_small_pages_is_used_as_it_is() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("store.db");
    let page_bytes = || {
        let file = rusqlite::Connection::open(&path).expect("it opens");
        file.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0)).expect("a number")
    };
    let old = rusqlite::Connection::open(&path).expect("it opens");
    old.execute_batch("PRAGMA page_size = 4096; PRAGMA application_id = 1397574224; VACUUM").expect("a file");
    drop(old);
    let url = format!("sqlite://{}", path.display());
    let store = SqlStore::open(&url, &OpenOptions::default()).await.expect("it opens");
    filled(&store).await;
    store.close().await;
    assert_eq!(page_bytes(), 4_096);
}
