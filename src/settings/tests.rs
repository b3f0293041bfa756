//! Settings are read from file and environment, and every mistake is shown at its place.

use std::path::Path;

use smokejumper_domain::guardrail;
use smokejumper_domain::people::Role;

use super::*;

fn mk_environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::from_text("smokejumper.yaml", text, Path::new(""), &mk_environment(variables))
}

fn good(text: &str, variables: &[(&str, &str)]) -> Settings {
    load(text, variables).unwrap_or_else(|error| panic!("{error}"))
}

fn shown(text: &str, variables: &[(&str, &str)]) -> String {
    load(text, variables).expect_err("these settings are wrong").to_string()
}

/// Every section, as an operator would write it.
const WHOLE: &str = r##"
server: { listen: "127.0.0.1:9119", external_url: "https://smokejumper.example.com/" }
store: { url: "sqlite://smokejumper.db" }
receivers:
  alertmanager:
    bearer_tokens: [{ env: AM_TOKEN }]
    basic_auth: [{ username: am, password: { env: AM_PASSWORD } }]
    headers: [{ name: X-Token, value: { file: secrets/am } }]
api: { tokens: [{ name: ci, role: viewer, token: [{ env: NEW }, { env: OLD }] }] }
alertmanager: { url: "http://alertmanager:9093" }
prometheus: { url: "http://prometheus:9090", headers: { X-Scope-OrgID: team-a }, timeout: 5s }
slack:
  bot_token: { env: SLACK_BOT_TOKEN }
  signing_secret: [{ env: SLACK_SIGNING }, { file: /run/old }]
  team_id: T1
  app_id: A1
  default_channel: "#incidents"
people: [{ name: una, slack: U111, role: approver }]
endpoints:
  waf-rate-limit: { url: "https://waf.example.com/limit", method: PUT, headers: { Authorization: { env: WAF } } }
pagerduty: { services: { pss-nano: { routing_key: { env: PD_KEY } } } }
rules: ["rules/**/*.yaml"]
mode: enforce
guardrails: { rates: { per_target: [{ count: 2, window: 1h }] }, cooldown: 5m }
escalation:
  default_policy: pss-nano
  fallback: [{ pagerduty: { service: pss-nano } }, { slack: { channel: "#incidents" } }]
retention: { resolved_incidents: 30d }
limits: { connections: 10 }
telemetry: { log_format: json, otlp_endpoint: "http://localhost:4318" }
"##;

#[test]
fn an_empty_file_makes_a_safe_service() {
    let settings = good("", &[]);
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.mode, Mode::DryRun);
    assert!(settings.server.is_loopback());
    assert_eq!(settings.store.url, PlainOrSecret::Plain("sqlite://smokejumper.db".to_owned()));
    assert_eq!(
        settings.guardrails.limits(),
        guardrail::Limits::default(),
        "the domain's defaults are the settings'"
    );
    assert_eq!(good("rules: mine/*.yaml\n", &[]).rules.0, ["mine/*.yaml"]);
}

#[test]
fn every_section_is_read() {
    let settings = good(WHOLE, &[]);
    assert_eq!(
        settings.server.external_url.map(|url| url.to_string()).as_deref(),
        Some("https://smokejumper.example.com")
    );
    assert_eq!(settings.api.tokens[0].role, Role::Viewer);
    assert_eq!(settings.api.tokens[0].token.iter().count(), 2);
    assert_eq!(settings.endpoints["waf-rate-limit"].method.as_str(), "PUT");
    assert_eq!(settings.prometheus.map(|p| p.timeout), Some(Period::from_secs(5)));
    assert_eq!(settings.guardrails.rates.per_target, [Rate { count: 2, window: Period::from_hours(1) }]);
    assert_eq!(settings.guardrails.rates.global, Rates::default().global, "an absent list keeps its default");
    assert_eq!(settings.limits.connections, 10);
}

#[test]
fn a_cluster_is_reached_in_one_way_and_its_commands_are_commands() {
    let kubernetes = good("kubernetes: {}\n", &[]).kubernetes.expect("the section alone is enough");
    assert_eq!(kubernetes.timeout, Period::from_secs(10));
    let shown = shown(
        "\
kubernetes:
  context: ''
  timeout: 5m
  act: { impersonate: sa, context: other }
  read_commands:
    nothing: []
    memory: [redis-cli, info, memory]
",
        &[],
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn mistakes_in_the_file_are_shown_with_their_places() {
    let shown = shown(
        "\
serverr: {}
server:
  listen: localhost
slack:
  bot_token: xoxb-1234567890-plain
  timeout: 10
prometheus: { url: \"ftp://prometheus\" }
mode: dryrun
people:
  - { name: una, role: boss }
",
        &[],
    );
    assert!(!shown.contains("1234567890"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn contradictions_are_shown_with_their_places() {
    let shown = shown(
        r##"
server: { listen: "0.0.0.0:9119", tls: { cert_file: a.pem } }
store: { url: "postgres://app:hunter2@db/x" }
api:
  tokens:
    - { name: ci, role: viewer, token: { env: A } }
    - { name: ci, role: admin, token: { env: B } }
prometheus: { headers: { X-Api-Token: hunter2 } }
pagerduty: { services: { pss-nano: { routing_key: { env: PD } } } }
people: [{ name: una, slack: "@una", role: approver }]
rules: ["rules/**x"]
guardrails:
  rates: { global: [{ count: 0, window: 1m }] }
  namespaces: [""]
  own: { name: "" }
  blast_radius: { workloads: 0, replicas_percent: 101 }
  blind: { watchdog: "ALERTS{" }
escalation:
  fallback: [{ slack: { channel: "#a" } }, { pagerduty: { service: pss-nan } }]
limits: { body_bytes: 200000000, header_timeout: 0s }
telemetry: { log_level: "smokejumper=loud" }
"##,
        &[],
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn messengers_that_could_not_work_are_shown_with_their_places() {
    let shown = shown(
        r#"
webhooks:
  room: { url: "ftp://example.com", headers: { Authorization: hunter2 }, body: "{% if", timeout: 1m }
email: { host: smtp.example.com, from: nobody, security: plain, username: una, password: { env: P } }
teams: { channels: { ops: {} } }
escalation:
  fallback: [{ webhook: { name: rom } }, { email: { to: "ops" } }, { teams: { channel: op } }]
"#,
        &[],
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_door_open_to_other_machines_must_ask_for_credentials() {
    let open = |text: &str| load(&format!("server: {{ listen: \"[::]:9119\", {text} }}"), &[]);
    let problems = open("").expect_err("nobody is asked").problems;
    assert_eq!(problems.len(), 2);
    assert!(problems[0].message.contains("`receivers.alertmanager` asks for no credentials"));
    assert!(problems[1].message.contains("the API has no tokens"));
    assert!(open("allow_unauthenticated: true").is_ok());
    // Mutual TLS lets only known senders in, yet it does not say who uses the API.
    let mutual = open("tls: { cert_file: a, key_file: b, client_ca_file: c }").expect_err("no API tokens");
    assert_eq!(mutual.problems.len(), 1);
    assert!(load("server: { listen: \"[::ffff:127.0.0.1]:9119\" }", &[]).is_ok());
}

#[test]
fn variables_are_laid_over_the_file() {
    let settings = good(
        WHOLE,
        &[
            ("SMOKEJUMPER__SERVER__LISTEN", "127.0.0.1:80"),
            ("SMOKEJUMPER__MODE", "dry_run"),
            ("SMOKEJUMPER__LIMITS__CONNECTIONS", "77"),
            ("SMOKEJUMPER__SERVER__ALLOW_UNAUTHENTICATED", "true"),
            ("SMOKEJUMPER__RULES", "[\"a.yaml\", \"b.yaml\"]"),
            ("SMOKEJUMPER__PAGERDUTY__SERVICES__PSS-NANO__ROUTING_KEY__FILE", "/run/pd"),
            ("SMOKEJUMPER__SLACK__SIGNING_SECRET__ENV", "ONLY_ONE"),
            ("SMOKEJUMPER__SLACK__DEFAULT_CHANNEL", ""),
            ("SMOKEJUMPER_VECTORS", "/not/a/setting"),
        ],
    );
    assert_eq!(settings.server.listen.port(), 80);
    assert_eq!(settings.mode, Mode::DryRun);
    assert_eq!(settings.limits.connections, 77);
    assert!(settings.server.allow_unauthenticated);
    assert_eq!(settings.rules.0, ["a.yaml", "b.yaml"]);
    let sources = settings.secret_sources();
    let at = |key: &str| {
        sources.iter().filter(|(k, _)| k.starts_with(key)).map(|(_, s)| s.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(at("pagerduty"), ["<secret from file /run/pd>"]);
    assert_eq!(at("slack.signing_secret"), ["<secret from env ONLY_ONE>"]);
    assert_eq!(settings.slack.and_then(|s| s.default_channel).as_deref(), Some("#incidents"));
}

#[test]
fn a_variable_can_complete_a_section_that_the_file_lacks() {
    let settings = good(
        "",
        &[
            ("SMOKEJUMPER__PROMETHEUS__URL", "http://p:9090"),
            ("SMOKEJUMPER__SERVER__TLS__CERT_FILE", "c.pem"),
            ("SMOKEJUMPER__SERVER__TLS__KEY_FILE", "k.pem"),
            ("SMOKEJUMPER__API__TOKENS", "[{ name: ci, role: admin, token: { env: T } }]"),
        ],
    );
    assert_eq!(settings.prometheus.map(|p| p.url.to_string()).as_deref(), Some("http://p:9090"));
    assert_eq!(settings.api.tokens.len(), 1);
}

#[test]
fn what_looks_like_a_number_stays_a_text() {
    let settings = good(
        "slack: { bot_token: { env: 0123 }, team_id: 0042 }\n",
        &[("SMOKEJUMPER__SLACK__APP_ID", "007"), ("SMOKEJUMPER__SLACK__SIGNING_SECRET__ENV", "1e5")],
    );
    let sources: Vec<String> =
        settings.secret_sources().into_iter().map(|(_, source)| source.to_string()).collect();
    assert_eq!(sources, ["<secret from env 0123>", "<secret from env 1e5>"]);
    let slack = settings.slack.expect("the section is there");
    assert_eq!((slack.team_id.as_deref(), slack.app_id.as_deref()), (Some("0042"), Some("007")));
}

#[test]
fn mistakes_in_variables_are_shown_by_name_and_without_the_value() {
    let shown = shown(
        "",
        &[
            ("SMOKEJUMPER__SERVR__LISTEN", "127.0.0.1:1"),
            ("SMOKEJUMPER__LIMITS__CONNECTIONS", "hunter2"),
            ("SMOKEJUMPER__SLACK__BOT_TOKEN", "hunter2"),
            ("SMOKEJUMPER__MODE", "loud"),
            ("SMOKEJUMPER__SERVER__LISTEN", "127.0.0.1:2"),
        ],
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_contradiction_made_by_a_variable_names_the_variable() {
    let shown = shown("", &[("SMOKEJUMPER__SERVER__LISTEN", "0.0.0.0:9119")]);
    assert!(
        shown.contains("environment variable SMOKEJUMPER__SERVER__LISTEN: server.listen: 0.0.0.0:9119"),
        "{shown}"
    );
}

#[test]
fn a_missing_broken_or_huge_file_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("smokejumper.yaml");
    let error = || Settings::load(Some(&path), &BTreeMap::new()).expect_err("cannot be read").to_string();
    assert!(error().contains("smokejumper.yaml: the settings cannot be read: No such file"), "{}", error());
    std::fs::write(&path, b"mode: \xff\n").expect("writes");
    assert!(error().contains("not UTF-8"), "{}", error());
    std::fs::write(&path, "#".repeat(2 * 1024 * 1024)).expect("writes");
    assert!(error().contains("is it the right file"), "{}", error());
}

#[test]
fn relative_paths_start_at_the_directory_of_the_file() {
    let directory = Path::new("/etc/smokejumper");
    let settings = Settings::from_text("f", WHOLE, directory, &BTreeMap::new()).expect("is right");
    assert_eq!(settings.rules.0, ["/etc/smokejumper/rules/**/*.yaml"]);
    let sources: Vec<String> =
        settings.secret_sources().into_iter().map(|(_, source)| source.to_string()).collect();
    assert!(sources.contains(&"<secret from file /etc/smokejumper/secrets/am>".to_owned()), "{sources:?}");
    assert!(sources.contains(&"<secret from file /run/old>".to_owned()), "{sources:?}");
    let text = "server: { tls: { cert_file: c.pem, key_file: /k.pem } }\nendpoints: { e: { url: 'http://e', headers: { x_file: v } } }";
    let settings = Settings::from_text("f", text, directory, &BTreeMap::new()).expect("is right");
    let tls = settings.server.tls.expect("the section is there");
    assert_eq!(tls.cert_file, Path::new("/etc/smokejumper/c.pem"));
    assert_eq!(tls.key_file, Path::new("/k.pem"));
    assert_eq!(settings.endpoints["e"].headers["x_file"], PlainOrSecret::Plain("v".to_owned()));
}

#[test]
fn the_dump_shows_every_key_and_no_secret() {
    let dump = good(WHOLE, &[]).to_masked_yaml();
    assert!(dump.contains("bot_token: <secret from env SLACK_BOT_TOKEN>"), "{dump}");
    insta::assert_snapshot!(dump);
}

#[test]
fn all_secrets_are_opened_at_start_and_then_redacted() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("secrets")).expect("creates");
    std::fs::write(dir.path().join("secrets/am"), "planted-in-a-file\n").expect("writes");
    let text = WHOLE.replace("/run/old", "secrets/am");
    let settings = Settings::from_text("f", &text, dir.path(), &BTreeMap::new()).expect("is right");
    let names =
        ["AM_TOKEN", "AM_PASSWORD", "NEW", "OLD", "SLACK_BOT_TOKEN", "SLACK_SIGNING", "WAF", "PD_KEY"];
    let planted: BTreeMap<String, String> =
        names.iter().map(|name| ((*name).to_owned(), format!("planted-in-{name}"))).collect();
    let keyring = settings.open_secrets(None, &planted).unwrap_or_else(|error| panic!("{error}"));
    let text = planted.values().cloned().collect::<Vec<_>>().join(" ") + " planted-in-a-file";
    assert!(!keyring.redactor().redact(&text).contains("planted"), "every secret is known");
    assert!(!format!("{settings:?} {keyring:?}").contains("planted"));

    let error =
        settings.open_secrets(None, &mk_environment(&[("AM_TOKEN", "")])).expect_err("most are missing");
    assert_eq!(error.problems.len(), names.len(), "{error}");
    let shown = error.to_string();
    assert!(
        shown.contains(
            "slack.bot_token: the environment variable SLACK_BOT_TOKEN, which holds a secret, is not set"
        ),
        "{shown}"
    );
    assert!(
        shown.contains("receivers.alertmanager.bearer_tokens.0: <secret from env AM_TOKEN> is empty"),
        "{shown}"
    );
}

#[test]
fn the_schema_knows_the_sections_and_refuses_unknown_keys() {
    let schema = Settings::json_schema();
    assert_eq!(schema["additionalProperties"], serde_json::Value::Bool(false));
    for section in ["server", "receivers", "slack", "limits", "guardrails"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    let limits = &schema["$defs"]["Limits"]["properties"]["header_timeout"];
    assert_eq!(limits["default"], "5s");
    assert!(limits["description"].as_str().is_some_and(|text| text.contains("Honest clients")), "{limits}");
}

#[test]
fn keys_that_nothing_uses_are_refused() {
    let text = "people: [{ name: una, role: approver, phone: '112' }]";
    let error = Settings::from_text("s.yaml", text, Path::new(""), &BTreeMap::new()).expect_err("unused");
    assert!(error.to_string().contains("unknown key `phone`"), "{error}");
}

#[test]
fn a_person_has_a_mail_address_of_their_own() {
    let people = |first: &str, second: &str| {
        let text = format!(
            "people:\n- {{ name: una, role: approver, email: \"{first}\" }}\n- {{ name: ben, role: viewer, email: \"{second}\" }}\n"
        );
        Settings::from_text("s.yaml", &text, Path::new(""), &BTreeMap::new())
            .map_err(|error| error.to_string())
    };
    let settings = people("una@example.com", "ben+pager@mail.example.com").expect("two addresses");
    assert_eq!(settings.people[0].email.as_deref(), Some("una@example.com"));
    for wrong in ["una", "una@", "@example.com", "una@a@b", "una @example.com", "una@.example.com", ""] {
        let error = people(wrong, "ben@example.com").expect_err(wrong);
        assert!(error.contains("expected a mail address"), "{wrong}: {error}");
    }
    let error = people("una@example.com", "Una@Example.com").expect_err("the same");
    assert!(error.contains("this address belongs to another person as well"), "{error}");
}

#[test]
fn a_group_of_slack_is_named_by_its_id() {
    let text =
        |id: &str| format!("slack: {{ bot_token: {{ env: T }}, groups: [{{ id: {id}, role: approver }}] }}");
    let groups = good(&text("S0123456789"), &[]).slack.expect("the section is there").groups;
    assert_eq!(groups[0].id, "S0123456789");
    for id in ["'@oncall'", "oncall", "U0123456789", "S"] {
        let shown = shown(&text(id), &[]);
        assert!(shown.contains("expected the id of a user group"), "{id}: {shown}");
    }
}

#[test]
fn a_token_belongs_to_a_person_who_is_known() {
    let token = |person: &str| {
        format!(
            "people: [{{ name: una, role: approver, slack: U0123456789 }}]\n\
             api: {{ tokens: [{{ name: laptop, person: {person}, role: approver, token: {{ env: T }} }}] }}"
        )
    };
    assert!(load(&token("una"), &[]).is_ok());
    let shown = shown(&token("uma"), &[]);
    assert!(shown.contains("nobody under `people` is named `uma`"), "{shown}");
}
