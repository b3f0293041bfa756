//! How soon escalations that came due while the process was dead are made up for.

use crate::Effort;
use crate::load::{self, Template};
use crate::product::{self, Setup};
use crate::report::{Aim, Report};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for anything here.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Wakes that are aimed at in [`AIM_SECONDS`].
const AIM_WAKES: f64 = 100_000.0;

/// Opens incidents, kills the process, lets their second level come due, and starts again.
pub async fn run(effort: Effort, report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    let (slack, _) = product::slack(false).await;
    let setup = Setup { folder: folder.path().to_owned(), store: None, slack, rules: product::rules(10) };
    let mut server = setup.start();
    let numbers = Arc::new(AtomicU64::new(1));
    let template = Template::new(server.address, "/webhooks/alertmanager", &load::webhook());
    let wanted = effort.wakes as u64;
    while numbers.load(Ordering::Relaxed) < wanted {
        load::run(&template, server.address, 16, Duration::from_millis(500), &numbers).await;
    }
    let began = Instant::now();
    while product::waiting(folder.path()) > 0 {
        assert!(began.elapsed() < TIMEOUT, "the incidents are not opened");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    server.kill();
    let due = make_due(&setup);
    let restarted = Instant::now();
    let server = setup.start();
    while left(&setup) > 0 {
        assert!(restarted.elapsed() < TIMEOUT, "the wakes are not worked off");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seconds = restarted.elapsed().as_secs_f64();
    let ready = server.ready_after.as_secs_f64();
    println!(
        "\nWakes: {due} escalations due at a restart were done {seconds:.1} s after it (ready after {ready:.2} s)"
    );
    let scaled = seconds * AIM_WAKES / due as f64;
    report.note("100,000 due wakes after a restart, s", scaled, Aim::AtMost { must: 10.0, reach: 10.0 });
}

/// Time passes for the escalations; approvals stay open.
fn make_due(setup: &Setup) -> usize {
    let database = rusqlite::Connection::open(setup.folder.join("bench.db")).expect("the database");
    database
        .execute(
            "UPDATE effect SET ready_at = 1, due_at = 1 WHERE kind = 'wake' AND body LIKE '%scalat%'",
            [],
        )
        .expect("a change")
}

fn left(setup: &Setup) -> i64 {
    product::count(&setup.folder, "SELECT COUNT(*) FROM effect WHERE kind = 'wake' AND due_at = 1")
}
