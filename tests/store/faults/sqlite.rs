//! Faults of a SQLite file.

use super::{count_effects, is_there, step, told};
use crate::build::*;
use smokejumper::engine::ports::{Commit, Store, StoreError};
use smokejumper::store::{OpenOptions, SqlStore};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A place for a file, and the ways to name it.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory can be made") }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    async fn open(&self) -> SqlStore {
        self.try_open().await.expect("it opens")
    }

    async fn try_open(&self) -> Result<SqlStore, smokejumper::store::OpenError> {
        // A lock is waited for shortly here: nobody will give it back.
        let options = OpenOptions { wait: Duration::from_millis(100), ..OpenOptions::default() };
        SqlStore::open(&self.url(), &options).await
    }

    /// A file with some steps in it, closed.
    async fn filled(steps: u64) -> Self {
        let place = Self::new();
        let store = place.open().await;
        for number in 0..steps {
            store.commit(step(number)).await.expect("stored");
        }
        store.close().await;
        place
    }

    /// Does something to the file behind the store's back.
    fn behind_its_back(&self, sql: &str) {
        let other = rusqlite::Connection::open(self.path()).expect("it opens");
        other.execute_batch(sql).expect("it can be done");
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) {
        let file = std::fs::File::options().write(true).open(self.path()).expect("the file is there");
        file.write_all_at(bytes, offset).expect("it can be written");
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let place = Place::filled(3).await;
    let store = place.open().await;
    for number in 0..3 {
        assert!(is_there(&store, number).await);
    }
}

#[tokio::test]
async fn leases_of_a_dead_process_are_given_back_at_start() {
    let place = Place::filled(3).await;
    let store = place.open().await;
    assert_eq!(store.claim(mk_claim(0, 2)).await.expect("claimable").len(), 2);
    drop(store);
    let store = place.open().await;
    assert_eq!(store.claim(mk_claim(0, 10)).await.expect("claimable").len(), 1);
    assert_eq!(store.release_all().await.expect("released"), 3);
    let attempts: Vec<u32> =
        store.claim(mk_claim(0, 10)).await.expect("claimable").iter().map(|lease| lease.attempt).collect();
    assert_eq!(attempts.iter().sum::<u32>(), 6, "each was tried once before");
}

#[tokio::test]
async fn a_full_file_takes_nothing_in_part_and_recovers_when_there_is_room() {
    let place = Place::new();
    let options = OpenOptions { file_bytes_max: Some(1024 * 1024), ..OpenOptions::default() };
    let store = SqlStore::open(&place.url(), &options).await.expect("it opens");
    store.append(vec![mk_delivery(0)]).await.expect("there is room");
    let mut stored = 0;
    let full = loop {
        match store.commit(step(stored)).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10_000, "a megabyte does not hold so many");
    };
    assert!(matches!(&full, StoreError::Unavailable(why) if why.contains("full")), "{full}");
    assert!(stored > 50, "{stored}");
    assert!(!is_there(&store, stored).await);
    assert_eq!(count_effects(&store).await, stored, "the step that failed left no effect");
    let mut large = mk_delivery(1);
    large.body = vec![b'x'; 512 * 1024].into();
    let error = store.append(vec![large]).await.expect_err("no room");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");

    // What makes room still works, and afterwards everything does.
    let cancelled = (0..stored).map(|number| effect_id(&format!("i{number:06}"), 1)).collect();
    let consumed = vec![mk_delivery(0).id];
    store.commit(Commit { cancelled, consumed, ..Commit::default() }).await.expect("rows are deleted");
    store.commit(step(stored)).await.expect("there is room again");
    assert!(is_there(&store, stored).await);
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_is_gone() {
    let place = Place::new();
    let first = place.open().await;
    let refusal = told(place.try_open().await);
    assert!(refusal.contains("in use by another process") && refusal.contains("stop that one"), "{refusal}");
    drop(first);
    place.open().await.ping().await.expect("the way is free");
}

#[tokio::test]
async fn a_foreign_writer_that_holds_the_lock_makes_the_store_unavailable_for_as_long() {
    let place = Place::new();
    let store = place.open().await;
    store.commit(step(0)).await.expect("stored");
    let other = rusqlite::Connection::open(place.path()).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("it takes the lock");
    for result in [store.commit(step(1)).await, store.append(vec![mk_delivery(1)]).await, store.ping().await]
    {
        let error = result.expect_err("locked");
        assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("locked")), "{error}");
    }
    assert!(is_there(&store, 0).await, "reading goes on");
    other.execute_batch("ROLLBACK").expect("it lets go");
    store.commit(step(1)).await.expect("it recovers alone");
    assert!(is_there(&store, 1).await);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_told_with_the_way_out() {
    let place = Place::filled(1).await;
    // A write version that SQLite does not know makes a file read-only, for root as well.
    place.write_at(18, &[3]);
    let refusal = told(place.try_open().await);
    assert!(refusal.contains("cannot be written") && refusal.contains("read-only"), "{refusal}");
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let place = Place::new();
    let url = format!("sqlite://{}/missing/store.db", place.directory.path().display());
    let refusal = told(SqlStore::open(&url, &OpenOptions::default()).await);
    assert!(refusal.contains("missing/store.db") && refusal.contains("create it"), "{refusal}");
}

#[tokio::test]
async fn a_directory_that_takes_no_files_is_named() {
    // Nobody, not even root, makes files here.
    let refusal = told(SqlStore::open("sqlite:///proc/store.db", &OpenOptions::default()).await);
    assert!(refusal.contains("/proc/store.db") && refusal.contains("change store.url"), "{refusal}");
}

#[tokio::test]
async fn a_directory_in_place_of_the_file_is_told() {
    let place = Place::new();
    std::fs::create_dir(place.path()).expect("it can be made");
    let refusal = told(place.try_open().await);
    assert!(refusal.contains("store.db cannot be written"), "{refusal}");
}

#[tokio::test]
async fn something_else_than_a_database_is_refused_and_left_alone() {
    let place = Place::new();
    let text = "this is the shopping list of somebody\n".repeat(100);
    std::fs::write(place.path(), &text).expect("it can be written");
    let refusal = told(place.try_open().await);
    assert!(refusal.contains("not a SQLite database") && refusal.contains("backup"), "{refusal}");
    assert_eq!(std::fs::read_to_string(place.path()).expect("readable"), text);
}

#[tokio::test]
async fn somebody_elses_database_is_refused_and_left_alone() {
    let place = Place::new();
    place.behind_its_back("CREATE TABLE recipes (name TEXT)");
    let before = std::fs::read(place.path()).expect("readable");
    let refusal = told(place.try_open().await);
    assert!(refusal.contains("tables of something else"), "{refusal}");
    assert_eq!(std::fs::read(place.path()).expect("readable"), before);
}

/// Size of a page of a new file. Damage within one that leaves its structure alone is not found.
const PAGE_BYTES: u64 = 8 * 1024;

#[tokio::test]
async fn a_damaged_page_is_found_at_start() {
    let place = Place::filled(200).await;
    let pages = std::fs::metadata(place.path()).expect("there").len() / PAGE_BYTES;
    place.write_at((pages / 2) * PAGE_BYTES, &[0xAA; PAGE_BYTES as usize]);
    let refusal = told(place.try_open().await);
    assert!(refusal.contains("damaged") && refusal.contains("restore it from a backup"), "{refusal}");
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_found_at_start() {
    let place = Place::filled(200).await;
    let file = std::fs::File::options().write(true).open(place.path()).expect("there");
    let bytes = file.metadata().expect("there").len();
    file.set_len(bytes / 2).expect("it can be cut");
    let refusal = told(place.try_open().await);
    assert!(refusal.contains("damaged"), "{refusal}");
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused_and_left_alone() {
    let place = Place::filled(1).await;
    let newer = "INSERT INTO smokejumper_schema (version, description, success, checksum, execution_time) \
                 VALUES (9000, 'from the future', TRUE, x'00', 0)";
    place.behind_its_back(newer);
    let refusal = told(place.try_open().await);
    assert!(refusal.contains("newer version (schema 9000, this one knows up to 12)"), "{refusal}");
    assert!(refusal.contains("run the newer version again"), "{refusal}");
}

#[tokio::test]
async fn an_incident_of_a_newer_version_is_refused_by_name() {
    let place = Place::filled(1).await;
    place.behind_its_back(r#"UPDATE incident SET body = replace(body, '"format":1', '"format":2')"#);
    let store = place.open().await;
    let refusal = told(store.load(wanting("i000000")).await);
    assert!(refusal.contains("incident i000000") && refusal.contains("format 2"), "{refusal}");
    place.behind_its_back(r#"UPDATE incident SET body = '{"format":9,"id":"i000000","new":[]}'"#);
    let refusal = told(store.load(wanting("i000000")).await);
    assert!(refusal.contains("incident i000000") && refusal.contains("format 9"), "{refusal}");
    place.behind_its_back(r#"UPDATE incident SET body = '{"format":1,"id":"i000000"}'"#);
    let refusal = told(store.load(wanting("i000000")).await);
    assert!(refusal.contains("unreadable") && refusal.contains("incident i000000"), "{refusal}");
}

#[tokio::test]
async fn an_effect_of_a_newer_version_does_not_hold_up_the_others() {
    let place = Place::filled(3).await;
    place.behind_its_back(r#"UPDATE effect SET body = '{"dance":{}}' WHERE id = 'i000001-e1'"#);
    let store = place.open().await;
    let leased = store.claim(mk_claim(0, 10)).await.expect("claimable");
    assert_eq!(leased.len(), 2);
}

#[tokio::test]
async fn a_url_without_a_file_is_refused() {
    for (url, why) in [
        ("", "empty"),
        ("mysql://root:hunter2@host/db", "`mysql`"),
        ("sqlite::memory:", "memory"),
        ("sqlite://", "memory"),
        ("sqlite://store.db?mode=rwc", "not needed"),
    ] {
        let refusal = told(SqlStore::open(url, &OpenOptions::default()).await);
        assert!(refusal.contains(why) && refusal.contains("sqlite://PATH"), "{url}: {refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
}

#[tokio::test]
async fn a_file_name_may_hold_anything() {
    let place = Place::new();
    let name = "a b?c#d%20é.db".replace('?', "&");
    let url = format!("sqlite://{}/{name}", place.directory.path().display());
    let store = SqlStore::open(&url, &OpenOptions::default()).await.expect("it opens");
    store.ping().await.expect("it answers");
    assert!(place.directory.path().join(name).exists());
}
