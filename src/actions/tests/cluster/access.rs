//! Permissions: each action can be looked at, carried out, looked up and taken back with exactly what it says it needs.

use super::faults::{Case, cases, mk_second_version};
use super::*;
use crate::domain::catalog::{AccessNeed, AccessScope};
use crate::domain::rule::{TargetSpec, Template};

/// Lets an account do exactly this, in `prod` and in the cluster.
pub(super) fn permit(world: &World, needs: &[AccessNeed]) {
    let rules = |is_meant: fn(&AccessScope) -> bool| -> Vec<Value> {
        let needs = needs.iter().filter(|need| is_meant(&need.scope));
        needs
            .map(|need| {
                json!({
                    "apiGroups": [need.group], "resources": [need.resource], "verbs": need.verbs,
                    "resourceNames": need.names,
                })
            })
            .collect()
    };
    let group = "rbac.authorization.k8s.io";
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "act", "namespace": "prod"}}),
    ];
    for (prefix, rules) in [
        ("", rules(|scope| *scope == AccessScope::TargetNamespace)),
        ("Cluster", rules(|scope| *scope == AccessScope::Cluster)),
    ] {
        let role = format!("{prefix}Role");
        objects.push(json!({
            "apiVersion": format!("{group}/v1"), "kind": role,
            "metadata": {"name": "act", "namespace": "prod"}, "rules": rules,
        }));
        objects.push(json!({
            "apiVersion": format!("{group}/v1"), "kind": format!("{role}Binding"),
            "metadata": {"name": "act", "namespace": "prod"},
            "roleRef": {"apiGroup": group, "kind": role, "name": "act"},
            "subjects": [{"kind": "ServiceAccount", "name": "act", "namespace": "prod"}],
        }));
    }
    for mut object in objects {
        if object["kind"].as_str().is_some_and(|kind| kind.starts_with("Cluster")) {
            object["metadata"] = json!({"name": "act"});
        }
        world.cluster.put(object).expect("an object that is played");
    }
    world.cluster.enforce_access(true);
}

#[tokio::test]
async fn each_action_works_with_what_it_says_it_needs() {
    let target = TargetSpec {
        kind: "Deployment".to_owned(),
        namespace: Template("prod".to_owned()),
        name: Template("api".to_owned()),
    };
    for Case { kind: name, params, .. } in cases() {
        let kind = kinds().into_iter().find(|kind| kind.name == name).expect("a kind");
        let mut world = mk_second_version(name).await;
        permit(&world, &(kind.access)(&params, Some(&target)));
        let kubeconfig = world.cluster.kubeconfig_of(&world.cluster.token_for("prod", "act"));
        world.actions = mk_actions_by(&kubeconfig, PATIENCE).await;
        let surveyed = world.survey(&draft(name, params.clone())).await;
        applied(world.act(&surveyed.plan).await);
        assert!(!format!("{:?}", world.look_back(&surveyed.plan).await).contains("403"), "{name}");
        if let Some(back) = &surveyed.inverse {
            applied(world.act_as(back, "01-a1-rollback").await);
        }
        // The needs are what lets it.
        permit(&world, &[]);
        let outcome = world.look(&draft(name, params)).await;
        let is_refused =
            matches!(&outcome, SurveyOutcome::Refused { reason } if reason.contains("not permitted (403)"));
        assert!(is_refused, "{name}: {outcome:?}");
    }
}

#[test]
fn the_kinds_that_an_action_would_write_are_known_before_anybody_looks() {
    let touches = |name: &str, params: &Value| {
        let catalog = Catalog::new(Vec::new(), kinds());
        let kind = catalog.action(name).expect("a kind");
        catalog.outline(kind, params, Some(&mk_target("Deployment", "api"))).expect("an outline").touches
    };
    for Case { kind, params, .. } in cases() {
        // None means: its target alone.
        let expected: &[&str] = match (kind, params.get("manifest").and_then(Value::as_str)) {
            ("k8s.apply", _) => &["ConfigMap/prod/other"],
            ("k8s.remove", _) => &["ConfigMap/prod/maintenance"],
            ("k8s.delete_pod" | "k8s.exec", _) => &["Pod"],
            ("k8s.hpa_patch", _) => &["Deployment", "HorizontalPodAutoscaler"],
            ("k8s.job_run", None) => &["Job"],
            ("k8s.job_run", Some(_)) => &["Job/prod/restore"],
            _ => &[],
        };
        assert_eq!(touches(kind, &params), expected, "{kind} {params}");
    }
}
