//! What the cluster lets the two identities do, against what the rules need: a missing verb shows when the service
//! starts, and not in the night when a remedy is refused.
//!
//! The cluster itself is asked (SelfSubjectAccessReview), once for each permission, after each start and each change of
//! the rules. A rule that lacks one stays in force: its other parts may work, and people are told of the incident.

use super::rbac::{Identity, RuleNeed, needs};
use crate::clients::kubernetes::{Failure, KubernetesError, ReadHandle};
use crate::domain::catalog::AccessNeed;
use crate::metrics::Metrics;
use crate::rules::book::RuleBook;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often is looked whether the rules have changed, or the cluster can be asked again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Most questions of one look: beyond this the rules need a role as a whole, and not one verb after the other.
const QUESTIONS_MAX: usize = 1_000;

/// Asks the cluster what the identities may do.
pub(super) struct Permissions {
    /// Under the identity of diagnostics.
    pub(super) reads: ReadHandle,
    /// Under the identity of actions, to ask and not to write.
    pub(super) acts: ReadHandle,
    pub(super) book: Arc<RuleBook>,
    pub(super) metrics: Metrics,
    /// Whether guardrails look at the nodes.
    pub(super) looks_at_nodes: bool,
}

/// One question: who, what, where.
type Question = (Identity, AccessNeed, Option<String>);

impl Permissions {
    /// Looks after a start and after each change of the rules, until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let mut looked_at = None;
        while !stop.is_cancelled() {
            let set = self.book.current();
            if looked_at.as_deref() != Some(set.hash()) {
                let needs = needs(&set, self.book.catalog(), self.looks_at_nodes);
                match self.look(&needs).await {
                    Ok(missing) => {
                        report(&needs, &missing, &self.metrics);
                        looked_at = Some(set.hash().to_owned());
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, "the cluster cannot be asked for permissions; it is asked again");
                    }
                }
            }
            let _ = stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await;
        }
    }

    /// What is missing.
    async fn look(&self, needs: &[RuleNeed]) -> Result<BTreeSet<Question>, KubernetesError> {
        let questions: BTreeSet<Question> = needs.iter().flat_map(questions).collect();
        if questions.len() > QUESTIONS_MAX {
            tracing::warn!(
                count = questions.len(),
                "the rules need too many permissions to ask for each: some are not"
            );
        }
        let (mut missing, mut unusable) = (BTreeSet::new(), BTreeSet::new());
        for question in questions.into_iter().take(QUESTIONS_MAX) {
            let (identity, need, namespace) = &question;
            let handle = match identity {
                Identity::Read => &self.reads,
                Identity::Act => &self.acts,
            };
            match handle.may(need, namespace.as_deref()).await {
                Ok(true) => {}
                Ok(false) => {
                    missing.insert(question);
                }
                // Who may not even ask may do nothing, as when the right to impersonate is not there.
                Err(error) if matches!(error.failure, Failure::Forbidden(_)) => {
                    if !unusable.contains(identity) {
                        tracing::warn!(
                            identity = identity.as_str(),
                            error = %error,
                            "this identity cannot be used"
                        );
                        unusable.insert(*identity);
                    }
                    missing.insert(question);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(missing)
    }
}

/// One question for each verb, so that the answer names it.
fn questions(need: &RuleNeed) -> impl Iterator<Item = Question> + '_ {
    need.need.verbs.iter().map(|verb| {
        let one = AccessNeed { verbs: vec![verb], ..need.need.clone() };
        (need.identity, one, need.namespace.clone())
    })
}

/// Says of each rule what it lacks.
fn report(needs: &[RuleNeed], missing: &BTreeSet<Question>, metrics: &Metrics) {
    let mut lacking: BTreeMap<&str, BTreeSet<Question>> = BTreeMap::new();
    for need in needs {
        let of_rule = lacking.entry(&need.rule).or_default();
        for question in questions(need).filter(|question| missing.contains(question)) {
            let (identity, one, namespace) = &question;
            let place = match namespace {
                Some(namespace) => format!("in namespace {namespace}"),
                None => "in all namespaces".to_owned(),
            };
            tracing::warn!(
                rule.name = need.rule,
                part = need.part,
                identity = identity.as_str(),
                verb = one.verbs.join(","),
                resource = one.resource,
                group = one.group,
                place,
                "a rule cannot work: its identity may not do what it needs; `smokejumper rbac` prints the roles"
            );
            of_rule.insert(question);
        }
    }
    metrics.set_permissions_missing(lacking.iter().map(|(rule, questions)| (*rule, questions.len())));
    let rules = lacking.values().filter(|questions| !questions.is_empty()).count();
    if rules == 0 && !needs.is_empty() {
        tracing::info!("the cluster permits all that the rules need");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::kubernetes::ConnectOptions;
    use crate::clients::stand_in::{Play, StandIn};
    use crate::rules::Known;
    use crate::rules::load::{SourceFile, load_texts};
    use serde_json::{Value, json};

    const RULES: &str = "\
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: restarts }
spec:
  matchers: ['alertname=\"A\"', 'namespace=\"shop\"']
  severity: P1
  target: { kind: Deployment, namespace: '{{ labels.namespace }}', name: api }
  remedies: [{ name: restart, action: { k8s.rollout_restart: {} } }]
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: other }
spec:
  matchers: ['alertname=\"B\"', 'namespace=\"shop\"']
  severity: P1
  target: { kind: Deployment, namespace: '{{ labels.namespace }}', name: web }
  remedies: [{ name: restart, action: { k8s.rollout_restart: {} } }]
";

    fn mk_needs() -> Vec<RuleNeed> {
        let catalog = crate::app::kinds();
        let file = SourceFile { name: "rules.yaml".to_owned(), text: RULES.to_owned() };
        let set = load_texts(vec![file], &catalog, &Known::everything())
            .unwrap_or_else(|errors| panic!("{errors}"));
        needs(&set, &catalog, false)
    }

    async fn mk_permissions(server: &StandIn) -> Permissions {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server.url("")}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig.to_string()).expect("written");
        let options = |impersonate: Option<&str>| ConnectOptions {
            kubeconfig: Some(path.clone()),
            context: None,
            impersonate: impersonate.map(str::to_owned),
            timeout: Duration::from_secs(10),
        };
        let catalog = Arc::new(crate::app::kinds());
        let source = crate::rules::book::BookSource {
            patterns: Vec::new(),
            catalog,
            known: Known::everything(),
            default_policy: None,
        };
        let (reads, acts) =
            (ReadHandle::new(options(None)), ReadHandle::new(options(Some("system:serviceaccount:s:hands"))));
        reads.connect().await.expect("a line");
        acts.connect().await.expect("a line");
        Permissions {
            reads,
            acts,
            book: Arc::new(RuleBook::open(source).expect("no rules")),
            metrics: Metrics::new(),
            looks_at_nodes: false,
        }
    }

    fn verdict(allowed: bool) -> Play {
        Play::json(201, json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed}}))
    }

    #[tokio::test]
    async fn a_verb_that_is_taken_away_names_the_rule_that_suffers() {
        let needs = mk_needs();
        // In order: get and patch of `api`, then of `web`.
        let server = StandIn::play([verdict(true), verdict(false), verdict(true), verdict(true)]).await;
        let permissions = mk_permissions(&server).await;
        let missing = permissions.look(&needs).await.expect("answers");
        assert_eq!(missing.len(), 1, "{missing:?}");
        report(&needs, &missing, &permissions.metrics);
        let page = permissions.metrics.page();
        let asked: Vec<Value> =
            server.seen().iter().map(|seen| serde_json::from_slice(&seen.body).expect("JSON")).collect();
        let refused = &asked[1]["spec"]["resourceAttributes"];
        assert_eq!((&refused["namespace"], &refused["resource"]), (&json!("shop"), &json!("deployments")));
        let rule = if refused["name"] == "api" { "restarts" } else { "other" };
        let fine = if rule == "other" { "restarts" } else { "other" };
        assert!(
            page.contains(&format!("smokejumper_rule_permissions_missing{{rule=\"{rule}\"}} 1")),
            "{page}"
        );
        assert!(
            page.contains(&format!("smokejumper_rule_permissions_missing{{rule=\"{fine}\"}} 0")),
            "{page}"
        );
        assert!(
            server
                .seen()
                .iter()
                .all(|seen| { seen.header("impersonate-user") == Some("system:serviceaccount:s:hands") }),
            "actions are asked for under their own identity"
        );
    }

    #[tokio::test]
    async fn an_identity_that_may_not_even_ask_lacks_everything() {
        let forbidden = || {
            let status = json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403,
                "message": "serviceaccounts \"hands\" is forbidden: User \"eyes\" cannot impersonate resource"});
            Play::json(403, status)
        };
        let server = StandIn::play([forbidden(), forbidden(), forbidden(), forbidden()]).await;
        let missing = mk_permissions(&server).await.look(&mk_needs()).await.expect("an answer is an answer");
        assert_eq!(missing.len(), 4, "get and patch of both: {missing:?}");
    }

    #[tokio::test]
    async fn a_cluster_that_cannot_be_asked_says_nothing_about_rules() {
        let server = StandIn::play([Play::text(503, "later")]).await;
        assert!(mk_permissions(&server).await.look(&mk_needs()).await.is_err());
    }
}
