//! The signs of a cluster, for each way in which it may answer.

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::clients::kubernetes::ReadHandle;
use crate::clients::kubernetes::fake::{Answer, Requests, mk_cluster};
use crate::domain::vitals::{CLUSTER_API, Sign};
use crate::engine::ports::Sentinel as _;

/// A cluster that answers `/readyz` with this, and the list of nodes with that.
fn mk_watch(nodes_percent: u32, ready: fn() -> Answer, nodes: fn() -> Answer) -> (Diagnostics, Requests) {
    crate::clients::http::install_crypto_provider();
    let (client, requests) = mk_cluster(move |seen| match seen.target.starts_with("/readyz") {
        true => ready(),
        false => nodes(),
    });
    let access = KubernetesAccess { reads: ReadHandle::over(client, TIMEOUT), commands: BTreeMap::new() };
    let options = DiagnosticsOptions {
        prometheus: None,
        vitals: VitalsOptions { nodes_percent, ..VitalsOptions::default() },
        kubernetes: Some(access),
        connections: Default::default(),
        probe_loopback: false,
        keyring: mk_keyring(),
    };
    (Diagnostics::new(options).expect("diagnostics"), requests)
}

fn ok() -> Answer {
    Answer::Says(200, "ok".to_owned())
}

/// Three nodes, one of which nobody has heard of.
fn two_of_three() -> Answer {
    let node = |status: &str| json!({ "status": { "conditions": [{ "type": "Ready", "status": status }] } });
    let items = ["True", "Unknown", "True"].map(node);
    Answer::Says(200, json!({ "items": items }).to_string())
}

#[tokio::test]
async fn an_api_that_does_not_work_is_blindness_and_one_that_says_no_is_not() {
    let answers: [(fn() -> Answer, bool); 7] = [
        (ok, true),
        (|| Answer::Says(403, "{}".to_owned()), true),
        (|| Answer::Says(404, "{}".to_owned()), true),
        (|| Answer::Says(401, "{}".to_owned()), false),
        (|| Answer::Says(500, "[-]etcd failed".to_owned()), false),
        (|| Answer::Says(503, "{}".to_owned()), false),
        (|| Answer::Breaks, false),
    ];
    for (number, (answer, works)) in answers.into_iter().enumerate() {
        let (watch, _) = mk_watch(30, answer, two_of_three);
        let vitals = watch.vitals(mk_now()).await;
        assert_eq!(vitals.cluster_is_dark().is_none(), works, "answer {number}: {vitals:?}");
        assert_eq!(matches!(vitals.signs[CLUSTER_API], Sign::Good(_)), works, "answer {number}: {vitals:?}");
        assert_eq!(
            vitals.signs.contains_key("nodes"),
            works,
            "of a cluster in the dark nobody asks for nodes"
        );
    }
}

#[tokio::test]
async fn nodes_that_cannot_be_listed_are_blindness_with_a_way_out() {
    let (watch, _) = mk_watch(30, ok, two_of_three);
    let sign = watch.vitals(mk_now()).await.signs["nodes"].clone();
    assert_eq!(sign, Sign::Widespread("1 of 3 nodes are not ready".to_owned()));
    let (watch, _) = mk_watch(30, ok, || Answer::Says(403, "{}".to_owned()));
    let Sign::BlindInCluster(why) = watch.vitals(mk_now()).await.signs["nodes"].clone() else {
        panic!("who may not look is blind");
    };
    assert!(
        why.contains("403") && why.contains("smokejumper rbac") && why.contains("nodes_percent: 0"),
        "{why}"
    );
    let (watch, requests) = mk_watch(0, ok, two_of_three);
    assert!(!watch.vitals(mk_now()).await.signs.contains_key("nodes"));
    assert_eq!(requests.lock().expect("no panic").len(), 1, "nodes are left alone");
}

#[tokio::test]
async fn a_storm_of_incidents_lists_the_nodes_once() {
    let (watch, requests) = mk_watch(30, ok, two_of_three);
    let lists = || {
        let seen = requests.lock().expect("no panic");
        seen.iter().filter(|seen| seen.target.starts_with("/api/v1/nodes")).count()
    };
    futures::future::join_all((0..20).map(|_| watch.vitals(mk_now()))).await;
    assert_eq!(lists(), 1);
    watch.vitals(mk_now() + SignedDuration::from_secs(14)).await;
    assert_eq!(lists(), 1);
    watch.vitals(mk_now() + SignedDuration::from_secs(15)).await;
    assert_eq!(lists(), 2);
}
