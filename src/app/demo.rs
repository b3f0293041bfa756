//! `smokejumper demo`: the real service against a simulated world on loopback, with nothing else installed.
//!
//! The world brings Prometheus, Kubernetes, Slack, PagerDuty, an alert sender and a service that can be mended; the
//! service is the one that `serve` runs, with settings and rules written to a folder that is deleted at the end.

mod access;

use super::house::House;
use super::upkeep;
use crate::sandbox::world::{Product, World, WorldOptions};
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use anyhow::Context;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Port of the overview page where the caller does not say. A free one is taken when it is not free.
const PAGE_PORT: u16 = 9118;
/// The scenario that plays by itself.
pub const FIRST_SCENARIO: &str = "bad-rollout";
/// Bytes of randomness in a token of the demo.
const TOKEN_BYTES: usize = 16;

/// The file with the way to the simulated cluster.
const KUBECONFIG: &str = "kubeconfig";

const RULES: &str = include_str!("demo/rules.yaml");

/// A story may be played again and again within minutes, and several at once, which in earnest would be a reason to stop:
/// what counts over time or over targets is off. All other guardrails are as they are everywhere, and docs/guardrails.md
/// tells people so.
const GUARDRAILS: &str = "guardrails:
  boot_hold: 0s
  cooldown: 0s
  daily_budget: 0
  rates: { per_target: [], per_namespace: [], global: [] }
  correlation: { targets: 0, targets_in_namespace: 0, targets_in_all: 0 }
  flapping: { times: 0 }
  circuit_breaker: { failures: 0 }";

/// What `demo` was told.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Port of the overview page; none means the usual one.
    pub port: Option<u16>,
    /// The scenario to begin with.
    pub scenario: String,
    /// How many times faster than the clock the world runs; above zero.
    pub speed: f64,
    /// Whether the addresses are printed for scripts.
    pub json: bool,
}

/// Plays the demo until a signal.
///
/// # Errors
/// A port that is taken, an unknown scenario, or a service that cannot start.
pub async fn demo(options: DemoOptions) -> anyhow::Result<()> {
    let world = start_world(&options).await?;
    let folder = Folder::make()?;
    let environment = secrets(&world);
    let settings = write_settings(&world, &folder.0, &environment)?;
    access::grant(world.cluster(), &settings, &folder.0.join(KUBECONFIG))?;
    let keyring = settings.open_secrets(None, &environment)?;
    let _telemetry =
        Telemetry::start(&settings.telemetry, &keyring).context("telemetry could not be started")?;
    let stop = CancellationToken::new();
    let running = House::new(settings, keyring).start().await?;
    let product = format!("http://{}", running.address);
    world.slack.set_interactivity_url(format!("{product}/webhooks/slack"));
    world.connect(Product {
        base_url: product.clone(),
        alertmanager_token: environment.get("DEMO_RECEIVER_TOKEN").cloned(),
        // The API of the demo stands open on loopback, as that of a first `serve` does.
        viewer_token: None,
    });
    let scenario = options.scenario.as_str();
    world.play(scenario).with_context(|| format!("the scenario `{scenario}` cannot be played"))?;
    let places = Places {
        page: world.url(),
        slack: world.slack.base_url(),
        api: format!("{product}/api/v1/incidents"),
        url: product,
        scenario: scenario.to_owned(),
    };
    if options.json { places.print_json() } else { places.greet() }?;
    upkeep::stop_on_signal(stop.clone());
    running.wait(stop).await
}

async fn start_world(options: &DemoOptions) -> anyhow::Result<World> {
    let world_on = |port| WorldOptions { port, speed: options.speed, ..WorldOptions::default() };
    match options.port {
        Some(port) => World::start(world_on(port)).await.with_context(|| format!("port {port}")),
        // The usual port may be taken, by another demo perhaps; any other will do.
        None => match World::start(world_on(PAGE_PORT)).await {
            Ok(world) => Ok(world),
            Err(_) => World::start(world_on(0)).await.context("the simulated world cannot start"),
        },
    }
}

/// A folder of our own, deleted at the end.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("smokejumper-demo-{}", random_token()));
        std::fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind after a kill is a few kilobytes in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Fresh secrets of the simulated world, by the names that the settings refer to.
fn secrets(world: &World) -> BTreeMap<String, String> {
    let mut secrets = BTreeMap::from([
        ("DEMO_SLACK_TOKEN".to_owned(), world.slack.options().bot_token.clone()),
        ("DEMO_SLACK_SECRET".to_owned(), world.slack.options().signing_secret.clone()),
        ("DEMO_PD_API".to_owned(), world.pagerduty.api_token().to_owned()),
        ("DEMO_PD_WEBHOOKS".to_owned(), world.pagerduty.webhook_secret().to_owned()),
        ("DEMO_REMEDY_TOKEN".to_owned(), format!("Bearer {}", world.remedies().token())),
        ("DEMO_RECEIVER_TOKEN".to_owned(), random_token()),
    ]);
    for service in world.pagerduty.services() {
        secrets.insert(format!("DEMO_PD_{}", env_name(&service.name)), service.routing_key.clone());
    }
    secrets
}

fn random_token() -> String {
    use ring::rand::SecureRandom;
    let mut bytes = [0_u8; TOKEN_BYTES];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("the system has randomness");
    hex::encode(bytes)
}

fn env_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn write_settings(
    world: &World,
    folder: &Path,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Settings> {
    let remedy = world.remedies().base_url();
    let rules = folder.join("rules.yaml");
    std::fs::write(&rules, RULES.replace("REMEDY_URL", &remedy))?;
    let services: Vec<String> = world
        .pagerduty
        .services()
        .iter()
        .map(|service| {
            format!("{}: {{ routing_key: {{ env: DEMO_PD_{} }} }}", service.name, env_name(&service.name))
        })
        .collect();
    let endpoint = |name: &str, path: &str| {
        format!(
            "{name}: {{ url: \"{remedy}{path}\", method: POST, headers: {{ Authorization: {{ env: DEMO_REMEDY_TOKEN }} }} }}"
        )
    };
    let text = format!(
        r##"
server: {{ listen: "127.0.0.1:0" }}
store: {{ url: "sqlite://{store}" }}
receivers: {{ alertmanager: {{ bearer_tokens: [{{ env: DEMO_RECEIVER_TOKEN }}] }} }}
alertmanager: {{ url: "{alertmanager}", reconcile: {{ every: 10s, grace: 10s, receiver: smokejumper }} }}
prometheus: {{ url: "{prometheus}" }}
kubernetes:
  kubeconfig: "{kubeconfig}"
  act: {{ impersonate: "system:serviceaccount:smokejumper:smokejumper-act" }}
slack:
  api_url: "{slack}"
  bot_token: {{ env: DEMO_SLACK_TOKEN }}
  signing_secret: {{ env: DEMO_SLACK_SECRET }}
  team_id: "{team}"
  app_id: "{app}"
  default_channel: "#pss-nano-incidents"
people:
  - {{ name: una, slack: U0UNA, pagerduty: PUNA, role: approver }}
  - {{ name: ravi, slack: U0RAVI, role: approver }}
  - {{ name: mei, slack: U0MEI, role: approver }}
  - {{ name: sam, slack: U0SAM, role: responder }}
pagerduty:
  events_url: "{pagerduty}"
  webhook_secret: {{ env: DEMO_PD_WEBHOOKS }}
  api: {{ url: "{pagerduty}", token: {{ env: DEMO_PD_API }}, from: smokejumper@example.com }}
  services: {{ {services} }}
endpoints: {{ {endpoints} }}
probes: {{ allow_loopback: true }}
rules: ["{rules}"]
mode: enforce
{GUARDRAILS}
telemetry: {{ log_level: warn }}
"##,
        store = folder.join("demo.db").display(),
        alertmanager = world.alertmanager_url(),
        prometheus = world.prometheus().base_url(),
        kubeconfig = folder.join(KUBECONFIG).display(),
        slack = world.slack.api_url(),
        team = world.slack.options().team_id,
        app = world.slack.options().app_id,
        pagerduty = world.pagerduty.events_url(),
        services = services.join(", "),
        endpoints = [
            endpoint("waf-rate-limit", "/waf/rate-limit"),
            endpoint("cache-warm", "/cache/warm"),
            endpoint("archive-logs", "/disk/archive-logs"),
        ]
        .join(", "),
        rules = rules.display(),
    );
    let file = folder.join("smokejumper.yaml");
    std::fs::write(&file, text)?;
    Ok(Settings::load(Some(&file), environment)?)
}

/// Where everything is.
#[derive(serde::Serialize)]
struct Places {
    /// The overview page.
    page: String,
    /// The page of the simulated Slack.
    slack: String,
    /// The list of incidents.
    api: String,
    /// The service, as commands take it.
    url: String,
    /// What is played.
    scenario: String,
}

impl Places {
    fn greet(&self) -> anyhow::Result<()> {
        let Self { page, slack, api, url, scenario } = self;
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "Smokejumper runs against a simulated world. Nothing outside this machine is touched.\n\n\
             \x20 Open   {page}\n\n\
             The scenario `{scenario}` has begun. Within a minute the alert arrives, evidence is gathered, and the\n\
             Slack page asks for your approval; press the button there and watch the remedy, its check and the end.\n\
             More stories are on the page.\n\n\
             \x20 Slack      {slack}\n\
             \x20 API        {api}\n\
             \x20 Commands   smokejumper incidents --url {url}\n\n\
             Stop with Ctrl-C.",
        )?;
        Ok(out.flush()?)
    }

    fn print_json(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(self)?)?;
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_of_each_guardrail_that_the_demo_plays_without() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guardrails.md");
        let page = std::fs::read_to_string(page).expect("the page");
        let told = page.split("\n## In the demo\n").nth(1).expect("a section about the demo");
        let told = told.split("\n## ").next().expect("its text");
        let off: Vec<&str> =
            GUARDRAILS.lines().skip(1).filter_map(|line| line.trim().split(':').next()).collect();
        assert!(off.len() > 5, "{off:?}");
        for key in off {
            assert!(told.contains(&format!("`{key}`")), "`{key}` is off, and nobody is told");
        }
    }
}
