//! `check`: every mistake at its place, a closing line, and exit codes that a pipeline can rely on.

use std::path::Path;

use crate::program::{EXIT_USAGE, Outcome, Program, smokejumper};
use serde_json::{Value, json};

const SETTINGS: &str = "\
prometheus: { url: 'http://prometheus:9090' }
slack:
  bot_token: { env: SLACK_BOT_TOKEN }
  default_channel: '#incidents'
endpoints: { waf: { url: 'https://waf.example.com', headers: { Authorization: { env: WAF_TOKEN } } } }
rules: ['rules/*.yaml']
";

const GOOD: &str = "\
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: high-error-rate }
spec:
  matchers: ['alertname=\"HighErrorRate\"']
  severity: P1
  groupBy: [service]
  escalation: night
  diagnostics:
    - { name: error_ratio, prom.query: { expr: 'error_ratio{service=\"{{ labels.service }}\"}' } }
  remedies:
    - { name: shed-load, when: 'findings.error_ratio.value > 0.2', action: { http.call: { endpoint: waf } } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels: [{ name: on-call, after: 0s, destinations: [{ slack: { channel: '#night' } }] }]
  fallback: [{ slack: { channel: '#incidents' } }]
";

/// Five mistakes in two documents, and a rule that is never reached.
const BAD: &str = "\
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: second }
spec:
  matchers: ['alertname=\"HighErrorRate\"', 'service=\"api\"']
  severity: P7
  groupBy: [service]
  escalation: nigth
  diagnostics:
    - { name: error_ratio, prom.query: { expr: 'rate(error_ratio[5m]' } }
  remedies:
    - { name: shed-load, when: 'findings.eror_ratio.value > 0.2', action: { http.call: { endpoint: wafs } } }
---
apiVersion: smokejumper.dev/v1
kind: Schedul
metadata: { name: business }
spec: { timeIntervals: [] }
";

/// A folder with settings and rules.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("rules")).expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        Self(folder)
    }

    fn good() -> Self {
        Self::with(&[("s.yaml", SETTINGS), ("rules/a.yaml", GOOD)])
    }

    fn bad() -> Self {
        Self::with(&[("s.yaml", SETTINGS), ("rules/a.yaml", GOOD), ("rules/b.yaml", BAD)])
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// `check` in this folder.
    fn check(&self, arguments: &[&str]) -> Program {
        let arguments = ["check"].iter().chain(arguments);
        smokejumper(arguments).in_folder(self.path())
    }
}

fn with_secrets(program: Program) -> Program {
    program.env("SLACK_BOT_TOKEN", "xoxb-of-some-length").env("WAF_TOKEN", "Bearer of-some-length")
}

fn document(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).expect("JSON on stdout")
}

#[test]
fn good_settings_and_rules_are_one_line() {
    let folder = Folder::good();
    let line = with_secrets(folder.check(&["--config", "s.yaml", "--strict"])).run().good();
    assert_eq!(line, "1 file: 1 rule, 1 policy, 0 schedules; 0 errors, 0 warnings\n");
}

#[test]
fn where_there_is_nothing_to_check_it_says_so_and_what_to_do() {
    let folder = Folder::good();
    std::fs::remove_dir_all(folder.0.path().join("rules")).expect("it was there");
    for arguments in [&["--config", "s.yaml"][..], &[]] {
        let line = with_secrets(folder.check(arguments)).run().good();
        assert!(
            line.contains("no rules were found to check: name files (`smokejumper check rules/`)"),
            "{line}"
        );
    }
}

#[test]
fn every_mistake_is_shown_at_its_place() {
    let outcome = with_secrets(Folder::bad().check(&["--config", "s.yaml"])).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""));
    insta::assert_snapshot!(outcome.stdout);
}

#[test]
fn the_document_for_scripts_is_stable() {
    let outcome = with_secrets(Folder::bad().check(&["--config", "s.yaml", "--output", "json"])).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""));
    insta::assert_snapshot!(outcome.stdout);
}

#[test]
fn what_this_machine_lacks_is_a_warning_that_never_counts() {
    let folder = Folder::good();
    let shown = folder.check(&["--config", "s.yaml", "--strict"]).run().good();
    assert!(shown.contains("slack.bot_token: the environment variable SLACK_BOT_TOKEN"), "{shown}");
    assert!(shown.contains("--> s.yaml:3:3"), "{shown}");
    assert!(shown.ends_with("0 errors, 2 warnings\n"), "{shown}");
}

#[test]
fn settings_under_which_nobody_would_hear_of_an_urgent_alert_are_doubtful() {
    let rule = GOOD.split("---").next().expect("a document").replace("  escalation: night\n", "");
    let silent = SETTINGS.replace("  default_channel: '#incidents'\n", "");
    let shown = |settings: &str| {
        let folder = Folder::with(&[("s.yaml", settings), ("rules/a.yaml", rule.as_str())]);
        with_secrets(folder.check(&["--config", "s.yaml"])).run().good()
    };
    let warning = "nobody would be told of its P1 incidents";
    let doubtful = shown(&silent);
    assert!(doubtful.contains(warning) && doubtful.contains("rules/a.yaml:6:"), "{doubtful}");
    assert!(!shown(SETTINGS).contains(warning));
}

#[test]
fn links_that_lead_nowhere_are_doubtful() {
    let shown = |more: &str| {
        let server =
            format!("server: {{ listen: '0.0.0.0:9119', allow_unauthenticated: true{more} }}\n{SETTINGS}");
        let folder = Folder::with(&[("s.yaml", server.as_str()), ("rules/a.yaml", GOOD)]);
        with_secrets(folder.check(&["--config", "s.yaml"])).run().good()
    };
    let doubtful = shown("");
    assert!(doubtful.contains("server.listen: links in messages lead nowhere"), "{doubtful}");
    assert!(
        doubtful.contains("--> s.yaml:1:19") && doubtful.contains("external_url: https://"),
        "{doubtful}"
    );
    assert!(!shown(", external_url: 'https://sj.example.com'").contains("lead nowhere"));
}

#[test]
fn a_token_that_may_approve_and_names_nobody_is_doubtful_where_people_are_known() {
    let shown = |people: &str, holder: &str| {
        let token = format!("{{ name: laptop, role: approver{holder}, token: {{ env: LAPTOP }} }}");
        let settings = format!("{SETTINGS}{people}api:\n  tokens:\n    - {token}\n");
        let folder = Folder::with(&[("s.yaml", settings.as_str()), ("rules/a.yaml", GOOD)]);
        with_secrets(folder.check(&["--config", "s.yaml"])).run().good()
    };
    const PEOPLE: &str = "people: [{ name: una, slack: U0UNA, role: approver }]\n";
    let doubtful = shown(PEOPLE, "");
    assert!(doubtful.contains("`laptop` may approve, and does not say whose it is"), "{doubtful}");
    assert!(doubtful.contains("api.tokens.0.role") && doubtful.contains("person: una"), "{doubtful}");
    for (people, holder) in [(PEOPLE, ", person: una"), ("", "")] {
        assert!(!shown(people, holder).contains("whose it is"), "{people} {holder}");
    }
}

#[test]
fn warnings_count_where_the_caller_says_so() {
    let folder = Folder::with(&[("s.yaml", SETTINGS), ("rules/a.yaml", &GOOD.replace("waf }", "cdn }"))]);
    let check = |more: &[&str]| with_secrets(folder.check(&[&["--config", "s.yaml"], more].concat())).run();
    assert!(check(&[]).good().contains("there is no endpoint `cdn` in the settings"));
    let strict = check(&["--strict"]);
    assert_eq!((strict.code, strict.stderr.as_str()), (1, ""));
    assert!(strict.stdout.ends_with("0 errors, 1 warning\n"), "{}", strict.stdout);
}

#[test]
fn a_secret_is_never_shown() {
    let text = SETTINGS.replace("{ env: SLACK_BOT_TOKEN }", "xoxb-4711-planted");
    let folder = Folder::with(&[("s.yaml", &text), ("rules/a.yaml", GOOD)]);
    for format in ["text", "json"] {
        let program = folder.check(&["--config", "s.yaml", "--output", format]);
        let outcome = program.env("WAF_TOKEN", "planted-waf-token").run();
        assert_eq!(outcome.code, EXIT_USAGE);
        assert!(outcome.stdout.contains("a secret must not stand here"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("planted"), "{}", outcome.stdout);
    }
}

#[test]
fn settings_that_cannot_be_used_are_bad_configuration() {
    let folder = Folder::with(&[("s.yaml", "prometheus: { ulr: 'http://p' }\nmode: enforced\n")]);
    let outcome = folder.check(&["--config", "s.yaml"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (EXIT_USAGE, ""));
    insta::assert_snapshot!(outcome.stdout);

    let missing = folder.check(&["--config", "none.yaml", "--output", "json"]).run();
    assert_eq!(missing.code, EXIT_USAGE);
    assert_eq!(document(&missing)["errors"][0]["file"], "none.yaml");
    let variable = folder.check(&["--output", "json"]).env("SMOKEJUMPER__SERVER__LISTN", "x").run();
    assert_eq!(variable.code, EXIT_USAGE);
    assert_eq!(document(&variable)["errors"][0]["variable"], "SMOKEJUMPER__SERVER__LISTN");
}

#[test]
fn mistakes_in_settings_hide_neither_each_other_nor_those_in_rules() {
    let misspelt = GOOD.replace("endpoint: waf", "endpoint: wav");
    let shown = |settings: String| {
        let folder =
            Folder::with(&[("s.yaml", &settings), ("rules/a.yaml", &misspelt), ("rules/b.yaml", BAD)]);
        let outcome = with_secrets(folder.check(&["--config", "s.yaml"])).run();
        assert_eq!(outcome.code, EXIT_USAGE, "{}", outcome.stdout);
        outcome.stdout
    };
    let contradiction = "guardrails: { cooldown: 5m, rates: { global: [{ count: 0, window: 5m }] } }\n";
    // A contradiction alone: names of the settings are known.
    let said = shown(format!("{SETTINGS}{contradiction}"));
    for words in ["guardrails.rates.global", "there is no endpoint `wav`", "P7", "`nigth`"] {
        assert!(said.contains(words), "`{words}` is not in {said}");
    }
    // A key that is not known as well: the contradiction and the rules are looked at all the same.
    let said = shown(format!("{SETTINGS}{contradiction}mod: enforce\n"));
    for words in ["unknown key `mod`", "guardrails.rates.global", "P7", "`nigth`"] {
        assert!(said.contains(words), "`{words}` is not in {said}");
    }
    assert!(!said.contains("`wav`"), "what the settings define is not known for sure: {said}");
}

#[test]
fn a_default_policy_that_is_not_there_is_shown_in_the_settings() {
    let text = format!("{SETTINGS}escalation: {{ default_policy: nigth }}\n");
    let folder = Folder::with(&[("s.yaml", &text), ("rules/a.yaml", GOOD)]);
    let outcome = with_secrets(folder.check(&["--config", "s.yaml", "--output", "json"])).run();
    assert_eq!(outcome.code, 1);
    assert_eq!(
        document(&outcome)["errors"],
        json!([{
            "file": "s.yaml", "variable": null, "line": 7, "column": 31,
            "message": "escalation.default_policy: there is no escalation policy `nigth`",
            "help": "did you mean `night`?",
        }])
    );
}

#[test]
fn rules_by_themselves_take_every_name_to_exist() {
    let folder = Folder::good();
    for rules in [&["rules"][..], &["rules/"], &["rules/*.yaml"], &["rules/a.yaml", "rules/a.yaml"]] {
        let line = folder.check(rules).run().good();
        assert_eq!(line, "1 file: 1 rule, 1 policy, 0 schedules; 0 errors, 0 warnings\n", "{rules:?}");
    }
}

#[test]
fn rules_that_are_named_stand_for_those_of_the_settings() {
    let folder = Folder::bad();
    let check = |rules: &str| with_secrets(folder.check(&["--config", "s.yaml", rules])).run();
    check("rules/a.yaml").good();
    let known = GOOD.replace("endpoint: waf", "endpoint: wav");
    std::fs::write(folder.path().join("rules/a.yaml"), known).expect("written");
    let outcome = check("rules/a.yaml");
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("did you mean `waf`?"), "{}", outcome.stdout);
}

#[test]
fn finding_nothing_where_the_caller_pointed_is_a_mistake() {
    let folder = Folder::good();
    for nothing in ["rulse", "rulse/*.yaml", "rules/[", "s.yaml"] {
        let outcome = folder.check(&[nothing]).run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""), "{nothing}");
        assert!(outcome.stdout.ends_with("1 error, 0 warnings\n"), "{}", outcome.stdout);
    }
    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    assert_eq!(folder.check(&["rules", "empty"]).run().code, 1);
}

#[test]
fn nothing_in_a_file_reaches_the_terminal_as_more_than_text() {
    let text = GOOD.replace("severity: P1", "severity: \"\u{1b}]0;owned\u{7}\"");
    let folder = Folder::with(&[("rules/a.yaml", &text)]);
    let outcome = folder.check(&["rules"]).run();
    assert_eq!(outcome.code, 1);
    assert!(!outcome.stdout.contains(['\u{1b}', '\u{7}']), "{:?}", outcome.stdout);
}

#[test]
fn the_shipped_rules_and_the_example_settings_are_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    smokejumper(["check", "rules", "--strict"]).in_folder(root).run().good();
    smokejumper(["check", "--config", "examples/smokejumper.yaml", "--strict"]).in_folder(root).run().good();
}

/// The look at the target may find that an autoscaler owns the replicas: then the ladder goes on.
#[test]
fn what_comes_after_a_remedy_that_may_find_nothing_to_do_is_reachable() {
    let ladder = |action: &str| {
        format!(
            "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: busy }}\nspec:\n  \
             matchers: ['alertname=\"Busy\"']\n  severity: P3\n  \
             target: {{ kind: Deployment, namespace: shop, name: api }}\n  \
             remedies: [{{ name: first, action: {action} }}, {{ name: tell, action: {{ escalate: {{}} }} }}]\n"
        )
    };
    let check = |action: &str| {
        let folder = Folder::with(&[("rules/a.yaml", &ladder(action))]);
        folder.check(&["rules/a.yaml"]).run().stdout
    };
    let shown = check("{ k8s.scale: { delta: 2, max: 8 } }");
    assert!(!shown.contains("always applies"), "{shown}");
    let shown = check("{ http.call: { endpoint: waf } }");
    assert!(shown.contains("`tell` comes after `first`, which always applies"), "{shown}");
}

#[test]
fn settings_that_lie_here_and_are_not_read_are_pointed_at() {
    let installation = Folder::with(&[("smokejumper.yaml", SETTINGS), ("rules/a.yaml", GOOD)]);
    for command in [vec!["check"], vec!["rbac"]] {
        let ended = smokejumper(&command).in_folder(installation.path()).run();
        assert!(
            ended.stderr.contains("note: smokejumper.yaml lies here and is not read"),
            "{command:?}: {}",
            ended.stderr
        );
    }
    for command in [vec!["check", "--config", "smokejumper.yaml"], vec!["check", "rules"]] {
        let ended = smokejumper(&command).in_folder(installation.path()).run();
        assert!(!ended.stderr.contains("note:"), "{command:?}: {}", ended.stderr);
    }
}
