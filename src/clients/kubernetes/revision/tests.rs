//! Which revision an undo takes, over the histories that restarts, undos and people leave behind.

use serde_json::json;

use super::*;
use crate::clients::kubernetes::test_objects::{
    mk_controller_revision, mk_deployment, mk_replica_set, mk_template,
};
use crate::clients::stand_in::vector;

fn restarted(image: &str, at: &str) -> Value {
    let mut template = mk_template(image);
    template["metadata"]["annotations"] = json!({RESTARTED_AT: at});
    template
}

/// A Deployment whose templates were these, oldest first; the last one is what runs.
fn mk_history(templates: &[Value]) -> (Value, Vec<Value>) {
    let deployment = mk_deployment("api", templates.last().expect("a template").clone());
    let number = |index: usize| i64::try_from(index).expect("a small number") + 1;
    let sets = templates
        .iter()
        .enumerate()
        .map(|(index, template)| mk_replica_set(&deployment, number(index), template.clone()));
    let sets = sets.collect();
    (deployment, sets)
}

fn undo_of(deployment: &Value, sets: &[Value]) -> Result<(i64, String), NoPrevious> {
    let revisions = of_replica_sets(deployment, sets);
    let revision = previous(deployment, &revisions, None)?;
    Ok((revision.number, revision.images()["api"].clone()))
}

#[test]
fn an_undo_goes_past_restarts_to_what_ran_before() {
    let (deployment, sets) = mk_history(&[
        mk_template("api:1"),
        mk_template("api:2"),
        restarted("api:2", "t1"),
        restarted("api:2", "t2"),
    ]);
    assert_eq!(undo_of(&deployment, &sets), Ok((1, "api:1".to_owned())));
}

#[test]
fn of_several_that_differ_the_newest_is_taken() {
    let (deployment, mut sets) =
        mk_history(&[mk_template("api:1"), mk_template("api:2"), mk_template("api:3")]);
    sets.reverse();
    assert_eq!(undo_of(&deployment, &sets), Ok((2, "api:2".to_owned())));
    let revisions = of_replica_sets(&deployment, &sets);
    assert_eq!(revisions.iter().map(|revision| revision.number).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(present(&deployment, &revisions).map(|revision| revision.number), Some(3));
}

#[test]
fn what_an_undo_left_behind_is_not_gone_back_to() {
    // api:2 was bad and left behind: api:1 became revision 3.
    let (mut deployment, mut sets) =
        mk_history(&[mk_template("api:0"), mk_template("api:2"), mk_template("api:1")]);
    assert_eq!(undo_of(&deployment, &sets), Ok((2, "api:2".to_owned())));
    deployment["metadata"]["annotations"] = json!({BAD_REVISIONS: " api-h2 ,api-gone"});
    assert_eq!(undo_of(&deployment, &sets), Ok((1, "api:0".to_owned())));
    // A person says of the rest that it is bad as well.
    sets[0]["metadata"]["annotations"][BAD] = json!("leaks memory");
    assert_eq!(undo_of(&deployment, &sets), Err(NoPrevious::AllBad("api-h2, api-h1".to_owned())));
}

#[test]
fn a_restart_of_what_was_left_behind_is_as_bad_as_it() {
    let (mut deployment, sets) = mk_history(&[
        mk_template("api:0"),
        mk_template("api:2"),
        restarted("api:2", "t1"),
        mk_template("api:1"),
    ]);
    deployment["metadata"]["annotations"] = json!({BAD_REVISIONS: "api-h3"});
    assert_eq!(undo_of(&deployment, &sets), Ok((1, "api:0".to_owned())));
}

#[test]
fn without_a_revision_that_differs_there_is_a_reason() {
    let (deployment, sets) = mk_history(&[mk_template("api:1")]);
    assert_eq!(undo_of(&deployment, &sets), Err(NoPrevious::NoHistory));
    assert_eq!(undo_of(&deployment, &[]), Err(NoPrevious::NoHistory));
    let (deployment, sets) = mk_history(&[mk_template("api:1"), restarted("api:1", "t1")]);
    assert_eq!(undo_of(&deployment, &sets), Err(NoPrevious::AllTheSame));
}

#[test]
fn a_revision_that_is_asked_for_by_number_must_be_fit() {
    let (mut deployment, sets) =
        mk_history(&[mk_template("api:1"), mk_template("api:2"), mk_template("api:3")]);
    let ask = |deployment: &Value, to| {
        previous(deployment, &of_replica_sets(deployment, &sets), Some(to)).map(|revision| revision.number)
    };
    assert_eq!(ask(&deployment, 1), Ok(1));
    assert_eq!(ask(&deployment, 3), Err(NoPrevious::Present(3)));
    assert_eq!(ask(&deployment, 7), Err(NoPrevious::NotKept(7)));
    deployment["metadata"]["annotations"] = json!({BAD_REVISIONS: "api-h1"});
    assert_eq!(ask(&deployment, 1), Err(NoPrevious::Bad(1)));
}

#[test]
fn revisions_of_others_are_no_revisions_of_ours() {
    let (deployment, mut sets) = mk_history(&[mk_template("api:1"), mk_template("api:2")]);
    sets[0]["metadata"]["ownerReferences"][0]["uid"] = json!("uid-other");
    assert_eq!(undo_of(&deployment, &sets), Err(NoPrevious::NoHistory));
    sets[0]["metadata"]["ownerReferences"][0]["uid"] = json!("uid-api");
    sets[0]["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    assert_eq!(undo_of(&deployment, &sets), Err(NoPrevious::NoHistory));
}

#[test]
fn controller_revisions_hold_the_revisions_of_stateful_sets() {
    let mut set = mk_deployment("redis", mk_template("redis:7"));
    set["kind"] = json!("StatefulSet");
    let kept = [
        mk_controller_revision(&set, 1, mk_template("redis:6")),
        mk_controller_revision(&set, 2, restarted("redis:6", "t1")),
        mk_controller_revision(&set, 3, mk_template("redis:7")),
    ];
    let revisions = of_controller_revisions(&set, &kept);
    let found = previous(&set, &revisions, None).expect("a revision");
    assert_eq!((found.number, found.name.as_str()), (2, "redis-2"));
    assert_eq!(present(&set, &revisions).map(|revision| revision.number), Some(3));
}

#[test]
fn what_says_nothing_makes_no_difference_and_all_else_does() {
    let plain = meaningful(&mk_template("api:1"));
    let mut noisy = restarted("api:1", "t1");
    noisy["metadata"]["labels"][TEMPLATE_HASH] = json!("abc");
    noisy["metadata"]["annotations"]["smokejumper.dev/execution-id"] = json!("i-a1-apply");
    noisy["$patch"] = json!("replace");
    noisy["spec"]["affinity"] = json!(null);
    assert_eq!(meaningful(&noisy), plain);
    for (pointer, value) in [
        ("/metadata/labels", json!({"app": "other"})),
        ("/spec/containers/0/image", json!("api:2")),
        ("/spec/containers/0/env/0/value", json!("debug")),
        ("/spec/containers/0/resources", json!({"limits": {"memory": "1Gi"}})),
    ] {
        let mut other = mk_template("api:1");
        *other.pointer_mut(pointer).expect("a place") = value;
        assert_ne!(meaningful(&other), plain, "{pointer}");
    }
    let mut annotated = mk_template("api:1");
    annotated["metadata"]["annotations"] = json!({"prometheus.io/scrape": "true"});
    assert_ne!(meaningful(&annotated), plain);
}

#[test]
fn the_difference_is_told_by_the_names_of_containers_and_variables() {
    let mut after = mk_template("api:2");
    after["spec"]["containers"][0]["env"] =
        json!([{"name": "NEW", "value": "1"}, {"name": "LEVEL", "value": "debug"}]);
    let lines: Vec<String> = diff(&mk_template("api:1"), &after).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    spec.containers[api].env[LEVEL].value: changed
    spec.containers[api].env[KEY]: removed {"name":"KEY","valueFrom":{"secretKeyRef":{"key":"k","name":"s"}}}
    spec.containers[api].env[NEW]: added {"name":"NEW","value":"[redacted]"}
    spec.containers[api].image: api:1 → api:2
    "#);
}

#[test]
fn names_of_bad_revisions_are_kept_while_they_mean_something() {
    let (mut deployment, sets) = mk_history(&[mk_template("api:1"), mk_template("api:2")]);
    let revisions = of_replica_sets(&deployment, &sets);
    assert_eq!(mark_bad(&deployment, &revisions, "api-h2"), "api-h2");
    deployment["metadata"]["annotations"] = json!({BAD_REVISIONS: "api-h1,api-gone,api-h2"});
    assert_eq!(mark_bad(&deployment, &revisions, "api-h2"), "api-h1,api-h2");
    deployment["metadata"]["annotations"] = json!({BAD_REVISIONS: "api-h2,api-h1"});
    assert_eq!(mark_bad(&deployment, &revisions, "newest"), "api-h2,api-h1,newest", "the newest is the last");
    let many: Vec<Revision> =
        (0..30).map(|n| Revision { name: format!("r{n:02}"), ..revisions[0].clone() }).collect();
    let names: Vec<&str> = many.iter().map(|revision| revision.name.as_str()).collect();
    deployment["metadata"]["annotations"] = json!({BAD_REVISIONS: names.join(",")});
    let marked = mark_bad(&deployment, &many, "newest");
    assert_eq!(marked.split(',').count(), BAD_REVISIONS_MAX);
    assert!(marked.ends_with(",newest"), "{marked}");
}

#[test]
fn the_published_table_of_actions_is_kept() {
    let Some(table) = vector("k8s_actions.json") else { return };
    let row = |name: &str| {
        let rows = table["actions"].as_array().expect("a list");
        rows.iter().find(|row| row["action"] == name).unwrap_or_else(|| panic!("a row `{name}`")).clone()
    };
    let at = "2026-11-21T12:00:00Z";
    let mut body = row("rollout_restart")["body"].clone();
    *body
        .pointer_mut("/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt")
        .expect("a place") = json!(at);
    let change = super::super::patch::restart(&mk_deployment("api", mk_template("api:1")), at);
    assert_eq!(super::super::changes::strategic(&[change]), body);
    let rules = row("rollback_deployment")["body_rules"].to_string();
    let (mut deployment, sets) = mk_history(&[mk_template("api:1"), mk_template("api:2")]);
    let kept = "kubectl.kubernetes.io/last-applied-configuration";
    assert!(rules.contains("last-applied-configuration") && rules.contains("pod-template-hash"), "{rules}");
    deployment["metadata"]["annotations"] = json!({kept: "{}"});
    let undo =
        super::super::patch::undo_deployment(&deployment, &of_replica_sets(&deployment, &sets)[1], &[]);
    assert_eq!(undo[1]["value"][kept], "{}");
    assert!(!undo.to_string().contains(TEMPLATE_HASH), "{undo}");
}
