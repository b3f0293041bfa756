//! Rule files load, or show every mistake at its place.

mod roster;
mod scheduled;

use super::*;
use crate::domain::Labels;
use crate::rules::test_support::{load_one, mk_catalog, mk_known};

const GOOD: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: pss-nano-high-error-rate }
spec:
  procedures: [P67, P68]
  runbook: https://wiki.example.com/pss-nano?alert={{ labels.alertname }}
  matchers: ['alertname="HighErrorRate"', 'namespace="pss-nano"']
  severity: P1
  target: { kind: Deployment, namespace: "{{ labels.namespace }}", name: "{{ labels.service }}" }
  escalation: pss-nano
  diagnostics:
    - name: error_ratio
      prom.range: { expr: 'sum(rate(errors{job="{{ labels.service }}"}[5m])) / sum(rate(all[5m]))', window: 1h }
    - { name: links, links.render: { links: { Grafana: "https://grafana.example.com/d/x?var={{ labels.service }}" } } }
  remedies:
    - name: limit-traffic
      when: findings.error_ratio.last > 0.05 && labels.service != "api"
      action: { http.call: { endpoint: waf, path: "/limits/{{ labels.service }}" } }
      rollback: { http.call: { endpoint: waf, path: "/limits/{{ labels.service }}/off" } }
      verify: { settle: 60s, hold: 2m, within: 10m, checks: ['findings.error_ratio.last < 0.05'], onFail: rollback }
    - name: by-hand
      action: { human.task: { title: "Look at {{ incident.target.name }}", steps: ["read {{ findings.error_ratio.text }}"] } }
  onResolve:
    - notify.slack: { channel: "#pss-nano", text: "{{ incident.summary }} is over" }
  reopenWithin: 1h
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: pss-nano }
spec:
  selector: { severities: [P0, P1], matchers: ['namespace="pss-nano"'] }
  acknowledgeWithin: 5m
  levels:
    - { name: on-call, after: 0s, destinations: [{ pagerduty: { service: pss-nano } }, { slack: { channel: "#pss-nano" } }] }
    - { name: team-lead, after: 15m, hours: business, destinations: [{ slack: { channel: "#leads" } }] }
  repeat: { every: 30m, times: 3 }
  fallback: [{ pagerduty: { service: pss-nano } }]
---
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: business }
spec:
  timeIntervals: [{ weekdays: ['monday:friday'], times: [{ start_time: '09:00', end_time: '17:00' }], location: Europe/Berlin }]
"##;

/// A rule document around a few lines of `spec`.
fn mk_rule(name: &str, spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "---\napiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: {name} }}\nspec:\n{spec}"
    )
}

fn errors(text: &str) -> String {
    match load_one(text) {
        Ok(_) => panic!("these rules have mistakes:\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

fn warnings(text: &str) -> Vec<String> {
    let set = load_one(text).unwrap_or_else(|errors| panic!("{errors}"));
    set.warnings().iter().map(|problem| problem.message.clone()).collect()
}

#[test]
fn the_example_of_the_reference_loads_without_a_word() {
    let set = load_one(GOOD).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(set.warnings(), []);
    let rule = &set.rules()[0].rule;
    assert_eq!(rule.remedies[0].tier, crate::domain::action::Tier::T2);
    assert_eq!(rule.remedies[1].tier, crate::domain::action::Tier::T3);
    assert_eq!(rule.reopen_within, jiff::SignedDuration::from_hours(1));
    insta::assert_json_snapshot!(rule);
    insta::assert_json_snapshot!(set.policies());
    assert!(set.schedules().contains_key("business"));
}

#[test]
fn all_mistakes_of_all_files_are_shown_at_once() {
    let files = [
        ("a.yaml", "not a mapping"),
        (
            "b.yaml",
            "apiVersion: smokejumper.dev/v1\nkind: ResponseRules\n---\napiVersion: v2\nkind: Schedule\n---\n# only a comment\n---\nkind: Schedule\n",
        ),
        (
            "c.yaml",
            "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {name: x}\nspec:\n  matchers: [a=b]\n  severty: P1\n  reopenWithin: 1 fortnight\n  dryRun: yes\n",
        ),
        ("d.yaml", "a: [\n"),
    ];
    let files =
        files.map(|(name, text)| SourceFile { name: name.to_owned(), text: text.to_owned() }).to_vec();
    let errors = load_texts(files, &mk_catalog(), &mk_known()).expect_err("mistakes");
    insta::assert_snapshot!(errors.to_string());
    insta::assert_json_snapshot!(errors);
}

#[test]
fn mistakes_in_a_rule_are_shown_with_a_way_out() {
    let spec = r##"
matchers: ['alertname=~"(open"', 'severity']
severity: urgent
runbook: "ftp://wiki/{{ labels.x }}"
summary: "{{ lables.x }} {{ findings.a.last }}"
target: { kind: deployment, namespace: "{{ labels.namespace | safe }}", name: "{{ labels.service" }
groupBy: [instance]
escalation: pss-nan
diagnostics:
  - { name: Error-Ratio, prom.range: { expr: 'sum(rate(x[5m])', window: 1h } }
  - { name: a, prom.rang: { expr: up } }
  - { name: a, prom.query: { exp: up } }
  - { prom.query: { expr: up } }
  - { name: b, prom.query: { expr: up }, prom.range: { expr: up } }
  - { name: c }
  - { name: d, prom.query: { expr: 'up{x="{{ findings.a.value }}"}', step: "{{ labels.x }}" } }
  - { name: e, links.render: { links: { a: "https://{{ labels.host }}/" } } }
remedies:
  - name: one
    when: findings.d.valu > 1 && findings.z.value > 1
    tier: T1
    action: { http.call: { endpoint: wafs } }
    verify: { settle: 5m, hold: 6m, checks: [], onFail: rollback }
  - name: one
    when: "1 +"
    action: { human.tasks: {} }
  - name: two
    approvalExpires: 0s
    action: { notify.slack: { channel: "#x", text: "{% for a in labels %}{% endfor %}", mood: "{{ labels.x }}" } }
    verify: { checks: ['findings.d.value > 1', 'labels.x == "y"'] }
onResolve:
  - http.call: { endpoint: waf }
"##;
    insta::assert_snapshot!(errors(&mk_rule("Bad_Name", spec.trim_start())));
}

#[test]
fn mistakes_in_a_policy_are_shown_with_a_way_out() {
    let policy = r##"
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: p }
spec:
  acknowledgeWithin: 5s
  levels:
    - { name: a, after: 15m, hours: bisness, destinations: [] }
    - { name: a, after: 15m, destinations: [{ pagerduty: { service: nobody } }] }
  repeat: { every: 0s, times: 3 }
  fallback: [{ pagerduty: { service: nobody } }]
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: p }
spec: { fallback: [] }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: q }
spec:
  levels: [{ name: a, after: 0s, destinations: [{ phone: { to: x } }] }]
---
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: business }
spec: { timeIntervals: [{ weekdays: ['monday:frday'] }] }
"##;
    insta::assert_snapshot!(errors(policy));
}

#[test]
fn one_mistake_does_not_look_like_two() {
    // The policy is broken, but it is there: the rule that names it is not complained about.
    let text = mk_rule(
        "r",
        "matchers: ['alertname=\"A\"']\nseverity: P1\ngroupBy: [alertname]\nescalation: p\n",
    ) + "---\napiVersion: smokejumper.dev/v1\nkind: EscalationPolicy\nmetadata: { name: p }\nspec: { fallbak: [] }\n";
    assert!(errors(&text).ends_with("1 error in the rules"), "{}", errors(&text));
    // Whether a misspelt action could be rolled back is not known.
    let text = mk_rule(
        "r",
        "matchers: ['alertname=\"A\"']\nseverity: P1\ntarget: { kind: Deployment, namespace: a, name: b }\n\
         diagnostics: [{ name: q, prom.query: { expr: up } }]\n\
         remedies: [{ name: x, action: { k8s.scal: {} }, verify: { checks: ['findings.q.value > 1'], onFail: rollback } }]\n",
    );
    assert!(errors(&text).ends_with("1 error in the rules"), "{}", errors(&text));
}

#[test]
fn a_text_without_quotes_and_a_single_equals_sign_are_put_right() {
    for (condition, help) in [
        ("findings.job.value == failed", "a text stands within quotes"),
        ("findings.job.value = 1", "`==` compares"),
        ("findings.job.value >", "conditions are CEL"),
    ] {
        let spec = format!(
            "matchers: ['alertname=\"A\"']\nseverity: P1\ngroupBy: [alertname]\n\
             diagnostics: [{{ name: job, prom.query: {{ expr: up }} }}]\n\
             remedies: [{{ name: x, when: '{condition}', action: {{ escalate: {{}} }} }}]\n"
        );
        let said = errors(&mk_rule("r", &spec));
        assert!(said.contains(help), "{condition}: {said}");
    }
}

#[test]
fn fields_that_a_diagnostic_names_itself_can_be_used() {
    let rule = |field: &str| {
        mk_rule(
            "r",
            &format!(
                "matchers: ['alertname=\"A\"']\nseverity: P1\ngroupBy: [alertname]\n\
                 diagnostics: [{{ name: q, http.json: {{ url: x, pick: {{ queue: /queue }} }} }}]\n\
                 remedies: [{{ name: x, when: findings.q.{field} > 1, action: {{ escalate: {{}} }} }}]\n"
            ),
        )
    };
    assert_eq!(warnings(&rule("queue")), Vec::<String>::new());
    assert_eq!(warnings(&rule("http_status")), Vec::<String>::new());
    assert!(errors(&rule("queu")).contains("did you mean `queue`?"));
}

#[test]
fn rules_are_tried_by_priority_and_then_by_place() {
    let rule = |name: &str, more: &str| {
        mk_rule(name, &format!("matchers: ['alertname=\"A\"']\nseverity: P1\ngroupBy: [alertname]\n{more}"))
    };
    let text = rule("a", "")
        + &rule("b", "continue: true\npriority: 5")
        + &rule("c", "priority: 5")
        + &rule("d", "priority: -1");
    let set = load_one(&text).expect("loads");
    let names = |rules: Vec<&str>| rules.join(" ");
    assert_eq!(names(set.rules().iter().map(|kept| kept.rule.name.as_str()).collect()), "b c a d");
    let labels: Labels = [("alertname".to_owned(), "A".to_owned())].into();
    assert_eq!(names(set.matching(&labels).map(|kept| kept.rule.name.as_str()).collect()), "b c");
    let other: Labels = [("alertname".to_owned(), "B".to_owned())].into();
    assert_eq!(set.matching(&other).count(), 0);
}

#[test]
fn doubtful_things_are_warned_about_and_stop_nothing() {
    let catch_all = mk_rule("all", "matchers: []\nseverity: \"{{ labels.severity }}\"\npriority: -5\n");
    assert_eq!(
        warnings(&catch_all),
        ["without `target` and `groupBy` all its alerts make one incident", "this rule matches every alert"]
    );
    let ladder = mk_rule(
        "ladder",
        "matchers: ['severity=\"x\"', 'job=\"\"']\nseverity: P2\ngroupBy: [job]\nremedies:\n  \
         - { name: first, action: { http.call: { endpoint: waf } }, rollback: { escalate: {} } }\n  \
         - { name: second, action: { escalate: {} } }\n",
    );
    assert_eq!(
        warnings(&ladder),
        [
            "`job=\"\"` matches alerts without the label `job`",
            "nothing ever asks for this rollback",
            "`second` comes after `first`, which always applies",
        ]
    );
}

#[test]
fn many_rules_that_name_no_alert_are_warned_about_once() {
    let rules = |count: usize, matcher: &str| -> String {
        (0..count)
            .map(|at| {
                let body = format!("matchers: ['{matcher}', 'job=\"{at}\"']\nseverity: P1\ngroupBy: [job]\n");
                mk_rule(&format!("r{at}"), &body)
            })
            .collect()
    };
    assert_eq!(warnings(&rules(100, "severity=\"page\"")), Vec::<String>::new());
    assert_eq!(warnings(&rules(101, "severity=\"page\"")), ["this rule and 100 others name no alert"]);
    assert_eq!(warnings(&rules(101, "alertname=~\"A|B\"")), Vec::<String>::new());
}

#[test]
fn what_concerns_a_whole_document_is_shown_where_it_begins() {
    let text = "# rules\n---\n# the second\n\n  kind: Schedule\n---\nkind: Nothing\n";
    let file = SourceFile { name: "r.yaml".to_owned(), text: text.to_owned() };
    let errors = load_texts(vec![file], &mk_catalog(), &mk_known()).expect_err("no versions").errors;
    assert_eq!(errors.iter().map(Problem::position).collect::<Vec<_>>(), [(5, 3), (7, 1)]);
}

#[test]
fn a_survey_counts_broken_documents_and_keeps_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = mk_rule("good", "matchers: ['alertname=\"A\"']\nseverity: P1\ngroupBy: [job]\n");
    let broken = mk_rule("broken", "matchers: ['alertname=\"A\"']\nseverity: P9\nescalation: nightt\n");
    let policy = "---\napiVersion: smokejumper.dev/v1\nkind: EscalationPolicy\nmetadata: { name: night }\n\
                  spec: { levels: [], fallback: [] }\n";
    std::fs::write(folder.path().join("a.yaml"), good + &broken + policy).expect("written");
    let survey =
        survey(&[format!("{}/*.yaml", folder.path().display())], &mk_catalog(), &Known::everything());
    assert_eq!((survey.files, survey.rules, survey.schedules), (1, 2, 0));
    assert!(survey.policies.contains("night"));
    let messages: Vec<&str> = survey.errors.iter().map(|problem| problem.message.as_str()).collect();
    assert!(messages.contains(&"there is no escalation policy `nightt`"), "{messages:?}");
    assert!(messages.contains(&"the fallback tells nobody"), "{messages:?}");
}

#[test]
fn a_ladder_that_goes_on_is_not_warned_about() {
    let text = mk_rule(
        "ladder",
        "matchers: ['alertname=\"A\"']\nseverity: P2\ngroupBy: [job]\ndiagnostics: [{ name: q, prom.query: { expr: up } }]\nremedies:\n  \
         - { name: tell, action: { escalate: {} } }\n  \
         - { name: first, action: { http.call: { endpoint: waf } }, verify: { checks: [findings.q.value > 0] } }\n  \
         - { name: second, when: findings.q.value > 0, action: { http.call: { endpoint: waf } } }\n  \
         - { name: third, action: { escalate: {} } }\n",
    );
    assert_eq!(warnings(&text), Vec::<String>::new());
}

#[test]
fn a_shadowed_rule_is_warned_about_where_it_stands() {
    let rule = |name: &str, matchers: &str, more: &str| {
        mk_rule(name, &format!("matchers: {matchers}\nseverity: P1\ngroupBy: [alertname]\n{more}"))
    };
    let text = rule("wide", "['alertname=\"A\"']", "")
        + &rule("narrow", "['alertname=\"A\"', 'job=\"x\"']", "")
        + &rule("first", "['alertname=\"A\"', 'job=\"x\"']", "priority: 1")
        + &rule("other", "['alertname=\"B\"']", "continue: true")
        + &rule("after", "['alertname=\"B\"']", "");
    let set = load_one(&text).expect("loads");
    let shown: Vec<String> = set.warnings().iter().map(Problem::warning).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn a_rule_in_shadow_takes_no_alert_from_the_rules_after_it() {
    let rule = |name: &str, more: &str| {
        mk_rule(name, &format!("matchers: ['alertname=\"A\"']\nseverity: P1\ngroupBy: [alertname]\n{more}"))
    };
    let text = rule("watcher", "mode: shadow") + &rule("worker", "mode: live") + &rule("hidden", "");
    let set = load_one(&text).expect("loads");
    let labels = crate::domain::Labels::from([("alertname".to_owned(), "A".to_owned())]);
    let names: Vec<&str> = set.matching(&labels).map(|kept| kept.rule.name.as_str()).collect();
    assert_eq!(names, ["watcher", "worker"]);
    let told: Vec<&str> = set.warnings().iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(told, ["this rule never matches: `worker` takes all of its alerts first"]);
    // Whoever says nothing of a mode keeps the text, and so the digest, of before there were modes.
    let stored =
        |name: &str| serde_json::to_value(&set.rule_by_name(name).expect("a rule").rule).expect("JSON");
    assert_eq!(stored("watcher")["mode"], "shadow");
    assert_eq!((stored("worker").get("mode"), stored("hidden").get("mode")), (None, None));
}

#[test]
fn a_mode_that_is_none_is_refused_and_one_that_a_dry_run_adds_nothing_to_is_warned_about() {
    let rule = |more: &str| {
        mk_rule("a", &format!("matchers: ['alertname=\"A\"']\nseverity: P1\ngroupBy: [alertname]\n{more}"))
    };
    let shown = load_one(&rule("mode: shadwo")).expect_err("no mode").to_string();
    assert!(shown.contains("shadwo") && shown.contains("`shadow`"), "{shown}");
    assert_eq!(warnings(&rule("mode: shadow\ndryRun: true")), ["this changes nothing in a rule in shadow"]);
}

fn load_good_with(known: &Known) -> (Vec<String>, Vec<String>) {
    let file = SourceFile { name: "rules.yaml".to_owned(), text: GOOD.to_owned() };
    let messages = |problems: &[Problem]| problems.iter().map(|problem| problem.message.clone()).collect();
    match load_texts(vec![file], &mk_catalog(), known) {
        Ok(set) => (Vec::new(), messages(set.warnings())),
        Err(errors) => (messages(&errors.errors), messages(&errors.warnings)),
    }
}

#[test]
fn what_the_settings_lack_is_skipped_and_what_they_misspell_is_a_mistake() {
    let known = Known {
        endpoints: Some(BTreeSet::new()),
        slack_channels: Some(["#leads".to_owned(), "#pss-nano".to_owned()].into()),
        prometheus: false,
        kubernetes: false,
        read_commands: Some(BTreeSet::new()),
        commands: Some(BTreeSet::new()),
        ..mk_known()
    };
    let endpoint = "there is no endpoint `waf` in the settings".to_owned();
    let prometheus =
        "Prometheus is not set up in the settings, so these cannot work: diagnostics error_ratio".to_owned();
    assert_eq!(load_good_with(&known), (vec![], vec![prometheus, endpoint.clone(), endpoint.clone()]));
    let misspelt = Known { endpoints: Some(["wav".to_owned()].into()), ..mk_known() };
    assert_eq!(load_good_with(&misspelt), (vec![endpoint.clone(), endpoint], vec![]));
}

#[test]
fn a_fallback_that_nobody_hears_is_a_mistake_unless_nobody_can_be_told_at_all() {
    let unheard = Known { pagerduty_services: Some(["other".to_owned()].into()), ..mk_known() };
    let (errors, warnings) = load_good_with(&unheard);
    let service = "there is no PagerDuty service `pss-nano` in the settings";
    assert_eq!(errors, [format!("nobody in the fallback can be reached: {service}")]);
    assert_eq!(warnings, [service]);

    let nothing = Known { pagerduty_services: Some(BTreeSet::new()), slack: false, ..mk_known() };
    let (errors, warnings) = load_good_with(&nothing);
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(
        warnings,
        ["Slack is not set up in the settings", "nobody can be told: neither Slack nor PagerDuty is set up"]
    );
}

/// A rule by its name, matchers and severity, with no policy of its own.
fn mk_plain(name: &str, matchers: &str, severity: &str) -> String {
    format!(
        "---\napiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: {name} }}\n\
         spec: {{ matchers: [{matchers}], severity: '{severity}', groupBy: [alertname] }}\n"
    )
}

#[test]
fn urgent_rules_that_tell_nobody_are_doubtful() {
    let policy = |selector: &str| {
        format!(
            "---\napiVersion: smokejumper.dev/v1\nkind: EscalationPolicy\nmetadata: {{ name: night }}\n\
             spec: {{ selector: {selector}, fallback: [{{ slack: {{ channel: '#x' }} }}],\n\
             levels: [{{ name: a, after: 0s, destinations: [{{ slack: {{ channel: '#x' }} }}] }}] }}\n"
        )
    };
    let untold = |severity: &str, policy: &str, default_told: bool| {
        let text = mk_plain("shop", r#"'alertname="A"', 'team="shop"'"#, severity) + policy;
        let file = SourceFile { name: "rules.yaml".to_owned(), text };
        let known = Known { default_told, ..mk_known() };
        let set = load_texts(vec![file], &mk_catalog(), &known).unwrap_or_else(|errors| panic!("{errors}"));
        let found: Vec<&Problem> = set
            .warnings()
            .iter()
            .filter(|warning| warning.message.contains("nobody would be told"))
            .collect();
        assert!(
            found.iter().all(|warning| warning.position() > (0, 0) && warning.help.is_some()),
            "{found:?}"
        );
        !found.is_empty()
    };
    for urgent in ["P0", "P1", "{{ labels.severity }}"] {
        assert!(untold(urgent, "", false), "{urgent}");
        assert!(!untold(urgent, "", true), "{urgent}");
        assert!(!untold(urgent, &policy("{ matchers: ['team=\"shop\"'] }"), false), "{urgent}");
        assert!(!untold(urgent, &policy("{ matchers: ['region=\"eu\"'] }"), false), "it may be from there");
        assert!(untold(urgent, &policy("{ matchers: ['team=\"other\"'] }"), false), "{urgent}");
        assert!(untold(urgent, &policy("{ severities: [P2, P3] }"), false), "{urgent}");
    }
    assert!(!untold("P1", &policy("{ severities: [P1] }"), false));
    assert!(!untold("P3", "", false), "what is not urgent may be for the record alone");
}

#[test]
fn a_part_that_cannot_be_read_hides_no_mistake_in_the_rest() {
    let text = r#"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: first }
spec:
  matchers: ['alertname="A"']
  severity: P1
  groupBy: [alertname]
  escalation: nobody
  reopenWithin: soon
  diagnostics:
    - { name: ratio, prom.query: { expr: 'up' } }
  remedies:
    - name: shed
      when: findings.ratoi.value > 1
      teir: T2
      action: { http.call: { endpoint: wav } }
    - { name: look, wehn: x, action: { human.task: { title: 'Look' } } }
    - { name: last, when: 'findings.ratio.value >', action: { human.task: { title: 'Look' } } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night
spec: {
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: second }
spec:
  matchers: ['alertname="B"']
  severity: P9
  groupBy: [alertname]
  escalation: night
"#;
    let errors = load_one(text).expect_err("mistakes");
    let found: Vec<(usize, &str)> =
        errors.errors.iter().map(|error| (error.position().0, error.message.as_str())).collect();
    let at = |line: usize, words: &str| {
        let fits = |(place, message): &&(usize, &str)| *place == line && message.contains(words);
        assert!(found.iter().any(|one| fits(&one)), "line {line}: {words}\n{found:#?}");
    };
    at(9, "there is no escalation policy `nobody`");
    at(10, "");
    at(15, "ratoi");
    at(16, "unknown key `teir`");
    at(17, "there is no endpoint `wav`");
    at(18, "unknown key `wehn`");
    at(19, "");
    at(31, "P9");
    // One is the broken document itself, and none says that its name is not there.
    assert_eq!(found.len(), 9, "{found:#?}");
    assert_eq!(errors.warnings, []);
}

#[test]
fn what_only_follows_from_a_part_that_cannot_be_read_is_not_said() {
    let text = r#"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: first }
spec:
  matchers: ['alertname="A"']
  severity: P1
  groupBy: [alertname]
  diagnostics:
    - { name: ratio, name: other, prom.query: { expr: 'up' } }
    - { name: health, prom.query: { expr: 'up' } }
  remedies:
    - { name: look, when: 'findings.ratio.value > 1', action: { human.task: { title: 'Look' } } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels: [{ name: on-call, after: 0s, destinations: [{ slack: { channel: '#x' } }] }]
  fallback:
    - { slak: { channel: '#x' } }
"#;
    let errors = load_one(text).expect_err("two mistakes");
    let messages: Vec<&str> = errors.errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(messages, ["the key `name` stands here a second time", "unknown value `slak`"]);
}

#[test]
fn a_matcher_that_cannot_be_read_makes_no_rule_look_wider() {
    let text =
        mk_plain("broken", r#"'alertname=~"(A"'"#, "P2") + &mk_plain("next", r#"'alertname="A"'"#, "P2");
    let errors = load_one(&text).expect_err("a matcher is broken");
    assert_eq!(errors.errors.len(), 1, "{errors}");
    assert_eq!(errors.warnings, []);
}

#[test]
fn broken_texts_of_every_kind_give_errors_and_no_panic() {
    let bomb = {
        let mut text = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for n in 0..9 {
            text += &format!(
                "b{n}: &b{n} [{0},{0},{0},{0},{0},{0}]\n",
                if n == 0 { "*a".to_owned() } else { format!("*b{}", n - 1) }
            );
        }
        text
    };
    for text in [
        "\u{0}",
        "[",
        "{{{{",
        "kind: [",
        "- a\n- b\n",
        "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\n",
        "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: 7\nspec: []\n",
        "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {name: a, name: b}\nspec: {}\n",
        &bomb,
        &"[".repeat(100_000),
        &"a: ".repeat(50_000),
    ] {
        assert!(load_one(text).is_err(), "{:.80}", text);
    }
    // Every prefix of a good file, as a half-written file would be.
    for end in (0..GOOD.len()).step_by(97).filter(|end| GOOD.is_char_boundary(*end)) {
        let _ = load_one(&GOOD[..end]);
    }
}

#[test]
fn an_empty_set_is_a_set() {
    let set = load_one("# nothing yet\n").expect("loads");
    assert_eq!(set.rules().len(), 0);
    assert_ne!(set.hash(), load_one("# something else\n").expect("loads").hash());
}

const MANIFEST: &str = r#"
apiVersion: smokejumper.dev/v1
kind: StoredManifest
metadata: { name: maintenance-mode }
spec:
  tier: T3
  objects:
    - apiVersion: v1
      kind: ConfigMap
      metadata: { name: maintenance }
      data: { enabled: "true", since: "{{ incident.started_at }}" }
"#;

/// A rule whose only remedy is this.
fn mk_remedy(remedy: &str) -> String {
    mk_rule(
        "r",
        &format!("matchers: ['alertname=\"A\"']\nseverity: P1\ngroupBy: [alertname]\nremedies: [{remedy}]\n"),
    )
}

#[test]
fn a_stored_manifest_becomes_a_part_of_the_rules_that_name_it() {
    let remedy = "{ name: on, action: { k8s.apply: { manifest: maintenance-mode } } }";
    let text = mk_remedy(remedy) + "---" + MANIFEST;
    let set = load_one(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let remedy = &set.rules()[0].rule.remedies[0];
    assert_eq!(remedy.action.params["stored"]["objects"][0]["data"]["enabled"], "true");
    assert_eq!(remedy.tier, crate::domain::action::Tier::T3, "as the manifest says");
    let other = load_one(&text.replace("enabled: \"true\"", "enabled: \"yes\"")).expect("loads");
    assert_ne!(other.rules()[0].hash, set.rules()[0].hash, "another manifest is another rule");
}

#[test]
fn mistakes_in_a_stored_manifest_are_shown_at_their_place() {
    for (from, to, line, message) in [
        ("kind: ConfigMap", "kind: Secret", 9, "a stored manifest cannot hold a `Secret`"),
        ("{ name: maintenance }", "{ name: \"A B\" }", 10, "\"A B\" is no name of an object"),
        ("incident.started_at", "findings.x.last", 11, "`findings` is not known here"),
        ("incident.started_at", "incident.started_at | safe", 11, "safe"),
        ("data: { enabled", "data: { \"{{ labels.x }}\": a, enabled", 11, "a placeholder cannot be a key"),
        ("      data: {", "      spec: {", 11, "placeholders may stand in"),
        ("tier: T3", "tier: T9", 6, "T9"),
        ("objects:", "objcts:", 7, "objcts"),
        ("kind: ConfigMap", "kind: \"{{ labels.kind }}\"", 9, "a stored manifest cannot hold"),
    ] {
        let text = MANIFEST.replace(from, to);
        let file = SourceFile { name: "m.yaml".to_owned(), text: text.clone() };
        let errors = load_texts(vec![file], &mk_catalog(), &mk_known()).expect_err(&text).errors;
        let found = errors.iter().find(|problem| problem.message.contains(message));
        let found = found.unwrap_or_else(|| panic!("{message}: {errors:?}"));
        assert_eq!(found.position().0, line, "{message}: {found}");
    }
}

#[test]
fn a_rule_names_a_manifest_that_is_there_and_adds_nothing_to_it() {
    for (remedy, message) in [
        (
            "{ name: on, action: { k8s.apply: { manifest: maintenance-mod } } }",
            "did you mean `maintenance-mode`?",
        ),
        (
            "{ name: on, action: { k8s.apply: { manifest: maintenance-mode, stored: { objects: [] } } } }",
            "objects do not stand in a rule",
        ),
        (
            "{ name: on, tier: T2, action: { k8s.apply: { manifest: maintenance-mode } } }",
            "`k8s.apply` with this manifest may not run below T3",
        ),
        (
            "{ name: on, action: { escalate: {} }, rollback: { k8s.apply: { manifest: maintenance-mode } } }",
            "`k8s.apply` cannot be a rollback",
        ),
    ] {
        let errors = errors(&(mk_remedy(remedy) + "---" + MANIFEST));
        assert!(errors.contains(message), "{errors}");
    }
    let twice = errors(&(MANIFEST.to_owned() + "---" + MANIFEST));
    assert!(twice.contains("there is another StoredManifest `maintenance-mode`"), "{twice}");
    // A broken manifest is there all the same: the rule that names it is not complained about.
    let remedy = mk_remedy("{ name: on, action: { k8s.apply: { manifest: maintenance-mode } } }");
    let one = errors(&(remedy + "---" + &MANIFEST.replace("kind: ConfigMap", "kind: Secret")));
    assert!(one.ends_with("1 error in the rules"), "{one}");
}

#[test]
fn a_mistake_in_the_syntax_hides_no_other_document_and_says_what_it_hides() {
    let broken = "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: { name: one }\nspec:\n  matchers: ['a\n  severity: P9\n";
    let other = "---\napiVersion: smokejumper.dev/v1\nkind: ResponseRules\n---\napiVersion: smokejumper.dev/v1\nkind: Schedul\n";
    let said = errors(&(broken.to_owned() + other));
    assert!(said.contains("what follows in this document was not looked at"), "{said}");
    for kind in ["`ResponseRules` is not known", "`Schedul` is not known"] {
        assert!(said.contains(kind), "{said}");
    }
}

#[test]
fn what_follows_an_incident_and_calls_an_endpoint_that_is_not_there_is_told_both() {
    let rule = |endpoint: &str| {
        format!(
            "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: one }}\nspec:\n  \
             matchers: ['alertname=\"A\"']\n  severity: P1\n  groupBy: [alertname]\n  remedies: []\n  \
             onResolve: [{{ http.call: {{ endpoint: {endpoint} }} }}]\n"
        )
    };
    let refused = load_one(&rule("somewhere-else")).expect_err("it touches the world");
    assert!(refused.to_string().contains("`http.call` touches the world"), "{refused}");
    let warned: Vec<&str> = refused.warnings.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(warned, ["there is no endpoint `somewhere-else` in the settings"]);
    let misspelt = load_one(&rule("wafs")).expect_err("a misspelt name").to_string();
    assert!(misspelt.contains("did you mean `waf`?"), "{misspelt}");
}

const PLATFORM: &str = "
apiVersion: smokejumper.dev/v1
kind: Platform
metadata: { name: shop }
spec:
  values:
    namespace: pss-nano
    share: 0.05
    hold: 2m
";

/// The rules of [`GOOD`] with a platform in a file that comes after them.
fn load_with(platform: &str, good: &str) -> Result<RuleSet, RuleErrors> {
    let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), text: text.to_owned() };
    load_texts(vec![file("rules.yaml", good), file("z.yaml", platform)], &mk_catalog(), &mk_known())
}

#[test]
fn values_of_a_platform_are_part_of_the_rules_that_use_them() {
    let good = GOOD
        .replace("namespace=\"pss-nano\"", "namespace=\"${shop.namespace}\"")
        .replace("last > 0.05", "last > ${shop.share}")
        .replace("hold: 2m", "hold: \"${shop.hold}\"");
    let set = load_with(PLATFORM, &good).unwrap_or_else(|errors| panic!("{errors}"));
    let plain = load_with("", GOOD).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(set.rules()[0].rule, plain.rules()[0].rule);
    let other = PLATFORM.replace("0.05", "0.1");
    let changed = load_with(&other, &good).unwrap_or_else(|errors| panic!("{errors}"));
    assert_ne!(changed.rules()[0].hash, set.rules()[0].hash, "a changed value is a changed rule");
}

#[test]
fn what_is_wrong_with_a_platform_is_said_once_and_at_its_place() {
    let good = GOOD.replace("last > 0.05", "last > ${shop.share}");
    let broken = PLATFORM.replace("share: 0.05", "share: 0.05 || true");
    let errors = load_with(&broken, &good).expect_err("no word").errors;
    let places: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(places.len(), 1, "{places:#?}");
    assert!(places[0].contains("z.yaml:8") && places[0].contains("`share`"), "{}", places[0]);

    let errors = load_with(&PLATFORM.replace("share:", "shares:"), &good).expect_err("unknown").errors;
    assert!(errors[0].to_string().contains("did you mean `shares`?"), "{}", errors[0]);
    assert!(errors[0].to_string().contains("rules.yaml:18"), "{}", errors[0]);

    let twice = format!("{PLATFORM}---{PLATFORM}");
    let errors = load_with(&twice, &good).expect_err("two of one name").errors;
    assert!(errors[0].to_string().contains("shop"), "{}", errors[0]);
}
