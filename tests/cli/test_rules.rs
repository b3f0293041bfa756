//! `test`: what differs and what happened beside it, exit codes for pipelines, and test files as a slip of the pen or an
//! enemy writes them.

use std::path::Path;

use crate::program::{EXIT_USAGE, Outcome, Program, smokejumper};
use serde_json::{Value, json};

const RULES: &str = "\
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
    - name: shed-load
      when: findings.error_ratio.value > 0.2
      tier: T2
      action: { http.call: { endpoint: waf } }
    - { name: look, action: { checklist.start: { title: 'Find out why {{ labels.service }} fails', items: [Logs] } } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels:
    - { name: on-call, after: 0s, destinations: [{ pagerduty: { service: shop } }] }
    - { name: lead, after: 15m, destinations: [{ slack: { channel: '#leads' } }] }
  fallback: [{ slack: { channel: '#incidents' } }]
";

const HEAD: &str = "\
apiVersion: smokejumper.dev/v1
kind: ResponseTest
metadata: { name: shop }
spec:
  labels: { service: api }
  tests:
";

const GOOD: &str = "    - name: load is shed once somebody approves
      alert: { alertname: HighErrorRate }
      findings: { error_ratio: { value: 0.4 } }
      input: [{ at: 3m, approve: una }]
      expect:
        - { rule: high-error-rate, actions: { shed-load: awaiting_approval }, told: ['pagerduty:shop', 'slack:#incidents'] }
        - { at: 2m, nothing: true }
        - { at: 3m, actions: { shed-load: { status: succeeded, reason: it was carried out } } }
    - name: few errors are looked at
      alert: { alertname: HighErrorRate }
      findings: { error_ratio: { value: 0.1 } }
      expect: { actions: { look: succeeded }, tasks: Find out why api fails }
";

/// Much differs: a status, a level, a message, and that nothing happened.
const FAILING: &str = "    - name: load is shed at once
      alert: { alertname: HighErrorRate }
      findings: { error_ratio: { value: 0.4 } }
      expect:
        - actions: { shed-load: running, shed-lod: running }
          escalation: { level: lead, next: { level: fallback, at: 10m } }
          messages: { to: 'pagerduty:shop', text: The sky falls }
          told: []
        - { at: 20m, nothing: true }
        - { at: 20m, rule: high-eror-rate }
    - name: a decision needs what the test does not say
      alert: { alertname: HighErrorRate }
      expect: { phase: handed_over }
    - name: names that nobody knows
      alert: { alertname: HighErrorRate }
      findings: { error_ratio: { valeu: 0.4 }, eror_ratio: { value: 0.4 } }
      input: [{ at: 1m, approve: { by: una, role: viewer } }, { at: 2m, resolves: { service: web } }]
      expect: { decisions: { look: run }, status: triggered }
";

/// A folder with rules and these tests.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(tests: &str) -> Self {
        Self::with_files(&[("shop.yaml", RULES), ("shop.test.yaml", &format!("{HEAD}{tests}"))])
    }

    fn with_files(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("rules")).expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join("rules").join(name), text).expect("written");
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// `test` in this folder.
    fn test(&self, arguments: &[&str]) -> Program {
        smokejumper(["test"].iter().chain(arguments)).in_folder(self.path())
    }

    fn refused(&self) -> String {
        let outcome = self.test(&["rules"]).run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""), "{}", outcome.stdout);
        outcome.stdout
    }
}

fn document(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).expect("JSON on stdout")
}

#[test]
fn tests_that_pass_are_a_line_for_each_file() {
    let said = Folder::with(GOOD).test(&["rules/"]).run().good();
    assert_eq!(said, "rules/shop.test.yaml: 2 passed\n2 tests: 2 passed, 0 failed\n");
}

#[test]
fn what_differs_stands_beside_what_happened() {
    insta::assert_snapshot!(Folder::with(FAILING).refused());
}

#[test]
fn the_document_for_scripts_says_the_same() {
    let outcome = Folder::with(FAILING).test(&["rules", "--output", "json"]).run();
    let said = document(&outcome);
    assert_eq!((outcome.code, &said["failed"], &said["passed"]), (1, &json!(3), &json!(0)));
    let first = &said["tests"][0];
    assert_eq!(
        (&first["file"], &first["line"], &first["outcome"]),
        (&json!("rules/shop.test.yaml"), &json!(7), &json!("failed"))
    );
    let mismatch = &first["failures"][0]["mismatches"];
    assert!(
        mismatch.as_array().expect("mismatches").iter().any(|one| one["what"] == "actions.shed-load"),
        "{mismatch}"
    );
    assert_eq!(said["coverage"], Value::Null);
}

#[test]
fn junit_has_a_case_for_each_test_and_each_mistake() {
    let folder = Folder::with_files(&[
        ("shop.yaml", RULES),
        ("shop.test.yaml", &format!("{HEAD}{GOOD}{FAILING}")),
        ("broken.test.yaml", "apiVersion: smokejumper.dev/v1\nkind: ResponseTest\nmetadata: { name: b\n"),
    ]);
    let outcome = folder.test(&["rules", "--junit", "report.xml"]).run();
    assert_eq!(outcome.code, 1);
    let xml = std::fs::read_to_string(folder.path().join("report.xml")).expect("written");
    assert!(
        xml.contains("<testsuites name=\"smokejumper\" tests=\"6\" failures=\"3\" errors=\"1\""),
        "{xml}"
    );
    assert_eq!((xml.matches("<testcase ").count(), xml.matches("<failure ").count()), (6, 3));
    let unwritable = folder.test(&["rules", "--junit", "nowhere/report.xml"]).run();
    assert_eq!(unwritable.code, 1);
    assert!(unwritable.stderr.contains("nowhere/report.xml cannot be written"), "{}", unwritable.stderr);
}

#[test]
fn some_are_chosen_by_their_names() {
    let folder = Folder::with(GOOD);
    let said = folder.test(&["rules", "--run", "few"]).run().good();
    assert!(said.ends_with("1 test: 1 passed, 0 failed, 1 left out\n"), "{said}");
    let none = folder.test(&["rules", "--run", "nobody"]).run();
    assert_eq!((none.code, none.stdout.as_str()), (1, "0 tests: 0 passed, 0 failed, 2 left out\n"));
    assert_eq!(folder.test(&["rules", "--run", "("]).run().code, EXIT_USAGE);
}

#[test]
fn coverage_lists_what_no_test_reaches() {
    let said = Folder::with(GOOD).test(&["rules", "--coverage"]).run().good();
    insta::assert_snapshot!(said);
    let only_few = ["rules", "--coverage", "--run", "few", "--output", "json"];
    let said = Folder::with(GOOD).test(&only_few).run().json();
    assert_eq!(
        said["coverage"]["remedies"],
        json!({ "total": 2, "tested": 1, "untested": ["high-error-rate/shed-load"] })
    );
    assert_eq!(said["coverage"]["rules"]["tested"], 1);
}

#[test]
fn a_slip_of_the_pen_is_shown_at_its_place() {
    let typos = "    - name: a slip in each place
      alrt: { alertname: HighErrorRate }
      input: [{ at: 3m, aprove: una }]
      expect:
        - { staus: triggered }
        - { actions: { shed-load: awaiting_aproval } }
        - { decisions: { shed-load: { decision: askk } } }
        - { at: 3 minuts, nothing: true }
";
    insta::assert_snapshot!(Folder::with(typos).refused());
}

#[test]
fn what_no_test_can_mean_is_refused_with_a_reason() {
    let test = |lines: &str| Folder::with(&format!("    - name: a\n{lines}")).refused();
    for (lines, why) in [
        ("      expect: []\n", "it expects nothing"),
        ("      expect: { at: 5m }\n", "this expectation holds whatever happens"),
        ("      expect: { at: 100d, nothing: true }\n", "a test ends after 61 days"),
        ("      input: [{ at: 5m }]\n      expect: { nothing: true }\n", "nothing happens here"),
        (
            "      expect: { nothing: true }\n    - name: a\n      expect: { nothing: true }\n",
            "another test has the same name",
        ),
        (
            "      settings: { guardrials: {} }\n      expect: { nothing: true }\n",
            "did you mean `guardrails`",
        ),
        ("      start: yesterday\n      expect: { nothing: true }\n", "rules/shop.test.yaml"),
        (
            "      findings: { a: { unknown: late, value: 1 } }\n      expect: { nothing: true }\n",
            "what is unknown has neither",
        ),
    ] {
        let said = test(lines);
        assert!(said.contains(why), "{why}: {said}");
    }
    let said = Folder::with("    []\n").refused();
    assert!(said.contains("there are no tests"), "{said}");
}

#[test]
fn values_of_a_platform_stand_in_rules_and_in_their_tests() {
    let platform = "apiVersion: smokejumper.dev/v1\nkind: Platform\nmetadata: { name: shop }\n\
                    spec: { values: { share: 0.2, much: 0.4, service: api } }\n";
    let rules = RULES.replace("value > 0.2", "value > ${shop.share}");
    let tests = format!("{HEAD}{GOOD}")
        .replace("service: api", "service: \"${shop.service}\"")
        .replace("value: 0.1 }", "value: 0.2 }")
        .replace(
            "      findings: { error_ratio: { value: 0.4 } }",
            "      findings:\n        error_ratio:\n          value: ${shop.much}",
        );
    assert!(tests.matches("${shop.").count() == 2, "{tests}");
    // The tests name where their rules are; the platform lies there and not beside them.
    let tests = tests.replace("  labels:", "  rules: [deep]\n  labels:");
    let folder = |platform: &str, tests: &str| {
        let folder = Folder::with_files(&[("shop.test.yaml", tests)]);
        std::fs::create_dir(folder.path().join("rules/deep")).expect("a folder");
        for (name, text) in [("platform.yaml", platform), ("shop.yaml", &rules)] {
            std::fs::write(folder.path().join("rules/deep").join(name), text).expect("written");
        }
        folder
    };
    assert!(folder(platform, &tests).test(&["rules"]).run().good().contains("2 passed"));
    let raised = platform.replace("share: 0.2", "share: 0.5");
    let outcome = folder(&raised, &tests).test(&["rules"]).run();
    assert!(outcome.code == 1 && outcome.stdout.contains("FAILED"), "{}", outcome.stdout);
    let said = folder(platform, &tests.replace("shop.much", "shop.mcuh")).refused();
    assert!(said.contains("shop.test.yaml:12:18") && said.contains("did you mean `much`?"), "{said}");
}

#[test]
fn rules_and_settings_that_cannot_be_used_are_shown_once() {
    let broken = RULES.replace("severity: P1", "severity: P9");
    let tests = format!("{HEAD}{GOOD}");
    let folder =
        Folder::with_files(&[("shop.yaml", &broken), ("a.test.yaml", &tests), ("b.test.yaml", &tests)]);
    let said = folder.refused();
    assert_eq!(said.matches("severity: P9").count(), 1, "{said}");
    assert!(said.contains("1 mistake in the files"), "{said}");
    let config = format!("{}{GOOD}", HEAD.replace("  tests:", "  config: nowhere.yaml\n  tests:"));
    let folder = Folder::with_files(&[("shop.yaml", RULES), ("a.test.yaml", &config)]);
    assert!(folder.refused().contains("nowhere.yaml"));
}

#[test]
fn nothing_in_a_test_file_reaches_further_than_its_test() {
    for (tests, why) in [
        // A bomb of aliases, and a nesting without end.
        (
            "    - &a [x, x, x, x, x, x, x, x, x]\n    - &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n    - &c [*b, *b, *b, *b, *b, *b, *b, *b]\n    - [*c, *c, *c, *c, *c, *c, *c, *c]\n",
            "shop.test.yaml",
        ),
        ("    - name: \"\\e[2J\\u202e\"\n      expect: { status: resolved }\n", "FAILED"),
    ] {
        let said = Folder::with(tests).refused();
        assert!(said.contains(why) && !said.contains('\u{1b}') && !said.contains('\u{202e}'), "{said}");
    }
    let deep = format!(
        "    - name: a\n      findings: {{ a: {{ b: {}{} }} }}\n",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    assert!(Folder::with(&deep).refused().contains("shop.test.yaml"));
    // Labels are data: in names, in PromQL, in markup.
    let hostile = "    - name: labels are data
      alert: { alertname: HighErrorRate, service: 'x\"} or vector(1) # <!channel> {{ 7 * 7 }} ../../etc' }
      findings: { error_ratio: { value: 0.1 } }
      expect: { actions: { look: succeeded }, tasks: '<!channel> {{ 7 * 7 }} ../../etc fails' }
";
    assert!(Folder::with(hostile).test(&["rules"]).run().good().contains("1 passed"));
}

#[test]
fn paths_that_lead_nowhere_are_bad_usage_and_empty_ones_findings() {
    let folder = Folder::with_files(&[("shop.yaml", RULES)]);
    let outcome = folder.test(&["nowhere"]).run();
    assert_eq!(outcome.code, EXIT_USAGE);
    assert!(outcome.stderr.contains("there is no nowhere"), "{}", outcome.stderr);
    assert_eq!(folder.test(&[]).run().code, EXIT_USAGE);
    assert!(folder.refused().contains("no file called *.test.yaml is in it"));
    let outcome = folder.test(&["rules/shop.yaml"]).run();
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("there are no tests in it"), "{}", outcome.stdout);
}

#[test]
fn the_loader_of_rules_passes_over_them() {
    // Also where they are no YAML: what is wrong with a test must not keep a service from its rules.
    for tests in [GOOD, "    - { name: a\n"] {
        let said = smokejumper(["check", "rules/"]).in_folder(Folder::with(tests).path()).run().good();
        assert!(said.starts_with("1 file: 1 rule, 1 policy") && said.contains("0 errors"), "{said}");
    }
}

#[test]
fn people_of_the_settings_are_asked_by_their_roles() {
    let settings = "\
mode: enforce
slack: { bot_token: { env: BOT }, default_channel: '#incidents' }
pagerduty: { services: { shop: { routing_key: { env: KEY } } } }
prometheus: { url: 'http://prometheus:9090' }
people: [{ name: una, slack: U111, role: approver }, { name: ben, slack: U222, role: responder }]
endpoints: { waf: { url: 'https://waf.example.com' } }
";
    let tests = "    - name: who may approve
      alert: { alertname: HighErrorRate }
      findings: { error_ratio: { value: 0.4 } }
      input:
        - { at: 1m, approve: { by: ben, refused: approver } }
        - { at: 1m, approve: { by: eve, refused: 'have no eve' } }
        - { at: 2m, approve: una }
      expect: { at: 2m, actions: { shed-load: succeeded } }
    - name: nothing is done in dry run
      settings: { mode: dry_run }
      alert: { alertname: HighErrorRate }
      findings: { error_ratio: { value: 0.4 } }
      expect: { actions: { shed-load: simulated } }
";
    let head = HEAD.replace("  labels:", "  config: ../s.yaml\n  labels:");
    let folder = Folder::with_files(&[("shop.yaml", RULES), ("shop.test.yaml", &format!("{head}{tests}"))]);
    std::fs::write(folder.path().join("s.yaml"), settings).expect("written");
    assert!(folder.test(&["rules"]).run().good().ends_with("2 tests: 2 passed, 0 failed\n"));
}

/// The repository's own rules, as they are shipped.
#[test]
fn shipped_rules_remedies_and_policies_have_tests_and_all_of_them_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let arguments = ["test", "rules/", "--coverage", "--output", "json"];
    let said = smokejumper(arguments).in_folder(root).run().json();
    let coverage = &said["coverage"];
    assert!(said["passed"].as_u64().expect("a number") > 100, "{coverage:#}");
    for what in ["rules", "remedies", "branches", "policies", "levels"] {
        assert!(coverage[what]["total"].as_u64().expect("a number") > 5, "{coverage:#}");
        assert_eq!(coverage[what]["untested"], json!([]), "{what}");
    }
}

#[test]
fn a_rule_in_shadow_is_tested_by_what_it_would_do_and_by_who_is_told() {
    let rules = RULES.replacen("  severity: P1\n", "  severity: P1\n  mode: shadow\n", 1);
    let tests = "    - name: it would ask, and nobody is asked
      alert: { alertname: HighErrorRate }
      findings: { error_ratio: { value: 0.4 } }
      expect:
        - rule: high-error-rate
          phase: handed_over
          decisions: { shed-load: { decision: simulate, reason: shadow } }
          actions: { shed-load: { status: simulated, reason: it would have asked, plan: waf, guardrails: { shadow: denied } } }
          told: ['pagerduty:shop', 'slack:#incidents']
          messages:
            - { to: 'slack:#incidents', text: [This rule is in shadow, it would have asked for approval] }
            - { to: 'pagerduty:shop', text: in shadow }
        - { at: 14m, nothing: true }
        - { at: 15m, told: 'slack:#leads' }
    - name: what would only be given to people is recorded as well
      alert: { alertname: HighErrorRate }
      findings: { error_ratio: { value: 0.1 } }
      expect: { decisions: { shed-load: skip }, actions: { look: { status: simulated, reason: shadow } } }
";
    let folder = Folder::with_files(&[("shop.yaml", &rules), ("shop.test.yaml", &format!("{HEAD}{tests}"))]);
    let outcome = folder.test(&["rules"]).run();
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    // The same test fails where the rule acts.
    let folder = Folder::with_files(&[("shop.yaml", RULES), ("shop.test.yaml", &format!("{HEAD}{tests}"))]);
    let outcome = folder.test(&["rules"]).run();
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("expected  simulate"), "{}", outcome.stdout);
}
