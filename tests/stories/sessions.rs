//! DatabaseIssues: forgotten sessions hold nearly all connections of a real PostgreSQL, so that the service gets no more. On
//! approval those that have done nothing for ten minutes are ended, and all others are spared.

use crate::clock::Clock;
use crate::platform::{PSS, at_rest};
use crate::postgres::{PASSWORD, Postgres};
use crate::servers::eventually;
use crate::world::{CHANNEL, PATIENCE, Plan, Scene, action};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

const RULE: &str = "pss-nano-database-issues";
const REMEDY: &str = "end-idle-sessions";

/// Sessions of the service by what they do: how many, and what they have said to the database. Together they are all that
/// the service may have, and 85 % of what the database has.
const SESSIONS: [(&str, usize, &str); 4] = [
    ("forgotten", 20, "SELECT 1;"),
    ("transaction", 4, "BEGIN; SELECT 1;"),
    ("busy", 4, "SELECT pg_sleep(3600);"),
    ("fresh", 6, "SELECT 1;"),
];

/// What a real database holds, by the name of the application.
fn sessions(database: &Postgres) -> BTreeMap<String, usize> {
    let sql =
        "SELECT application_name, count(*) FROM pg_stat_activity WHERE usename = 'reservation' GROUP BY 1";
    let answer = database.psql("postgres", sql);
    let lines = answer.lines().filter_map(|line| line.split_once('|'));
    lines.map(|(name, count)| (name.to_owned(), count.parse().expect("a count"))).collect()
}

fn wanted(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// What postgres_exporter would say, with a connection of the service's own for `pg_up`.
fn exporter(database: &Postgres) -> Option<String> {
    let up = u8::from(database.lets_in("reservation", "pss"));
    let count = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let most = "SELECT current_setting('max_connections')";
    let numbers = database.psql("postgres", &format!("{count} UNION ALL {most}::int8"));
    let (count, most) = numbers.split_once('\n')?;
    Some(format!(
        "pg_up {up}\npg_stat_activity_count{{state=\"any\"}} {count}\npg_settings_max_connections {most}\n"
    ))
}

fn open(database: &Postgres, names: &[&str]) -> Vec<Child> {
    let chosen = SESSIONS.iter().filter(|(name, ..)| names.contains(name));
    chosen
        .flat_map(|(name, count, sql)| (0..*count).map(|_| database.session("reservation", "pss", name, sql)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_sessions_of_a_full_database_are_ended_on_approval_and_all_others_spared() {
    let folder = tempfile::tempdir().expect("a folder");
    // The server has a user of its own.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let clock = Clock::right(folder.path());
    let database = Arc::new(Postgres::start_in(clock.environment(), |_| "max_connections = 40\n".to_owned()));
    for sql in [
        "CREATE DATABASE pss",
        &format!("CREATE ROLE watcher LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor"),
        &format!("CREATE ROLE hand LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_signal_backend, pg_read_all_stats"),
        &format!("CREATE ROLE reservation LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 34"),
    ] {
        database.psql("postgres", sql);
    }
    let scene = Scene::set(at_rest(|_| ()).await, &[]).await;
    let shown = Arc::clone(&database);
    scene.town.show("postgres", &[("namespace", PSS), ("instance", "db:5432")], move || exporter(&shown));
    let act = ", act: { username: hand, password: { env: PG }, \
               terminate_idle: { databases: [pss], users: [reservation] } }";
    let plan = Plan {
        rule: "rules/pss-nano/database-issues.yaml",
        postgres: Some((database.address("pss"), act.to_owned())),
        ..Plan::default()
    };
    let world = scene.begin(plan).await;

    // A quarter of an hour passes for the database between those that were forgotten and those that have just been used.
    let mut people = open(&database, &["forgotten", "transaction", "busy"]);
    let old = wanted(&[("forgotten", 20), ("transaction", 4), ("busy", 4)]);
    eventually("the old sessions are there", PATIENCE, async || {
        let idle =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'forgotten' AND state = 'idle'";
        (database.psql("postgres", idle) == "20"
            && old.iter().all(|(name, count)| sessions(&database).get(name) == Some(count)))
        .then_some(())
    })
    .await;
    clock.set_ahead(Duration::from_secs(15 * 60));
    people.extend(open(&database, &["fresh"]));

    let asked = world.once(RULE, REMEDY, "awaiting_approval").await;
    let asked = if asked["severity"] == "P0" {
        asked
    } else {
        world.incident_where(RULE, "as bad as its worst alert", |incident| incident["severity"] == "P0").await
    };
    let page = eventually("PagerDuty calls somebody", PATIENCE, async || world.page(&asked)).await;
    assert_eq!(page.service, PSS);
    assert!(!database.lets_in("reservation", "pss"), "the service gets no connection");
    let all = wanted(&SESSIONS.map(|(name, count, _)| (name, count)));
    assert_eq!(sessions(&database), all, "nothing is touched before the approval");

    let card = world.approve(RULE, REMEDY, CHANNEL, &["end 20 sessions", "forgotten"]).await;
    let acted = world.once(RULE, REMEDY, "succeeded").await;
    assert_eq!(action(&acted, REMEDY)["reason_code"], "verified", "{acted:#}");
    assert_eq!(action(&acted, REMEDY)["approvals"][0], "una: approved");
    assert_eq!(sessions(&database), wanted(&[("transaction", 4), ("busy", 4), ("fresh", 6)]));
    assert!(database.lets_in("reservation", "pss"), "the service is in again");
    let closed = world.closed(RULE).await;
    world.page_ends(&closed).await;
    world.card_shows(&card, &["Resolved"]).await;
    assert_eq!(world.writes(), Vec::<String>::new(), "the cluster has no part in it");
    world.only(&[RULE]).await;
    for person in &mut people {
        let _ = person.kill();
        let _ = person.wait();
    }
}
