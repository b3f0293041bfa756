//! The walls between the floors: who may import whom, which crates live where, who holds a dangerous handle.

use crate::rust_code::RustFile;
use crate::tree::{Finding, Tree};

/// One module at the top of `src/`, and what it may import.
struct Room {
    name: &'static str,
    imports: Imports,
    /// What only its tests may import besides.
    in_tests: &'static [&'static str],
}

enum Imports {
    These(&'static [&'static str]),
    /// Every room that stands before it in [`ROOMS`].
    AllBelow,
}

const fn room(name: &'static str, imports: &'static [&'static str]) -> Room {
    Room { name, imports: Imports::These(imports), in_tests: &[] }
}

/// An adapter: the nouns, the ports, and the protocols; its tests speak to the simulated world.
const fn adapter(name: &'static str, imports: &'static [&'static str]) -> Room {
    Room { name, imports: Imports::These(imports), in_tests: &["sandbox"] }
}

const fn roof(name: &'static str) -> Room {
    Room { name, imports: Imports::AllBelow, in_tests: &[] }
}

/// Every room of the house, from the ground up. A new room is a new line here and in `docs/architecture.md`.
const ROOMS: &[Room] = &[
    room("domain", &[]),
    // Tools without a floor of their own: any floor may use them, so they may use next to nothing.
    room("yaml", &["domain"]),
    room("period", &[]),
    room("params", &["domain", "period"]),
    room("secret", &["domain", "yaml"]),
    // Pictures are the same wherever they are shown.
    room("chart", &["domain"]),
    room("engine", &["domain"]),
    // The rules fill the port `Playbook` of the engine.
    room("rules", &["domain", "yaml", "period", "params", "engine"]),
    adapter("clients", &["domain"]),
    room("store", &["domain", "engine"]),
    // Both quote what others answer, so they take the redactor anew for each text.
    adapter("diagnostics", &["domain", "period", "params", "engine", "clients", "secret"]),
    adapter("actions", &["domain", "period", "params", "engine", "clients", "secret"]),
    // Both hold live secrets: keys that are sent, and credentials that are compared.
    // Bodies of webhooks are templates, rendered where everything they are given is escaped.
    adapter("notify", &["domain", "engine", "rules", "clients", "secret", "chart"]),
    // Keeps a secret out of what Alertmanager's proxy may quote.
    adapter("alerting", &["domain", "engine", "clients", "secret"]),
    adapter("http", &["domain", "period", "engine", "clients", "secret", "chart"]),
    // The simulated world would share the mistakes of whatever it imported.
    room("sandbox", &["domain"]),
    // Counts what the engine and the doors report through their ports.
    roof("metrics"),
    roof("settings"),
    roof("telemetry"),
    roof("app"),
    // Plays rule tests through the house, and answers from a test file in the place of whatever is outside.
    roof("testing"),
    // Plays the past on the stage of the rule tests.
    roof("backtest"),
    roof("cli"),
    roof("main"),
];

/// Crates that only some rooms may name, and why.
const CRATES: &[(&str, &[&str], &str)] = &[
    (
        "sqlx",
        &["store", "clients/postgres"],
        "our own SQL has one home, and that over the databases of others another",
    ),
    ("redis", &["clients"], "commands that read and commands that write are told apart in `clients`"),
    ("rusqlite", &["store"], "SQL has one home, and its calls block"),
    ("axum", &["http", "sandbox"], "routes have one home"),
    (
        "reqwest",
        &["clients", "settings", "sandbox"],
        "`clients::http` sets deadlines, limits and the TLS provider",
    ),
    ("slack_morphism", &["clients"], "notifiers know messages, not protocols"),
    ("lettre", &["clients", "settings"], "notifiers know messages, not protocols"),
    ("kube", &["clients"], "read and write handles are told apart in `clients`"),
    ("k8s_openapi", &["clients", "diagnostics", "actions"], "Kubernetes types stay in the adapters"),
    ("tera", &["rules", "http"], "templates are rendered where everything they are given is escaped"),
    ("cel", &["rules"], "conditions are judged in one place"),
    ("croner", &["domain"], "cron expressions are read in one place"),
    ("promql_parser", &["rules", "settings", "diagnostics", "sandbox"], "PromQL is read where it is checked"),
    ("clap", &["cli", "main"], "the command line has one home"),
    (
        "anyhow",
        &["app", "cli", "main", "telemetry"],
        "below the roof an error is a type that says how to go on",
    ),
    ("resvg", &["chart"], "pictures are painted in one place, from our own text and fonts alone"),
    ("config", &["settings"], "settings are typed values everywhere else"),
    ("opentelemetry", &["telemetry"], "exporters are wired at the roof"),
    ("prometheus_client", &["metrics", "http"], "the floors count through the port `Meter`"),
];

/// Words that only some folders may say, because what they name changes the world or the state.
const HANDLES: &[(&str, &[&str], &str)] = &[
    (
        "Method::POST",
        &["actions", "clients", "cli", "http", "sandbox", "settings"],
        "diagnostics and notifiers only read or tell",
    ),
    (
        "Method::PUT",
        &["actions", "clients", "cli", "http", "sandbox", "settings"],
        "diagnostics and notifiers only read or tell",
    ),
    (
        "Method::PATCH",
        &["actions", "clients", "cli", "http", "sandbox", "settings"],
        "diagnostics and notifiers only read or tell",
    ),
    (
        "Method::DELETE",
        &["actions", "clients", "cli", "http", "sandbox", "settings"],
        "diagnostics and notifiers only read or tell",
    ),
    ("Actor for", &["actions", "testing/world"], "only `actions/` touches the world"),
    // A backtest answers for the past, tells nobody, and keeps what it plays for as long as it plays.
    // `explain` hands out what its caller takes for granted, and asks the real one for the rest.
    (
        "Diagnoser for",
        &["diagnostics", "testing/world", "backtest/past", "app/explain"],
        "only `diagnostics/` gathers evidence",
    ),
    ("Notifier for", &["notify", "backtest/past"], "only `notify/` tells people"),
    ("Store for", &["store"], "only `store/` keeps state"),
    ("Playbook for", &["rules"], "only `rules/` knows what a rule says"),
    ("ActHandle", &["actions", "clients", "app/adapters"], "only `actions/` is given a handle that writes"),
    ("RedisHand", &["actions", "clients"], "only `actions/` is given a connection that changes something"),
    ("PgHand", &["actions", "clients"], "only `actions/` is given a connection that changes something"),
    ("SlackClient", &["clients", "notify", "app"], "only `notify/` speaks to Slack"),
    (
        "AlertmanagerClient",
        &["clients", "alerting", "actions", "app"],
        "`alerting` asks Alertmanager, and an action silences there",
    ),
    ("PagerDutyClient", &["clients", "notify", "app"], "only `notify/` speaks to PagerDuty"),
    ("apply::apply", &["engine/step", "domain"], "`engine::step` is the only writer of incident state"),
    // Runs of scheduled checks are of no incident: their results and next runs are written with the lease that they end.
    (
        ".commit",
        &["engine/step", "engine/checking", "store"],
        "`engine::step` is the only writer of incident state",
    ),
];

/// What the ground floor may depend on: pure libraries only.
const GROUND_CRATES: [&str; 12] = [
    "aho-corasick",
    "croner",
    "jiff",
    "regex",
    "regex-automata",
    "regex-syntax",
    "serde",
    "serde_json",
    "thiserror",
    "sha2",
    "hex",
    "schemars",
];

/// What the ground floor must not say: each of these does IO, reads a clock, draws lots or asks the environment.
const GROUND_WORDS: [&str; 11] = [
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "RandomState",
];

/// The room that a file belongs to.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let name = inside.split('/').next()?;
    // `lib.rs` only lists the rooms.
    (name != "lib.rs").then(|| name.trim_end_matches(".rs"))
}

fn is_inside(path: &str, places: &[&str]) -> bool {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let rest_of = |place: &&str| inside.strip_prefix(*place).map(|rest| rest.starts_with(['/', '.']));
    places.iter().any(|place| rest_of(place) == Some(true))
}

/// Imports that go up or across.
pub fn imports(files: &[RustFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(name) = room_of(&file.path) else { continue };
        let Some(floor) = ROOMS.iter().position(|room| room.name == name) else {
            let way_out =
                "give it a line in `ROOMS` of tests/tidy/walls.rs and a row in docs/architecture.md";
            findings.push(Finding::at(&file.path, 1, format!("the room `{name}` is not known: {way_out}")));
            continue;
        };
        // Inside its own crate `crate::` cannot leave the ground; `ground` looks at the rest.
        if name != "domain" {
            findings.extend(imports_of(file, floor));
        }
    }
    findings
}

fn imports_of(file: &RustFile, floor: usize) -> Vec<Finding> {
    let room = &ROOMS[floor];
    let allowed: Vec<&str> = match room.imports {
        Imports::These(names) => names.to_vec(),
        Imports::AllBelow => ROOMS[..floor].iter().map(|room| room.name).collect(),
    };
    let uses = file.crate_paths().into_iter().map(|path| (path.position, path.parts[0].clone()));
    let uses = uses.chain(file.positions("smokejumper_domain").map(|at| (at, "domain".to_owned())));
    let is_wrong = |(position, target): &(usize, String)| {
        let target = target.as_str();
        let in_tests = file.is_test_at(*position) && room.in_tests.contains(&target);
        let is_room = ROOMS.iter().any(|room| room.name == target);
        is_room && target != room.name && !allowed.contains(&target) && !in_tests
    };
    let finding = |(position, target): (usize, String)| {
        let allowed = if allowed.is_empty() { "nothing of the house".to_owned() } else { allowed.join(", ") };
        let message = format!(
            "`{}` imports `{target}`, and imports only go down: it may import {allowed}. Put a port into \
             `engine::ports`, move the value down to `domain`, or hand it in from the roof",
            room.name,
        );
        Finding::in_text(&file.path, &file.code, position, message)
    };
    uses.filter(is_wrong).map(finding).collect()
}

/// Crates that are named outside their rooms.
pub fn external_crates(files: &[RustFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        for (name, places, why) in CRATES {
            if is_inside(&file.path, places) {
                continue;
            }
            for position in file.positions(name).filter(|at| is_crate_path(&file.code, *at, name)) {
                if !file.is_test_at(position) {
                    let message = format!("`{name}` belongs to {}: {why}", places.join(", "));
                    findings.push(Finding::in_text(&file.path, &file.code, position, message));
                }
            }
        }
    }
    findings
}

/// Whether a name stands where a crate's name stands: at the beginning of a path.
fn is_crate_path(code: &str, position: usize, name: &str) -> bool {
    let before = code[..position].trim_end();
    let after = &code[position + name.len()..];
    let begins_path = after.starts_with("::");
    let whole_use = before.ends_with("use") && after.trim_start().starts_with([';', ' ']);
    (begins_path || whole_use) && !before.ends_with("::") && !before.ends_with(['.', '{', ','])
}

/// Handles that are named outside their folders.
pub fn handles(files: &[RustFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        for (word, places, why) in HANDLES.iter().filter(|(_, places, _)| !is_inside(&file.path, places)) {
            for position in file.positions(word).filter(|at| !file.is_test_at(*at)) {
                let message = format!("`{word}` belongs to {}: {why}", places.join(", "));
                findings.push(Finding::in_text(&file.path, &file.code, position, message));
            }
        }
    }
    findings
}

/// What makes the ground floor impure: dependencies and words.
pub fn ground(files: &[RustFile], tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifest = "src/domain/Cargo.toml";
    let mut in_dependencies = false;
    for (index, line) in tree.file(manifest).map_or("", |file| file.text.as_str()).lines().enumerate() {
        if line.starts_with('[') {
            in_dependencies = line == "[dependencies]";
            continue;
        }
        let name = line.split(['=', '.']).next().unwrap_or_default().trim();
        if in_dependencies && !name.is_empty() && !name.starts_with('#') && !GROUND_CRATES.contains(&name) {
            let message =
                format!("the ground floor must not depend on `{name}`: it does no IO; add a port instead");
            findings.push(Finding::at(manifest, index + 1, message));
        }
    }
    for file in files.iter().filter(|file| file.path.starts_with("src/domain/")) {
        for word in GROUND_WORDS {
            for position in file.positions(word).filter(|at| !file.is_test_at(*at)) {
                let message =
                    format!("`{word}` on the ground floor: time, chance and files come in as arguments");
                findings.push(Finding::in_text(&file.path, &file.code, position, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, text: &str) -> Vec<RustFile> {
        vec![RustFile::sample(path, text)]
    }

    #[test]
    fn an_import_that_goes_up_is_found() {
        for (path, text) in [
            ("src/engine/step.rs", "use crate::store::Sql;"),
            ("src/engine.rs", "fn f() { crate::http::serve(); }"),
            ("src/rules.rs", "use crate::{domain::rule, settings::Settings};"),
            ("src/notify/slack.rs", "use super::super::actions::Hand;"),
            ("src/diagnostics.rs", "use crate::notify::Slack;"),
            ("src/sandbox/server.rs", "use crate::clients::slack;"),
            ("src/settings/load.rs", "use crate::app::run;"),
            ("src/clients/slack.rs", "use crate::engine::ports::Delivered;"),
        ] {
            assert_eq!(imports(&one(path, text)).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn an_import_that_goes_down_passes() {
        for (path, text) in [
            ("src/engine/step.rs", "use crate::domain::rule;\nuse crate::engine::ports;\n// crate::store\n"),
            ("src/app.rs", "use crate::{http, store, sandbox};"),
            ("src/notify/slack.rs", "#[cfg(test)]\nmod tests { use crate::sandbox::slack; }"),
            ("src/lib.rs", "pub use smokejumper_domain as domain;"),
            ("src/rules/lint.rs", "const HELP: &str = \"crate::store\";"),
        ] {
            assert_eq!(imports(&one(path, text)), [], "{path}: {text}");
        }
    }

    #[test]
    fn a_room_that_nobody_knows_is_found() {
        let found = imports(&one("src/attic/boxes.rs", ""));
        assert!(found[0].to_string().contains("the room `attic` is not known"), "{found:?}");
    }

    #[test]
    fn a_crate_outside_its_room_is_found() {
        assert_eq!(external_crates(&one("src/engine/step.rs", "use sqlx::Row;")).len(), 1);
        assert_eq!(external_crates(&one("src/http.rs", "fn f() -> anyhow::Result<()> { }")).len(), 1);
        assert_eq!(external_crates(&one("src/store/sql.rs", "use sqlx::Row;")), []);
        assert_eq!(
            external_crates(&one("src/engine.rs", "use self::config::X; let a = b.config::<u8>();")),
            []
        );
    }

    #[test]
    fn a_handle_outside_its_folder_is_found() {
        assert_eq!(handles(&one("src/diagnostics/http.rs", "send(Method::POST)")).len(), 1);
        assert_eq!(handles(&one("src/engine/worker.rs", "store.commit(x)")).len(), 1);
        assert_eq!(handles(&one("src/notify.rs", "impl Actor for Sly {}")).len(), 1);
        assert_eq!(handles(&one("src/actions/http.rs", "send(Method::POST)")), []);
        assert_eq!(handles(&one("src/engine/step/batch.rs", "self.commit.effects")), []);
        assert_eq!(
            handles(&one("src/engine/worker.rs", "#[cfg(test)]\nmod tests { impl Actor for Fake {} }")),
            []
        );
    }

    #[test]
    fn an_impure_ground_is_found() {
        let tree =
            Tree::of(&[("src/domain/Cargo.toml", "[dependencies]\nserde.workspace = true\ntokio = \"1\"\n")]);
        assert_eq!(ground(&[], &tree).len(), 1);
        let clean = Tree::of(&[(
            "src/domain/Cargo.toml",
            "[dependencies]\nserde = \"1\"\n[dev-dependencies]\ntokio = \"1\"",
        )]);
        assert_eq!(ground(&[], &clean), []);
        assert_eq!(ground(&one("src/domain/a.rs", "let now = Timestamp::now();"), &clean).len(), 1);
        assert_eq!(ground(&one("src/domain/a.rs", "struct InstantNoodle;"), &clean), []);
    }
}
