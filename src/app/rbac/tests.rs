//! From rules to roles.

use super::manifest::{Accounts, Manifest};
use super::*;
use crate::rules::Known;
use crate::rules::load::{SourceFile, load_texts};
use std::path::Path;

fn mk_rule(name: &str, matchers: &str, target: &str, rest: &str) -> String {
    format!(
        "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: {name} }}\nspec:\n  matchers: [{matchers}]\n  \
         severity: P1\n  target: {target}\n{rest}---\n"
    )
}

fn mk_needs(text: &str) -> Vec<RuleNeed> {
    let catalog = crate::app::kinds();
    let file = SourceFile { name: "rules.yaml".to_owned(), text: text.to_owned() };
    let set =
        load_texts(vec![file], &catalog, &Known::everything()).unwrap_or_else(|errors| panic!("{errors}"));
    needs(&set, &catalog, false)
}

fn mk_accounts() -> Accounts {
    Accounts::of(&Settings::default(), None)
}

const TARGET: &str =
    "{ kind: Deployment, namespace: '{{ labels.namespace }}', name: '{{ labels.service }}' }";

#[test]
fn a_namespace_is_fixed_by_its_text_or_by_a_matcher_that_lets_one_value_through() {
    for (matchers, target, expected) in [
        ("'alertname=\"A\"'", "{ kind: Deployment, namespace: shop, name: api }", Some("shop")),
        ("'namespace=\"pss-nano\"'", TARGET, Some("pss-nano")),
        ("'namespace=~\"pss-.*\"'", TARGET, None),
        ("'namespace!=\"pss-nano\"'", TARGET, None),
        ("'alertname=\"A\"'", TARGET, None),
        (
            "'namespace=\"pss-nano\"'",
            "{ kind: Deployment, namespace: 'x-{{ labels.namespace }}', name: api }",
            None,
        ),
    ] {
        let rest = "  remedies: [{ name: restart, tier: T2, action: { k8s.rollout_restart: {} } }]\n";
        let needs = mk_needs(&mk_rule("one", matchers, target, rest));
        assert_eq!(needs.len(), 1, "{matchers} {target}");
        assert_eq!(needs[0].namespace.as_deref(), expected, "{matchers} {target}");
        assert_eq!((needs[0].rule.as_str(), needs[0].part.as_str()), ("one", "remedy restart"));
    }
}

#[test]
fn secrets_that_would_be_readable_beyond_one_namespace_are_warned_about() {
    let warnings = |matchers: &str, params: &str| {
        let rest = format!("  diagnostics: [{{ name: password, k8s.secret_meta: {{ {params} }} }}]\n");
        let text = mk_rule("one", matchers, TARGET, &rest);
        let file = SourceFile { name: "rules.yaml".to_owned(), text };
        let set = load_texts(vec![file], &crate::app::kinds(), &Known::everything());
        let set = set.unwrap_or_else(|errors| panic!("{errors}"));
        set.warnings().iter().map(|problem| problem.to_string()).collect::<Vec<_>>().join("\n")
    };
    let wide = warnings("'alertname=\"A\"'", "name: database");
    assert!(wide.contains("Secrets called `database` in every namespace"), "{wide}");
    assert!(wide.contains("rules.yaml:8") && wide.contains("fix the namespace"), "{wide}");
    let widest = warnings("'alertname=\"A\"'", "name: '{{ labels.service }}'");
    assert!(widest.contains("every Secret of the cluster"), "{widest}");
    for (matchers, params) in [
        ("'alertname=\"A\"'", "namespace: shop, name: database"),
        ("'namespace=\"shop\"'", "name: database"),
        ("'namespace=\"shop\"'", "name: '{{ labels.service }}'"),
    ] {
        assert_eq!(warnings(matchers, params), "", "{matchers} {params}");
    }
}

#[test]
fn what_guardrails_look_at_is_needed_by_the_rules_that_act_on_the_cluster() {
    let catalog = crate::app::kinds();
    let acts = "  remedies: [{ name: restart, action: { k8s.rollout_restart: {} } }]\n";
    let tells = "  diagnostics: [{ name: workload, k8s.workload: {} }]\n";
    let text = mk_rule("acts", "'alertname=\"A\"'", TARGET, acts)
        + &mk_rule("tells", "'alertname=\"B\"'", TARGET, tells);
    let file = SourceFile { name: "rules.yaml".to_owned(), text };
    let set =
        load_texts(vec![file], &catalog, &Known::everything()).unwrap_or_else(|errors| panic!("{errors}"));
    let nodes = |looks_at_nodes: bool| {
        let all = needs(&set, &catalog, looks_at_nodes).into_iter();
        let nodes = all.filter(|need| need.need.resource == "nodes");
        nodes.map(|need| (need.rule, need.identity, need.need.verbs, need.namespace)).collect::<Vec<_>>()
    };
    assert_eq!(nodes(true), [("acts".to_owned(), Identity::Read, vec!["list"], None)]);
    assert_eq!(nodes(false), []);
}

#[test]
fn roles_hold_what_the_rules_need_and_nothing_that_another_covers() {
    let fixed = "  remedies:\n    - { name: restart, tier: T2, action: { k8s.rollout_restart: { name: api } } }\n    \
                 - { name: undo, tier: T2, action: { k8s.rollout_undo: {} } }\n";
    let wide = "  remedies:\n    - { name: evict, action: { k8s.delete_pod: { selector: 'app={{ labels.service }}' } } }\n";
    let text = mk_rule("fixed", "'alertname=\"A\"', 'namespace=\"pss-nano\"'", TARGET, fixed)
        + &mk_rule("wide", "'alertname=\"B\"'", TARGET, wide)
        + &mk_rule("other", "'alertname=\"C\"', 'namespace=\"shop\"'", TARGET, wide);
    let manifest = Manifest::new(&grants(&mk_needs(&text)), &mk_accounts());
    insta::assert_snapshot!(manifest.yaml());
    let kinds: Vec<String> = manifest.list()["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["kind"].as_str().expect("a kind").to_owned())
        .collect();
    assert!(!manifest.yaml().contains("namespace: shop"), "the ClusterRole covers it: {kinds:?}");
}

#[test]
fn rules_without_a_cluster_need_nothing_of_it() {
    let rest = "  remedies: [{ name: tell, action: { escalate: {} } }]\n";
    let needs = mk_needs(&mk_rule("one", "'alertname=\"A\"'", TARGET, rest));
    assert!(needs.is_empty());
    let manifest = Manifest::new(&grants(&needs), &mk_accounts());
    assert_eq!(manifest.yaml(), "# The rules need no permission in a Kubernetes cluster.\n");
    assert_eq!(manifest.list()["items"], serde_json::json!([]));
}

#[test]
fn the_shipped_rules_need_this() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let catalog = crate::app::kinds();
    let pattern = format!("{}/**/*.yaml", folder.display());
    let set = crate::rules::load::load(&[pattern], &catalog, &Known::everything())
        .unwrap_or_else(|errors| panic!("{errors}"));
    insta::assert_snapshot!(Manifest::new(&grants(&needs(&set, &catalog, true)), &mk_accounts()).yaml());
}

#[test]
fn accounts_are_those_of_the_settings() {
    let text = "kubernetes: { act: { impersonate: 'system:serviceaccount:sre:hands' } }\n";
    let settings = Settings::from_text("s.yaml", text, Path::new(""), &BTreeMap::new()).expect("settings");
    let accounts = Accounts::of(&settings, None);
    assert_eq!((accounts.namespace.as_str(), accounts.act.as_str()), ("sre", "hands"));
    assert_eq!(accounts.act_as_user(), "system:serviceaccount:sre:hands");
    assert_eq!(Accounts::of(&settings, Some("else")).namespace, "else");
    assert_eq!(mk_accounts().act_as_user(), "system:serviceaccount:smokejumper:smokejumper-act");
}

#[test]
fn who_acts_by_credentials_of_its_own_may_impersonate_nobody() {
    let rest = "  remedies: [{ name: restart, tier: T2, action: { k8s.rollout_restart: {} } }]\n";
    let grants = grants(&mk_needs(&mk_rule("one", "'alertname=\"A\"'", TARGET, rest)));
    let printed = |act: &str| {
        let text = format!("kubernetes: {{ act: {{ {act} }} }}\n");
        let settings = Settings::from_text("s.yaml", &text, Path::new(""), &BTreeMap::new());
        Manifest::new(&grants, &Accounts::of(&settings.expect("settings"), None)).yaml()
    };
    for act in ["", "impersonate: una"] {
        assert!(printed(act).contains("- impersonate"), "{act}");
    }
    for act in ["kubeconfig: acts", "context: acts"] {
        let printed = printed(act);
        assert!(!printed.contains("impersonate"), "{act}: {printed}");
        assert!(printed.contains("names credentials of smokejumper-act."), "{act}: {printed}");
    }
}
