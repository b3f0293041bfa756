//! Rollouts: done, stuck and paused, as their status tells it.

use serde_json::json;

use super::cluster::{condition, count, on_ground, text};
use super::objects::{
    deployment, is_rolled_out, pods, replica_sets, revision, rolled_out, until_rolled_out, version,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_done_when_its_numbers_and_its_condition_say_so() {
    on_ground(async |ground| {
        let done = rolled_out(ground, "web", 2).await;
        assert_eq!(condition(&done, "Progressing"), ("True", "NewReplicaSetAvailable"));
        assert_eq!(condition(&done, "Available"), ("True", "MinimumReplicasAvailable"));
        assert_eq!(count(&done, "/status/readyReplicas"), 2);
        assert!(done.pointer("/status/unavailableReplicas").is_none(), "a count of zero is left out");
        assert_eq!(revision(&done), 1);
        let sets = replica_sets(ground, "web").await;
        assert_eq!((sets.len(), revision(&sets[0])), (1, 1));
        let hash = text(&sets[0], "/spec/template/metadata/labels/pod-template-hash");
        assert_eq!(text(&sets[0], "/metadata/name"), format!("web-{hash}"));
        for pod in pods(ground, "web").await {
            assert_eq!(text(&pod, "/metadata/labels/pod-template-hash"), hash);
            assert_eq!(text(&pod, "/metadata/ownerReferences/0/uid"), text(&sets[0], "/metadata/uid"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_template_counts_as_not_observed_until_it_is() {
    on_ground(async |ground| {
        let before = rolled_out(ground, "web", 2).await;
        let changed = ground.strategic(&ground.deployment("web"), &version("2")).await.good();
        assert_eq!(count(&changed, "/metadata/generation"), count(&before, "/metadata/generation") + 1);
        assert!(!is_rolled_out(&changed), "the answer to the change shows the old status");
        let after = until_rolled_out(ground, "web").await;
        assert_eq!(revision(&after), 2);
        let sets = replica_sets(ground, "web").await;
        let sizes: Vec<_> = sets.iter().map(|set| (revision(set), count(set, "/spec/replicas"))).collect();
        assert_eq!(sizes, [(1, 0), (2, 2)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_cannot_go_on_says_so_after_its_deadline_and_serves_on() {
    on_ground(async |ground| {
        let mut web = deployment("web", 2);
        web["spec"]["progressDeadlineSeconds"] = 10.into();
        ground.post(&ground.deployment(""), &web).await.good();
        until_rolled_out(ground, "web").await;
        // No node has this label, so that the new pod stays without one, whatever can be pulled.
        let nowhere = json!({ "smokejumper.dev/conformance": "nowhere" });
        let stuck = json!({ "spec": { "template": { "spec": { "nodeSelector": nowhere } } } });
        ground.merge(&ground.deployment("web"), &stuck).await.good();
        let is_stuck = |found: &serde_json::Value| {
            condition(found, "Progressing") == ("False", "ProgressDeadlineExceeded")
        };
        let found = ground.until(&ground.deployment("web"), "the deadline is over", is_stuck).await;
        assert!(!is_rolled_out(&found));
        assert_eq!(
            count(&found, "/status/availableReplicas"),
            2,
            "a quarter of two rounds to none unavailable"
        );
        assert_eq!(count(&found, "/status/updatedReplicas"), 1, "and to one more");
        let waiting = pods(ground, "web").await;
        let waiting =
            waiting.iter().find(|pod| text(pod, "/status/phase") == "Pending").expect("the new pod");
        assert_eq!(condition(waiting, "PodScheduled"), ("False", "Unschedulable"));

        let remove = json!([{ "op": "remove", "path": "/spec/template/spec/nodeSelector" }]);
        ground.json_patch(&ground.deployment("web"), &remove).await.good();
        let after = until_rolled_out(ground, "web").await;
        assert_eq!(revision(&after), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_deployment_observes_a_change_and_does_not_roll_it_out() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 1).await;
        let mut change = version("2");
        change["spec"]["paused"] = true.into();
        let changed = ground.strategic(&ground.deployment("web"), &change).await.good();
        let generation = count(&changed, "/metadata/generation");
        let is_paused = |found: &serde_json::Value| {
            condition(found, "Progressing") == ("Unknown", "DeploymentPaused")
                && count(found, "/status/observedGeneration") >= generation
        };
        let paused = ground.until(&ground.deployment("web"), "the pause is seen", is_paused).await;
        assert_eq!(count(&paused, "/status/updatedReplicas"), 0);
        assert_eq!(replica_sets(ground, "web").await.len(), 1);
        ground.merge(&ground.deployment("web"), &json!({ "spec": { "paused": false } })).await.good();
        let after = until_rolled_out(ground, "web").await;
        assert_eq!(revision(&after), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_of_a_deployment_counts_as_a_change_and_rolls_nothing_out() {
    on_ground(async |ground| {
        let before = rolled_out(ground, "web", 1).await;
        let marked =
            json!({ "metadata": { "annotations": { "smokejumper.dev/execution-id": "i-a1-apply" } } });
        let after = ground.merge(&ground.deployment("web"), &marked).await.good();
        assert_eq!(count(&after, "/metadata/generation"), count(&before, "/metadata/generation") + 1);
        let labelled = json!({ "metadata": { "labels": { "team": "a" } } });
        let labelled = ground.merge(&ground.deployment("web"), &labelled).await.good();
        assert_eq!(labelled["metadata"]["generation"], after["metadata"]["generation"]);
        let seen = until_rolled_out(ground, "web").await;
        assert_eq!(revision(&seen), 1);
        assert_eq!(replica_sets(ground, "web").await.len(), 1);
    })
    .await;
}
