//! Budgets are the store's: replicas on one PostgreSQL share them.

use crate::postgres::Postgres;
use crate::rules::rule_seeing;
use crate::servers::eventually;
use crate::world::{PATIENCE, World, about, newest};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_have_one_budget() {
    let database = tokio::task::spawn_blocking(|| Postgres::shared().database()).await.expect("no panic");
    let restart = "{ name: restart, tier: T1, action: { k8s.rollout_restart: {} } }";
    let hung = rule_seeing("hung", "Hung", "", &[restart]);
    let store = "store: { url: { env: DATABASE } }";
    let world =
        World::with_environment(&hung, "boot_hold: 0s, daily_budget: 1", store, &[("DATABASE", &database)])
            .await;
    let other = world.replica().await;
    let to_first = [about("Hung", "shop", "api", "firing")];
    let to_second = [about("Hung", "shop", "web", "firing")];
    let (here, there) = (world.service.url(), other.url());
    tokio::join!(world.alerts(&here, &to_first), world.alerts(&there, &to_second));
    let incidents = eventually("both are decided", PATIENCE, async || {
        let incidents = world.incidents().await;
        let is_over = |status: &str| ["succeeded", "blocked"].contains(&status);
        let decided =
            incidents.iter().filter(|one| newest(one)["status"].as_str().is_some_and(is_over)).count();
        (decided == 2).then_some(incidents)
    })
    .await;
    assert_eq!(world.writes().len(), 1, "{:?}", world.writes());
    let stopped: Vec<_> = incidents.iter().filter(|one| newest(one)["status"] == "blocked").collect();
    assert_eq!(stopped.len(), 1, "{incidents:?}");
    world.is_stopped(stopped[0], "daily_budget", "1 of 1 actions of the day are used in shop").await;
}
