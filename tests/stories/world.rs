//! The whole world of one story: real Prometheus, real Alertmanager, the built binary, real Redis and PostgreSQL, the
//! simulated cluster, and Slack's and PagerDuty's stand-ins. What fires, what is matched, asked, done and verified is what
//! ships: `rules/`, `deploy/prometheus/rules/` and `deploy/alertmanager/receiver.yml` ([`crate::shipped`]).
//!
//! What is changed, and why:
//!
//! | what | how | why |
//! |---|---|---|
//! | `for`, `interval`, windows and offsets of PromQL, Alertmanager's gathering, `settle`, `hold` | a thirtieth, rounded up to a second: five minutes are ten seconds | nobody waits for an hour |
//! | `within` of a verification | the same, in the story of the ladder alone | only there every rung has to fail; elsewhere its full length is the patience of a busy machine |
//! | time limits of changes, times of escalation | as shipped: the service lives by a clock that the story sets forward when it has nothing else to wait for | they are what the story is about |
//! | `idle_for` of sessions | as shipped: PostgreSQL lives by such a clock as well | so is this |
//! | values of `platform.yaml` that are addresses | those of this world | servers of a test listen on loopback |
//! | settings | `boot_hold: 0s`, and per story what its rule's comment says of limits | two minutes after a start nothing is done alone; all else is by default |
//!
//! It must never know a remedy: a story breaks something, presses buttons, and looks at what became of the world.

use crate::clock::Clock;
use crate::platform::{self, HSC, PSS};
use crate::postgres::{PASSWORD, Postgres};
use crate::redis::Redis;
use crate::servers::{self, Server, eventually, free_port, http_client};
use crate::shipped::{self, Names};
use crate::town::Town;
use crate::traffic::Traffic;
use serde_json::Value;
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use smokejumper::sandbox::pagerduty::{Incident as Page, PagerDutyOptions, PagerDutySandbox, Service};
use smokejumper::sandbox::slack::{Channel, Message, SlackOptions, SlackSandbox};
use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const RECEIVER_TOKEN: &str = "alertmanager-token-for-tests";
const API_TOKEN: &str = "admin-token-for-tests";

/// Longest wait for what happens by itself; generous, since a busy machine plays several stories at once, and what meets a
/// rollout that is not over is looked at again two minutes later.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// What PSS-nano's people read.
pub const CHANNEL: &str = "#pss-nano-incidents";

/// The services that must be there, by the shipped thresholds.
const SERVICES: [(&str, &str); 3] =
    [(PSS, "api-gateway"), (PSS, "reservation-service"), (HSC, "hsc-jit-backend")];

/// Everything but Prometheus, Alertmanager and the service: a story furnishes it, and then [`Scene::begin`]s.
pub struct Scene {
    pub folder: tempfile::TempDir,
    pub cluster: Arc<KubernetesSandbox>,
    pub town: Town,
    pub redis: Redis,
    other_redis: Redis,
}

/// How a story differs from all others.
#[derive(Default)]
pub struct Plan {
    /// The file of its rule, which must ship.
    pub rule: &'static str,
    /// Names and addresses of its cluster, beside those of every story.
    pub names: Names,
    /// Whether every rung of its ladder fails.
    pub until_failed_by: Option<u64>,
    /// Guardrails in its settings.
    pub guardrails: &'static str,
    /// Its PostgreSQL: address of the database, and the entry `act` of its connection.
    pub postgres: Option<(String, String)>,
}

/// The world while its story is played.
pub struct World {
    pub cluster: Arc<KubernetesSandbox>,
    pub town: Town,
    pub redis: Redis,
    _other_redis: Redis,
    pub slack: SlackSandbox,
    pub pagerduty: PagerDutySandbox,
    pub clock: Clock,
    pub service: Server,
    _prometheus: Server,
    _alertmanager: Server,
    // The last one, since servers that fail show their logs when they are dropped.
    _folder: tempfile::TempDir,
}

/// A service's traffic that pages and stories share.
pub fn traffic() -> Arc<Mutex<Traffic>> {
    Arc::new(Mutex::new(Traffic::new()))
}

/// Whether a Redis answers at this port.
pub fn redis_answers(port: u16) -> bool {
    let Ok(mut line) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    line.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let mut answer = [0; 7];
    line.write_all(b"PING\r\n").is_ok() && line.read_exact(&mut answer).is_ok() && &answer == b"+PONG\r\n"
}

/// The address of a database that the user of [`Plan::postgres`] may look at.
pub fn watched_database() -> String {
    let server = Postgres::shared();
    let make = format!(
        "DO $$ BEGIN CREATE ROLE watcher LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor; \
         EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
    );
    server.psql("postgres", &make);
    server.address("postgres")
}

impl Scene {
    /// Both platforms at rest, but for `services`, whose metrics the story shows itself.
    pub async fn set(cluster: Arc<KubernetesSandbox>, own_metrics: &[&str]) -> Self {
        let scene = Self {
            folder: tempfile::tempdir().expect("a folder"),
            cluster,
            town: Town::open().await,
            redis: Redis::start(""),
            other_redis: Redis::start(""),
        };
        for (namespace, service) in SERVICES {
            if !own_metrics.contains(&service) {
                let traffic = traffic();
                let page = move || Some(traffic.lock().expect("not poisoned").text(""));
                scene.town.show(service, &[("namespace", namespace), ("service", service)], page);
            }
        }
        for (namespace, port) in [(PSS, scene.redis.port), (HSC, scene.other_redis.port)] {
            let labels = [("namespace", namespace), ("service", "redis-exporter")];
            let page = move || Some(format!("redis_up {}\n", u8::from(redis_answers(port))));
            scene.town.show(&format!("redis-{namespace}"), &labels, page);
        }
        let cluster = Arc::clone(&scene.cluster);
        scene.town.show("kube-state-metrics", &[], move || Some(platform::kube_state_metrics(&cluster)));
        scene
    }

    /// Starts everything, in the order in which it needs each other. When this returns, Prometheus has seen all of it well.
    pub async fn begin(self, plan: Plan) -> World {
        let Self { folder, cluster, town, redis, other_redis } = self;
        let path = folder.path();
        let slack = SlackSandbox::start(slack_options()).await.expect("a free port");
        let services = [PSS, HSC].map(Service::new).to_vec();
        let options = PagerDutyOptions { services, ..PagerDutyOptions::default() };
        let pagerduty = PagerDutySandbox::start(options).await.expect("a free port");
        let port = free_port();
        let hook = format!("http://127.0.0.1:{port}/webhooks/alertmanager");
        let alertmanager = servers::alertmanager(path, &shipped::receiver(&hook, RECEIVER_TOKEN)).await;
        let config = prometheus_config(path, &town, port, alertmanager.port);
        let prometheus = servers::prometheus_with(
            path,
            &config,
            &["--web.enable-lifecycle", "--rules.alert.resend-delay=2s"],
        )
        .await;

        let mut names = plan.names;
        for file in ["rules/pss-nano/platform.yaml", "rules/hsc-jit/platform.yaml"] {
            names.entry((file, "health_url")).or_insert_with(|| town.url("/health"));
        }
        shipped::rules(path, plan.rule, &names, plan.until_failed_by);
        std::fs::write(path.join("kubeconfig"), cluster.kubeconfig()).expect("a file");
        let clock = Clock::right(path);
        let (database, act) = plan.postgres.unwrap_or_else(|| (String::new(), String::new()));
        let databases = if database.is_empty() {
            String::new()
        } else {
            format!(
                "  postgres: {{ pss-nano: {{ url: '{database}', username: watcher, password: {{ env: PG }}{act} }} }}\n"
            )
        };
        let guardrails = plan.guardrails;
        let settings = format!(
            "server: {{ listen: '127.0.0.1:{port}' }}\n\
             store: {{ url: 'sqlite://smokejumper.db' }}\n\
             receivers: {{ alertmanager: {{ bearer_tokens: [{{ env: AM_TOKEN }}] }} }}\n\
             api: {{ tokens: [{{ name: tester, role: admin, token: {{ env: API_TOKEN }} }}] }}\n\
             people: [{{ name: una, slack: U0UNA, role: approver }}, {{ name: ravi, slack: U0RAVI, role: approver }}]\n\
             prometheus: {{ url: '{prometheus}' }}\n\
             alertmanager: {{ url: '{alertmanager_url}' }}\n\
             watchdogs: {{ story: {{ matchers: ['alertname=\"Watchdog\"'], within: 5m, severity: P1 }} }}\n\
             kubernetes: {{ kubeconfig: kubeconfig }}\n\
             connections:\n  \
             redis: {{ pss-nano: {{ url: '{redis}' }}, hsc-jit: {{ url: '{other_redis}' }} }}\n\
             {databases}\
             slack: {{ api_url: '{slack}', bot_token: {{ env: BOT }}, signing_secret: {{ env: SIGNING }}, \
             team_id: {team}, app_id: {app}, default_channel: '#incidents' }}\n\
             pagerduty:\n  events_url: '{pagerduty}'\n  services: {{ pss-nano: {{ routing_key: {{ env: PD_PSS }} }}, \
             hsc-jit: {{ routing_key: {{ env: PD_HSC }} }} }}\n\
             endpoints:\n  waf-rate-limit: {{ url: '{limit}' }}\n  cache-warm: {{ url: '{warm}' }}\n  \
             archive-logs: {{ url: '{archive}', idempotent: false }}\n\
             probes: {{ allow_loopback: true }}\n\
             guardrails: {{ boot_hold: 0s{guardrails} }}\n\
             rules: ['rules/**/*.yaml']\n\
             mode: enforce\n",
            prometheus = prometheus.url(),
            alertmanager_url = alertmanager.url(),
            redis = redis.url(),
            other_redis = other_redis.url(),
            slack = slack.api_url(),
            team = slack.options().team_id,
            app = slack.options().app_id,
            pagerduty = pagerduty.events_url(),
            limit = town.url("/do/limit"),
            warm = town.url("/do/warm"),
            archive = town.url("/do/archive"),
        );
        let keys: Vec<String> = pagerduty.services().iter().map(|one| one.routing_key.clone()).collect();
        let mut environment: Vec<(&str, String)> = vec![
            ("AM_TOKEN", RECEIVER_TOKEN.to_owned()),
            ("API_TOKEN", API_TOKEN.to_owned()),
            ("BOT", slack.options().bot_token.clone()),
            ("SIGNING", slack.options().signing_secret.clone()),
            ("PD_PSS", keys[0].clone()),
            ("PD_HSC", keys[1].clone()),
            ("PG", PASSWORD.to_owned()),
        ];
        environment.extend(clock.environment());
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let service = servers::smokejumper(path, &settings, port, &environment).await;
        slack.set_interactivity_url(format!("http://127.0.0.1:{port}/webhooks/slack"));

        // Alerts about what was not scraped yet, or that nobody could be told of, would be none of the story's.
        let all = town.targets() + 1;
        eventually("Prometheus has seen everything well", PATIENCE, async || {
            let up = ask(&prometheus, "query?query=sum(up)").await?;
            let count = up["data"]["result"][0]["value"][1].as_str()?.parse::<usize>().ok()?;
            let managers = ask(&prometheus, "alertmanagers").await?;
            (count == all && managers["data"]["activeAlertmanagers"][0]["url"].is_string()).then_some(())
        })
        .await;
        shipped::alerts(path);
        let reload = http_client().post(format!("{}/-/reload", prometheus.url())).send().await;
        assert_eq!(reload.expect("an answer").status(), 200, "the shipped alerts can be loaded");
        World {
            _folder: folder,
            cluster,
            town,
            redis,
            _other_redis: other_redis,
            slack,
            pagerduty,
            clock,
            service,
            _prometheus: prometheus,
            _alertmanager: alertmanager,
        }
    }
}

fn prometheus_config(folder: &std::path::Path, town: &Town, service: u16, alertmanager: u16) -> String {
    format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
         rule_files: ['{}/alerts/*.yaml']\n\
         alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ['127.0.0.1:{alertmanager}'] }}] }}] }}\n\
         scrape_configs:\n\
         {}  - job_name: smokejumper\n    static_configs: [{{ targets: ['127.0.0.1:{service}'] }}]\n",
        folder.display(),
        town.scrape_configs(),
    )
}

async fn ask(prometheus: &Server, what: &str) -> Option<Value> {
    let url = format!("{}/api/v1/{what}", prometheus.url());
    http_client().get(url).send().await.ok()?.json().await.ok()
}

fn slack_options() -> SlackOptions {
    let mut options = SlackOptions::default();
    options.channels.push(Channel::new("C0HSCJIT", "hsc-jit-incidents"));
    options.channels.push(Channel::new("C0HSCLEADS", "hsc-jit-leads"));
    options
}

/// The newest action of this remedy; null where there is none.
pub fn action<'i>(incident: &'i Value, remedy: &str) -> &'i Value {
    let actions = incident["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
    actions.iter().rev().find(|action| action["remedy"] == remedy).unwrap_or(&Value::Null)
}

/// All lines of the timeline.
pub fn timeline(incident: &Value) -> Vec<String> {
    let lines = incident["timeline"].as_array().expect("a timeline").iter();
    lines.map(|line| format!("{}: {}", line["reason"].as_str().unwrap_or("-"), line["text"])).collect()
}

impl World {
    async fn get(&self, path: &str) -> Option<Value> {
        let url = format!("{}{path}", self.service.url());
        let answer = http_client().get(url).bearer_auth(API_TOKEN).send().await.ok()?;
        answer.json().await.ok()
    }

    /// The newest incident of a rule.
    pub async fn incident(&self, rule: &str) -> Option<Value> {
        let page = self.get("/api/v1/incidents").await?;
        let found = page["incidents"].as_array()?.iter().find(|incident| incident["rule"] == rule)?;
        self.get(&format!("/api/v1/incidents/{}", found["id"].as_str()?)).await
    }

    /// Nothing but the incidents of these rules was opened so far, and each of them once.
    pub async fn only(&self, rules: &[&str]) {
        let page = self.get("/api/v1/incidents").await.expect("an answer");
        let incidents = page["incidents"].as_array().expect("a list").iter();
        let mut found: Vec<_> = incidents.map(|one| one["rule"].as_str().unwrap_or("-")).collect();
        found.sort_unstable();
        assert_eq!(found, rules, "nothing else went wrong: {page:#}");
    }

    /// The newest incident of a rule, once it is as it should be.
    pub async fn incident_where(&self, rule: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let seen = RefCell::new(String::new());
        eventually(&format!("{rule}: {what}"), PATIENCE, async || {
            let incident = self.incident(rule).await?;
            let actions = incident["actions"].as_array().into_iter().flatten();
            let stands: Vec<_> = actions
                .map(|one| format!("{}: {} ({})", one["remedy"], one["status"], one["reason"]))
                .collect();
            let stand = format!("{} {}: {stands:?}", incident["status"], incident["phase"]);
            if *seen.borrow() != stand {
                eprintln!("{rule}: {stand}");
                seen.replace(stand);
            }
            fits(&incident).then_some(incident)
        })
        .await
    }

    /// The incident once its newest action of this remedy stands so.
    pub async fn once(&self, rule: &str, remedy: &str, status: &str) -> Value {
        let what = format!("{remedy} is {status}");
        self.incident_where(rule, &what, |incident| action(incident, remedy)["status"] == status).await
    }

    /// Una presses the button that approves this remedy, on the one card of the channel, which shows these words.
    pub async fn approve(&self, rule: &str, remedy: &str, channel: &str, words: &[&str]) -> Message {
        self.approve_as("una", "T2", rule, remedy, channel, words).await
    }

    /// The same by another person, and for a remedy of this tier.
    pub async fn approve_as(
        &self,
        person: &str,
        tier: &str,
        rule: &str,
        remedy: &str,
        channel: &str,
        words: &[&str],
    ) -> Message {
        let asked = self.once(rule, remedy, "awaiting_approval").await;
        assert_eq!(action(&asked, remedy)["tier"], tier, "{asked:#}");
        eprintln!("it asks: {}", action(&asked, remedy)["summary"]);
        let card =
            eventually(&format!("a card that asks for {remedy} with {words:?}"), PATIENCE, async || {
                let cards = self.cards(channel);
                cards.into_iter().find(|card| {
                    let shown = shown(card);
                    shown.contains("smokejumper.approve") && words.iter().all(|word| shown.contains(word))
                })
            })
            .await;
        let button = if tier == "T3" { "smokejumper.approve_why" } else { "smokejumper.approve" };
        let click = self.slack.click(&card.channel, &card.ts, button, person).await;
        let click = click.expect("the button is there");
        assert_eq!(click.status, Some(200), "{click:?}");
        if tier == "T3" {
            let form =
                eventually("the form that asks why", PATIENCE, async || self.slack.views().pop()).await;
            self.slack.submit(&form.id, &[("reason", "it is needed")]).await.expect("sent");
        }
        card
    }

    /// The incident once all is over.
    pub async fn closed(&self, rule: &str) -> Value {
        self.incident_where(rule, "closed", |incident| incident["status"] == "resolved").await
    }

    /// The messages of a channel that stand in no thread.
    pub fn cards(&self, channel: &str) -> Vec<Message> {
        let mut messages = self.slack.messages(channel);
        messages.retain(|message| message.thread_ts.is_none());
        messages
    }

    /// Waits until a card shows these words.
    pub async fn card_shows(&self, card: &Message, words: &[&str]) {
        eventually(&format!("the card shows {words:?}"), PATIENCE, async || {
            let shown = shown(&self.slack.message(&card.channel, &card.ts)?);
            words.iter().all(|word| shown.contains(word)).then_some(())
        })
        .await;
    }

    /// Waits until the thread of a card has these words.
    pub async fn thread_has(&self, channel: &str, card: &Message, words: &str) {
        eventually(&format!("the thread says {words}"), PATIENCE, async || {
            let messages = self.slack.messages(channel);
            let mut thread = messages.iter().filter(|one| one.thread_ts.as_ref() == Some(&card.ts));
            thread.any(|one| shown(one).contains(words)).then_some(())
        })
        .await;
    }

    /// What PagerDuty holds of an incident.
    pub fn page(&self, incident: &Value) -> Option<Page> {
        let id = incident["id"].as_str().expect("an id");
        self.pagerduty.incidents().into_iter().find(|page| page.dedup_key.contains(id))
    }

    /// Waits until PagerDuty has heard that an incident is over.
    pub async fn page_ends(&self, incident: &Value) -> Page {
        eventually("PagerDuty hears of the end", PATIENCE, async || {
            self.page(incident).filter(|page| page.resolved_at.is_some())
        })
        .await
    }

    /// Writes that changed the cluster, as the cluster recorded them: verb, resource and name.
    pub fn writes(&self) -> Vec<String> {
        let entries = self.cluster.writes().entries();
        let real = entries.iter().filter(|write| {
            write.what.took_effect && !write.what.dry_run && !write.what.resource.starts_with("selfsubject")
        });
        real.map(|write| format!("{} {} {}", write.what.verb, write.what.resource, write.what.name)).collect()
    }
}

/// All that people see of a message.
pub fn shown(message: &Message) -> String {
    let blocks = serde_json::to_string(&message.blocks).expect("JSON");
    format!("{}\n{blocks}", message.text)
}
