//! Webhooks a second: accepted durably, and worked off.

use crate::Effort;
use crate::load::{self, Outcome, Template};
use crate::machine;
use crate::postgres::Postgres;
use crate::product::{self, Setup};
use crate::report::{Aim, Report, median};
use crate::server::Server;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Connections of the sender.
const CONNECTIONS: usize = 16;
/// Processor time of other programs, in cores, above which a round does not count.
const FOREIGN_CORES_MAX: f64 = 0.15;
/// Tries for one round on a busy machine; then the round counts as it is, and the line says so.
const TRIES_MAX: usize = 3;
/// Longest wait for a backlog to be worked off.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);

/// What one server did in one round.
#[derive(Debug, Clone, Default)]
struct Round {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
    rss_mib: f64,
    idle_mib: f64,
    drained: f64,
    cpu_drained_us: f64,
    refused: u64,
    lost: i64,
    foreign: f64,
}

/// All servers on SQLite and without a database.
pub async fn run(effort: Effort, report: &mut Report) {
    let names =
        ["static", "parse", "group-commit", "one-transaction", "product 10 rules", "product 10000 rules"];
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); names.len()];
    for _ in 0..effort.rounds {
        for (name, rounds) in names.iter().zip(&mut rounds) {
            rounds.push(quiet_round(name, effort, None).await);
        }
    }
    let middle = table("SQLite", &names, rounds);
    let (grouped, product, many) = (&middle[2], &middle[4], &middle[5]);
    let aim = |must, reach| Aim::AtLeast { must, reach };
    report.note("accepted a second, against group commit", product.rate / grouped.rate, aim(0.35, 0.60));
    report.note("drained a second, against group commit", product.drained / grouped.rate, aim(0.25, 0.35));
    let cpu = product.cpu_us / grouped.cpu_us;
    report.note(
        "CPU a request while accepting, against group commit",
        cpu,
        Aim::AtMost { must: 3.0, reach: 2.0 },
    );
    let p99 = product.p99_ms / grouped.p99_ms;
    report.note("p99, against group commit", p99, Aim::AtMost { must: 4.0, reach: 2.0 });
    report.note("accepted with 10,000 rules, against 10", many.rate / product.rate, aim(0.90, 0.95));
    report.note("drained with 10,000 rules, against 10", many.drained / product.drained, aim(0.90, 0.95));
    report.note("webhooks lost after a 2xx", product.lost as f64, Aim::AtMost { must: 0.0, reach: 0.0 });
}

/// The product on PostgreSQL beside a batched line on the same server.
pub async fn run_postgres(effort: Effort, report: &mut Report) {
    let server = Postgres::start();
    let names = ["postgres", "product on postgres"];
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); names.len()];
    for _ in 0..effort.rounds {
        for (name, rounds) in names.iter().zip(&mut rounds) {
            rounds.push(quiet_round(name, effort, Some(&server)).await);
        }
    }
    let middle = table("PostgreSQL (processor time without the database)", &names, rounds);
    let ratio = middle[1].rate / middle[0].rate;
    report.note("accepted on PostgreSQL, against batched", ratio, Aim::AtLeast { must: 0.4, reach: 0.6 });
}

/// A round in which nothing else kept the machine busy, as far as that can be had.
async fn quiet_round(name: &str, effort: Effort, postgres: Option<&Postgres>) -> Round {
    let mut round = Round::default();
    for _ in 0..TRIES_MAX {
        round = one_round(name, effort, postgres).await;
        // PostgreSQL's own processes are foreign to this count.
        if round.foreign <= FOREIGN_CORES_MAX || postgres.is_some() {
            break;
        }
        eprintln!("{name}: other programs took {:.2} cores; once more", round.foreign);
    }
    round
}

async fn one_round(name: &str, effort: Effort, postgres: Option<&Postgres>) -> Round {
    let folder = tempfile::tempdir().expect("a folder");
    let store = postgres.map(Postgres::database);
    let is_product = name.starts_with("product");
    let server = if is_product {
        let (slack, _) = product::slack(false).await;
        let count = if name.contains("10000") { 10_000 } else { 10 };
        let setup = Setup {
            folder: folder.path().to_owned(),
            store: store.clone(),
            slack,
            rules: product::rules(count),
        };
        setup.start()
    } else {
        Server::baseline(name, folder.path(), &store.clone().into_iter().collect::<Vec<_>>())
    };
    let template = Template::new(server.address, "/webhooks/alertmanager", &load::webhook());
    let numbers = Arc::new(AtomicU64::new(1));
    // The first requests fill caches and prepare statements.
    let idle_mib = machine::resident_mib(server.pid());
    let warm = load::run(&template, server.address, CONNECTIONS, Duration::from_millis(300), &numbers).await;

    let own = std::process::id();
    let before = (machine::cpu_us(server.pid()), machine::cpu_us(own), machine::busy_us());
    let began = Instant::now();
    let outcome = load::run(&template, server.address, CONNECTIONS, effort.round, &numbers).await;
    let after = (machine::cpu_us(server.pid()), machine::cpu_us(own), machine::busy_us());
    let served = after.0 - before.0;
    let foreign = (after.2 - before.2) - served - (after.1 - before.1);
    let mut round = Round {
        rate: outcome.rate(),
        p50_ms: outcome.quantile_ms(0.50),
        p99_ms: outcome.quantile_ms(0.99),
        cpu_us: served / outcome.good as f64,
        rss_mib: machine::resident_mib(server.pid()),
        idle_mib,
        drained: outcome.rate(),
        cpu_drained_us: served / outcome.good as f64,
        refused: outcome.refused,
        lost: 0,
        foreign: (foreign / 1e6 / outcome.seconds).max(0.0),
    };
    if is_product && postgres.is_none() {
        drain(&mut round, &server, folder.path(), &outcome, &warm, began, before.0).await;
    }
    round
}

/// Waits until everything is worked off, and counts.
async fn drain(
    round: &mut Round,
    server: &Server,
    folder: &std::path::Path,
    outcome: &Outcome,
    warm: &Outcome,
    began: Instant,
    cpu_before: f64,
) {
    while product::waiting(folder) > 0 {
        assert!(began.elapsed() < DRAIN_TIMEOUT, "the backlog is not worked off");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let good = outcome.good as f64;
    round.drained = good / began.elapsed().as_secs_f64();
    round.cpu_drained_us = (machine::cpu_us(server.pid()) - cpu_before) / good;
    let incidents = product::count(folder, "SELECT COUNT(*) FROM incident");
    let accepted = i64::try_from(outcome.good + warm.good).unwrap_or(i64::MAX);
    round.lost = (accepted - incidents).max(0);
}

/// Prints the medians and returns them.
fn table(title: &str, names: &[&str], rounds: Vec<Vec<Round>>) -> Vec<Round> {
    println!(
        "\n{title}: {CONNECTIONS} connections, medians of {} rounds",
        rounds.first().map_or(0, Vec::len)
    );
    println!(
        "{:<22} {:>9} {:>8} {:>8} {:>9} {:>9} {:>10} {:>8} {:>8} {:>7} {:>7}",
        "server",
        "accept/s",
        "p50 ms",
        "p99 ms",
        "CPU us",
        "drain/s",
        "CPU us all",
        "RSS MiB",
        "at idle",
        "refused",
        "foreign"
    );
    let mut medians = Vec::new();
    for (name, rounds) in names.iter().zip(rounds) {
        let of = |field: fn(&Round) -> f64| median(rounds.iter().map(field).collect());
        let middle = Round {
            rate: of(|round| round.rate),
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
            cpu_us: of(|round| round.cpu_us),
            rss_mib: of(|round| round.rss_mib),
            idle_mib: of(|round| round.idle_mib),
            drained: of(|round| round.drained),
            cpu_drained_us: of(|round| round.cpu_drained_us),
            refused: rounds.iter().map(|round| round.refused).sum(),
            lost: rounds.iter().map(|round| round.lost).sum(),
            foreign: of(|round| round.foreign),
        };
        println!(
            "{name:<22} {:>9.0} {:>8.2} {:>8.2} {:>9.0} {:>9.0} {:>10.0} {:>8.1} {:>8.1} {:>7} {:>7.2}",
            middle.rate,
            middle.p50_ms,
            middle.p99_ms,
            middle.cpu_us,
            middle.drained,
            middle.cpu_drained_us,
            middle.rss_mib,
            middle.idle_mib,
            middle.refused,
            middle.foreign
        );
        medians.push(middle);
    }
    medians
}
