//! Remedies are planned with fixed values, or not at all.

use super::*;
use crate::domain::alert::Alert;
use crate::engine::playbook::{KeptRule, Playbook};
use crate::rules::book::{BookSource, RuleBook};
use crate::rules::test_support::{load_one, mk_alert, mk_catalog, mk_finding, mk_incident, mk_known};
use serde_json::json;
use std::sync::Arc;

const RULE: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: errors }
spec:
  matchers: ['alertname="A"']
  severity: P1
  target: { kind: Deployment, namespace: "{{ labels.namespace }}", name: "{{ labels.service }}" }
  diagnostics:
    - { name: ratio, prom.query: { expr: 'ratio{service="{{ labels.service }}"}' } }
    - { name: missing, prom.query: { expr: 'x{team="{{ labels.team }}"}' } }
  remedies:
    - name: tell
      action: { notify.slack: { channel: "#x", text: "ratio is {{ findings.ratio.value | percent }}" } }
    - name: limit
      when: findings.ratio.value > 0.05
      cooldown: 1h
      action: { http.call: { endpoint: waf, path: "/limit/{{ labels.service }}" } }
      rollback: { http.call: { endpoint: waf, path: "/free/{{ labels.service }}" } }
      verify: { checks: ['findings.ratio.value < 0.05', 'findings.missing.value == 0'], onFail: rollback }
    - name: limit-team
      when: labels.team == "x"
      action: { http.call: { endpoint: waf, path: "/limit/{{ labels.team }}" } }
    - name: by-hand
      action: { human.task: { title: "Look at {{ incident.target.name }}", steps: ["{{ findings.missing.text }}"] } }
  onResolve:
    - notify.slack: { channel: "#x", text: "over: {{ incident.summary }}" }
    - escalate: {}
"##;

fn mk_book(text: &str) -> (RuleBook, Arc<KeptRule>) {
    let set = load_one(text).unwrap_or_else(|errors| panic!("{errors}"));
    let rule = Arc::clone(&set.rules()[0]);
    let source = BookSource {
        patterns: Vec::new(),
        catalog: Arc::new(mk_catalog()),
        known: mk_known(),
        default_policy: None,
    };
    (RuleBook::with_set(source, set), rule)
}

fn mk_world() -> (RuleBook, Arc<KeptRule>, Incident) {
    let (book, rule) = mk_book(RULE);
    let incident = mk_incident(&rule.rule, &mk_api_alert());
    (book, rule, incident)
}

fn mk_api_alert() -> Alert {
    mk_alert(&[("alertname", "A"), ("namespace", "pss-nano"), ("service", "api")])
}

fn mk_findings() -> Vec<Finding> {
    let unknown =
        Finding::unknown("missing", "prom.query", "no label `team`", jiff::Timestamp::UNIX_EPOCH, 1);
    vec![mk_finding("ratio", &json!({ "value": 0.071 }), "7.1 %"), unknown]
}

#[test]
fn diagnostics_are_rendered_each_for_itself() {
    let (book, rule, incident) = mk_world();
    let ready = book.diagnostics(&rule, &incident);
    assert_eq!(ready[0].params, Ok(json!({ "expr": "ratio{service=\"api\"}" })));
    assert_eq!(ready[0].timeout, Duration::from_secs(5));
    let why = ready[1].params.as_ref().expect_err("there is no label `team`");
    assert!(why.starts_with("`expr`: ") && why.contains("team"), "{why}");
}

#[test]
fn the_ladder_is_judged_with_conditions_plans_and_guardrails() {
    let (book, rule, incident) = mk_world();
    let candidates = book.candidates(&rule, &incident, &mk_findings());
    let [tell, limit, limit_team, by_hand] = &candidates[..] else { panic!("four remedies") };

    assert_eq!((tell.tier, &tell.condition), (Tier::T0, &ConditionOutcome::Holds));
    let plan = tell.plan.as_ref().expect("planned");
    assert_eq!(plan.params["text"], "ratio is 7.1 %");
    assert_eq!(
        (plan.target.as_str(), plan.namespace.as_deref()),
        ("Deployment/pss-nano/api", Some("pss-nano"))
    );

    assert_eq!((limit.tier, &limit.condition), (Tier::T2, &ConditionOutcome::Holds));
    let plan = limit.plan.as_ref().expect("planned");
    assert_eq!((plan.params["path"].as_str(), plan.target.as_str()), (Some("/limit/api"), "endpoint/waf"));
    assert_eq!(limit.inverse.as_ref().map(|plan| plan.params["path"].clone()), Some(json!("/free/api")));

    assert_eq!(limit_team.condition, ConditionOutcome::Unknown("there is no `team`".to_owned()));
    assert!(limit_team.plan.as_ref().is_err_and(|why| why.contains("team")));

    assert_eq!((by_hand.tier, by_hand.performer), (Tier::T3, Performer::People));
    let plan = by_hand.plan.as_ref().expect("planned");
    assert_eq!(plan.params["steps"][0], "unknown: no label `team`");
    let guarded: Vec<&str> =
        candidates.iter().filter(|one| one.is_guarded()).map(|one| one.remedy.as_str()).collect();
    assert_eq!(guarded, ["limit"], "what tells, what cannot be planned and what people do is not guarded");
}

#[test]
fn the_same_facts_give_the_same_digest() {
    let (book, rule, incident) = mk_world();
    let digests = || -> Vec<_> {
        let candidates = book.candidates(&rule, &incident, &mk_findings());
        candidates.into_iter().filter_map(|candidate| Some(candidate.plan.ok()?.digest())).collect()
    };
    assert_eq!(digests(), digests());
    assert_eq!(digests().len(), 3);
}

#[test]
fn checks_answer_in_the_order_of_the_rule() {
    let (book, rule, incident) = mk_world();
    let checks = book.checks(&rule, "limit", &incident, &mk_findings());
    assert_eq!(checks[0], ConditionOutcome::Fails);
    assert!(matches!(&checks[1], ConditionOutcome::Unknown(why) if why.contains("no label `team`")));
    assert_eq!(book.checks(&rule, "nothing", &incident, &[]), []);
}

#[test]
fn what_follows_the_end_is_planned_like_any_action() {
    let (book, rule, incident) = mk_world();
    let after = book.on_resolve(&rule, &incident, &[]);
    let names: Vec<_> = after.iter().map(|candidate| candidate.remedy.as_str()).collect();
    assert_eq!(names, ["on-resolve-1", "on-resolve-2"]);
    assert!(after.iter().all(|candidate| candidate.plan.is_ok() && candidate.tier == Tier::T0));
}

#[test]
fn a_remedy_that_could_not_be_undone_is_not_planned() {
    let text = RULE.replace("/free/{{ labels.service }}", "/free/{{ labels.team }}");
    let (book, rule) = mk_book(&text);
    let incident = mk_incident(&rule.rule, &mk_api_alert());
    let candidates = book.candidates(&rule, &incident, &mk_findings());
    let why = candidates[1].plan.as_ref().expect_err("no rollback");
    assert!(why.starts_with("its rollback could not be planned"), "{why}");
    assert_eq!(candidates[1].guardrails, []);
}

#[test]
fn a_remedy_that_the_settings_do_not_equip_is_skipped_and_the_ladder_goes_on() {
    let (_, rule, incident) = mk_world();
    let source = BookSource {
        patterns: Vec::new(),
        catalog: Arc::new(mk_catalog()),
        known: crate::rules::Known { endpoints: Some(Default::default()), ..mk_known() },
        default_policy: None,
    };
    let book = RuleBook::with_set(source, crate::rules::RuleSet::default());
    let mut candidates = book.candidates(&rule, &incident, &mk_findings());
    let why = "there is no endpoint `waf` in the settings".to_owned();
    assert_eq!(candidates[1].not_set_up.as_ref(), Some(&why));
    candidates[0].tried = true;
    let decisions = crate::domain::decision::decide(&candidates, Default::default());
    assert_eq!(decisions[1].reason, crate::domain::decision::Reason::NotSetUp(why));
    assert_eq!(decisions[3].decision, crate::domain::decision::Decision::Run, "{decisions:?}");
}

#[test]
fn a_stored_rule_with_kinds_that_this_build_lacks_still_answers() {
    let (book, rule, incident) = mk_world();
    let mut text = serde_json::to_value(&rule.rule).expect("JSON");
    text["diagnostics"][0]["kind"] = json!("prom.gone");
    text["remedies"][1]["action"]["kind"] = json!("http.gone");
    text["remedies"][2]["when"] = json!("this is not CEL (");
    text["remedies"][3]["action"]["params"]["title"] = json!("{{ broken");
    let kept = book.adopt_rule(text).expect("a rule");
    assert_ne!(kept.hash, rule.hash);
    assert_eq!(book.rule_by_hash(&kept.hash), Some(Arc::clone(&kept)));

    assert_eq!(
        book.diagnostics(&kept, &incident)[0].params,
        Err("this build knows no `prom.gone`".to_owned())
    );
    let candidates = book.candidates(&kept, &incident, &mk_findings());
    assert!(candidates[0].plan.is_ok());
    assert_eq!(candidates[1].plan, Err("this build knows no `http.gone`".to_owned()));
    assert!(matches!(candidates[2].condition, ConditionOutcome::Unknown(_)));
    assert!(candidates[3].plan.is_err());
    assert!(book.adopt_rule(json!({ "name": 7 })).is_err());
}

#[test]
fn without_a_target_the_group_is_what_limits_count_by() {
    let text = RULE
        .replace("target: { kind: Deployment, namespace: \"{{ labels.namespace }}\", name: \"{{ labels.service }}\" }", "groupBy: [service]")
        .replace("incident.target.name", "labels.service");
    let (book, rule) = mk_book(&text);
    let incident = mk_incident(&rule.rule, &mk_api_alert());
    let candidates = book.candidates(&rule, &incident, &mk_findings());
    assert_eq!(candidates[0].plan.as_ref().map(|plan| plan.target.as_str()), Ok("service=api"));
}
