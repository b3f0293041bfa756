//! The signs of the cluster: whether its API works, and how many of its nodes are ready.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::SIGN_TIMEOUT;
use crate::clients::kubernetes::{Failure, KubernetesError, ListQuery, ReadHandle, Resource};
use crate::diagnostics::Diagnostics;
use crate::domain::vitals::{CLUSTER_API, Sign};

/// How long a look at the nodes counts. A kubelet that died is noticed after forty seconds, so this adds little, and a
/// storm of incidents lists the nodes once.
const NODES_AGE_MAX: SignedDuration = SignedDuration::from_secs(15);

/// The last look at the nodes.
#[derive(Debug, Default)]
pub(in crate::diagnostics) struct Nodes(Mutex<Option<(Timestamp, Sign)>>);

/// A node, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    conditions: Vec<NodeCondition>,
}

#[derive(Debug, Deserialize)]
struct NodeCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Node {
    fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|one| one.kind == "Ready" && one.status == "True")
    }
}

impl Diagnostics {
    /// Nothing where the settings have no cluster.
    pub(super) async fn cluster_signs(&self, now: Timestamp) -> Vec<(String, Sign)> {
        let Some(access) = &self.tools.kubernetes else { return Vec::new() };
        let (api, nodes) = tokio::join!(api_sign(&access.reads), self.nodes_sign(&access.reads, now));
        let works = matches!(api, Sign::Good(_));
        let mut signs = vec![(CLUSTER_API.to_owned(), api)];
        // Why nodes cannot be listed of a cluster that does not answer is no news.
        signs.extend(nodes.filter(|_| works).map(|sign| ("nodes".to_owned(), sign)));
        signs
    }

    async fn nodes_sign(&self, reads: &ReadHandle, now: Timestamp) -> Option<Sign> {
        let percent = self.vitals.nodes_percent;
        if percent == 0 {
            return None;
        }
        // Whoever comes while somebody looks waits for what that one sees.
        let mut last = self.nodes.0.lock().await;
        let known = last.as_ref().filter(|(at, _)| now.duration_since(*at).abs() < NODES_AGE_MAX);
        if let Some((_, sign)) = known {
            return Some(sign.clone());
        }
        let (mut ready, mut count) = (0, 0);
        let looking = reads.each(&Resource::NODES, None, ListQuery::default(), |node: Node| {
            count += 1;
            ready += u32::from(node.is_ready());
        });
        let looked = tokio::time::timeout(SIGN_TIMEOUT, looking).await;
        let sign = match looked {
            Err(_) => Sign::BlindInCluster(format!("the nodes were not listed within {SIGN_TIMEOUT:?}")),
            Ok(Err(error)) => Sign::BlindInCluster(unlisted(&error)),
            Ok(Ok(())) => share_sign(ready, count, percent),
        };
        *last = Some((now, sign.clone()));
        Some(sign)
    }
}

async fn api_sign(reads: &ReadHandle) -> Sign {
    match tokio::time::timeout(SIGN_TIMEOUT, reads.ready()).await {
        Ok(Ok(())) => Sign::Good("the API of the cluster is ready".to_owned()),
        // Whether we may ask is the administrator's choice; that somebody says no shows that the API works.
        Ok(Err(KubernetesError { failure: Failure::Forbidden(_) | Failure::NotFound(_), .. })) => {
            Sign::Good("the API of the cluster answers".to_owned())
        }
        Ok(Err(error)) => {
            Sign::BlindInCluster(format!("the API of the cluster does not work: {}", error.failure))
        }
        Err(_) => {
            Sign::BlindInCluster(format!("the API of the cluster did not answer within {SIGN_TIMEOUT:?}"))
        }
    }
}

fn unlisted(error: &KubernetesError) -> String {
    let way_out = match error.failure {
        Failure::Forbidden(_) => {
            "; `smokejumper rbac` prints the role, and `guardrails.correlation.nodes_percent: 0` does without"
        }
        _ => "",
    };
    format!("the nodes cannot be listed: {}{way_out}", error.failure)
}

/// No least number: of three nodes one is a third of all room there is.
fn share_sign(ready: u32, count: u32, percent: u32) -> Sign {
    if count == 0 {
        return Sign::BlindInCluster("the cluster lists no nodes".to_owned());
    }
    let missing = count - ready;
    let text = format!("{missing} of {count} nodes are not ready");
    match u64::from(missing) * 100 >= u64::from(count) * u64::from(percent) {
        true if missing > 0 => Sign::Widespread(text),
        _ => Sign::Good(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nodes_that_are_not_ready_is_widespread() {
        for (ready, count, is_widespread) in
            [(3, 3, false), (2, 3, true), (3, 4, false), (7, 10, true), (8, 10, false), (0, 1, true)]
        {
            let sign = share_sign(ready, count, 30);
            assert_eq!(matches!(sign, Sign::Widespread(_)), is_widespread, "{ready} of {count}: {sign:?}");
        }
        assert!(matches!(share_sign(0, 0, 30), Sign::BlindInCluster(_)), "nothing is not everything");
    }

    #[test]
    fn only_a_node_that_says_so_is_ready() {
        let is_ready = |text: &str| serde_json::from_str::<Node>(text).expect("a node").is_ready();
        let node = |status: &str| {
            format!(r#"{{"status":{{"conditions":[{{"type":"Ready","status":"{status}"}}]}}}}"#)
        };
        assert!(is_ready(&node("True")));
        for text in [&node("False"), &node("Unknown"), "{}", r#"{"status":{}}"#] {
            assert!(!is_ready(text), "{text}");
        }
    }
}
