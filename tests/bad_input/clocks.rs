//! The machine's clock is set while the service runs: back by a day, and forward by a day.

use crate::clock::Clock;
use crate::house::{House, PATIENCE, Plan, mk_body};
use crate::servers::eventually;
use smokejumper::sandbox::pagerduty::{PagerDutyOptions, PagerDutySandbox, Service};

const RULES: &str = r#"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: errors }
spec:
  matchers: ['alertname="Errors"']
  severity: P0
  groupBy: [service]
  escalation: night
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels:
    - { name: first, after: 0s, destinations: [{ pagerduty: { service: first } }] }
    - { name: second, after: 2s, destinations: [{ pagerduty: { service: second } }] }
    - { name: third, after: 4s, destinations: [{ pagerduty: { service: third } }] }
    - { name: fourth, after: 12h, destinations: [{ pagerduty: { service: fourth } }] }
  fallback: [{ pagerduty: { service: first } }]
"#;

const LEVELS: [&str; 4] = ["first", "second", "third", "fourth"];

struct Night {
    house: House,
    pagerduty: PagerDutySandbox,
    clock: Clock,
}

impl Night {
    async fn begin() -> Self {
        let services = LEVELS.iter().map(|name| Service::new(name)).collect();
        let options = PagerDutyOptions { services, ..PagerDutyOptions::default() };
        let pagerduty = PagerDutySandbox::start(options).await.expect("pagerduty");
        let named: Vec<String> = LEVELS
            .iter()
            .map(|name| format!("{name}: {{ routing_key: {{ env: PD_{} }} }}", name.to_uppercase()))
            .collect();
        let settings = format!(
            "pagerduty: {{ events_url: \"{}\", services: {{ {} }} }}",
            pagerduty.events_url(),
            named.join(", ")
        );
        let mut plan = Plan::new(&settings).rules(RULES);
        for (name, service) in LEVELS.iter().zip(pagerduty.services()) {
            plan = plan.env(&format!("PD_{}", name.to_uppercase()), &service.routing_key);
        }
        let clock = Clock::right(plan.folder.path());
        for (name, value) in clock.environment() {
            plan = plan.env(name, &value);
        }
        Self { house: plan.start().await, pagerduty, clock }
    }

    /// How often a level was told to open an incident of this service.
    fn told(&self, level: &str, id: &str) -> usize {
        let events = self.pagerduty.events().entries();
        let is_it = |event: &smokejumper::sandbox::pagerduty::Event| {
            event.service.as_deref() == Some(level)
                && event.dedup_key.as_deref().is_some_and(|key| key.contains(id))
                && event.body["event_action"] == "trigger"
        };
        events.iter().filter(|event| is_it(&event.what)).count()
    }

    async fn hears(&self, level: &str, id: &str) {
        eventually(&format!("{level} hears of {id}"), PATIENCE, || async {
            (self.told(level, id) > 0).then_some(())
        })
        .await;
    }

    async fn open(&self, service: &str) -> String {
        assert_eq!(self.house.post(mk_body(service)).await.status, 200);
        eventually("the incident", PATIENCE, || async {
            let incidents = self.house.incidents().await;
            let incident = incidents.iter().find(|one| one["alerts"][0]["labels"]["service"] == service)?;
            incident["id"].as_str().map(str::to_owned)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_delays_no_level_skips_none_and_tells_each_once() {
    let night = Night::begin().await;
    let before = night.open("before").await;
    night.hears("first", &before).await;
    night.clock.set("-1d");
    let line = night.house.says("the clock was set back").await;
    assert_eq!(line["level"], "ERROR");
    for level in ["second", "third"] {
        night.hears(level, &before).await;
    }
    assert_eq!(night.house.metric("smokejumper_clock_jumps_total{direction=\"back\"}").await, Some(1.0));
    // Something new is news, although what is known lies in the future.
    let after = night.open("after").await;
    for level in ["first", "second", "third"] {
        night.hears(level, &after).await;
    }
    for id in [&before, &after] {
        assert_eq!(night.told("fourth", id), 0, "twelve hours are not over");
    }
    night.clock.set("+0");
    night.house.says("the clock was set forward").await;
    for id in [&before, &after] {
        night.hears("fourth", id).await;
        for level in ["second", "third", "fourth"] {
            assert_eq!(night.told(level, id), 1, "{level} is told once of {id}");
        }
    }
}

/// The clock was right again before the next start: nobody saw it being set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_behind_the_last_run_delays_no_level_beyond_its_own_wait() {
    let mut night = Night::begin().await;
    night.clock.set("+365d");
    night.house.says("the clock was set forward").await;
    let id = night.open("next-year").await;
    night.hears("first", &id).await;
    night.house.server.kill();
    night.clock.set("+0");
    night.house.restart().await;
    night.house.says("the clock is behind the last run").await;
    for level in ["second", "third"] {
        night.hears(level, &id).await;
        assert_eq!(night.told(level, &id), 1);
    }
    assert_eq!(night.told("fourth", &id), 0);
}
