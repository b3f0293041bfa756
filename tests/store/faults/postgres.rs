//! Faults of a PostgreSQL server.
#![allow(clippy::disallowed_methods, reason = "a server is stopped and started from a thread of its own")]

use super::{count_effects, is_there, step, told};
use crate::build::*;
use crate::postgres::{PASSWORD, Postgres};
use smokejumper::engine::ports::{Store, StoreError};
use smokejumper::store::{OpenOptions, SqlStore};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Does something to a database behind the store's back.
async fn behind_its_back(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.expect("it connects");
    connection.execute(AssertSqlSafe(sql)).await.expect("it can be done");
    connection.close().await.expect("it closes");
}

/// Longest time for a store to notice that its server is back.
const RECOVERY_MAX: Duration = Duration::from_secs(30);

async fn fresh_database() -> String {
    tokio::task::spawn_blocking(|| Postgres::shared().database()).await.expect("no panic")
}

async fn open(url: &str) -> SqlStore {
    SqlStore::open(url, &OpenOptions::default()).await.expect("it opens")
}

/// How far the writers are, and whether they should end.
#[derive(Default)]
struct Progress {
    stored: AtomicU64,
    refused: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// Waits until so many more steps have been stored, or refused.
    fn wait_for(&self, count: &AtomicU64, more: u64) {
        let (before, began) = (count.load(Ordering::Relaxed), Instant::now());
        while count.load(Ordering::Relaxed) < before + more {
            assert!(began.elapsed() < RECOVERY_MAX, "the writers stand still");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Writes one step after the other until it is told to stop; returns which were acknowledged, and which may be
/// there although they were not.
async fn write(store: Arc<SqlStore>, from: u64, progress: Arc<Progress>) -> (Vec<u64>, Vec<u64>) {
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    for number in from.. {
        match store.commit(step(number)).await {
            Ok(()) => {
                stored.push(number);
                progress.stored.fetch_add(1, Ordering::Relaxed);
            }
            Err(StoreError::Unavailable(_)) => {
                refused.push(number);
                progress.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(other) => panic!("nobody else writes these: {other}"),
        }
        if progress.stop.load(Ordering::Relaxed) {
            break;
        }
    }
    (stored, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_in_the_middle_loses_nothing_acknowledged_and_keeps_nothing_in_part() {
    let mut server = tokio::task::spawn_blocking(Postgres::start).await.expect("no panic");
    let store = Arc::new(open(&server.database()).await);
    let progress = Arc::new(Progress::default());
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| tokio::spawn(write(Arc::clone(&store), writer * 100_000, Arc::clone(&progress))))
        .collect();
    let watched = Arc::clone(&progress);
    let mut server = tokio::task::spawn_blocking(move || {
        for _ in 0..2 {
            watched.wait_for(&watched.stored, 20);
            server.stop_immediately();
            watched.wait_for(&watched.refused, 4);
            server.run();
        }
        // The store recovers by itself.
        watched.wait_for(&watched.stored, 20);
        server
    })
    .await
    .expect("no panic");
    progress.stop.store(true, Ordering::Relaxed);
    let mut there = 0;
    for writer in writers {
        let (stored, refused) = writer.await.expect("no panic");
        for number in stored {
            assert!(is_there(&store, number).await, "step {number} was acknowledged and is lost");
            there += 1;
        }
        for number in refused {
            // The answer may have been lost after the commit; in part it must not be there.
            there += u64::from(is_there(&store, number).await);
        }
    }
    assert_eq!(count_effects(&store).await, there, "one effect for each step");
    server.stop_immediately();
    let error = store.append(vec![mk_delivery(1)]).await.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let error = store.peek(None, 1).await.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_on_an_empty_database_all_come_up() {
    let url = fresh_database().await;
    let replicas: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { SqlStore::open(&url, &OpenOptions::default()).await.map(drop) })
        })
        .collect();
    for replica in replicas {
        replica.await.expect("no panic").expect("it opens");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_without_the_password() {
    let url = fresh_database().await.replace(PASSWORD, "wrong-hunter2");
    let refusal = told(SqlStore::open(&url, &OpenOptions::default()).await);
    assert!(
        refusal.contains("refuses the connection") && refusal.contains("check user, password"),
        "{refusal}"
    );
    assert!(!refusal.contains("hunter2"), "{refusal}");
}

#[tokio::test]
async fn a_missing_database_is_told() {
    let url = fresh_database().await;
    let (server, _) = url.rsplit_once('/').expect("a URL has a path");
    let refusal = told(SqlStore::open(&format!("{server}/nowhere"), &OpenOptions::default()).await);
    assert!(refusal.contains("refuses the connection") && refusal.contains("nowhere"), "{refusal}");
    assert!(!refusal.contains(PASSWORD), "{refusal}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let refusal =
        told(SqlStore::open("postgres://una:hunter2@127.0.0.1:1/db", &OpenOptions::default()).await);
    assert!(refusal.contains("postgres://127.0.0.1:1/db is not available"), "{refusal}");
    assert!(!refusal.contains("hunter2") && !refusal.contains("una"), "{refusal}");
}

#[tokio::test]
async fn a_url_that_cannot_be_read_is_told_without_its_password() {
    let refusal = told(SqlStore::open("postgres://una:hun/ter2@@[/db", &OpenOptions::default()).await);
    assert!(refusal.contains("escape special characters"), "{refusal}");
    assert!(!refusal.contains("ter2"), "{refusal}");
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let url = fresh_database().await;
    open(&url).await.close().await;
    let newer = "INSERT INTO smokejumper_schema (version, description, success, checksum, execution_time) \
                 VALUES (9000, 'from the future', TRUE, ''::bytea, 0)";
    behind_its_back(&url, newer).await;
    let refusal = told(SqlStore::open(&url, &OpenOptions::default()).await);
    assert!(refusal.contains("newer version (schema 9000, this one knows up to 12)"), "{refusal}");
}

#[tokio::test]
async fn tables_of_something_else_are_refused_and_left_alone() {
    let url = fresh_database().await;
    behind_its_back(&url, "CREATE TABLE incident (id BIGINT); INSERT INTO incident VALUES (7)").await;
    let refusal = told(SqlStore::open(&url, &OpenOptions::default()).await);
    assert!(refusal.contains("tables of something else"), "{refusal}");
    behind_its_back(&url, "DELETE FROM incident WHERE id = 7 AND 1 / (SELECT COUNT(*) FROM incident) = 1")
        .await;
}

#[tokio::test]
async fn a_lock_that_somebody_holds_makes_the_commit_wait_and_then_go_on() {
    let url = fresh_database().await;
    let store = Arc::new(open(&url).await);
    store.commit(step(0)).await.expect("stored");
    let other = Arc::new(open(&url).await);
    let change = mk_change(&mk_incident("i000000", "i000000").incident, "one");
    let late = mk_change(&mk_incident("i000000", "i000000").incident, "two");
    let (first, second) =
        tokio::join!(store.commit(committing(vec![change])), other.commit(committing(vec![late])));
    assert!(first.is_ok() != second.is_ok(), "one of the replicas wins");
}

#[tokio::test]
async fn leases_of_other_replicas_are_left_alone_at_start() {
    let url = fresh_database().await;
    let store = open(&url).await;
    store.commit(step(0)).await.expect("stored");
    assert_eq!(store.claim(mk_claim(0, 1)).await.expect("claimable").len(), 1);
    let other = open(&url).await;
    assert_eq!(other.release_all().await.expect("answered"), 0);
    assert!(other.claim(mk_claim(0, 1)).await.expect("claimable").is_empty());
}

#[tokio::test]
async fn a_write_of_one_replica_is_a_hint_to_the_other() {
    let url = fresh_database().await;
    let (writer, other) = (open(&url).await, open(&url).await);
    let mut hints = other.hints();
    let heard = async |hints: &mut tokio::sync::watch::Receiver<u64>| {
        tokio::time::timeout(RECOVERY_MAX, hints.changed()).await.expect("in time").expect("it goes on");
        hints.mark_unchanged();
    };
    heard(&mut hints).await; // It listens now.
    writer.append(vec![mk_delivery(1)]).await.expect("stored");
    heard(&mut hints).await;
    // The hint of the delivery may have been heard twice: only silence before the next write proves it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    hints.mark_unchanged();
    writer.commit(step(1)).await.expect("stored");
    heard(&mut hints).await;
}
