//! Guardrails about where, how much, and when the machine must leave it to people.

use super::tests::{at, denial, mk_facts, mk_start, subject};
use super::*;
use crate::survey::{Impact, Rollout};
use crate::vitals::{CLUSTER_API, Sign};
use std::collections::BTreeMap;

fn mk_impact() -> Impact {
    Impact {
        kind: "Deployment".to_owned(),
        workloads: 1,
        replicas: 4,
        available: 4,
        disrupted: 1,
        rollout: Rollout::Settled,
        ends_rollout: false,
        objects: Vec::new(),
        affects: Vec::new(),
    }
}

/// What denies first, for a plan with this impact at this tier.
fn denied_by(tier: Tier, impact: &Impact, facts: &GuardFacts) -> Option<Guardrail> {
    let subject = Subject { tier, touch: Touch::Seen(impact), ..subject("Deployment/shop/api", "shop") };
    denial(subject, facts, 10).map(|(guardrail, _)| guardrail)
}

#[test]
fn only_some_namespaces_and_kinds_may_be_touched() {
    let impact = mk_impact();
    let mut facts = mk_facts(Vec::new());
    let system =
        Subject { touch: Touch::Seen(&impact), ..subject("Deployment/kube-system/dns", "kube-system") };
    assert_eq!(denial(system, &facts, 1), Some((Guardrail::AllowList, None)));
    let nowhere = Subject { namespace: None, ..system };
    assert_eq!(denial(nowhere, &facts, 1), Some((Guardrail::AllowList, None)));
    assert_eq!(denied_by(Tier::T1, &impact, &facts), None);
    facts.scope.namespaces = vec!["bank".to_owned()];
    assert_eq!(denied_by(Tier::T3, &impact, &facts), Some(Guardrail::AllowList));
    facts.scope.namespaces = vec!["shop".to_owned()];
    assert_eq!(denied_by(Tier::T3, &impact, &facts), None);
    facts.scope.kinds = vec!["Pod".to_owned()];
    assert_eq!(denied_by(Tier::T3, &impact, &facts), Some(Guardrail::AllowList));
    // Each object of several counts.
    let objects = ["Pod/shop/a", "Deployment/shop/api"].map(str::to_owned).to_vec();
    let several = |kind: &str, objects: &[String]| Impact {
        kind: kind.to_owned(),
        objects: objects.to_vec(),
        ..mk_impact()
    };
    assert_eq!(denied_by(Tier::T3, &several("Pod", &objects[..1]), &facts), None);
    assert_eq!(denied_by(Tier::T3, &several("Pod", &objects), &facts), Some(Guardrail::AllowList));
    // What is no object of the cluster, such as an endpoint, has limits of its own.
    assert_eq!(denial(subject("endpoint:waf", "kube-system"), &facts, 1), None);
}

#[test]
fn it_never_acts_on_itself() {
    let impact = mk_impact();
    let mut facts = mk_facts(Vec::new());
    let own =
        |name: Option<&str>| Some(Own { namespace: Some("shop".to_owned()), name: name.map(str::to_owned) });
    for (name, expected) in [
        (Some("api"), Some(Guardrail::OwnWorkload)),
        (Some("web"), None),
        (None, Some(Guardrail::OwnWorkload)),
    ] {
        facts.scope.own = own(name);
        assert_eq!(denied_by(Tier::T3, &impact, &facts), expected, "{name:?}");
    }
    facts.scope.own = own(Some("responder"));
    for (object, expected) in [
        ("ConfigMap/shop/maintenance", None),
        ("Service/shop/responder", Some(Guardrail::OwnWorkload)),
        // It may cut the responder off, whatever it is called.
        ("NetworkPolicy/shop/closed", Some(Guardrail::OwnWorkload)),
        ("Pod/shop/responder-5d9c7-x2x4z", Some(Guardrail::OwnWorkload)),
        ("Pod/shop/responders", None),
    ] {
        let impact = Impact { objects: vec![object.to_owned()], ..mk_impact() };
        assert_eq!(denied_by(Tier::T3, &impact, &facts), expected, "{object}");
        let impact = Impact { affects: vec![object.to_owned()], ..mk_impact() };
        assert_eq!(denied_by(Tier::T3, &impact, &facts), expected, "{object}, by way of another");
    }
    // Where its namespace is not known, its name is protected everywhere.
    facts.scope.own = Some(Own { namespace: None, name: Some("api".to_owned()) });
    facts.scope.namespaces = vec!["shop".to_owned()];
    assert_eq!(denied_by(Tier::T3, &impact, &facts), Some(Guardrail::OwnWorkload), "an allowed namespace");
}

#[test]
fn one_workload_a_quarter_of_its_replicas_and_one_that_stays() {
    let facts = mk_facts(Vec::new());
    for (replicas, available, disrupted, passes) in [
        (4, 4, 1, true),
        (4, 4, 2, false),
        (8, 8, 2, true),
        (8, 8, 3, false),
        // A quarter of two is none, but one is always allowed where one is left.
        (2, 2, 1, true),
        (1, 1, 1, false),
        (4, 1, 1, false),
        // What is not available takes nothing away.
        (1, 0, 0, true),
        (4, 0, 1, true),
    ] {
        let impact = Impact { replicas, available, disrupted, ..mk_impact() };
        let denied = denied_by(Tier::T2, &impact, &facts);
        let expected = if passes { None } else { Some(Guardrail::BlastRadius) };
        assert_eq!(denied, expected, "{disrupted} of {available}, {replicas} wanted");
        assert_eq!(denied_by(Tier::T3, &impact, &facts), None, "two people decide");
    }
    let two = Impact { workloads: 2, ..mk_impact() };
    assert_eq!(denied_by(Tier::T2, &two, &facts), Some(Guardrail::BlastRadius));
    let undo = Impact { available: 1, disrupted: 1, ends_rollout: true, ..mk_impact() };
    assert_eq!(denied_by(Tier::T2, &undo, &facts), None, "going back to what worked must not wait");
}

#[test]
fn of_several_workloads_the_worst_counts() {
    let mut facts = mk_facts(Vec::new());
    facts.radius.workloads = 3;
    let workload = |replicas, available, disrupted| Impact { replicas, available, disrupted, ..mk_impact() };
    let joined = |all: &[Impact]| {
        let mut sum = Impact::on("Deployment");
        all.iter().cloned().for_each(|one| sum.join(one));
        sum
    };
    let (calm, last) = (workload(8, 8, 0), workload(1, 1, 1));
    for all in [[calm.clone(), last.clone()], [last.clone(), calm.clone()]] {
        let sum = joined(&all);
        assert_eq!(sum.workloads, 2);
        assert_eq!(denied_by(Tier::T2, &sum, &facts), Some(Guardrail::BlastRadius), "the last one of one");
    }
    let undone = Impact { ends_rollout: true, ..last.clone() };
    assert_eq!(denied_by(Tier::T2, &joined(std::slice::from_ref(&undone)), &facts), None);
    let sum = joined(&[undone, last]);
    assert_eq!(denied_by(Tier::T2, &sum, &facts), Some(Guardrail::BlastRadius), "only one goes back");
    let sum = joined(&[workload(8, 8, 2), workload(4, 4, 2)]);
    assert_eq!(denied_by(Tier::T2, &sum, &facts), Some(Guardrail::BlastRadius), "half of the second");
    assert_eq!(denied_by(Tier::T2, &joined(&[workload(8, 8, 2), calm.clone()]), &facts), None);
    let moving = Impact { rollout: Rollout::UnderWay { status: "1 of 8".to_owned() }, ..calm.clone() };
    let stuck = Impact { rollout: Rollout::Stuck { reason: "too long".to_owned() }, ..calm };
    for all in [[moving.clone(), stuck.clone()], [stuck, moving]] {
        assert_eq!(denied_by(Tier::T2, &joined(&all), &facts), Some(Guardrail::Rollout));
    }
}

#[test]
fn nobodys_healthy_rollout_is_disturbed_and_one_that_hangs_does_not_protect_itself() {
    let facts = mk_facts(Vec::new());
    let healthy = Rollout::UnderWay { status: "2 of 4 updated".to_owned() };
    let stuck = Rollout::Stuck { reason: "no progress for 600 s".to_owned() };
    for (rollout, ends_rollout, expected) in [
        (healthy.clone(), false, Some(Guardrail::Rollout)),
        (healthy, true, Some(Guardrail::Rollout)),
        (stuck.clone(), true, None),
        (stuck, false, None),
    ] {
        let impact = Impact { rollout, ends_rollout, ..mk_impact() };
        assert_eq!(denied_by(Tier::T2, &impact, &facts), expected, "{impact:?}");
    }
}

#[test]
fn one_action_at_a_time_on_one_target() {
    let mut start = mk_start("Deployment/shop/api", "shop", 0);
    start.action = Some(ActionId("i1-a1".to_owned()));
    let mut facts = mk_facts(vec![start]);
    facts.limits.per_target.clear();
    let other = subject("Deployment/shop/api", "shop");
    assert_eq!(denial(other, &facts, 1), Some((Guardrail::InFlight, Some(at(3)))));
    let own = ActionId("i1-a1".to_owned());
    assert_eq!(denial(Subject { action: Some(&own), ..other }, &facts, 1), None);
    assert_eq!(denial(subject("Deployment/shop/web", "shop"), &facts, 1), None);
    // Nor among several, in whatever way they are named.
    let objects = ["Deployment/shop/web", "Deployment/shop/api"].map(str::to_owned).to_vec();
    let impact = Impact { objects, ..mk_impact() };
    let several = Subject { touch: Touch::Seen(&impact), ..subject("Pod/shop/tier=web", "shop") };
    assert_eq!(denial(several, &facts, 1), Some((Guardrail::InFlight, Some(at(3)))));
    // One that touches several holds each of them, and what changes with them.
    facts.starts[0].target = "StoredManifest/shop/maintenance".to_owned();
    facts.starts[0].others = vec!["Deployment/shop/api".to_owned()];
    let verdicts = judge(other, &facts, at(1));
    let said = first_denial(&verdicts).map(|verdict| verdict.reason.as_ref()).unwrap_or_default();
    assert!(said.starts_with("errors/limit is under way on StoredManifest/shop/maintenance since"), "{said}");
    let scaled = Impact { affects: vec!["Deployment/shop/api".to_owned()], ..mk_impact() };
    let autoscaler =
        Subject { touch: Touch::Seen(&scaled), ..subject("HorizontalPodAutoscaler/shop/api", "shop") };
    assert_eq!(denial(autoscaler, &facts, 1), Some((Guardrail::InFlight, Some(at(3)))));
    assert_eq!(denial(subject("Deployment/shop/web", "shop"), &facts, 1), None);
    assert_eq!(
        denial(other, &facts, 24 * 60),
        None,
        "one whose end was lost does not hold the target for ever"
    );
    facts.starts[0].end = Some(StartEnd { at: at(1), result: StartResult::Good });
    assert_eq!(denial(other, &facts, 2), None);
}

fn ended(target: &str, minute: i64, result: StartResult) -> Start {
    Start {
        action: Some(ActionId(format!("{target}-a1"))),
        end: Some(StartEnd { at: at(minute), result }),
        ..mk_start(target, "bank", minute - 1)
    }
}

#[test]
fn a_rule_that_failed_twice_in_a_row_is_switched_off_for_a_day() {
    use StartResult::{Bad, Good, NotStarted};
    for (results, is_off) in [
        (vec![Bad], false),
        (vec![Bad, Bad], true),
        (vec![Bad, Good], false),
        (vec![Bad, Good, Bad], false),
        (vec![Bad, NotStarted, Bad], true),
        (vec![Good, Bad, Bad], true),
    ] {
        let starts = results.iter().zip([10, 30, 50]).map(|(result, minute)| ended("x", minute, *result));
        let facts = mk_facts(starts.collect());
        let last = 10 + 20 * (i64::try_from(results.len()).expect("few") - 1);
        let denied = denial(subject("other", "shop"), &facts, 60);
        let expected = is_off.then(|| (Guardrail::CircuitBreaker, Some(at(last + 24 * 60))));
        assert_eq!(denied, expected, "{results:?}");
        assert_eq!(denial(Subject { remedy: "disk/clean", ..subject("other", "shop") }, &facts, 60), None);
        assert_eq!(denial(subject("other", "shop"), &facts, last + 24 * 60), None, "after a day");
    }
}

#[test]
fn a_namespace_has_a_budget_for_the_day() {
    let starts = (0..20).map(|n| mk_start(&format!("t{n}"), "shop", n * 30)).collect();
    let mut facts = mk_facts(starts);
    let hours_later = 20 * 30 + 60;
    let denied = denial(subject("x", "shop"), &facts, hours_later);
    assert_eq!(denied, Some((Guardrail::DailyBudget, Some(at(24 * 60)))));
    assert_eq!(denial(subject("x", "bank"), &facts, hours_later), None);
    facts.limits.daily_budget = 0;
    assert_eq!(denial(subject("x", "shop"), &facts, hours_later), None, "0 means no limit");
}

/// What denies a plan that would run alone, and whether people may still decide it.
fn alone(facts: &GuardFacts, standing: Standing<'_>) -> Option<Guardrail> {
    let alone = Subject { standing, ..subject("x", "shop") };
    let by_people = Subject { tier: Tier::T2, ..alone };
    assert_eq!(denial(by_people, facts, 10), None, "people may decide");
    denial(alone, facts, 10).map(|(guardrail, _)| guardrail)
}

#[test]
fn nothing_starts_alone_once_a_person_has_the_incident() {
    let standing = Standing { acknowledged_by: Some("una"), ..Standing::default() };
    assert_eq!(alone(&mk_facts(Vec::new()), standing), Some(Guardrail::Acknowledged));
}

#[test]
fn nothing_starts_alone_right_after_the_start_of_the_service() {
    let mut facts = mk_facts(Vec::new());
    facts.booted_at = Some(at(9));
    assert_eq!(alone(&facts, Standing::default()), Some(Guardrail::BootHold));
    facts.booted_at = Some(at(8));
    assert_eq!(alone(&facts, Standing::default()), None);
}

#[test]
fn nothing_starts_alone_for_an_incident_that_flaps() {
    let facts = mk_facts(Vec::new());
    let flapping = [at(1), at(4), at(7)];
    let standing = Standing { reopened_at: &flapping, ..Standing::default() };
    assert_eq!(alone(&facts, standing), Some(Guardrail::Flapping));
    let calmer = Standing { reopened_at: &flapping[1..], ..standing };
    assert_eq!(alone(&facts, calmer), None);
    let long_ago = [at(-60), at(4), at(7)];
    assert_eq!(alone(&facts, Standing { reopened_at: &long_ago, ..standing }), None);
}

#[test]
fn nothing_is_done_about_an_alert_that_has_no_data_behind_it_whoever_decides() {
    let standing = Standing { without_data: Some("DatasourceNoData"), ..Standing::default() };
    for tier in [Tier::T1, Tier::T2, Tier::T3] {
        let blind = Subject { standing, tier, ..subject("x", "shop") };
        let denied = denial(blind, &mk_facts(Vec::new()), 10).map(|(guardrail, _)| guardrail);
        assert_eq!(denied, Some(Guardrail::Blind));
    }
}

fn crowd(targets: u32, is_first: bool) -> Crowd {
    Crowd { targets, is_first }
}

fn signs(name: &str, sign: Sign) -> Option<Vitals> {
    Some(Vitals { at: at(0), signs: BTreeMap::from([(name.to_owned(), sign)]) })
}

#[test]
fn what_is_wrong_with_many_is_not_healed_one_by_one_and_people_are_asked_once() {
    let mut facts = mk_facts(Vec::new());
    let denied = Some(Guardrail::Correlation);
    for (targets, is_first, at_t1, at_t2) in
        [(2, true, None, None), (3, true, denied, None), (3, false, denied, denied)]
    {
        facts.peers = Some(Peers { of_rule: crowd(targets, is_first), ..Peers::NONE });
        let plan = subject("x", "shop");
        let of = |tier| denial(Subject { tier, ..plan }, &facts, 10).map(|(guardrail, _)| guardrail);
        assert_eq!((of(Tier::T1), of(Tier::T2)), (at_t1, at_t2), "{targets} targets, first: {is_first}");
        assert_eq!(asks_instead(facts.alone, facts.peers, None), targets == 3 && is_first);
    }
    facts.peers = None;
    assert_eq!(alone(&facts, Standing::default()), denied, "nobody could count them");
    assert!(!asks_instead(facts.alone, None, None));
}

#[test]
fn several_rules_that_fire_together_have_one_cause_and_one_question() {
    let mut facts = mk_facts(Vec::new());
    let denied = Some(Guardrail::Correlation);
    for (in_namespace, in_all, expected) in [
        (crowd(2, true), crowd(9, true), None),
        (crowd(3, true), crowd(3, true), denied),
        (crowd(3, false), crowd(3, false), denied),
        (crowd(1, true), crowd(10, false), denied),
    ] {
        facts.peers = Some(Peers { in_namespace, in_all, ..Peers::NONE });
        // What asks people anyway goes on asking: each of them decides for itself.
        assert_eq!(alone(&facts, Standing::default()), expected, "{in_namespace:?} {in_all:?}");
        let asks = asks_instead(facts.alone, facts.peers, None);
        assert_eq!(asks, expected.is_some() && in_namespace.is_first && in_all.is_first);
    }
    // The first everywhere, but its rule is asked for elsewhere already.
    let of_rule = crowd(3, false);
    facts.peers = Some(Peers { of_rule, in_all: crowd(10, true), ..Peers::NONE });
    assert!(!asks_instead(facts.alone, facts.peers, None));
    facts.alone.targets_in_namespace = 0;
    facts.peers = Some(Peers { in_namespace: crowd(50, true), ..Peers::NONE });
    assert_eq!(alone(&facts, Standing::default()), None, "0 means never");
}

#[test]
fn trouble_that_monitoring_sees_is_asked_about_once() {
    let mut facts = mk_facts(Vec::new());
    facts.vitals = signs("nodes", Sign::Widespread("2 of 3 nodes are not ready".to_owned()));
    assert_eq!(alone(&facts, Standing::default()), Some(Guardrail::Correlation));
    for is_first in [true, false] {
        let peers = Some(Peers { in_all: crowd(2, is_first), ..Peers::NONE });
        assert_eq!(asks_instead(facts.alone, peers, facts.vitals.as_ref()), is_first);
    }
}

#[test]
fn who_cannot_see_does_not_act_alone() {
    let mut facts = mk_facts(Vec::new());
    for (vitals, expected) in [
        (signs("prometheus", Sign::Good("0 of 9 are down".to_owned())), None),
        (signs("prometheus", Sign::Blind("no answer".to_owned())), Some(Guardrail::Blind)),
        (signs("prometheus", Sign::Widespread("4 of 9 are down".to_owned())), Some(Guardrail::Correlation)),
        (None, Some(Guardrail::Blind)),
    ] {
        facts.vitals = vitals;
        assert_eq!(alone(&facts, Standing::default()), expected, "{:?}", facts.vitals);
    }
}

#[test]
fn a_cluster_that_cannot_be_seen_stops_what_would_be_done_to_it_and_nothing_else() {
    let impact = mk_impact();
    let mut facts = mk_facts(Vec::new());
    facts.vitals = signs(CLUSTER_API, Sign::BlindInCluster("no answer".to_owned()));
    assert_eq!(denied_by(Tier::T1, &impact, &facts), Some(Guardrail::Blind));
    assert_eq!(denied_by(Tier::T2, &impact, &facts), None, "people may decide");
    assert_eq!(alone(&facts, Standing::default()), None, "an endpoint is no object of the cluster");
    let verdict = dark_cluster(facts.vitals.as_ref(), at(10)).expect("it is dark");
    assert_eq!((verdict.allowed, verdict.until), (false, Some(at(15))));
    facts.vitals = signs("nodes", Sign::BlindInCluster("not permitted".to_owned()));
    assert_eq!(denied_by(Tier::T1, &impact, &facts), Some(Guardrail::Blind));
    assert_eq!(dark_cluster(facts.vitals.as_ref(), at(10)), None, "the API itself answers");
}

#[test]
fn what_nobody_looked_at_is_judged_as_far_as_that_goes() {
    let mut facts = mk_facts(Vec::new());
    let drafted = ["Deployment/shop/api".to_owned()];
    let unseen = Subject { touch: Touch::Unseen(&drafted), ..subject("Deployment/shop/api", "shop") };
    let verdicts = judge(unseen, &facts, at(1));
    let not_judged = verdicts.iter().filter(|verdict| verdict.reason.starts_with("not judged"));
    let not_judged: Vec<Guardrail> = not_judged.map(|verdict| verdict.guardrail).collect();
    assert_eq!(not_judged, [Guardrail::BlastRadius, Guardrail::Rollout]);
    assert!(not_judged.iter().all(|guardrail| guardrail.needs_a_look()));
    assert_eq!(denial(unseen, &facts, 1), None);
    facts.scope.kinds = vec!["Pod".to_owned()];
    assert_eq!(denial(unseen, &facts, 1), Some((Guardrail::AllowList, None)));
}
