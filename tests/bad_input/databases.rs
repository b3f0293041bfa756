//! Databases that are full, read-only, locked, damaged or gone, at start and while the service runs.
//!
//! While it lasts, senders are asked to come again and `/ready` says no; afterwards everything goes on by itself, and
//! what was answered with 200 is there.

use crate::house::{House, PATIENCE, Plan, RULES, mk_alert, mk_body, mk_webhook};
use crate::postgres::Postgres;
use crate::servers::eventually;
use serde_json::json;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// What senders and probes hear while the store is not available.
async fn refuses(house: &House, service: &str, why: &str) {
    let answer = house.post(mk_body(service)).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(answer.body.contains(why), "{}", answer.body);
    let ready = house.get("/ready").await;
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert_eq!(ready.json()["status"], "not ready");
    assert_eq!(house.get("/health").await.status, 200, "the process itself is well");
}

/// Everything that comes back once the store is there again.
async fn recovers(house: &House, service: &str) {
    eventually("readiness", PATIENCE, || async { (house.get("/ready").await.status == 200).then_some(()) })
        .await;
    assert_eq!(house.post(mk_body(service)).await.status, 200);
}

fn database(path: &Path) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(path).expect("it opens");
    database.busy_timeout(PATIENCE).expect("a setting");
    database
}

/// Says how large files of a process may be. Beyond it every write fails, as on a full disk or over a quota.
fn limit_files(pid: u32, bytes: &str) {
    let done =
        Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--fsize={bytes}:")]).status();
    assert!(done.expect("prlimit is part of util-linux").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_senders_and_what_was_stored_before_stays() {
    let house = Plan::new("").start_with("trap '' XFSZ").await;
    limit_files(house.server.pid(), &FILE_BYTES_MAX.to_string());
    let mut stored = Vec::new();
    let padding = "x".repeat(6_000);
    let refused = loop {
        let service = format!("s{:04}", stored.len());
        let alerts: Vec<_> = (0..40)
            .map(|number| {
                let mut alert = mk_alert(&service);
                alert["labels"]["instance"] = json!(format!("{service}-{number}"));
                alert["annotations"]["padding"] = json!(padding);
                alert
            })
            .collect();
        let answer = house.post(mk_webhook(&alerts)).await;
        if answer.status != 200 {
            break answer;
        }
        stored.push(service);
        assert!(stored.len() < 1_000, "four megabytes do not hold so many");
    };
    assert!(stored.len() > 1, "{stored:?}");
    assert_eq!(refused.status, 503, "{}", refused.body);
    // What is left of a page or two takes small ones.
    loop {
        let service = format!("t{:04}", stored.len());
        let mut alert = mk_alert(&service);
        alert["annotations"]["padding"] = json!("x".repeat(3_000));
        match house.post(mk_webhook(&[alert])).await.status {
            200 => stored.push(service),
            // Now and then the log is written back and has room again, until the file has none.
            _ if house.get("/ready").await.status == 503 => break,
            _ => {}
        }
        assert!(stored.len() < 1_000, "a few pages do not hold so many");
    }
    refuses(&house, "refused", "check the disk").await;
    house.says("check the disk, its mount, quotas and limits").await;
    limit_files(house.server.pid(), "unlimited");
    recovers(&house, "afterwards").await;
    stored.push("afterwards".to_owned());
    let own = database(&house.path("smokejumper.db"));
    let began = std::time::Instant::now();
    let waiting = || own.query_row("SELECT COUNT(*) FROM inbox", [], |row| row.get::<_, i64>(0));
    while waiting().expect("readable") > 0 {
        assert!(began.elapsed() < PATIENCE, "everything that was stored is read");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let mut alerts = own.prepare("SELECT body FROM alert").expect("readable");
    let bodies: Vec<String> =
        alerts.query_map([], |row| row.get(0)).expect("readable").map(|body| body.expect("a text")).collect();
    let lost: Vec<&String> = stored
        .iter()
        .filter(|service| !bodies.iter().any(|body| body.contains(&format!("\"{service}\""))))
        .collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), stored.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_writes_any_more_refuses_and_recovers() {
    let house = Plan::new("").start_with("trap '' XFSZ").await;
    assert_eq!(house.post(mk_body("before")).await.status, 200);
    house.knows(&["before"]).await;
    limit_files(house.server.pid(), "0");
    refuses(&house, "refused", "check the disk").await;
    assert_eq!(house.get("/api/v1/incidents").await.status, 200, "reading goes on");
    limit_files(house.server.pid(), "unlimited");
    recovers(&house, "afterwards").await;
    house.knows(&["before", "afterwards"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_answers_before_alertmanager_hangs_up_and_recovers() {
    let house = House::start("").await;
    assert_eq!(house.post(mk_body("before")).await.status, 200);
    house.knows(&["before"]).await;
    let other = database(&house.path("smokejumper.db"));
    other.execute_batch("BEGIN EXCLUSIVE").expect("it takes the lock");
    // The client hangs up after ten seconds, as Alertmanager does, and this would then fail.
    let posts = (0..8).map(|number| {
        let house = &house;
        async move { house.post(mk_body(&format!("refused{number}"))).await }
    });
    for answer in futures::future::join_all(posts).await {
        assert_eq!(answer.status, 503, "{}", answer.body);
    }
    let ready = house.get("/ready").await;
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert_eq!(house.get("/api/v1/incidents").await.status, 200, "reading goes on");
    house.says("locked by another process").await;
    other.execute_batch("ROLLBACK").expect("it lets go");
    recovers(&house, "afterwards").await;
    // What was refused may be stored all the same: the answer came before the store's.
    eventually("the rest", PATIENCE, || async {
        let known = house.known("service").await;
        ["before", "afterwards"].iter().all(|name| known.contains(&(*name).to_owned())).then_some(())
    })
    .await;
}

/// Overwrites every page but the first: what is read from the file now makes no sense.
fn damage(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).expect("the file is there");
    let pages = file.metadata().expect("it has a size").len() / 4_096;
    for page in 1..pages {
        file.write_all_at(&[0xAA; 4_096], page * 4_096).expect("it can be written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_damaged_while_it_runs_refuses_until_it_is_restored() {
    let mut house = House::start("").await;
    for number in 0..20 {
        assert_eq!(house.post(mk_body(&format!("s{number:02}"))).await.status, 200);
    }
    let services: Vec<String> = (0..20).map(|number| format!("s{number:02}")).collect();
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    house.knows(&services).await;
    assert_eq!(house.server.terminate(), Some(0), "a clean stop writes everything into the file");
    std::fs::copy(house.path("smokejumper.db"), house.path("backup.db")).expect("a backup");
    house.restart().await;
    damage(&house.path("smokejumper.db"));
    // The pages that are in memory already are good; sooner or later one is read.
    eventually("a refusal", PATIENCE, || async {
        (house.post(mk_body("s00")).await.status == 503).then_some(())
    })
    .await;
    refuses(&house, "refused", "restore it from a backup").await;
    let line = house.says("the database is damaged").await;
    assert_eq!(line["level"], "ERROR");
    house.server.kill();
    let plan = house.into_plan();
    let (code, stderr) = plan.refused();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("restore it from a backup"), "{stderr}");
    for name in ["smokejumper.db-wal", "smokejumper.db-shm"] {
        let _ = std::fs::remove_file(plan.folder.path().join(name));
    }
    std::fs::copy(plan.folder.path().join("backup.db"), plan.folder.path().join("smokejumper.db"))
        .expect("restored");
    let house = plan.start().await;
    house.knows(&services).await;
}

/// One row that cannot be read must not hold up what concerns others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_holds_up_nobody_else() {
    let rules = RULES
        .replace("severity: P2", "severity: P0\n  escalation: night\n  summary: '{{ labels.service }}'")
        + "---\napiVersion: smokejumper.dev/v1\nkind: EscalationPolicy\nmetadata: { name: night }\nspec:\n  levels:\n\
           \x20   - { name: first, after: 1s, destinations: [{ pagerduty: { service: first } }] }\n\
           \x20   - { name: second, after: 2s, destinations: [{ pagerduty: { service: first } }] }\n\
           \x20 fallback: [{ pagerduty: { service: first } }]\n";
    let pagerduty = "pagerduty: { events_url: \"http://127.0.0.1:9\", services: { first: { routing_key: { env: PD } } } }";
    let plan = Plan::new(pagerduty).rules(&rules).env("PD", "0123456789abcdef0123456789abcdef");
    let house = plan.start().await;
    for service in ["bad", "good"] {
        assert_eq!(house.post(mk_body(service)).await.status, 200);
    }
    house.knows(&["bad", "good"]).await;
    let other = database(&house.path("smokejumper.db"));
    let broken = r#"UPDATE incident SET body = '{"format":1}' WHERE body LIKE '%"service":"bad"%'"#;
    other.execute_batch(broken).expect("it can be done");
    drop(other);
    let mut again = mk_alert("bad");
    again["labels"]["instance"] = json!("another");
    assert_eq!(house.post(mk_webhook(&[again])).await.status, 200);
    assert_eq!(house.post(mk_body("new")).await.status, 200);
    let line = house.says("kept among the dead letters").await;
    assert!(line["error"].as_str().is_some_and(|error| error.contains("incident")), "{line}");
    assert_eq!(house.metric("smokejumper_dead_letters_total").await, Some(1.0));
    // The others' alerts are taken in, and their timers run.
    for service in ["good", "new"] {
        eventually(&format!("both levels of {service}"), PATIENCE, || async {
            let page = house.get("/api/v1/incidents").await.json();
            let incident = page["incidents"].as_array()?.iter().find(|one| one["summary"] == service)?;
            let id = incident["id"].as_str()?;
            let detail = house.get(&format!("/api/v1/incidents/{id}")).await.json();
            let lines =
                detail["timeline"].as_array()?.iter().filter(|line| line["kind"] == "escalation").count();
            (lines >= 2).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_used_at_start_is_told_with_the_way_out() {
    let plan = Plan::new("");
    std::fs::write(plan.folder.path().join("smokejumper.db"), "my shopping list\n".repeat(1_000))
        .expect("a file");
    let (code, stderr) = plan.refused();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("not a SQLite database") && stderr.contains("restore it from a backup"),
        "{stderr}"
    );

    let mut plan = Plan::new("");
    plan.store = "sqlite:///proc/smokejumper.db".to_owned();
    let (code, stderr) = plan.refused();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("/proc/smokejumper.db") && stderr.contains("change store.url"), "{stderr}");

    let house = House::start("").await;
    let mut plan = Plan::new("");
    plan.store = format!("sqlite://{}", house.path("smokejumper.db").display());
    let (code, stderr) = plan.refused();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("in use by another process"), "{stderr}");

    let mut plan = Plan::new("").env("DATABASE_URL", "postgres://una:hunter2@127.0.0.1:1/nowhere");
    plan.store = "{ env: DATABASE_URL }".to_owned();
    let (code, stderr) = plan.refused();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("is not available") && !stderr.contains("hunter2"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_that_stops_in_the_middle_loses_nothing_that_was_stored() {
    let mut server = tokio::task::spawn_blocking(Postgres::start).await.expect("no panic");
    let mut plan = Plan::new("").env("DATABASE_URL", &server.database());
    plan.store = "{ env: DATABASE_URL }".to_owned();
    let house = plan.start().await;
    // Senders come all the time, so that the stop falls into the middle of their webhooks.
    let posting = async {
        let mut stored = Vec::new();
        loop {
            let service = format!("s{:04}", stored.len());
            match house.post(mk_body(&service)).await.status {
                200 => stored.push(service),
                503 => return stored,
                other => panic!("{other}"),
            }
        }
    };
    let stopping = async {
        eventually("some are stored", PATIENCE, || async {
            house.metric("smokejumper_alerts_received_total").await.filter(|count| *count > 5.0)
        })
        .await;
        let stopped = tokio::task::spawn_blocking(move || {
            server.stop_immediately();
            server
        });
        stopped.await.expect("no panic")
    };
    let (mut stored, mut server) = tokio::join!(posting, stopping);
    refuses(&house, "refused", "the store is not available").await;
    let _running = tokio::task::spawn_blocking(move || {
        server.run();
        server
    })
    .await
    .expect("no panic");
    recovers(&house, "back").await;
    stored.push("back".to_owned());
    eventually("everything that was stored", PATIENCE, || async {
        let known = house.known("service").await;
        stored.iter().all(|service| known.contains(service)).then_some(())
    })
    .await;
}
