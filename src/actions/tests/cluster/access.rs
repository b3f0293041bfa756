//! Permissions: each action can be looked at, carried out, looked up and taken back with exactly what it says it needs.

use super::faults::{Case, cases, mk_second_version};
use super::*;
use crate::domain::catalog::{AccessNeed, AccessScope};
use crate::domain::rule::{TargetSpec, Template};

/// Lets an account do exactly this, in `prod`.
fn permit(world: &World, needs: &[AccessNeed]) {
    let rules: Vec<Value> = needs
        .iter()
        .map(|need| {
            assert_eq!(need.scope, AccessScope::TargetNamespace);
            json!({
                "apiGroups": [need.group], "resources": [need.resource], "verbs": need.verbs,
                "resourceNames": need.names,
            })
        })
        .collect();
    let group = "rbac.authorization.k8s.io";
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "act", "namespace": "prod"}}),
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "Role",
            "metadata": {"name": "act", "namespace": "prod"}, "rules": rules,
        }),
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
            "metadata": {"name": "act", "namespace": "prod"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "act"},
            "subjects": [{"kind": "ServiceAccount", "name": "act", "namespace": "prod"}],
        }),
    ] {
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
